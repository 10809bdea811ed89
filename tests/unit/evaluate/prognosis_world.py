"""Patients of three cancers whose hazard hangs on their cancer, their age and one dimension."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from evaluate_world import World, configuration

from bulkformer.evaluate.metrics import metrics
from bulkformer.evaluate.tasks.prognosis import prognosis
from bulkformer.evaluate.tasks.prognosis_split import prognosis_split

SETTINGS = {
    "cohort": "patients",
    "endpoint": "OS",
    "legacy": {"folds": 5, "components": 10, "trees": 20, "one_sample_per_patient": True},
    "strict": {
        "folds": 4,
        "repeats": 2,
        "components": 16,
        "trees": 10,
        "heads": ["ridge_cox"],
        "elastic_net_dimensions": 12,
    },
}
TEXT = json.dumps(SETTINGS)
CANCERS = ["BRCA", "STAD", "UVM"]
LOG_HAZARD = 1.2  # of one standard deviation of the first dimension
OF_CANCER = [-1.0, 0.0, 1.0]
N = 180


class Clinic(World):
    """A world whose cohort `patients` is followed; `survival` and `clinical` are its outcomes."""

    def __init__(self, root: Path, n: int = N, log_hazard: float = LOG_HAZARD) -> None:
        super().__init__(root)
        rng = np.random.default_rng(17)
        self.cancer = np.array(CANCERS)[np.arange(n) % 3]
        self.vectors = rng.normal(size=(n, 16))
        self.patient = [f"P{i:03d}" for i in range(n)]
        self.age = rng.uniform(30, 85, n)
        self.risk = log_hazard * self.vectors[:, 0] + np.array(OF_CANCER)[np.arange(n) % 3]
        self.risk += 0.05 * (self.age - self.age.mean())
        died = rng.exponential(900 * np.exp(-self.risk))
        left = rng.uniform(200, 4000, n)
        self.time = np.ceil(np.minimum(died, left))
        self.event = died <= left
        self.write()

    def write(self) -> None:
        """Write samples, vectors and outcomes."""
        kinds = ["Primary Tumor"] * len(self.patient)
        labels = {"patient_id": self.patient, "sample_type": kinds}
        self.cohort("patients", labels, vectors=self.vectors)
        about = {"patient_id": self.patient, "cancer": self.cancer, "endpoint": "OS"}
        pd.DataFrame(
            about | {"event": self.event.astype("int8"), "time_days": self.time}
        ).to_parquet(self.survival)
        ages = np.where(np.arange(len(self.age)) % 10 == 0, np.nan, self.age)
        known = {"patient_id": self.patient, "age_years": ages, "sex": "female", "stage": None}
        pd.DataFrame(known).astype({"stage": object}).to_parquet(self.clinical)

    @property
    def survival(self) -> Path:
        return self.root / "survival.parquet"

    @property
    def clinical(self) -> Path:
        return self.root / "clinical.parquet"

    @property
    def split(self) -> Path:
        return self.root / "split.parquet"

    def freeze(self, text: str = TEXT) -> pd.DataFrame:
        """Write the folds and return them."""
        prognosis_split(self.samples("patients"), self.survival, text, 42, self.split)
        return pd.read_parquet(self.split)

    def predict(self, protocol: str, *heads: str, text: str = TEXT, name: str = "") -> Path:
        """Fit heads, the protocol's own if none is named, and return where predictions are."""
        path = self.root / f"{protocol}_{name}{'_'.join(heads)}.parquet"
        prognosis(
            protocol, "any", self.split, self.embeddings("patients"), self.survival, text, 42, path,
            self.clinical, head=list(heads) or None,
        )  # fmt: skip
        return path

    def score(self, protocol: str, predictions: Path, text: str = TEXT) -> pd.DataFrame:
        """Return the metrics table of predictions; scores of units stand beside it."""
        path = predictions.with_suffix(".metrics")
        metrics(
            "prognosis", protocol, "any", predictions, self.split, self.ledger(["patients"]),
            configuration(text), 200, 42, path, predictions.with_suffix(".units"),
        )  # fmt: skip
        return pd.read_parquet(path)


def value(table: pd.DataFrame, metric: str, aggregation: str = "weighted", **where: object):
    """Return the one row of a metric; group, fold and repeat are empty where not asked for."""
    rows = table[(table["metric"] == metric) & (table["aggregation"] == aggregation)]
    for column in ("group", "fold", "repeat"):
        wanted = where.pop(column, None)
        rows = rows[rows[column].isna() if wanted is None else rows[column] == wanted]
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    assert len(rows) == 1
    return rows.iloc[0]
