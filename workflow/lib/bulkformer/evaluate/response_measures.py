"""Measures of drug response: what is left of a prediction once the mean of each drug is taken away.

Drugs differ by far more than lines do, so a drug's mean alone correlates with everything. Truth and
prediction are therefore read as deviations from the mean over training pairs of the same fold; two
folds differ in that mean, and pooling them without this would make a model that knows nothing look
worse than nothing.
"""

import numpy as np

from bulkformer.evaluate import measures

MIN_LINES = 3  # fewer lines have no correlation worth a name


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
    """Return r over the lines of every target [n_targets]; NaN for a constant truth."""
    return measures.pearson_by_group(truth, prediction, target, n_targets, MIN_LINES)


def spearman_by_target(
    truth: np.ndarray, prediction: np.ndarray, target: np.ndarray, n_targets: int
) -> np.ndarray:
    """Return the rank correlation over the lines of every target [n_targets]."""
    ranked = [ranks_by_group(values, target) for values in (truth, prediction)]
    return measures.pearson_by_group(*ranked, target, n_targets, MIN_LINES)


def rmse_by_target(
    truth: np.ndarray, prediction: np.ndarray, target: np.ndarray, n_targets: int
) -> np.ndarray:
    """Return the root of the mean squared error of every target; NaN for one without a pair."""
    error = np.bincount(target, weights=(prediction - truth) ** 2, minlength=n_targets)
    with np.errstate(invalid="ignore"):
        return np.sqrt(error / np.bincount(target, minlength=n_targets))


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
    """Return values less the mean of their group: how sensitive a line is at large is gone.

    `largest` is that of the numbers that were saved; what differs by no more than its rounding is
    equal, and becomes 0.
    """
    n = np.maximum(np.bincount(index), 1)
    left = values - (np.bincount(index, weights=values) / n)[index]
    return np.where(np.abs(left) <= measures.CONSTANT * largest, 0.0, left)


def mean_within(values: np.ndarray, of: np.ndarray, n: int) -> np.ndarray:
    """Return the mean of values [t] that are not NaN over each of `n` drugs `of` int [t]; [n]."""
    known = ~np.isnan(values)
    count = np.bincount(of[known], minlength=n)
    with np.errstate(invalid="ignore"):
        return np.bincount(of[known], weights=values[known], minlength=n) / count
