"""Cox regressions with a penalty that inner folds chose, kept as plain arrays.

The fits are scikit-survival's. A penalty is judged by cross-validated partial likelihood (Verweij
and van Houwelingen 1993): what weights of inner training rows say of all rows, less what they say
of the rows that they were fitted to. Held-out rows by themselves are too few to rank.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bulkformer.evaluate.splits import assign_folds
from bulkformer.evaluate.survival_patients import TrainingPatients

# Ridge penalties of the summed partial likelihood, strongest first, so that of equals it wins.
PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01)
PATH = 10  # penalties of the elastic net: from the one that leaves no weight down to
PATH_END = 0.05  # this share of it
L1_RATIO = 0.5
INNER_FOLDS = 3
ROUNDING = 9  # digits by which likelihoods differ before one counts as better

FitPath = Callable[[np.ndarray], np.ndarray]  # rows -> weights [k, n_penalties]


@dataclass(frozen=True)
class Curves:
    """Predicted probability of no event until after each of `times` [t]: `survival` [m, t]."""

    times: np.ndarray
    survival: np.ndarray

    def at(self, horizons: np.ndarray) -> np.ndarray:
        """Return probabilities at `horizons` [h] as [m, h]; a curve stays as it ended."""
        return self._from_one()[:, np.searchsorted(self.times, horizons, side="right")]

    def own(self, times: np.ndarray) -> np.ndarray:
        """Return the probability of each patient at a time of its own, [m]."""
        place = np.searchsorted(self.times, times, side="right")
        return self._from_one()[np.arange(len(times)), place]

    def _from_one(self) -> np.ndarray:
        return np.concatenate([np.ones((len(self.survival), 1)), self.survival], axis=1)


@dataclass(frozen=True)
class CoxModel:
    """Weights [k] of inputs, and the cumulative hazard [t] of inputs that are 0, at `times` [t].

    `penalty` is the one that inner folds chose.
    """

    weights: np.ndarray
    times: np.ndarray
    hazard: np.ndarray
    penalty: float

    def risk(self, inputs: np.ndarray) -> np.ndarray:
        """Return log hazard ratios [m] of inputs [m, k]."""
        return inputs @ self.weights

    def curves(self, inputs: np.ndarray) -> Curves:
        """Return survival of inputs [m, k]."""
        ratios = np.exp(self.risk(inputs))
        return Curves(self.times, np.exp(-np.outer(ratios, self.hazard)))


def fit_ridge_cox(
    inputs: np.ndarray, rows: TrainingPatients, seed: int, fixed: np.ndarray | None = None
) -> CoxModel:
    """Tune a ridge penalty, then fit all rows.

    Parameters
    ----------
    inputs : float [n, k]
    rows : their outcomes and groups
    fixed : penalties of the first inputs, which are not tuned
    """
    known = np.zeros(0) if fixed is None else fixed
    outcome = as_outcome(rows.time, rows.event)

    def solver(penalty: float) -> Any:
        # Imported here: scikit-survival takes seconds to import, which controls save.
        from sksurv.linear_model import CoxPHSurvivalAnalysis

        tuned = np.full(inputs.shape[1] - len(known), penalty)
        return CoxPHSurvivalAnalysis(alpha=np.concatenate([known, tuned]))

    def path(chosen: np.ndarray) -> np.ndarray:
        fits = [solver(penalty).fit(inputs[chosen], outcome[chosen]) for penalty in PENALTIES]
        return np.stack([each.coef_ for each in fits], axis=1)

    penalty = PENALTIES[_best(path, len(PENALTIES), inputs, rows, seed)]
    model = solver(penalty).fit(inputs, outcome)
    origin = np.zeros((1, inputs.shape[1]))
    hazard = model.predict_cumulative_hazard_function(origin, return_array=True)[0]
    return CoxModel(model.coef_, model.unique_times_, hazard, penalty)


def fit_elastic_net_cox(inputs: np.ndarray, rows: TrainingPatients, seed: int) -> CoxModel:
    """Tune the penalty of an elastic net along a path that training rows span, then fit them all.

    Arguments as those of `fit_ridge_cox`. The first penalty leaves no weight: a model whose inputs
    say nothing may end there, with the same risk for all.
    """
    from sksurv.linear_model import CoxnetSurvivalAnalysis

    outcome = as_outcome(rows.time, rows.event)
    model = CoxnetSurvivalAnalysis(
        n_alphas=PATH, alpha_min_ratio=PATH_END, l1_ratio=L1_RATIO, fit_baseline_model=True
    ).fit(inputs, outcome)

    def path(chosen: np.ndarray) -> np.ndarray:
        inner = CoxnetSurvivalAnalysis(alphas=model.alphas_, l1_ratio=L1_RATIO)
        return inner.fit(inputs[chosen], outcome[chosen]).coef_

    best = _best(path, len(model.alphas_), inputs, rows, seed)
    penalty = float(model.alphas_[best])
    origin = np.zeros((1, inputs.shape[1]))
    hazard = model.predict_cumulative_hazard_function(origin, penalty, return_array=True)[0]
    return CoxModel(model.coef_[:, best], model.unique_times_, hazard, penalty)


def as_outcome(time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return outcomes as the structured array that scikit-survival takes."""
    outcome = np.empty(len(time), dtype=[("event", bool), ("time", np.float64)])
    outcome["event"], outcome["time"] = event, time
    return outcome


def partial_likelihood(risk: np.ndarray, time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return Breslow's log partial likelihood of log hazard ratios [n, ...], shape [...]."""
    order = np.argsort(-time, kind="stable")
    sorted_risk, sorted_time = risk[order], time[order]
    largest = risk.max(axis=0)
    at_risk = np.cumsum(np.exp(sorted_risk - largest), axis=0)
    # All who share a time are at risk together: take the sum behind the last of them.
    last = np.searchsorted(-sorted_time, -sorted_time, side="right") - 1
    terms = sorted_risk - largest - np.log(at_risk[last])
    return terms[event[order]].sum(axis=0)


def _best(
    fit_path: FitPath, n_penalties: int, inputs: np.ndarray, rows: TrainingPatients, seed: int
) -> int:
    """Return the place of the penalty with the highest cross-validated partial likelihood.

    Where no inner fold leaves an event to train on, nothing was tried: it is the middle one.
    """
    strata: Sequence[str] = rows.strata
    n_folds = min(INNER_FOLDS, len(np.unique(rows.groups)))
    rng = np.random.default_rng(seed)
    gain = np.zeros(n_penalties)
    tried = False
    fold_of = assign_folds(strata, rows.groups.astype(str).tolist(), n_folds, rng)
    for fold in range(n_folds):
        train = fold_of != fold
        if not rows.event[train].any():
            continue
        tried = True
        risk = inputs @ fit_path(train)
        own = partial_likelihood(risk[train], rows.time[train], rows.event[train])
        gain = gain + partial_likelihood(risk, rows.time, rows.event) - own
    return int(np.argmax(np.round(gain, ROUNDING))) if tried else n_penalties // 2
