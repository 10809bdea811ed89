"""Tests of one model against another on the same units, and what corrects many of them.

Pure functions of differences, one a unit. Where units are folds the training samples overlap, so
that differences hang together: only the corrected t may decide there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bulkformer.evaluate.statistics import LEVEL, Bootstrap, Estimate

# With five units no signed-rank test can go below 0.06: fewer than six decide nothing.
MIN_UNITS = 6
WILCOXON, CORRECTED_T = "wilcoxon", "corrected_t"


@dataclass(frozen=True)
class PairedTest:
    """What the differences model - reference of n units say.

    Attributes
    ----------
    mean, median : difference with its interval; by bootstrap over units, or, where units are folds,
        from the corrected t (and none for the median)
    win_rate : share of units in which the model is higher; a tie counts half
    p_wilcoxon, p_sign_flip, p_corrected_t : two-sided; None where the test does not apply
    decided_by : the test whose p decides, declared by the kind of unit; None with too few units
    """

    n_units: int
    mean: Estimate
    median: Estimate
    win_rate: float | None
    p_wilcoxon: float | None
    p_sign_flip: float | None
    p_corrected_t: float | None
    decided_by: str | None

    @property
    def p(self) -> float | None:
        """The p that decides."""
        if self.decided_by is None:
            return None
        return self.p_corrected_t if self.decided_by == CORRECTED_T else self.p_wilcoxon


class PairTester:
    """Makes paired tests whose random draws depend on the seed and the number of units alone."""

    def __init__(self, bootstrap: Bootstrap, sign_flips: int) -> None:
        self.bootstrap = bootstrap
        self.sign_flips = sign_flips
        self.signs = lru_cache(maxsize=2)(self._signs)

    def over_units(self, differences: np.ndarray) -> PairedTest:
        """Test differences [n] of independent units."""
        n = len(differences)
        enough = n >= MIN_UNITS
        return PairedTest(
            n_units=n,
            mean=self.bootstrap.mean_over_units(differences),
            median=self.bootstrap.median_over_units(differences),
            win_rate=win_rate(differences),
            p_wilcoxon=wilcoxon(differences) if enough else None,
            p_sign_flip=self.sign_flip(differences) if enough else None,
            p_corrected_t=None,
            decided_by=WILCOXON if enough else None,
        )

    def over_folds(self, differences: np.ndarray, repeat: Sequence[int]) -> PairedTest:
        """Test differences [n] of the folds of one or several repeats."""
        mean, p = corrected_t(differences, repeat)
        middle = float(np.median(differences)) if len(differences) else None
        return PairedTest(
            n_units=len(differences),
            mean=mean,
            median=Estimate(middle),
            win_rate=win_rate(differences),
            p_wilcoxon=None,
            p_sign_flip=None,
            p_corrected_t=p,
            decided_by=None if p is None else CORRECTED_T,
        )

    def sign_flip(self, differences: np.ndarray) -> float:
        """Return how often random signs give a mean difference at least as far from 0.

        If no difference were there, each sign would be a coin. All sign patterns are tried where
        they are few; else the observed one counts as one of the draws, so that p is never 0.
        """
        n = len(differences)
        signs = self.signs(n)
        flipped = np.abs(signs @ differences.astype(signs.dtype))
        # Sums of the same numbers in another order differ in the last bits.
        extreme = int((flipped >= abs(differences.sum()) * (1 - 1e-6)).sum())
        if 2**n <= self.sign_flips:
            return extreme / len(flipped)
        return (extreme + 1) / (len(flipped) + 1)

    def _signs(self, n: int) -> np.ndarray:
        """Return rows of -1 and 1: all 2^n if these are few, else random ones in float32."""
        if 2**n <= self.sign_flips:
            return 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) - 1
        rng = np.random.default_rng([self.bootstrap.seed, n])
        random = rng.integers(256, size=(self.sign_flips, -(-n // 8)), dtype=np.uint8)
        return 2 * np.unpackbits(random, axis=1, count=n).astype(np.float32) - 1


def win_rate(differences: np.ndarray) -> float | None:
    """Return the share of differences above 0, ties counting half; None without any."""
    if not len(differences):
        return None
    return float(((differences > 0) + 0.5 * (differences == 0)).mean())


def wilcoxon(differences: np.ndarray) -> float:
    """Return p of the signed-rank test; units without a difference share their ranks out evenly."""
    from scipy import stats

    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences, zero_method="zsplit").pvalue)


def corrected_t(differences: np.ndarray, repeat: Sequence[int]) -> tuple[Estimate, float | None]:
    """Return the mean with its interval and p, corrected for folds that share training samples.

    Nadeau and Bengio (2003): the variance of the mean of J differences is s² (1/J + test/train);
    with k folds a test fold is 1/(k - 1) of its training rows. No interval and no p with fewer than
    two folds.
    """
    from scipy import stats

    n = len(differences)
    mean = float(differences.mean()) if n else None
    folds = np.unique(repeat, return_counts=True)[1] if n else np.zeros(1)
    if folds.min() < 2:
        return Estimate(mean), None
    variance = differences.var(ddof=1) * (1 / n + 1 / (folds.min() - 1))
    if variance == 0:
        return Estimate(mean, mean, mean), 1.0 if mean == 0 else 0.0
    error = float(np.sqrt(variance))
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    return Estimate(mean, mean - half, mean + half), float(2 * stats.t.sf(abs(mean) / error, n - 1))


def holm(p: Sequence[float]) -> np.ndarray:
    """Return p adjusted so that the chance of any false finding in the family stays at its level.

    Holm (1979): the i-th smallest of m is multiplied by m - i + 1, never below the one before it.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = np.minimum(values[order] * np.arange(len(values), 0, -1), 1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


def benjamini_hochberg(p: Sequence[float]) -> np.ndarray:
    """Return p adjusted so that the share of false findings among the findings stays at its level.

    Benjamini and Hochberg (1995): the i-th smallest of m is multiplied by m / i, never above the
    next.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")[::-1]
    steps = np.minimum(values[order] * len(values) / np.arange(len(values), 0, -1), 1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum.accumulate(steps)
    return adjusted
