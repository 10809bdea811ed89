"""What predicts the change that a compound makes: simple rules first, then fitted heads.

`fit_change` is given training profiles and nothing else; test profiles enter through `predict`,
without what became of them. So a leak cannot be written. All heads predict changes: a level is the
control profile plus the change.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bulkformer.errors import InputError
from bulkformer.evaluate.linear import PrincipalAxes, fit_principal_axes
from bulkformer.evaluate.perturbation_baselines import (
    cell_mean_delta,
    cell_plus_compound,
    compound_neighbours,
    mean_delta,
    no_change,
    training_profile,
)
from bulkformer.evaluate.perturbation_questions import (
    ChangeSettings,
    FittedChange,
    Questions,
    TrainingChanges,
)
from bulkformer.evaluate.ridge import MultiOutputRidge, fit_ridge

# Of the variance of control vectors. What holds less is the noise of control wells, by which one
# could tell the wells apart; standardised, it would count as much as what differs between cells.
MIN_SHARE = 0.01
BATCH, LEARNING_RATE = 64, 1e-3  # of the network


@dataclass(frozen=True)
class Inputs:
    """How questions become numbers: fingerprint, condition, and what is made of the control.

    `axes` are principal axes of control vectors, None to take those as they are. `columns` are what
    differs between training rows; the rest would only dilute the others.
    """

    axes: PrincipalAxes | None
    columns: np.ndarray

    @classmethod
    def of(cls, asked: Questions, components: int | None) -> "Inputs":
        """Learn them from training rows; `components` of the control vector, None for all of it."""
        axes = None
        if components is not None and asked.vector.size:
            axes = _leading(asked.vector, fit_principal_axes(asked.vector, components))
        every = _stacked(asked, axes)
        return cls(axes, np.flatnonzero(every.min(axis=0) != every.max(axis=0)))

    def take(self, asked: Questions) -> np.ndarray:
        """Return numbers float64 [n, d]."""
        return _stacked(asked, self.axes)[:, self.columns]


@dataclass(frozen=True)
class RidgeOfChange:
    """Ridge regression of every gene. It is additive in compound and cell: it cannot say that a
    compound does one thing here and another there.
    """

    inputs: Inputs
    ridge: MultiOutputRidge

    def predict(self, asked: Questions) -> np.ndarray:
        """Return changes [m, g]."""
        return self.ridge.predict(self.inputs.take(asked))


@dataclass(frozen=True)
class LevelNetwork:
    """A network that predicts levels, from which the control level is subtracted.

    `mean`, `scale` [d] standardise its inputs, `level` [g] and `spread` its outputs.
    """

    inputs: Inputs
    mean: np.ndarray
    scale: np.ndarray
    level: np.ndarray
    spread: float
    network: Any

    def predict(self, asked: Questions) -> np.ndarray:
        """Return changes [m, g]."""
        numbers = (self.inputs.take(asked) - self.mean) / self.scale
        told = self.network.predict(numbers.astype(np.float32)).reshape(len(numbers), -1)
        return told * self.spread + self.level - asked.control


def ridge(rows: TrainingChanges, settings: ChangeSettings, seed: int) -> FittedChange:
    """Tuned ridge on compound, condition and control profile, one penalty a gene."""
    inputs = Inputs.of(rows.questions, settings.components)
    numbers = inputs.take(rows.questions)
    return RidgeOfChange(inputs, fit_ridge(numbers, rows.change, rows.groups, seed=seed))


def compound_ridge(rows: TrainingChanges, settings: ChangeSettings, seed: int) -> FittedChange:
    """Control: ridge on compound, dose and time, which knows nothing of the cell.

    It stands where other tasks have library sizes: intensities of a panel have no library.
    """
    blind = replace(rows.questions, vector=np.zeros((len(rows.change), 0)))
    inputs = Inputs.of(blind, None)
    fitted = fit_ridge(inputs.take(blind), rows.change, rows.groups, seed=seed)
    return RidgeOfChange(inputs, fitted)


def permuted_changes(rows: TrainingChanges, settings: ChangeSettings, seed: int) -> FittedChange:
    """Control: the same ridge on changes permuted among training profiles."""
    order = np.random.default_rng(seed).permutation(len(rows.change))
    return ridge(TrainingChanges(rows.questions, rows.change[order], rows.groups), settings, seed)


def level_network(rows: TrainingChanges, settings: ChangeSettings, seed: int) -> FittedChange:
    """The published way: a network on compound and control vector predicts levels."""
    # Imported here: scikit-learn takes a second to import, which other heads save.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    inputs = Inputs.of(rows.questions, None)
    numbers = inputs.take(rows.questions)
    mean, scale = numbers.mean(axis=0), numbers.std(axis=0)
    levels = rows.change + rows.questions.control
    level = levels.mean(axis=0)
    spread = float((levels - level).std()) or 1.0
    network = MLPRegressor(
        hidden_layer_sizes=settings.hidden,
        batch_size=min(BATCH, len(numbers)),
        learning_rate_init=LEARNING_RATE,
        max_iter=settings.epochs,
        n_iter_no_change=settings.epochs,  # all of them: scikit-learn warns of less only
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is the setting
        network.fit(
            ((numbers - mean) / scale).astype(np.float32),
            ((levels - level) / spread).astype(np.float32),
        )
    return LevelNetwork(inputs, mean, scale, level, spread, network)


GROUND_TRUTH = "ground_truth"  # no head: the step itself answers, since nobody else knows the truth
NEEDS_FINGERPRINT = ("compound_neighbours", "compound_ridge", "ridge")
NEEDS_FINGERPRINT += ("permuted_changes", "level_network")
NEEDS_VECTOR = ("ridge", "permuted_changes", "level_network")
HEADS: dict[str, Callable[[TrainingChanges, ChangeSettings, int], FittedChange]] = {
    head.__name__: head
    for head in (
        no_change,
        training_profile,
        mean_delta,
        cell_mean_delta,
        cell_plus_compound,
        compound_neighbours,
        ridge,
        compound_ridge,
        permuted_changes,
        level_network,
    )
}


def fit_change(
    name: str, rows: TrainingChanges, settings: ChangeSettings, seed: int
) -> FittedChange:
    """Fit the head `name`; raises InputError for one that does not exist."""
    if name not in HEADS:
        raise InputError(
            f"unknown head '{name}'; known are {', '.join([*HEADS, GROUND_TRUTH])}; correct the "
            "column heads of the models table or evaluate.perturbation.strict.heads"
        )
    return HEADS[name](rows, settings, seed)


def _leading(vectors: np.ndarray, axes: PrincipalAxes) -> PrincipalAxes:
    """Return the axes that hold MIN_SHARE of the variance or more."""
    variance = axes.transform(vectors).var(axis=0)
    total = vectors.var(axis=0, dtype=np.float64).sum()
    return PrincipalAxes(axes.mean, axes.axes[:, variance >= MIN_SHARE * total])


def _stacked(asked: Questions, axes: PrincipalAxes | None) -> np.ndarray:
    vector = asked.vector if axes is None else axes.transform(asked.vector)
    return np.column_stack([asked.fingerprint, asked.condition, vector])
