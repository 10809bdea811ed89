"""How close a predicted change is to the true one, profile by profile.

Every measure takes rows of genes [n, g] and returns one value a row. As everywhere, a constant
prediction knows nothing (correlation 0, chance elsewhere) and a constant truth has no correlation.
All but the absolute error are 1 for the truth itself.
"""

import numpy as np

from bulkformer.evaluate.measures import CONSTANT

ROUNDING = 1e-5  # of the length of a row of float32: what is less is no deviation


def pearson_rows(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return Pearson's r of each row, float64 [n]; NaN where the truth is constant."""
    deviations, constant = [], []
    for values in (truth.astype(np.float64), predicted.astype(np.float64)):
        mean = values.mean(axis=1, keepdims=True)
        deviation = values - mean
        spread = (deviation**2).sum(axis=1)
        constant.append(spread <= values.shape[1] * (CONSTANT * mean[:, 0]) ** 2)
        deviations.append((deviation, spread))
    (t, tt), (p, pp) = deviations
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.clip((t * p).sum(axis=1) / np.sqrt(tt * pp), -1, 1)
    return np.where(constant[0], np.nan, np.where(constant[1], 0.0, r))


def partial_pearson_rows(truth: np.ndarray, predicted: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return Pearson's r of each row once the line through `given` is taken from both, float64 [n].

    With `given` the mean change of training profiles, this is what a prediction knows beyond "all
    compounds do this": no change, the mean change and any multiple of it score 0. Subtracting the
    mean change instead leaves it in both rows wherever it does not hold, as in another cell line,
    and then even "no change" correlates with the truth.
    """
    line = given - given.mean(axis=1, keepdims=True, dtype=np.float64)
    length = np.sqrt((line**2).sum(axis=1, keepdims=True))
    line = line / np.where(length > 0, length, 1)
    left = []
    for values in (truth, predicted):
        centred = values - values.mean(axis=1, keepdims=True, dtype=np.float64)
        rest = centred - (centred * line).sum(axis=1, keepdims=True) * line
        size, before = (np.sqrt((each**2).sum(axis=1)) for each in (rest, centred))
        left.append(np.where((size > ROUNDING * before)[:, None], rest, 0.0))
    return pearson_rows(*left)


def spearman_rows(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of each row, float64 [n]."""
    return pearson_rows(*((np.add(*runs(each)) / 2) for each in (truth, predicted)))


def runs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last place of each value when its row is sorted, int64 [n, g] both.

    The two differ where values are equal; their mean is the rank.
    """
    places = np.arange(values.shape[1])
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    new = np.ones(values.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(new, places, 0), axis=1)
    ends = np.ones(values.shape, dtype=bool)
    ends[:, :-1] = new[:, 1:]
    last = np.where(ends, places, len(places))[:, ::-1]
    last = np.minimum.accumulate(last, axis=1)[:, ::-1]
    found = np.empty_like(order), np.empty_like(order)
    for target, source in zip(found, (first, last), strict=True):
        np.put_along_axis(target, order, source, axis=1)
    return found


def pearson_of_largest(truth: np.ndarray, predicted: np.ndarray, k: int) -> np.ndarray:
    """Return Pearson's r over the `k` genes that truly change most, either way."""
    # Of equal changes the earlier gene is taken.
    chosen = np.argsort(-np.abs(truth), axis=1, kind="stable")[:, :k]
    return pearson_rows(
        *(np.take_along_axis(values, chosen, axis=1) for values in (truth, predicted))
    )


def signed_average_precision(truth: np.ndarray, predicted: np.ndarray, k: int) -> np.ndarray:
    """Return how well the `k` most raised and the `k` most lowered genes are found, each by sign.

    The mean of two areas under precision-recall curves, by steps: raised genes should be predicted
    highest, lowered genes lowest. Genes of equal prediction are taken together; a constant scores
    chance, what an order at random scores on average.
    """
    n_genes = truth.shape[1]
    order = np.argsort(-truth, axis=1, kind="stable")
    first, last = runs(predicted)
    at_least, at_most = n_genes - first, last + 1  # genes predicted so high, and so low
    found = []
    for genes, told, sign in ((order[:, :k], at_least, 1), (order[:, -k:], at_most, -1)):
        own = sign * np.take_along_axis(predicted, genes, axis=1)
        hits = (own[:, None, :] >= own[:, :, None]).sum(axis=2)
        found.append((hits / np.take_along_axis(told, genes, axis=1)).mean(axis=1))
    constant = (predicted == predicted[:, :1]).all(axis=1)
    return np.where(constant, chance_precision(n_genes, k), (found[0] + found[1]) / 2)


def chance_precision(n_genes: int, k: int) -> float:
    """Return the mean average precision of `k` genes among `n_genes` in random order.

    It is above k / g, since the first gene of a list counts most.
    """
    among = (k - 1) / max(n_genes - 1, 1)
    return among + (1 - among) * float((1 / np.arange(1, n_genes + 1)).mean())


def retrieval(
    truth: np.ndarray, predicted: np.ndarray, place: np.ndarray, compound: np.ndarray
) -> np.ndarray:
    """Return how surely a prediction finds its own profile among those of other compounds.

    The share of profiles of other compounds in the same `place` [n] (fold, cell line, time and
    level of controls) that resemble the prediction less than the true one does, by Pearson's r;
    equals count half, chance is 0.5. NaN where a place holds no other compound.
    """
    result = np.full(len(truth), np.nan)
    unit_truth, unit_predicted = _unit_rows(truth), _unit_rows(predicted)
    for number in np.unique(place):
        rows = np.flatnonzero(place == number)
        # Rounding makes predictions that are equal tie, whatever the linear algebra library.
        similarity = np.round(unit_predicted[rows] @ unit_truth[rows].T, 9)
        other = compound[rows][:, None] != compound[rows][None, :]
        own = np.diagonal(similarity)[:, None]
        beaten = (similarity < own) + 0.5 * (similarity == own)
        n_others = other.sum(axis=1)
        with np.errstate(invalid="ignore"):
            result[rows] = np.where(n_others > 0, (beaten * other).sum(axis=1) / n_others, np.nan)
    return result


def energy_skill(truth: np.ndarray, predicted: np.ndarray, replicate: np.ndarray) -> np.ndarray:
    """Return 1 - energy distance / that of "no change", of all replicates of a treatment together.

    The energy distance (Szekely and Rizzo 2013) compares clouds of profiles: not only where they
    lie, but how far they spread. Predictions that are equal for all replicates stay below 1 even if
    their mean is right, and noise as large as that of the truth is above 0: stand it beside the
    score of a random training profile. NaN where `replicate` (codes [n]) is of one profile only.
    """
    result = np.full(len(truth), np.nan)
    order = np.argsort(replicate, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(replicate[order])) + 1):
        if len(rows) > 1:
            own, told = truth[rows].astype(np.float64), predicted[rows].astype(np.float64)
            spread = _mean_distance(own, own)
            error = 2 * _mean_distance(own, told) - spread - _mean_distance(told, told)
            of_nothing = 2 * _mean_distance(own, np.zeros_like(own[:1])) - spread
            result[rows] = 1 - error / of_nothing if of_nothing > 0 else np.nan
    return result


def _mean_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean Euclidean distance between rows [n, g] and rows [m, g]."""
    return float(np.sqrt(((one[:, None] - other[None]) ** 2).sum(axis=2)).mean())


def error_skill(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return 1 - absolute error / that of "no change": 0 for no change, 1 for the truth."""
    return _saved(np.abs(truth - predicted), np.abs(truth))


def weighted_error_skill(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return 1 - squared error / that of "no change", genes weighted by how much they change."""
    weight = np.abs(truth)
    return _saved(weight * (truth - predicted) ** 2, weight * truth**2)


def _saved(error: np.ndarray, of_nothing: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = error.sum(axis=1, dtype=np.float64) / of_nothing.sum(axis=1, dtype=np.float64)
    return np.where(np.isfinite(ratio), 1 - ratio, np.nan)


def _unit_rows(values: np.ndarray) -> np.ndarray:
    """Return rows less their mean and of length 1; all 0 where a row is constant."""
    centred = values.astype(np.float64)
    mean = centred.mean(axis=1, keepdims=True)
    centred = centred - mean
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    useful = length > np.sqrt(values.shape[1]) * CONSTANT * np.abs(mean)
    return np.where(useful, centred / np.where(useful, length, 1), 0.0)
