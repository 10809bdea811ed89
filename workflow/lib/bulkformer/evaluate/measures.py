"""The measures themselves: pure functions of truth and prediction, or of sums over them.

Whatever a bootstrap resamples is computed from sums a group (moments, confusion counts): drawing a
group twice adds its sums twice, so that no resample has to look at the rows again. Leading axes of
such arrays are resamples. Two conventions hold throughout: a constant prediction has correlation 0,
because it knows nothing, and a constant truth has none (NaN), because there is nothing to know.
"""

import numpy as np

# Relative spread below which float32 values count as constant: a few units in the last place.
CONSTANT = 4e-7
N_BINS = 15  # confidence bins of the expected calibration error


def moments(
    truth: np.ndarray, prediction: np.ndarray, index: np.ndarray, n_groups: int
) -> np.ndarray:
    """Return n and the sums of t, p, t², p², tp of every group, float64 [n_groups, 6].

    `index` int [n] is the group of each value. Pass values that were centred, so that the
    differences of large sums do not lose digits.
    """
    truth, prediction = truth.astype(np.float64), prediction.astype(np.float64)
    terms = (None, truth, prediction, truth**2, prediction**2, truth * prediction)
    return np.stack(
        [np.bincount(index, weights=term, minlength=n_groups) for term in terms], axis=-1
    ).astype(np.float64)


def pearson(sums: np.ndarray) -> np.ndarray:
    """Return Pearson's r from moments [..., 6]; constants as the conventions above say."""
    n, t, p, tt, pp, tp = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread_t, spread_p = tt / n - (t / n) ** 2, pp / n - (p / n) ** 2
        known = spread_t > CONSTANT**2 * (tt / n)
        useful = spread_p > CONSTANT**2 * (pp / n)
        r = (tp / n - t / n * (p / n)) / np.sqrt(spread_t * spread_p)
    return np.where(known, np.where(useful, np.clip(r, -1, 1), 0.0), np.nan)


def pearson_over_folds(sums: np.ndarray, at_least: int) -> np.ndarray:
    """Return the mean of r over folds, weighted by their sizes, from moments [..., folds, t, 6].

    Folds of fewer than `at_least` values, or of a constant truth, take no part; without any it is
    NaN. One r of all folds together would be below zero where there is nothing to know: folds that
    were lucky have large predictions and unlucky ones small, and what lifts one fold's fit lowers
    that of the others. Within a fold the fit knows nothing of the truth, so that chance is 0.
    """
    r, n = pearson(sums), sums[..., 0]
    counts = np.isfinite(r) & (n >= at_least)
    weight = np.where(counts, n, 0.0)
    with np.errstate(invalid="ignore"):
        return (weight * np.where(counts, r, 0.0)).sum(axis=-2) / weight.sum(axis=-2)


