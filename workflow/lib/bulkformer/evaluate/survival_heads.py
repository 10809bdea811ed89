"""Survival heads: what is fitted to the follow-up of training patients, the same for every model.

A fit is given training patients and nothing else; test patients enter only through `predict`. The
Cox models and the forest are scikit-survival's. Every model meets the same search: the same grid of
penalties, judged by the same inner folds, whatever its vectors are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bulkformer.errors import InputError
from bulkformer.evaluate.survival_cox import (
    CoxModel,
    Curves,
    as_outcome,
    fit_elastic_net_cox,
    fit_ridge_cox,
)
from bulkformer.evaluate.survival_measures import step_at, survival_curve
from bulkformer.evaluate.survival_neural import NeuralCox, fit_neural_cox
from bulkformer.evaluate.survival_patients import (
    Covariates,
    Inputs,
    Patients,
    TrainingPatients,
    fit_covariates,
    fit_inputs,
)

MIN_LEAF = 10  # training patients in a leaf of the forest
MAX_TIMES = 100  # distinct times that a forest tells apart; its leaves hold a curve each


@dataclass(frozen=True)
class Prognosis:
    """What a head says of patients: `risk` [m], the higher the earlier the event, and curves.

    `reference` is the risk by clinical covariates alone, where a head adds vectors to them.
    """

    risk: np.ndarray
    curves: Curves
    reference: np.ndarray | None = None


class FittedSurvivalHead(Protocol):
    """What a head learned from training patients."""

    def predict(self, patients: Patients) -> Prognosis:
        """Return what it says of other patients."""
        ...


@dataclass(frozen=True)
class SurvivalSettings:
    """`components` of long vectors, `trees` of a forest, and `threads` that grow it.

    `dimensions`, those that vary most in training rows, are what the elastic net chooses among.
    """

    components: int
    trees: int
    threads: int = 1
    dimensions: int = 2000


Fit = Callable[[TrainingPatients, SurvivalSettings, int], FittedSurvivalHead]


@dataclass(frozen=True)
class VectorCox:
    """Cox regression on vectors."""

    inputs: Inputs
    model: CoxModel

    def predict(self, patients: Patients) -> Prognosis:
        """Return log hazard ratios and curves."""
        return _prognosis(self.model, self.inputs.transform(patients.vectors))


@dataclass(frozen=True)
class SparseCox:
    """Cox regression on chosen `dimensions` of vectors."""

    dimensions: np.ndarray
    inputs: Inputs
    model: CoxModel

    def predict(self, patients: Patients) -> Prognosis:
        """Return log hazard ratios and curves."""
        inputs = self.inputs.transform(patients.vectors[:, self.dimensions])
        return _prognosis(self.model, inputs)


@dataclass(frozen=True)
class ClinicalCox:
    """Cox regression on clinical covariates."""

    covariates: Covariates
    model: CoxModel

    def predict(self, patients: Patients) -> Prognosis:
        """Return log hazard ratios and curves."""
        return _prognosis(self.model, self.covariates.transform(patients))


@dataclass(frozen=True)
class ClinicalVectorCox:
    """Cox regression on clinical covariates and vectors, beside one on the covariates alone."""

    clinical: ClinicalCox
    inputs: Inputs
    model: CoxModel

    def predict(self, patients: Patients) -> Prognosis:
        """Return log hazard ratios and curves, and the ratios by covariates alone."""
        covariates = self.clinical.covariates.transform(patients)
        both = np.concatenate([covariates, self.inputs.transform(patients.vectors)], axis=1)
        return _prognosis(self.model, both, self.clinical.predict(patients).risk)


@dataclass(frozen=True)
class NeuralVectorCox:
    """A network in place of the weights of a Cox regression on vectors."""

    inputs: Inputs
    model: NeuralCox

    def predict(self, patients: Patients) -> Prognosis:
        """Return log hazards, and curves by the baseline of each cancer."""
        inputs = self.inputs.transform(patients.vectors)
        risk = self.model.risk(inputs, patients.cancer)
        return Prognosis(risk, self.model.curves(inputs, patients.cancer))


@dataclass(frozen=True)
class SurvivalForest:
    """A random survival forest on inputs."""

    inputs: Inputs
    forest: Any

    def predict(self, patients: Patients) -> Prognosis:
        """Return the expected number of events as risk, and the mean curves of the leaves."""
        inputs = self.inputs.transform(patients.vectors).astype(np.float32)
        curves = self.forest.predict_survival_function(inputs, return_array=True)
        return Prognosis(self.forest.predict(inputs), Curves(self.forest.unique_times_, curves))


@dataclass(frozen=True)
class CancerRates:
    """What the cancer type alone says: events a day and a Kaplan-Meier curve for each type."""

    rates: dict[str, float]
    overall: float
    times: np.ndarray
    curves: dict[str, np.ndarray]
    overall_curve: np.ndarray

    def predict(self, patients: Patients) -> Prognosis:
        """Return rate and curve of a patient's cancer; the overall ones for a type never seen."""
        risk = np.array([self.rates.get(cancer, self.overall) for cancer in patients.cancer])
        curves = [self.curves.get(cancer, self.overall_curve) for cancer in patients.cancer]
        return Prognosis(risk, Curves(self.times, np.stack(curves)))


def ridge_cox(rows: TrainingPatients, settings: SurvivalSettings, seed: int) -> FittedSurvivalHead:
    """Cox regression with a ridge penalty, on at most `components` principal components."""
    inputs = fit_inputs(rows.patients.vectors, settings.components)
    return VectorCox(inputs, fit_ridge_cox(inputs.transform(rows.patients.vectors), rows, seed))


