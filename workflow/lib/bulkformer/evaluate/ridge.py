"""Ridge regression of many targets at once: 15,000 genes cost little more than one.

All targets share one decomposition of the training rows of a fold, and each gets the penalty that
predicted it best in inner folds of whole groups. Nothing is fitted target by target, not even where
values are missing, and the result is that of a ridge fitted to each target's own rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bulkformer.errors import InputError
from bulkformer.evaluate.splits import assign_folds

# L2 penalties that are tried, the strongest first: of equals it is taken. Vectors are standardised
# and divided by the square root of how many of their dimensions vary, so that one grid means the
# same for 3 dimensions and for 20,000.
PENALTIES = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01)
INNER_FOLDS = 3
BLOCK_TARGETS = 1024  # targets in double precision at a time
BLOCK_COLUMNS = 4096  # dimensions that are standardised at a time
RANK = 1e-12  # of the largest variance: what is smaller is rounding


@dataclass(frozen=True)
class MultiOutputRidge:
    """A fitted ridge regression of t targets.

    Attributes
    ----------
    mean, scale : [d], the standardisation, from training rows
    axes : [d, r], orthonormal directions that the training rows span
    weights, intercept : [r, t] on those directions, and [t]
    penalty : [t], what inner folds chose
    """

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    penalty: np.ndarray

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """Return predictions of `vectors` [m, d], float64 [m, t]."""
        along = np.zeros((len(vectors), self.axes.shape[1]))
        for columns, part in _standardised(vectors, self.mean, self.scale):
            along += part @ self.axes[columns]
        return along @ self.weights + self.intercept


def fit_ridge(
    vectors: np.ndarray,
    targets: np.ndarray,
    groups: np.ndarray,
    penalties: Sequence[float] = PENALTIES,
    seed: int = 0,
) -> MultiOutputRidge:
    """Choose one penalty a target by squared error in inner folds, then fit all rows.

    A missing value takes no part: the target is fitted to the rows where it is known. A target
    that no row knows is predicted as the mean of the other targets' means. With fewer than two
    groups nothing can be chosen, and the penalty in the middle of the grid serves.

    Parameters
    ----------
    vectors : float [n, d], finite
    targets : float [n, t], NaN where unknown
    groups : codes int [n] of what inner folds must not split
    penalties : L2 penalties on standardised vectors of length 1 on average
    seed : of the inner folds

    Raises
    ------
    InputError : no target has a value, or a penalty is not above zero
    """
    if not len(penalties) or min(penalties) <= 0:
        raise InputError(f"ridge penalties {list(penalties)}: give numbers above zero")
    if not np.isfinite(targets).any():
        raise InputError("no target has a training value; leave this fold out, or lower the folds")
    strengths = np.sort(np.asarray(penalties, dtype=np.float64))[::-1]
    mean, scale = _standardisation(vectors)
    inputs, axes = _rotated(vectors, mean, scale)
    chosen = _tune(inputs, targets, groups, strengths, np.random.default_rng(seed))

    all_rows = _decompose(inputs)
    weights = np.empty((inputs.shape[1], targets.shape[1]))
    intercept = np.empty(targets.shape[1])
    for columns in _blocks(targets.shape[1]):
        for number in np.unique(chosen[columns]):
            now = columns[chosen[columns] == number]
            fit = _Projected.of(all_rows, targets[:, now].astype(np.float64))
            along, level = fit.at(strengths[number])
            weights[:, now] = all_rows.right @ along
            intercept[now] = level - all_rows.centre @ weights[:, now]
    unknown = np.isnan(intercept)
    intercept[unknown] = np.nanmean(_known_means(targets))
    return MultiOutputRidge(mean, scale, axes, weights, intercept, strengths[chosen])


@dataclass(frozen=True)
class _Decomposition:
    """Rows less their `centre` [p] as left diag(s) right', with `variance` = s² [r].

    `left` [m, r] and `right` [p, r] have orthonormal columns.
    """

    centre: np.ndarray
    left: np.ndarray
    variance: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class _Projected:
    """Targets of training rows on the left directions of their decomposition.

    A target with missing values has the same ridge as one where each of these is set to its own
    fitted value: such a row has no residual and pulls at nothing. `at` finds those values, which
    depend on the penalty, from the rows that are missing alone.

    Attributes
    ----------
    rows : the decomposition
    level : [t], mean of the known values; NaN where there are none
    along : left' (target - level) [r, t], with 0 where unknown
    rest : [t], mean of (target - level) over all rows, with 0 where unknown
    patterns : (rows that are unknown, targets that lack exactly those), for targets that lack any
    """

    rows: _Decomposition
    level: np.ndarray
    along: np.ndarray
    rest: np.ndarray
    patterns: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, rows: _Decomposition, targets: np.ndarray) -> "_Projected":
        unknown = np.isnan(targets)
        level = _known_means(targets)
        deviation = np.where(unknown, 0.0, targets - level)
        return cls(rows, level, rows.left.T @ deviation, deviation.mean(axis=0), _patterns(unknown))

    def at(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients on the right directions [r, t], and the mean prediction [t]."""
        along, rest = self.along, self.rest
        if self.patterns:
            along, rest = along.copy(), rest.copy()
        left, n = self.rows.left, len(self.rows.left)
        kept = self.rows.variance / (self.rows.variance + penalty)
        for unknown, targets in self.patterns:
            if len(unknown) == n:
                along[:, targets] = 0.0
                continue
            part = left[unknown]
            residual = np.eye(len(unknown)) - 1 / n - (part * kept) @ part.T
            fitted = rest[targets] + (part * kept) @ along[:, targets]
            values = np.linalg.solve(residual, fitted)
            along[:, targets] += part.T @ values
            rest[targets] += values.sum(axis=0) / n
        shrunk = np.sqrt(self.rows.variance) / (self.rows.variance + penalty)
        return along * shrunk[:, None], self.level + rest