def pearson_by_group(
    truth: np.ndarray, prediction: np.ndarray, index: np.ndarray, n_groups: int, at_least: int
) -> np.ndarray:
    """Return r within every group, float64 [n_groups]; NaN with fewer than `at_least` values.

    Values are centred by the means of their group first: expression differs by orders of magnitude
    between genes, and one-pass sums would lose what differs between samples.
    """
    n = np.bincount(index, minlength=n_groups)
    centred, constant = [], []
    for values in (truth.astype(np.float64), prediction.astype(np.float64)):
        mean = np.bincount(index, weights=values, minlength=n_groups) / np.maximum(n, 1)
        deviation = values - mean[index]
        spread = np.bincount(index, weights=deviation**2, minlength=n_groups)
        constant.append(spread <= n * (CONSTANT * mean) ** 2)
        centred.append((deviation, spread))
    (t, tt), (p, pp) = centred
    tp = np.bincount(index, weights=t * p, minlength=n_groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.clip(tp / np.sqrt(tt * pp), -1, 1)
    r = np.where(constant[1], 0.0, r)
    return np.where(constant[0] | (n < at_least), np.nan, r)


def ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 0, equal values sharing the mean of theirs; float64 [n]."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    return (last - (counts - 1) / 2)[inverse]


def mse_skill(squared_error: np.ndarray, reference_error: np.ndarray) -> np.ndarray:
    """Return 1 - MSE / MSE of the reference: 0 is the training mean, 1 is perfect."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - squared_error / reference_error


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the chance that a positive scores above a negative, ties counting half; NaN if one
    of the two is absent."""
    n_positive, n = int(positive.sum()), len(positive)
    if n_positive in (0, n):
        return float("nan")
    rank_sum = ranks(score)[positive].sum() - n_positive * (n_positive - 1) / 2
    return float(rank_sum / (n_positive * (n - n_positive)))


def confusion(
    truth: np.ndarray, prediction: np.ndarray, index: np.ndarray, n_groups: int, n_classes: int
) -> np.ndarray:
    """Count predictions of every group, float64 [n_groups, C, C]; rows are truth."""
    flat = (index * n_classes + truth) * n_classes + prediction
    counts = np.bincount(flat, minlength=n_groups * n_classes**2)
    return counts.reshape(n_groups, n_classes, n_classes).astype(np.float64)


def class_f1(counts: np.ndarray) -> np.ndarray:
    """Return F1 of each class from confusion counts [..., C, C]; NaN for a class that is neither
    there nor predicted."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    both = counts.sum(axis=-1) + counts.sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(both > 0, 2 * hits / both, np.nan)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Return the mean F1 of the classes that are there or predicted: every class counts alike."""
    return mean_of_defined(class_f1(counts))


def weighted_f1(counts: np.ndarray) -> np.ndarray:
    """Return the mean F1 weighted by how many samples a class has: rare classes hardly count."""
    support = counts.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.nan_to_num(class_f1(counts)) * support).sum(axis=-1) / support.sum(axis=-1)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Return the share of samples that were told right."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.trace(counts, axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1))


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """Return the mean recall of the classes that are there."""
    support = counts.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.diagonal(counts, axis1=-2, axis2=-1) / support
    return mean_of_defined(recall)


def matthews_correlation(counts: np.ndarray) -> np.ndarray:
    """Return the multi-class Matthews correlation (Gorodkin 2004); 0 for a constant prediction, NaN
    for a constant truth."""
    truth, told = counts.sum(axis=-1), counts.sum(axis=-2)
    n = truth.sum(axis=-1)
    covariance = np.trace(counts, axis1=-2, axis2=-1) * n - (truth * told).sum(axis=-1)
    spread_truth, spread_told = n**2 - (truth**2).sum(axis=-1), n**2 - (told**2).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = covariance / np.sqrt(spread_truth * spread_told)
    return np.where(spread_truth > 0, np.where(spread_told > 0, r, 0.0), np.nan)


def top_hits(probabilities: np.ndarray, truth: np.ndarray, k: int) -> np.ndarray:
    """Return whether the true class is among the `k` most probable; bool [n].

    Classes that tie with the true one count against it: equal probabilities earn nothing.
    """
    own = np.take_along_axis(probabilities, truth[:, None], axis=1)
    return (probabilities >= own).sum(axis=1) <= k


def calibration_sums(
    confidence: np.ndarray, correct: np.ndarray, index: np.ndarray, n_groups: int
) -> np.ndarray:
    """Return count, confidence and hits a group and confidence bin, [n_groups, N_BINS, 3]."""
    of_bin = np.minimum((confidence * N_BINS).astype(np.int64), N_BINS - 1)
    flat = index * N_BINS + of_bin
    size = n_groups * N_BINS
    sums = [
        np.bincount(flat, weights=term, minlength=size)
        for term in (None, confidence, correct.astype(np.float64))
    ]
    return np.stack(sums, axis=-1).reshape(n_groups, N_BINS, 3).astype(np.float64)


def expected_calibration_error(sums: np.ndarray) -> np.ndarray:
    """Return the mean gap between confidence and share of hits over bins; from [..., N_BINS, 3]."""
    gap = np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return gap / sums[..., 0].sum(axis=-1)


def mean_of_defined(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the mean over an axis of what is not NaN; NaN where nothing is."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(defined, values, 0).sum(axis=axis) / defined.sum(axis=axis)


def ratio(sums: np.ndarray) -> np.ndarray:
    """Return the first of two sums [..., 2] divided by the second; NaN where both are 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]
