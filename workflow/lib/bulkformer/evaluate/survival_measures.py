"""Measures of censored outcomes: pairs counted within folds, and errors weighted for censoring.

Risks of two folds come from two fits and are never compared. Every measure is a ratio of sums over
pairs or patients, so that a bootstrap of patients is exact: a patient drawn twice counts twice in
each pair and each sum. Conventions follow scikit-survival, whose values these are.
"""

from dataclasses import dataclass

import numpy as np

YEAR = 365.25  # days
N_BINS = 10  # of predicted survival, for calibration
MIN_FOLLOWED = 0.1  # beyond, one patient would stand for more than ten others


@dataclass(frozen=True)
class Pairs:
    """Pairs of a case and whoever it is compared with, in one part of the data.

    Attributes
    ----------
    case, other : rows of the patients, int [c] and [o]
    concordant, comparable : float32 [c, o]: what each pair earned, out of what
    """

    case: np.ndarray
    other: np.ndarray
    concordant: np.ndarray
    comparable: np.ndarray

    def sums(self) -> np.ndarray:
        """Return what was earned and what could be, float64 [2]."""
        both = (self.concordant, self.comparable)
        return np.array([each.sum(dtype=np.float64) for each in both])

    def drawn(self, counts: np.ndarray) -> np.ndarray:
        """Return the same sums over draws [n_boot, n_patients], as [n_boot, 2].

        `counts` says how often each draw holds each patient.
        """
        case, other = counts[:, self.case], counts[:, self.other]
        both = (self.concordant, self.comparable)
        return np.stack([((other @ each.T) * case).sum(axis=1) for each in both], axis=-1)


@dataclass(frozen=True)
class RiskSets:
    """Events, and who was still followed when each happened, in one part of the data.

    Attributes
    ----------
    case, other : rows of the patients, int [c] and [o]
    at_risk : bool [c, o], who of the others could have had the event, the case among them
    log_hazard : float [c] and [o], of cases and of the others
    """

    case: np.ndarray
    other: np.ndarray
    at_risk: np.ndarray
    log_hazard: tuple[np.ndarray, np.ndarray]

    def sums(self) -> np.ndarray:
        """Return Breslow's log partial likelihood and the number of events, float64 [2]."""
        return self._sums(np.ones((1, len(self.case))), np.ones((1, len(self.other))))[0]

    def drawn(self, counts: np.ndarray) -> np.ndarray:
        """Return the same sums over draws [n_boot, n_patients], as [n_boot, 2].

        A patient drawn twice has the event twice, and is twice at risk.
        """
        return self._sums(counts[:, self.case], counts[:, self.other])

    def _sums(self, case: np.ndarray, other: np.ndarray) -> np.ndarray:
        own, others = self.log_hazard
        largest = others.max(initial=-np.inf)
        hazard = (np.exp(others - largest)[:, None] * self.at_risk.T).astype(np.float64)
        together = other.astype(np.float64) @ hazard
        # A case that was not drawn may leave nobody at risk; it counts nothing.
        terms = own - largest - np.log(np.where(case > 0, together, 1.0))
        return np.stack([(terms * case).sum(axis=1), case.sum(axis=1, dtype=np.float64)], axis=-1)


def event_pairs(
    rows: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    risk: np.ndarray,
    weight: np.ndarray | None = None,
) -> Pairs:
    """Compare each event among `rows` with all who lived longer: the concordance index.

    Who was censored on the day of the event lived longer; two events on one day are not compared.
    `weight` [n] is the weight of a case, 1 if None.
    """
    case = rows[event[rows]]
    return _pairs(case, rows, _longer(case, rows, time, event), risk, weight)


def curve_pairs(
    rows: np.ndarray, time: np.ndarray, event: np.ndarray, survival: np.ndarray
) -> Pairs:
    """Compare the same pairs by what was predicted for the day of the event: Antolini et al. 2005.

    `survival` [c, o] is the probability of each of `rows` to live beyond the day on which each case
    among them had the event; the case should have the lower one. Where curves never cross the order
    is the same on all days, and the concordance is Harrell's.
    """
    case = rows[event[rows]]
    own = survival[np.arange(len(case)), np.flatnonzero(event[rows])][:, None]
    return _earned(case, rows, _longer(case, rows, time, event), -own, -survival, None)


def horizon_pairs(
    rows: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    risk: np.ndarray,
    weight: np.ndarray,
    horizon: float,
) -> Pairs:
    """Compare events until `horizon` with all who were followed beyond it: the AUC at that time."""
    case = rows[event[rows] & (time[rows] <= horizon)]
    other = rows[time[rows] > horizon]
    return _pairs(case, other, np.ones((len(case), len(other)), dtype=bool), risk, weight)