def neural_cox(rows: TrainingPatients, settings: SurvivalSettings, seed: int) -> FittedSurvivalHead:
    """A network trained by partial likelihood within cancers, on the inputs of `ridge_cox`."""
    inputs = fit_inputs(rows.patients.vectors, settings.components)
    return NeuralVectorCox(
        inputs, fit_neural_cox(inputs.transform(rows.patients.vectors), rows, seed)
    )


def elastic_net_cox(
    rows: TrainingPatients, settings: SurvivalSettings, seed: int
) -> FittedSurvivalHead:
    """Cox regression with an elastic net, on the dimensions themselves."""
    spread = np.round(rows.patients.vectors.var(axis=0, dtype=np.float64), 9)
    dimensions = np.sort(np.argsort(-spread, kind="stable")[: settings.dimensions])
    vectors = rows.patients.vectors[:, dimensions]
    inputs = fit_inputs(vectors, len(dimensions))
    return SparseCox(dimensions, inputs, fit_elastic_net_cox(inputs.transform(vectors), rows, seed))


def random_survival_forest(
    rows: TrainingPatients, settings: SurvivalSettings, seed: int
) -> FittedSurvivalHead:
    """A random survival forest, on at most `components` principal components."""
    # Imported here: scikit-survival takes seconds to import, which controls save.
    from sksurv.ensemble import RandomSurvivalForest

    inputs = fit_inputs(rows.patients.vectors, settings.components)
    forest = RandomSurvivalForest(
        settings.trees,
        max_features="sqrt",
        min_samples_leaf=MIN_LEAF,
        random_state=seed,
        n_jobs=settings.threads,
    )
    values = inputs.transform(rows.patients.vectors).astype(np.float32)
    forest.fit(values, as_outcome(_coarse(rows.time, rows.event), rows.event))
    forest.n_jobs = 1  # threads would add up curves in whichever order they finish
    return SurvivalForest(inputs, forest)


def clinical(rows: TrainingPatients, settings: SurvivalSettings, seed: int) -> FittedSurvivalHead:
    """Baseline: Cox regression on age, sex, stage and cancer type, whatever the vector."""
    covariates = fit_covariates(rows.patients)
    return ClinicalCox(covariates, fit_ridge_cox(covariates.transform(rows.patients), rows, seed))


def clinical_and_vectors(
    rows: TrainingPatients, settings: SurvivalSettings, seed: int
) -> FittedSurvivalHead:
    """What vectors add to the clinic: one penalty for covariates, as tuned without vectors, and
    one for vectors, tuned beside them."""
    alone = clinical(rows, settings, seed)
    covariates = alone.covariates.transform(rows.patients)
    inputs = fit_inputs(rows.patients.vectors, settings.components)
    both = np.concatenate([covariates, inputs.transform(rows.patients.vectors)], axis=1)
    fixed = np.full(covariates.shape[1], alone.model.penalty)
    return ClinicalVectorCox(alone, inputs, fit_ridge_cox(both, rows, seed, fixed))


def cancer_type(
    rows: TrainingPatients, settings: SurvivalSettings, seed: int
) -> FittedSurvivalHead:
    """Baseline: the course of training patients with the same cancer, whatever the vector."""
    times, overall = survival_curve(rows.time, rows.event)
    rates, curves = {}, {}
    for cancer in sorted(set(rows.patients.cancer.tolist())):
        own = rows.patients.cancer == cancer
        rates[cancer] = float(rows.event[own].sum() / rows.time[own].sum())
        curves[cancer] = step_at(*survival_curve(rows.time[own], rows.event[own]), times)
    overall_rate = float(rows.event.sum() / rows.time.sum())
    return CancerRates(rates, overall_rate, times, curves, overall)


def permuted_events(
    rows: TrainingPatients, settings: SurvivalSettings, seed: int
) -> FittedSurvivalHead:
    """Control: ridge Cox, for patients whose outcomes were exchanged before (`exchanged`)."""
    return ridge_cox(rows, settings, seed)


HEADS: dict[str, Fit] = {
    head.__name__: head
    for head in (
        ridge_cox,
        elastic_net_cox,
        neural_cox,
        random_survival_forest,
        clinical_and_vectors,
        clinical,
        cancer_type,
        permuted_events,
    )
}


def fit_survival_head(
    name: str, rows: TrainingPatients, settings: SurvivalSettings, seed: int
) -> FittedSurvivalHead:
    """Fit the head `name`; raises InputError for one that does not exist, or without any event."""
    if name not in HEADS:
        raise InputError(
            f"unknown survival head '{name}'; known are {', '.join(HEADS)}; correct the column "
            "heads of the models table or evaluate.prognosis.strict.heads"
        )
    if not rows.event.any():
        raise InputError(
            f"none of {len(rows.event)} training patients has an event; lower "
            "evaluate.prognosis.strict.folds or choose another endpoint"
        )
    return HEADS[name](rows, settings, seed)


def _prognosis(
    model: CoxModel, inputs: np.ndarray, reference: np.ndarray | None = None
) -> Prognosis:
    return Prognosis(model.risk(inputs), model.curves(inputs), reference)


def _coarse(time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return times, each moved to the next of at most MAX_TIMES quantiles of event times."""
    grid = np.unique(np.quantile(time[event], np.linspace(0, 1, MAX_TIMES), method="higher"))
    place = np.searchsorted(grid, time)
    return np.where(place < len(grid), grid[np.minimum(place, len(grid) - 1)], time)
