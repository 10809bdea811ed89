"""Regressions that take one target at a time: elastic net, random forest and gradient boosting.

They are the baselines that large models have lost to, on the expression itself. Each chooses among
as many settings as ridge has penalties, in the same inner folds of whole groups. Unlike ridge they
share nothing between targets, so a thousand targets take a thousand fits and more.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bulkformer.evaluate.ridge import INNER_FOLDS, PENALTIES
from bulkformer.evaluate.splits import assign_folds

# Of the least penalty that leaves no gene in: the first setting says the mean.
ELASTIC_NET_PENALTIES = (1.0, 0.6, 0.36, 0.22, 0.13, 0.08)
L1_SHARE = 0.5
LEAF_SIZES = (1, 2, 4, 8, 16, 32)  # training rows in a leaf of a forest, at the least
TREE_SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)  # of the trees that boosting may take
TRIALS = len(PENALTIES)  # settings that every head chooses among


@dataclass(frozen=True)
class Constant:
    """Says the same of all rows."""

    value: float

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """Return `value` for every row, float64 [m]."""
        return np.full(len(vectors), self.value)


@dataclass(frozen=True)
class Linear:
    """A straight line on standardised inputs: `mean`, `scale` and `weights` [d]."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: float

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """Return predictions float64 [m]."""
        used = np.flatnonzero(self.weights)
        inputs = (vectors[:, used] - self.mean[used]) / self.scale[used]
        return self.intercept + inputs @ self.weights[used]


@dataclass(frozen=True)
class Staged:
    """Boosted trees, of which the first `trees` speak."""

    model: Any
    trees: int

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """Return predictions float64 [m]."""
        for number, told in enumerate(self.model.staged_predict(vectors), start=1):
            if number == self.trees:
                return told
        raise ValueError(f"{self.trees} trees were asked for, {number} were grown")


# Fits one target: (vectors [n, d], target [n], places of the settings, trees, seed) -> one model a
# place.
Regression = Callable[[np.ndarray, np.ndarray, Sequence[int], int, int], list[Any]]


def elastic_net(
    vectors: np.ndarray, target: np.ndarray, places: Sequence[int], trees: int, seed: int
) -> list[Linear]:
    """Half lasso, half ridge, by coordinate descent from the strongest penalty on."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import enet_path

    mean, scale = vectors.mean(axis=0, dtype=np.float64), vectors.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0
    inputs = np.asfortranarray((vectors - mean) / scale)
    level = float(target.mean())
    rest = target - level
    largest = np.abs(inputs.T @ rest).max() / (len(rest) * L1_SHARE)
    # On the way to the last asked for, because each fit starts from the one before it.
    shares = ELASTIC_NET_PENALTIES[: max(places) + 1]
    with warnings.catch_warnings():
        # Weak penalties may stop short of the last digit; inner folds judge what they say.
        warnings.simplefilter("ignore", ConvergenceWarning)
        _, weights, _ = enet_path(
            inputs, rest, l1_ratio=L1_SHARE, alphas=largest * np.array(shares), tol=1e-3
        )
    return [Linear(mean, scale, weights[:, place], level) for place in places]


def random_forest(
    vectors: np.ndarray, target: np.ndarray, places: Sequence[int], trees: int, seed: int
) -> list[Any]:
    """Forests that differ in how small their leaves may be."""
    from sklearn.ensemble import RandomForestRegressor

    return [
        RandomForestRegressor(
            n_estimators=trees,
            max_features="sqrt",
            min_samples_leaf=LEAF_SIZES[place],
            random_state=seed,
        ).fit(vectors, target)
        for place in places
    ]


def gradient_boosting(
    vectors: np.ndarray, target: np.ndarray, places: Sequence[int], trees: int, seed: int
) -> list[Staged]:
    """Small trees on half of the rows each; settings differ in how many of them speak."""
    from sklearn.ensemble import GradientBoostingRegressor

    counts = [max(1, round(share * trees)) for share in TREE_SHARES]
    model = GradientBoostingRegressor(
        n_estimators=max(counts[place] for place in places),
        max_features="sqrt",
        subsample=0.5,
        random_state=seed,
    ).fit(vectors, target)
    return [Staged(model, counts[place]) for place in places]


@dataclass(frozen=True)
class PerTarget:
    """One fitted model a target."""

    models: Sequence[Any]

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """Return predictions of `vectors` [m, d], float64 [m, t]."""
        return np.stack([model.predict(vectors) for model in self.models], axis=1)


def fit_per_target(
    regression: Regression,
    vectors: np.ndarray,
    targets: np.ndarray,
    groups: np.ndarray,
    trees: int,
    seed: int,
) -> PerTarget:
    """Choose a setting a target by squared error in inner folds of groups, then fit all its rows.

    Rows where a target is NaN take no part in it. A target that no row knows is predicted as the
    mean of the others, and one that is the same in all rows as that. `vectors` float [n, d],
    `targets` float [n, t], `groups` codes int [n].
    """
    n_folds = min(INNER_FOLDS, len(np.unique(groups)))
    fold_of = np.zeros(len(groups), dtype=np.int64)
    if n_folds > 1:
        rng = np.random.default_rng(seed)
        fold_of = assign_folds([""] * len(groups), groups.tolist(), n_folds, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a target without any value
        otherwise = float(np.nanmean(np.nanmean(targets, axis=0, dtype=np.float64)))
    models = []
    for target in targets.T.astype(np.float64):
        rows = np.flatnonzero(np.isfinite(target))
        if not len(rows) or np.ptp(target[rows]) == 0:
            models.append(Constant(float(target[rows[0]]) if len(rows) else otherwise))
            continue
        own = vectors[rows], target[rows], fold_of[rows]
        place = _choose(regression, *own, trees, seed)
        models += regression(*own[:2], [place], trees, seed)
    return PerTarget(models)


def _choose(
    regression: Regression,
    vectors: np.ndarray,
    target: np.ndarray,
    fold_of: np.ndarray,
    trees: int,
    seed: int,
) -> int:
    """Return the place of the best setting; the middle one where nothing can be compared."""
    errors = np.zeros(TRIALS)
    for fold in np.unique(fold_of):
        train, test = fold_of != fold, fold_of == fold
        if train.sum() < 2 or np.ptp(target[train]) == 0:
            continue
        fitted = regression(vectors[train], target[train], range(TRIALS), trees, seed)
        told = np.stack([model.predict(vectors[test]) for model in fitted])
        errors += ((told - target[test]) ** 2).sum(axis=1)
    if not errors.any():
        return TRIALS // 2
    # Relative to the least and rounded, because the last bit differs between machines.
    return int(np.round(errors / max(errors.min(), np.finfo(float).tiny), 9).argmin())
