"""Prognosis: how far predicted survival is from what became of patients, and whom it tells apart.

Errors are scored at the horizons that stand with the curves, up to the last event of the training
patients of the fold: later, nothing was there to learn the course from. Between horizons a curve is
taken as straight.
"""

import numpy as np

from bulkformer.evaluate import survival_measures as measures
from bulkformer.evaluate.measures import ratio
from bulkformer.evaluate.tasks.prognosis_repeats import Fold, Repeat

# By less, survival in single precision differs where the order of risks says it should not.
ROUNDING = 1e-6


def by_curve(fold: Fold, rows: np.ndarray, risk: np.ndarray) -> measures.Pairs:
    """Pairs of Antolini's concordance; the risk, one number for all days, is not looked at."""
    repeat = fold.repeat
    days = repeat.time[rows[repeat.event[rows]]]
    return measures.curve_pairs(rows, repeat.time, repeat.event, on_days(fold, rows, days))


def cross(repeat: Repeat) -> bool:
    """Return whether curves of one fold and cancer cross: no single risk then orders all days."""
    if repeat.survival is None:
        return False
    for fold in repeat.folds():
        for name in np.unique(repeat.cancer[fold.rows]):
            rows = fold.rows[repeat.cancer[fold.rows] == name]
            ordered = rows[np.argsort(repeat.risk[rows], kind="stable")]
            curves = np.stack([repeat.survival[row] for row in ordered])
            if (np.diff(curves, axis=0) > ROUNDING).any():
                return True
    return False


def on_days(fold: Fold, rows: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Return predicted survival of rows [o] beyond days [c], as [c, o]; the last value stays."""
    if not len(rows):
        return np.zeros((0, 0))
    told = np.stack([fold.repeat.survival[row] for row in rows]).T
    known = np.concatenate([np.ones((1, len(rows))), told])
    grid = np.concatenate([[0.0], fold.repeat.horizons[int(fold.repeat.fold[rows[0]])]])
    day = np.clip(days, grid[0], grid[-1])
    after = np.clip(np.searchsorted(grid, day), 1, len(grid) - 1)
    share = ((day - grid[after - 1]) / (grid[after] - grid[after - 1]))[:, None]
    return known[after - 1] + share * (known[after] - known[after - 1])


def brier_sums(repeat: Repeat, n_groups: int) -> np.ndarray:
    """Return error, number and error of one Kaplan-Meier curve for each group, [n_groups, 3].

    Weights for censoring are those of each patient's cancer, and errors are the mean over the
    horizons until which that cancer was followed; a cancer without two such horizons is left out.
    """
    sums = np.zeros((n_groups, 3))
    for fold in repeat.folds():
        followed = repeat.time[fold.training], repeat.event[fold.training]
        curve = measures.survival_curve(*followed)
        cancer, survival = repeat.cancer[fold.rows], fold.survival
        for name in np.unique(cancer):
            censoring = fold.censoring_of(name)
            known = fold.horizons < censoring.end
            if known.sum() < 2:
                continue
            own, horizons = cancer == name, fold.horizons[known]
            rows, of_all = fold.rows[own], measures.step_at(*curve, horizons)
            told = (survival[own][:, known], np.broadcast_to(of_all, (own.sum(), known.sum())))
            of_rows = repeat.time[rows], repeat.event[rows]
            errors = [
                measures.mean_over_time(
                    measures.brier_terms(*of_rows, each, horizons, censoring), horizons
                )
                for each in told
            ]
            terms = np.column_stack([errors[0], np.ones(len(rows)), errors[1]])
            np.add.at(sums, repeat.group[rows], terms)
    return sums


def brier_skill(sums: np.ndarray) -> np.ndarray:
    """Return 1 - error / error of one Kaplan-Meier curve, from [..., 3]."""
    return 1 - ratio(sums[..., [0, 2]])
