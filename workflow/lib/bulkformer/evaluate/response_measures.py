"""Measures of drug response: how well the lines are told apart that one fit predicted.

Drugs differ by far more than lines do, so a drug's mean alone correlates with everything. Lines are
therefore compared within a drug and a fold, and the correlations of folds averaged. Pooled raw, a
model that knows nothing scores below zero, because a fold's training mean is low where its own
lines are high; less the training mean, a head that does not know that mean scores above zero,
because truth and prediction then share what was subtracted.
"""

from collections.abc import Sequence

import numpy as np

from bulkformer.evaluate import measures

MIN_LINES = 3  # fewer lines have no correlation worth a name
ROUNDS = 200  # at most, of taking means of drugs and of lines away by turns
SETTLED = 1e-9  # of the largest value: a mean below it is taken to be gone


def deviations(
    truth: np.ndarray, prediction: np.ndarray, train_mean: np.ndarray, block: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction less the training mean, float64 [n].

    `block` int [n] is the target and fold of each pair. A prediction that is the same for all lines
    of a block says nothing about lines: its deviation is 0, also where it is not the training mean.
    A block of one pair shows no such thing.
    """
    mean = train_mean.astype(np.float64)
    least = np.full(int(block.max()) + 1, np.inf)
    most = np.full(len(least), -np.inf)
    np.minimum.at(least, block, prediction)
    np.maximum.at(most, block, prediction)
    constant = ((least == most) & (np.bincount(block) > 1))[block]
    return truth - mean, np.where(constant, 0.0, prediction - mean)


def ranks_by_group(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return ranks from 0 within each group, equal values sharing the mean of theirs; float64."""
    order = np.lexsort((values, index))
    sorted_values, sorted_index = values[order], index[order]
    new_group = np.diff(sorted_index, prepend=-1) != 0
    new_run = new_group | (np.diff(sorted_values, prepend=np.nan) != 0)
    run = np.cumsum(new_run) - 1
    place = np.arange(len(values)) - np.flatnonzero(new_group)[np.cumsum(new_group) - 1]
    mean_place = np.bincount(run, weights=place) / np.bincount(run)
    found = np.empty(len(values))
    found[order] = mean_place[run]
    return found


def pearson_by_target(
    truth: np.ndarray, prediction: np.ndarray, target: np.ndarray, n_targets: int
) -> np.ndarray:
    """Return r over the lines of every target [n_targets], all folds together; NaN for a constant
    truth."""
    return measures.pearson_by_group(truth, prediction, target, n_targets, MIN_LINES)


def fold_moments(
    truth: np.ndarray, prediction: np.ndarray, place: Sequence[np.ndarray], shape: Sequence[int]
) -> np.ndarray:
    """Return moments [*shape, 6] of the values at each `place`, codes int [n] an axis of `shape`.

    The last two axes are folds and targets, as `measures.pearson_over_folds` wants them; values are
    centred within these.
    """
    cells = measures.moments(
        truth, prediction, np.ravel_multi_index(tuple(place), shape), int(np.prod(shape))
    )
    return cells.reshape(*shape, 6)


def rmse_by_target(
    truth: np.ndarray, prediction: np.ndarray, target: np.ndarray, n_targets: int
) -> np.ndarray:
    """Return the root of the mean squared error of every target; NaN for one without a pair."""
    error = np.bincount(target, weights=(prediction - truth) ** 2, minlength=n_targets)
    with np.errstate(invalid="ignore"):
        return np.sqrt(error / np.bincount(target, minlength=n_targets))


def between_screens(
    truth: np.ndarray,
    place: tuple[np.ndarray, np.ndarray, np.ndarray],
    shape: tuple[int, int, int],
    drug: np.ndarray,
    n_drugs: int,
) -> np.ndarray:
    """Return how well two screens of one drug agree about lines, r [n_drugs]: NaN for one screen.

    The noise of both is in it, so a prediction free of noise could reach its square root. `place`
    are codes int [n] of the line, fold and target of each value, `shape` how many there are of
    each, `drug` the drug of each target. Lines of both screens are compared within folds, and pairs
    of several screens averaged.
    """
    line, fold, target = place
    n_lines, n_folds, n_targets = shape
    values = np.full((n_targets, n_folds * n_lines), np.nan)
    values[target, fold * n_lines + line] = truth
    found = np.full(n_drugs, np.nan)
    for code in np.flatnonzero(np.bincount(drug) > 1):
        screens = np.flatnonzero(drug == code)
        agreement = []
        for number, one in enumerate(screens):
            for other in screens[number + 1 :]:
                both = np.flatnonzero(np.isfinite(values[one]) & np.isfinite(values[other]))
                sums = fold_moments(
                    values[one, both],
                    values[other, both],
                    (both // n_lines, np.zeros(len(both), dtype=int)),
                    (n_folds, 1),
                )
                agreement.append(measures.pearson_over_folds(sums, MIN_LINES)[0])
        known = [r for r in agreement if np.isfinite(r)]
        found[code] = np.mean(known) if known else np.nan
    return found


def ndcg_by_line(
    truth: np.ndarray, prediction: np.ndarray, line: np.ndarray, n_lines: int, k: int
) -> np.ndarray:
    """Return how well the drugs that suit each line best are put first, float64 [n_lines].

    The gain of a drug is by how much the line is more sensitive to it than training lines were on
    average, 0 if it is less sensitive; truth and prediction are deviations, lower is more
    sensitive. Drugs of equal prediction share their places. NaN for a line that no drug suits.

    Järvelin and Kekäläinen 2002, with places from 1 discounted by log2(place + 1) up to `k`.
    """
    order = np.argsort(line, kind="stable")
    borders = np.searchsorted(line[order], np.arange(n_lines + 1))
    gain = np.maximum(-truth, 0.0)
    found = np.full(n_lines, np.nan)
    for number in range(n_lines):
        own = order[borders[number] : borders[number + 1]]
        best = np.sort(gain[own])[::-1]
        discount = 1 / np.log2(np.arange(len(own)) + 2)
        discount[k:] = 0
        if len(own) and best[0] > 0:
            found[number] = _discounted(gain[own], prediction[own], discount) / (best @ discount)
    return found


def _discounted(gain: np.ndarray, prediction: np.ndarray, discount: np.ndarray) -> float:
    """Return the discounted sum of gains in the order of the prediction, ties on average."""
    _, run, size = np.unique(prediction, return_inverse=True, return_counts=True)
    mean_gain = np.bincount(run, weights=gain) / size
    of_run = np.add.reduceat(discount, np.cumsum(size) - size)
    return float(mean_gain @ of_run)


def without_mean(values: np.ndarray, index: np.ndarray, largest: float) -> np.ndarray:
    """Return values less the mean of their group, float64 [n].

    `largest` is that of the numbers that were saved; a group whose values differ by no more than
    its rounding is constant, and becomes 0.
    """
    left = _less_mean(values, index)
    farthest = np.zeros(int(index.max(initial=0)) + 1)
    np.maximum.at(farthest, index, np.abs(left))
    return np.where((farthest <= measures.CONSTANT * largest)[index], 0.0, left)


def interactions(
    values: np.ndarray, target: np.ndarray, line: np.ndarray, largest: float
) -> np.ndarray:
    """Return values less what a drug and a line add up to: which drug suits which line, [n].

    `target` and `line` int [n] are those of one fold each, so that no fit is compared with another;
    each side of a comparison loses its own sums. Means are taken away by turns until none is left,
    which with pairs missing takes more than one round.
    """
    left = values
    for _ in range(ROUNDS):
        left = _less_mean(left, target)
        before, left = left, _less_mean(left, line)
        if np.abs(left - before).max(initial=0.0) <= SETTLED * largest:
            break
    return _zeroed(left, largest)


def _less_mean(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    n = np.maximum(np.bincount(index), 1)
    return values - (np.bincount(index, weights=values) / n)[index]


def _zeroed(values: np.ndarray, largest: float) -> np.ndarray:
    return np.where(np.abs(values) <= measures.CONSTANT * largest, 0.0, values)


def mean_within(values: np.ndarray, of: np.ndarray, n: int) -> np.ndarray:
    """Return the mean of values [..., t] that are not NaN over each of `n` drugs `of` int [t].

    Float64 [..., n], NaN for a drug without a value.
    """
    known = ~np.isnan(values)
    member = (of[:, None] == np.arange(n)).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return (np.where(known, values, 0.0) @ member) / (known.astype(np.float64) @ member)


def means_of_folds(sums: np.ndarray, drug: np.ndarray, n_drugs: int) -> np.ndarray:
    """Return the mean over drugs of r within each fold, float64 [f], from moments [f, t, 6].

    Drugs share the lines of a fold and with them its luck: only another fold has another.
    """
    r = np.where(sums[..., 0] >= MIN_LINES, measures.pearson(sums), np.nan)
    by_drug = mean_within(r, drug, n_drugs)
    known = ~np.isnan(by_drug)
    with np.errstate(invalid="ignore"):
        return np.where(known, by_drug, 0.0).sum(axis=-1) / known.sum(axis=-1)
