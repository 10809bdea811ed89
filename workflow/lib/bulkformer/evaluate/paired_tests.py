"""Tests of one model against another on the same units, and what corrects many of them.

Pure functions of differences, one a unit. Where units are folds the training samples overlap, so
that differences hang together: only the corrected t may decide there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bulkformer.evaluate.statistics import LEVEL, Bootstrap, Estimate

# With five units no signed-rank test can go below 0.06: fewer than six decide nothing.
MIN_UNITS = 6
MAX_TRIED = 13  # units whose 2^n sign patterns are all tried
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

    @property
    def all_one_way(self) -> bool:
        """Whether no p could be less: all units differ, and to the same side."""
        return self.decided_by == WILCOXON and self.p_wilcoxon <= 2.001 * 2.0**-self.n_units


class PairTester:
    """Makes paired tests whose random draws depend on the seed and the number of units alone.

    Tests over equally many units are made together: one matrix of draws serves all of them.
    """

    def __init__(self, bootstrap: Bootstrap, sign_flips: int) -> None:
        self.bootstrap = bootstrap
        self.sign_flips = sign_flips
        self.signs = lru_cache(maxsize=1)(self._signs)

    def over_units(self, differences: np.ndarray) -> PairedTest:
        """Test differences [n] of independent units."""
        return self.each_over_units([differences])[0]

    def each_over_units(self, differences: Sequence[np.ndarray]) -> list[PairedTest]:
        """Test one comparison after the other, each of differences [n] of independent units."""
        by_size: dict[int, list[int]] = {}
        for number, one in enumerate(differences):
            by_size.setdefault(len(one), []).append(number)
        tests: dict[int, PairedTest] = {}
        for n, numbers in sorted(by_size.items()):
            rows = np.stack([differences[number] for number in numbers])
            tests |= zip(numbers, self._over_units(rows, n >= MIN_UNITS), strict=True)
        return [tests[number] for number in range(len(differences))]

    def _over_units(self, rows: np.ndarray, enough: bool) -> Iterator[PairedTest]:
        """Yield the test of each of the rows [k, n]."""
        nothing = [None] * len(rows)
        numbers = zip(
            self.bootstrap.means_over_units(rows),
            self.bootstrap.medians_over_units(rows),
            wilcoxon(rows).tolist() if enough else nothing,
            self.sign_flip(rows).tolist() if enough else nothing,
            rows,
            strict=True,
        )
        for mean, median, p_wilcoxon, p_sign_flip, row in numbers:
            yield PairedTest(
                n_units=len(row),
                mean=mean,
                median=median,
                win_rate=win_rate(row),
                p_wilcoxon=p_wilcoxon,
                p_sign_flip=p_sign_flip,
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

    def sign_flip(self, differences: np.ndarray) -> np.ndarray:
        """Return how often random signs give a mean at least as far from 0, for rows [k, n].

        If no difference were there, each sign would be a coin. All sign patterns are tried where
        they are few; else the observed one counts as one of the draws, so that p is never 0.
        """
        signs = self.signs(differences.shape[1])
        flipped = np.abs(signs @ differences.T.astype(signs.dtype))
        # Sums of the same numbers in another order differ in the last bits.
        extreme = (flipped >= np.abs(differences.sum(axis=1)) * (1 - 1e-6)).sum(axis=0)
        if 2 ** differences.shape[1] <= self.sign_flips:
            return extreme / len(flipped)
        return (extreme + 1) / (len(flipped) + 1)

    def _signs(self, n: int) -> np.ndarray:
        """Return rows of -1 and 1: all 2^n if these are few, else random ones in float32."""
        if 2**n <= self.sign_flips:
            return all_signs(n)
        rng = np.random.default_rng([self.bootstrap.seed, n])
        random = rng.integers(256, size=(self.sign_flips, -(-n // 8)), dtype=np.uint8)
        return 2 * np.unpackbits(random, axis=1, count=n).astype(np.float32) - 1


def all_signs(n: int) -> np.ndarray:
    """Return all 2^n patterns of -1 and 1, float64 [2^n, n]."""
    return 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) - 1


def win_rate(differences: np.ndarray) -> float | None:
    """Return the share of differences above 0, ties counting half; None without any."""
    if not len(differences):
        return None
    return float(((differences > 0) + 0.5 * (differences == 0)).mean())


def wilcoxon(differences: np.ndarray) -> np.ndarray:
    """Return p of the signed-rank test of each row of differences [k, n].

    Units without a difference share their ranks out evenly. All sign patterns are tried where ties
    make the exact distribution wrong and units are few, as scipy does, but for all rows together.
    """
    from scipy import stats

    p = np.ones(len(differences))  # where nothing differs at all
    n = differences.shape[1]
    size = np.sort(np.abs(differences), axis=1)
    tied = (size[:, 0] == 0) | (size[:, 1:] == size[:, :-1]).any(axis=1)
    rest = differences.any(axis=1)
    if n <= MAX_TRIED:
        rows = differences[rest & tied]
        if len(rows):
            p[rest & tied] = _all_signed_ranks(rows)
        rest &= ~tied
    # Of rows with ties and without, scipy would take the same distribution for all.
    for alike in (rest & tied, rest & ~tied):
        if alike.any():
            rows = differences[alike]
            p[alike] = stats.wilcoxon(rows, zero_method="zsplit", axis=1).pvalue
    return p


def _all_signed_ranks(differences: np.ndarray) -> np.ndarray:
    """Return the exact two-sided p of each row [k, n]: twice the smaller tail of all patterns."""
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(differences), axis=1) * (differences != 0)
    # Sums of halves, so that equals are equal to the last bit.
    drawn = all_signs(differences.shape[1]) @ ranks.T
    observed = (np.sign(differences) * ranks).sum(axis=1)
    tails = [(drawn <= observed).mean(axis=0), (drawn >= observed).mean(axis=0)]
    return np.minimum(2 * np.minimum(*tails), 1)


def corrected_t(differences: np.ndarray, repeat: Sequence[int]) -> tuple[Estimate, float | None]:
    """Return the mean with its interval and p, corrected for folds that share training samples.

    Nadeau and Bengio (2003): the variance of the mean of J differences is s² (1/J + test/train);
    with k folds a test fold is 1/(k - 1) of its training rows. No interval and no p with fewer than
    two folds.
    """
    # scipy.stats wraps the same two functions in tenths of a millisecond of checks.
    from scipy.special import stdtr, stdtrit

    n = len(differences)
    mean = float(differences.mean()) if n else None
    folds = np.unique(repeat, return_counts=True)[1] if n else np.zeros(1)
    if folds.min() < 2:
        return Estimate(mean), None
    variance = differences.var(ddof=1) * (1 / n + 1 / (folds.min() - 1))
    if variance == 0:
        return Estimate(mean, mean, mean), 1.0 if mean == 0 else 0.0
    error = float(np.sqrt(variance))
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * error
    return Estimate(mean, mean - half, mean + half), float(2 * stdtr(n - 1, -abs(mean) / error))


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