def risk_sets(rows: np.ndarray, time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> RiskSets:
    """Compare each event among `rows` with all who were followed that long: Cox's likelihood."""
    case = rows[event[rows]]
    values = risk.astype(np.float64)
    at_risk = time[case][:, None] <= time[rows]
    return RiskSets(case, rows, at_risk, (values[case], values[rows]))


def label_pairs(rows: np.ndarray, positive: np.ndarray, risk: np.ndarray) -> Pairs:
    """Compare each positive with each negative of `rows`: the area under the ROC curve."""
    case, other = rows[positive[rows]], rows[~positive[rows]]
    return _pairs(case, other, np.ones((len(case), len(other)), dtype=bool), risk, None)


def _pairs(
    case: np.ndarray,
    other: np.ndarray,
    comparable: np.ndarray,
    risk: np.ndarray,
    weight: np.ndarray | None,
) -> Pairs:
    return _earned(case, other, comparable, risk[case][:, None], risk[other], weight)


def _earned(
    case: np.ndarray,
    other: np.ndarray,
    comparable: np.ndarray,
    own: np.ndarray,
    others: np.ndarray,
    weight: np.ndarray | None,
) -> Pairs:
    earned = (own > others).astype(np.float32) + np.float32(0.5) * (own == others)
    worth = comparable.astype(np.float32)
    if weight is not None:
        worth *= weight[case][:, None].astype(np.float32)
    return Pairs(case, other, earned * worth, worth)


def _longer(case: np.ndarray, rows: np.ndarray, time: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return who of `rows` lived longer than each case, bool [c, o]."""
    same = (time[case][:, None] == time[rows]) & ~event[rows]
    return (time[case][:, None] < time[rows]) | same


def survival_curve(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return times and the Kaplan-Meier estimate of surviving beyond each of them."""
    times, place = np.unique(time, return_inverse=True)
    gone = np.bincount(place)
    at_risk = len(time) - np.cumsum(gone) + gone
    return times, np.cumprod(1 - np.bincount(place, weights=event) / at_risk)


def censoring_curve(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return times and the Kaplan-Meier estimate of being followed beyond each of them.

    Who has the event on a day leaves before whoever is censored on that day.
    """
    times, place = np.unique(time, return_inverse=True)
    gone, died = np.bincount(place), np.bincount(place, weights=event)
    left = len(time) - np.cumsum(gone) + gone - died
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(left > 0, (gone - died) / left, 0.0)
    return times, np.cumprod(1 - share)


def step_at(times: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return a curve of steps at other times: 1 before the first, then as it was last."""
    return np.concatenate([[1.0], values])[np.searchsorted(times, at, side="right")]


@dataclass(frozen=True)
class Censoring:
    """How likely training patients of a fold were followed: `followed` after each of `times`."""

    times: np.ndarray
    followed: np.ndarray

    @classmethod
    def of(cls, time: np.ndarray, event: np.ndarray) -> "Censoring":
        """Estimate it from training patients."""
        return cls(*censoring_curve(time, event))

    @property
    def end(self) -> float:
        """The day from which on nobody was followed, or fewer than MIN_FOLLOWED would still be."""
        few = self.times[self.followed < MIN_FOLLOWED]
        return float(few[0] if len(few) else self.times[-1])

    def inverse(self, time: np.ndarray) -> np.ndarray:
        """Return 1 / probability of being followed beyond each time; 0 where nobody was."""
        probability = step_at(self.times, self.followed, time)
        with np.errstate(divide="ignore"):
            return np.where(probability > 0, 1 / probability, 0.0)


def brier_terms(
    time: np.ndarray,
    event: np.ndarray,
    survival: np.ndarray,
    horizons: np.ndarray,
    censoring: Censoring,
) -> np.ndarray:
    """Return what each patient adds to the Brier score at each horizon, float64 [n, h].

    Their mean over patients is the score: squared error of `survival` [n, h], weighted by the
    inverse probability of being followed (Graf et al. 1999).
    """
    dead = (time[:, None] <= horizons) & event[:, None]
    alive = time[:, None] > horizons
    own, at_horizon = censoring.inverse(time)[:, None], censoring.inverse(horizons)
    return survival**2 * dead * own + (1 - survival) ** 2 * alive * at_horizon


def mean_over_time(values: np.ndarray, horizons: np.ndarray) -> np.ndarray:
    """Return the mean of values [..., h] over the span of horizons, by trapezoids."""
    return np.trapezoid(values, horizons, axis=-1) / (horizons[-1] - horizons[0])


def calibration_bins(survival: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Return how many patients lie in each bin of predicted survival, float64 [N_BINS].

    `survival` [n] is predicted for the end of each patient's own follow-up. Of a calibrated model
    it is uniform at events; a censored patient may still come to any lower value, and is spread
    evenly below (Haider et al. 2020).
    """
    edges = np.arange(N_BINS) / N_BINS
    value = np.clip(survival.astype(np.float64), 1e-12, 1.0)[:, None]
    place = np.minimum(np.ceil(value[:, 0] * N_BINS).astype(np.int64) - 1, N_BINS - 1)
    own = np.arange(N_BINS) == place[:, None]
    below = np.arange(N_BINS) < place[:, None]
    spread = np.where(own, (value - edges) / value, 0.0) + np.where(below, 1 / N_BINS / value, 0.0)
    return np.where(event[:, None], own, spread).sum(axis=0)


def calibration_error(bins: np.ndarray) -> float:
    """Return the mean distance of the shares of bins [N_BINS] from one in N_BINS."""
    return float(np.abs(bins / bins.sum() - 1 / N_BINS).mean())


def calibration_p_value(bins: np.ndarray) -> float:
    """Return the chance of bins [N_BINS] at least as uneven, were the model calibrated.

    Pearson's chi-squared test with N_BINS - 1 degrees of freedom.
    """
    from scipy.special import gammaincc

    expected = bins.sum() / N_BINS
    statistic = ((bins - expected) ** 2 / expected).sum()
    return float(gammaincc((N_BINS - 1) / 2, statistic / 2))


def average_precision(risk: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the area under precision and recall in each draw, float64 [...].

    `counts` [..., n] says how often a draw holds each row. Rows of equal risk come in together.
    """
    order = np.argsort(-risk, kind="stable")
    last = np.flatnonzero(np.append(np.diff(risk[order]) != 0, True))
    drawn = counts[..., order].astype(np.float64)
    found = np.cumsum(drawn * positive[order], axis=-1)[..., last]
    seen = np.cumsum(drawn, axis=-1)[..., last]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(seen > 0, found / seen, 0.0)
        gained = np.diff(found, axis=-1, prepend=0.0)
        return (precision * gained).sum(axis=-1) / found[..., -1]
