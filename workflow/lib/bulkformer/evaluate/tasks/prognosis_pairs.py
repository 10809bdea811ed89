"""Prognosis: pairs of patients of one fold, or of one fold and cancer, and their sums over draws.

Sums come as arrays [n_folds, n_cancers, 2] (what pairs earned, out of what; or log likelihoods, and
of how many events), with one cancer that stands for all where pairs may cross cancers; draws of a
bootstrap come in front.
"""

from collections.abc import Callable, Sequence

import numpy as np

from bulkformer.evaluate.measures import mean_of_defined, ratio
from bulkformer.evaluate.statistics import MIN_GROUPS, Bootstrap, Resampled
from bulkformer.evaluate.survival_measures import (
    YEAR,
    Censoring,
    Pairs,
    RiskSets,
    average_precision,
    event_pairs,
    horizon_pairs,
    label_pairs,
    risk_sets,
)
from bulkformer.evaluate.tasks.prognosis_repeats import Fold, Repeat

# fold, rows in it, risk -> what is summed
PairsOf = Callable[[Fold, np.ndarray, np.ndarray], Pairs | RiskSets]


def by_event(fold: Fold, rows: np.ndarray, risk: np.ndarray) -> Pairs:
    """Pairs of Harrell's concordance index."""
    return event_pairs(rows, fold.repeat.time, fold.repeat.event, risk)


def by_weighted_event(within: bool) -> PairsOf:
    """Pairs of Uno's concordance index, up to the last horizon of the fold.

    A case stands for those like it who were lost before: it weighs the inverse square of the
    probability of being followed so long. Pairs `within` a cancer have the follow-up of that
    cancer, and end where it does; pairs that cross cancers have that of all together.
    """

    def pairs(fold: Fold, rows: np.ndarray, risk: np.ndarray) -> Pairs:
        censoring, end = _followed(fold, rows, within)
        time = fold.repeat.time
        before = time < min(end, fold.horizons.max(initial=0.0))
        weight = np.where(before, censoring.inverse(time) ** 2, 0.0)
        return event_pairs(rows, time, fold.repeat.event, risk, weight)

    return pairs


def by_year(years: int, within: bool) -> PairsOf:
    """Pairs of the time-dependent AUC: dead by then against alive then (Uno et al. 2007).

    `within` as in `by_weighted_event`: a cancer that was not followed so long has no pairs.
    """

    def pairs(fold: Fold, rows: np.ndarray, risk: np.ndarray) -> Pairs:
        horizon = years * YEAR
        censoring, end = _followed(fold, rows, within)
        known = rows if horizon < end and np.isin(horizon, fold.horizons) else rows[:0]
        weight = censoring.inverse(fold.repeat.time)
        return horizon_pairs(known, fold.repeat.time, fold.repeat.event, risk, weight, horizon)

    return pairs


def _followed(fold: Fold, rows: np.ndarray, within: bool) -> tuple[Censoring, float]:
    """Return how patients like `rows` were censored, and until when that is known of them."""
    if not within or not len(rows):
        return fold.censoring, np.inf
    censoring = fold.censoring_of(fold.repeat.cancer[rows[0]])
    return censoring, censoring.end


def by_label(fold: Fold, rows: np.ndarray, risk: np.ndarray) -> Pairs:
    """Pairs of the area under the ROC curve: dead against alive, whenever it was."""
    return label_pairs(rows, fold.repeat.event, risk)


def by_risk_set(fold: Fold, rows: np.ndarray, risk: np.ndarray) -> RiskSets:
    """Each event among all who were at risk with it: the log partial likelihood of an event."""
    return risk_sets(rows, fold.repeat.time, fold.repeat.event, risk)


def sums_of_pairs(
    repeats: Sequence[Repeat],
    risks: Sequence[np.ndarray],
    pairs_of: PairsOf,
    within: bool,
    n_groups: int,
    bootstrap: Bootstrap | None,
) -> Resampled:
    """Sum pairs of each fold, and within each cancer if `within`; resample whole groups.

    `risks` holds the risk [n] that each repeat is judged by; without a bootstrap nothing is drawn.
    """
    counts = draws(bootstrap, n_groups)
    observed, drawn = [], []
    for repeat, risk in zip(repeats, risks, strict=True):
        names = np.unique(repeat.cancer) if within else np.array([""])
        folds = list(repeat.folds())
        sums = np.zeros((len(folds), len(names), 2))
        resampled = np.zeros((0 if counts is None else len(counts), *sums.shape))
        of_rows = None if counts is None else counts[:, repeat.group]
        for i, fold in enumerate(folds):
            for j, name in enumerate(names):
                rows = fold.rows[repeat.cancer[fold.rows] == name] if within else fold.rows
                pairs = pairs_of(fold, rows, risk)
                sums[i, j] = pairs.sums()
                if of_rows is not None and sums[i, j, 1] > 0:
                    resampled[:, i, j] = pairs.drawn(of_rows)
        observed.append(sums)
        drawn.append(resampled)
    return Resampled(n_groups, observed, [] if counts is None else drawn)


def draws(bootstrap: Bootstrap | None, n_groups: int) -> np.ndarray | None:
    """Return how often each draw holds each group, or None where there are too few to resample."""
    if bootstrap is None or n_groups < MIN_GROUPS or bootstrap.n_boot == 0:
        return None
    return bootstrap.draws(n_groups)


def joined(sums: np.ndarray) -> np.ndarray:
    """Return the share that pairs of all folds and cancers earned, from [..., F, C, 2]."""
    return ratio(sums.sum(axis=(-3, -2)))


def fold_mean(sums: np.ndarray) -> np.ndarray:
    """Return the mean over folds of the share that their pairs earned."""
    return mean_of_defined(ratio(sums.sum(axis=-2)))


def of_cancer(place: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return what maps sums to the share of pairs of one cancer."""
    return lambda sums: ratio(sums[..., place, :].sum(axis=-2))


def mean_of_cancers(places: Sequence[int]) -> Callable[[np.ndarray], np.ndarray]:
    """Return what maps sums to the mean over cancers of the share that their pairs earned."""
    return lambda sums: mean_of_defined(ratio(sums[..., places, :].sum(axis=-3)))


def gain(sums: np.ndarray) -> np.ndarray:
    """Return how much more pairs earned by one risk than by another, from [..., F, C, 4].

    The four are the sums of the one, then of the other.
    """
    return joined(sums[..., :2]) - joined(sums[..., 2:])


def side_by_side(one: Resampled, other: Resampled) -> Resampled:
    """Return the sums of two risks over the same pairs and draws, one behind the other."""

    def both(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> list[np.ndarray]:
        pairs = zip(ours, theirs, strict=True)
        return [np.concatenate(pair, axis=-1) for pair in pairs]

    return Resampled(one.n_groups, both(one.observed, other.observed), both(one.drawn, other.drawn))


def precision(repeat: Repeat, counts: np.ndarray) -> np.ndarray:
    """Return the average precision of each fold, [..., n_folds], where groups count [..., n]."""
    return np.stack(
        [
            average_precision(
                repeat.risk[fold.rows],
                repeat.event[fold.rows],
                counts[..., repeat.group[fold.rows]],
            )
            for fold in repeat.folds()
        ],
        axis=-1,
    )
