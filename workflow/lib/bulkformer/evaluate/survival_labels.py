"""The paper's way to prognosis: tell the dead from the living, whenever it was.

Heads as those of survival, by the same names, but fitted to labels; time is not looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bulkformer.errors import InputError
from bulkformer.evaluate import heads
from bulkformer.evaluate.survival_heads import SurvivalSettings
from bulkformer.evaluate.survival_patients import (
    Covariates,
    Patients,
    TrainingPatients,
    fit_covariates,
)


class FittedLabelHead(Protocol):
    """What a head learned from training patients."""

    def predict(self, patients: Patients) -> np.ndarray:
        """Return the probability [m] that each of other patients is dead."""
        ...


@dataclass(frozen=True)
class VectorLabels:
    """A classifier of vectors."""

    classifier: Any

    def predict(self, patients: Patients) -> np.ndarray:
        """Return the probability of death."""
        return _dead(self.classifier, patients.vectors)


@dataclass(frozen=True)
class ClinicalLabels:
    """A classifier of clinical covariates."""

    covariates: Covariates
    classifier: Any

    def predict(self, patients: Patients) -> np.ndarray:
        """Return the probability of death."""
        return _dead(self.classifier, self.covariates.transform(patients))


@dataclass(frozen=True)
class CancerShares:
    """Share of the dead by cancer type, and overall."""

    shares: dict[str, float]
    overall: float

    def predict(self, patients: Patients) -> np.ndarray:
        """Return the share of a patient's cancer, or the overall one for a type never seen."""
        return np.array([self.shares.get(cancer, self.overall) for cancer in patients.cancer])


def pca_random_forest(
    rows: TrainingPatients, settings: SurvivalSettings, seed: int
) -> FittedLabelHead:
    """The paper's head: principal components of the training rows, then a random forest."""
    return VectorLabels(_forest("pca_random_forest", rows.patients.vectors, rows, settings, seed))


def clinical(rows: TrainingPatients, settings: SurvivalSettings, seed: int) -> FittedLabelHead:
    """Baseline: a random forest on age, sex, stage and cancer type, whatever the vector."""
    covariates = fit_covariates(rows.patients)
    inputs = covariates.transform(rows.patients)
    return ClinicalLabels(covariates, _forest("random_forest", inputs, rows, settings, seed))


def cancer_type(rows: TrainingPatients, settings: SurvivalSettings, seed: int) -> FittedLabelHead:
    """Baseline: the share of the dead among training patients with the same cancer."""
    shares = {
        cancer: float(rows.event[rows.patients.cancer == cancer].mean())
        for cancer in sorted(set(rows.patients.cancer.tolist()))
    }
    return CancerShares(shares, float(rows.event.mean()))


def permuted_events(
    rows: TrainingPatients, settings: SurvivalSettings, seed: int
) -> FittedLabelHead:
    """Control: the paper's head, for patients whose outcomes were exchanged before."""
    return pca_random_forest(rows, settings, seed)


HEADS: dict[str, Callable[[TrainingPatients, SurvivalSettings, int], FittedLabelHead]] = {
    head.__name__: head for head in (pca_random_forest, clinical, cancer_type, permuted_events)
}


def fit_label_head(
    name: str, rows: TrainingPatients, settings: SurvivalSettings, seed: int
) -> FittedLabelHead:
    """Fit the head `name`; raises InputError for one that does not exist."""
    if name not in HEADS:
        raise InputError(
            f"unknown head '{name}' of the legacy protocol; known are {', '.join(HEADS)}; correct "
            "the column heads of the models table"
        )
    return HEADS[name](rows, settings, seed)


def _forest(
    name: str, inputs: np.ndarray, rows: TrainingPatients, settings: SurvivalSettings, seed: int
) -> Any:
    """Fit a classifier of evaluate.heads to whether training patients died."""
    training = heads.TrainingRows(
        vectors=inputs,
        labels=rows.event.astype(np.int64),
        groups=rows.groups,
        studies=rows.patients.cancer,
        n_classes=2,
    )
    chosen = heads.HeadSettings(components=settings.components, trees=settings.trees)
    return heads.fit_head(name, training, chosen, seed)


def _dead(classifier: Any, inputs: np.ndarray) -> np.ndarray:
    return classifier.predict(inputs, np.full(len(inputs), None))[:, 1]
