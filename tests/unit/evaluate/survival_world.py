"""Followed patients of two cancers, for heads that are given them without a workflow around."""

import numpy as np
from sksurv.metrics import concordance_index_censored

from bulkformer.evaluate.survival_heads import SurvivalSettings
from bulkformer.evaluate.survival_patients import Patients, TrainingPatients

SETTINGS = SurvivalSettings(components=8, trees=20)


def patients(n, seed, log_hazard=1.2, dimensions=12):
    """Two cancers; the hazard hangs on the first dimension and on age, in whole days."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, dimensions))
    vectors[:, 0] *= 2  # so that a few principal components hold it
    age = rng.uniform(30, 85, n)
    risk = log_hazard * vectors[:, 0] / 2 + 0.05 * (age - 57)
    died, left = rng.exponential(900 * np.exp(-risk)), rng.uniform(200, 3000, n)
    about = Patients(
        vectors=vectors,
        cancer=np.array(["BRCA", "UVM"], dtype=object)[np.arange(n) % 2],
        age=np.where(np.arange(n) % 9 == 0, np.nan, age),
        sex=np.array(["female", "male", None], dtype=object)[rng.integers(3, size=n)],
        stage=np.array(["I", "II", None], dtype=object)[rng.integers(3, size=n)],
    )
    time = np.ceil(np.minimum(died, left))
    return TrainingPatients(about, time, died <= left, np.arange(n))


def concordance(risk, rows):
    return concordance_index_censored(rows.event, rows.time, risk)[0]
