"""What a survival head may look at: vectors, cancer type and clinical covariates of patients.

Outcomes come with training patients alone, so that a head cannot be shown those of the patients
that it is tested on. What turns covariates and long vectors into inputs is fitted to training rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bulkformer.evaluate.linear import PrincipalAxes, fit_principal_axes


@dataclass(frozen=True)
class Patients:
    """Patients without their outcomes, all fields in one order.

    Attributes
    ----------
    vectors : float [n, d]
    cancer : cancer type, str [n]
    age : years at diagnosis, float [n], NaN where unknown
    sex, stage : str or None, object [n]
    """

    vectors: np.ndarray
    cancer: np.ndarray
    age: np.ndarray
    sex: np.ndarray
    stage: np.ndarray

    def take(self, rows: np.ndarray) -> "Patients":
        """Return the chosen patients."""
        return Patients(*(values[rows] for values in vars(self).values()))


@dataclass(frozen=True)
class TrainingPatients:
    """Patients with their outcomes.

    Attributes
    ----------
    patients : what a head may look at
    time : days until the event or the end of follow-up, float [n]
    event : whether it was observed, bool [n]
    groups : codes int [n] of what inner folds must not split
    """

    patients: Patients
    time: np.ndarray
    event: np.ndarray
    groups: np.ndarray

    @property
    def strata(self) -> list[str]:
        """Cancer and event of each patient, which folds are balanced by."""
        return [
            f"{cancer} {int(event)}"
            for cancer, event in zip(self.patients.cancer, self.event, strict=True)
        ]


def exchanged(cancer: np.ndarray, seed: int) -> np.ndarray:
    """Return rows [n] whose outcomes patients have in place of their own, within each cancer.

    All patients exchange, those of test folds too. Otherwise what tells cancers apart would still
    be learned, and where the same genes say who fares worse within a cancer the control would
    score above chance (0.56 instead of 0.5 on six cancers of TCGA).
    """
    order = np.arange(len(cancer))
    rng = np.random.default_rng(seed)
    for name in sorted(set(cancer.tolist())):
        own = np.flatnonzero(cancer == name)
        order[own] = rng.permutation(own)
    return order


@dataclass(frozen=True)
class Inputs:
    """Standardisation of vectors, and their leading principal axes where they are long.

    Vectors are divided by the square root of their length, so that one grid of penalties means the
    same for 32 dimensions and for 20,000.
    """

    mean: np.ndarray
    scale: np.ndarray
    axes: PrincipalAxes | None

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Return inputs float64 [m, k]."""
        standard = (vectors - self.mean) / self.scale
        return standard if self.axes is None else self.axes.transform(standard)


def fit_inputs(vectors: np.ndarray, components: int) -> Inputs:
    """Learn from training vectors [n, d] what brings any vector to at most `components` inputs."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    scale = vectors.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0
    scale *= np.sqrt(vectors.shape[1])
    if vectors.shape[1] <= components:
        return Inputs(mean, scale, None)
    return Inputs(mean, scale, fit_principal_axes((vectors - mean) / scale, components))


@dataclass(frozen=True)
class Covariates:
    """How the clinic's knowledge becomes numbers.

    Age is standardised, unknown ages are the mean of training patients and marked; sex, stage and
    cancer type have one column a level that training patients had, unknown being a level of its
    own. A level that training patients lacked is all zeros.
    """

    mean_age: float
    spread_age: float
    sexes: Sequence[str | None]
    stages: Sequence[str | None]
    cancers: Sequence[str]

    def transform(self, patients: Patients) -> np.ndarray:
        """Return covariates float64 [m, k]."""
        unknown = np.isnan(patients.age)
        age = (np.where(unknown, self.mean_age, patients.age) - self.mean_age) / self.spread_age
        columns = [age, unknown.astype(np.float64)]
        for values, levels in (
            (patients.sex, self.sexes),
            (patients.stage, self.stages),
            (patients.cancer, self.cancers),
        ):
            columns += [np.array([value == level for value in values], float) for level in levels]
        return np.column_stack(columns)


def fit_covariates(patients: Patients) -> Covariates:
    """Learn levels, mean and spread from training patients."""
    known = patients.age[~np.isnan(patients.age)]
    spread = float(known.std()) if len(known) else 0.0
    return Covariates(
        mean_age=float(known.mean()) if len(known) else 0.0,
        spread_age=spread or 1.0,
        sexes=_levels(patients.sex),
        stages=_levels(patients.stage),
        cancers=_levels(patients.cancer),
    )


def _levels(values: np.ndarray) -> list[str | None]:
    """Return the distinct values, None last."""
    return sorted(set(values.tolist()), key=lambda value: (value is None, value or ""))
