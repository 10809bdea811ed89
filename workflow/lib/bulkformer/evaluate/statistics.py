"""Intervals over the unit of generalisation: whole studies, patients, donors or genes.

Rows of one group are not independent; resampling rows would make every interval too narrow. The
draws depend on the seed and on the number of groups alone, so that all models meet the same ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LEVEL = 0.95
# Three groups allow ten different draws and four allow 35: too few for the ends of a 95 % interval
# to mean anything. Five allow 126.
MIN_GROUPS = 5


@dataclass(frozen=True)
class Estimate:
    """A value and its percentile interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Resampled:
    """Sums of groups, one pair a repeat: over all groups [...] and over each draw [n_boot, ...].

    One draw of groups serves all repeats, because repeats share their samples.
    """

    n_groups: int
    observed: Sequence[np.ndarray]
    drawn: Sequence[np.ndarray]

    def estimate(self, statistic: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        """Return the mean over repeats of `statistic`, which maps sums [..., *rest] to [...]."""
        value = np.mean([statistic(sums) for sums in self.observed])
        if not self.drawn:
            return Estimate(defined(value))
        return interval(value, np.mean([statistic(sums) for sums in self.drawn], axis=0))


class Bootstrap:
    """Percentile bootstrap with draws that every statistic of a run shares."""

    def __init__(self, n_boot: int, seed: int) -> None:
        self.n_boot = n_boot
        self.seed = seed
        # A few sizes at a time: genes that have a correlation differ in number by condition.
        self.draws = lru_cache(maxsize=4)(self._draws)
        self.middles = lru_cache(maxsize=4)(self._middles)

    def over_groups(self, repeats: Sequence[np.ndarray]) -> Resampled:
        """Resample whole groups.

        `repeats` holds sums [n_groups, ...], one array a repeat, groups in the same order in all.
        """
        n_groups = len(repeats[0])
        observed = [sums.sum(axis=0) for sums in repeats]
        if n_groups < MIN_GROUPS or self.n_boot == 0:
            return Resampled(n_groups, observed, [])
        weights = self.draws(n_groups)
        drawn = []
        for sums in repeats:
            flat = sums.reshape(n_groups, -1)
            used = flat.any(axis=0)  # most cells of a confusion table never occur
            total = np.zeros((self.n_boot, flat.shape[1]))
            total[:, used] = weights @ flat[:, used]
            drawn.append(total.reshape(self.n_boot, *sums.shape[1:]))
        return Resampled(n_groups, observed, drawn)

    def mean_over_units(self, values: np.ndarray) -> Estimate:
        """Estimate the mean of values [n] that are not NaN, one a unit (a gene, for example)."""
        return self.means_over_units(values[None, ~np.isnan(values)])[0]

    def median_over_units(self, values: np.ndarray) -> Estimate:
        """Estimate the median of values [n] that are not NaN; a resample's is its lower median."""
        return self.medians_over_units(values[None, ~np.isnan(values)])[0]

    def means_over_units(self, values: np.ndarray) -> list[Estimate]:
        """Estimate the mean of each row of values [k, n]; all rows meet the same draws."""
        n = values.shape[1]
        if n < MIN_GROUPS or self.n_boot == 0:
            return [Estimate(defined(row.mean()) if n else None) for row in values]
        # Single precision: an interval needs no more, and 20,000 genes by 1,000 draws are large.
        drawn = self.draws(n) @ values.T.astype(np.float32) / n
        return _intervals(values.mean(axis=1), drawn.T)

    def medians_over_units(self, values: np.ndarray) -> list[Estimate]:
        """Estimate the median of each row of values [k, n], as `median_over_units` does."""
        n = values.shape[1]
        if n < MIN_GROUPS or self.n_boot == 0:
            return [Estimate(defined(np.median(row)) if n else None) for row in values]
        values = np.sort(values, axis=1)
        return _intervals(np.median(values, axis=1), values[:, self.middles(n)])

    def _draws(self, n_groups: int) -> np.ndarray:
        """Return how often each resample draws each group, float32 [n_boot, n_groups]."""
        rng = np.random.default_rng([self.seed, n_groups])
        weights = np.empty((self.n_boot, n_groups), dtype=np.float32)
        for row in weights:
            row[:] = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)
        return weights

    def _middles(self, n_groups: int) -> np.ndarray:
        """Return the place of each resample's lower median among sorted values, int64 [n_boot]."""
        half = n_groups / 2
        return np.array([np.cumsum(row).searchsorted(half) for row in self.draws(n_groups)])


def interval(value: float, resampled: np.ndarray) -> Estimate:
    """Return the value with the percentile interval of its resamples, of which NaN are left out."""
    resampled = resampled[~np.isnan(resampled)]
    if np.isnan(value) or not len(resampled):
        return Estimate(defined(value))
    return _intervals(np.array([value]), resampled[None])[0]


def _intervals(values: np.ndarray, resampled: np.ndarray) -> list[Estimate]:
    """Return the estimates of values [k] with resamples [k, n_boot], none of them NaN."""
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    ends = zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
    return [Estimate(value, least, most) for value, least, most in ends]


def defined(value: float) -> float | None:
    """Return a Python float, or None for NaN."""
    return None if np.isnan(value) else float(value)