def _tune(
    inputs: np.ndarray,
    targets: np.ndarray,
    groups: np.ndarray,
    strengths: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return for each target the place of the penalty of least squared error in inner folds."""
    n_folds = min(INNER_FOLDS, len(np.unique(groups)))
    if n_folds < 2 or len(strengths) == 1:
        return np.full(targets.shape[1], len(strengths) // 2)
    fold_of = assign_folds([""] * len(groups), groups.tolist(), n_folds, rng)
    errors = np.zeros((len(strengths), targets.shape[1]))
    for fold in range(n_folds):
        train, test = fold_of != fold, fold_of == fold
        rows = _decompose(inputs[train])
        ahead = (inputs[test] - rows.centre) @ rows.right
        for columns in _blocks(targets.shape[1]):
            known = targets[:, columns].astype(np.float64)
            fit, truth = _Projected.of(rows, known[train]), known[test]
            for number, strength in enumerate(strengths):
                along, level = fit.at(strength)
                errors[number, columns] += np.nansum((ahead @ along + level - truth) ** 2, axis=0)
    # Relative to the least of each target, and rounded: the last bit differs between machines.
    least = errors.min(axis=0)
    relative = errors / np.where(least > 0, least, 1.0)
    return np.round(relative, 9).argmin(axis=0)


def _standardisation(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale [d]; the scale includes the square root of how many dimensions vary."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    scale = vectors.std(axis=0, dtype=np.float64)
    constant = vectors.max(axis=0) == vectors.min(axis=0)
    scale[constant] = 1.0
    return mean, scale * np.sqrt(max(1, (~constant).sum()))


def _standardised(
    vectors: np.ndarray, mean: np.ndarray, scale: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield columns and their standardised values, so that not all stand in memory doubled."""
    for start in range(0, vectors.shape[1], BLOCK_COLUMNS):
        columns = slice(start, start + BLOCK_COLUMNS)
        yield columns, (vectors[:, columns] - mean[columns]) / scale[columns]


def _rotated(
    vectors: np.ndarray, mean: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return standardised rows [n, r] on orthonormal `axes` [d, r]; r is at most n and d.

    A ridge solution lies in the span of the rows: rotating onto it changes nothing else.
    """
    n, d = vectors.shape
    if d <= n:
        parts = [part for _, part in _standardised(vectors, mean, scale)]
        return np.concatenate(parts, axis=1), np.eye(d)
    gram = np.zeros((n, n))
    for _, part in _standardised(vectors, mean, scale):
        gram += part @ part.T
    variance, left = _leading(gram)
    axes = np.empty((d, len(variance)))
    for columns, part in _standardised(vectors, mean, scale):
        axes[columns] = part.T @ (left / np.sqrt(variance))
    return left * np.sqrt(variance), axes


def _decompose(inputs: np.ndarray) -> _Decomposition:
    """Decompose rows [m, p] less their mean, by the Gram matrix of their smaller side."""
    centre = inputs.mean(axis=0)
    centred = inputs - centre
    if len(inputs) < inputs.shape[1]:
        variance, left = _leading(centred @ centred.T)
        right = centred.T @ (left / np.sqrt(variance))
    else:
        variance, right = _leading(centred.T @ centred)
        left = centred @ (right / np.sqrt(variance))
    return _Decomposition(centre, left, variance, right)


def _leading(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues above rounding and their eigenvectors."""
    variance, directions = np.linalg.eigh(gram)
    kept = variance > max(variance[-1] * RANK, np.finfo(np.float64).tiny)
    return variance[kept], directions[:, kept]


def _patterns(unknown: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Group the targets [m, t] that lack values by the rows that they lack."""
    lacking = np.flatnonzero(unknown.any(axis=0))
    if not len(lacking):
        return []
    bits = np.packbits(unknown[:, lacking], axis=0)
    _, pattern_of = np.unique(bits, axis=1, return_inverse=True)
    pattern_of = pattern_of.ravel()
    order = np.argsort(pattern_of, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(pattern_of[order])) + 1)
    return [(np.flatnonzero(unknown[:, lacking[own[0]]]), lacking[own]) for own in members]


def _known_means(targets: np.ndarray) -> np.ndarray:
    """Return the mean of what is known of each target [t], NaN where nothing is."""
    known = ~np.isnan(targets)
    with np.errstate(invalid="ignore"):
        return np.where(known, targets, 0.0).sum(axis=0) / known.sum(axis=0)


def _blocks(n_targets: int) -> Iterator[np.ndarray]:
    for start in range(0, n_targets, BLOCK_TARGETS):
        yield np.arange(start, min(start + BLOCK_TARGETS, n_targets))
