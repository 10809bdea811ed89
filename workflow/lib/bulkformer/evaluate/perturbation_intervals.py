"""Intervals of scores whose profiles share two things at once: a compound, and control wells.

All compounds of a plate are compared with the same few wells, whose noise is in all their changes;
all cell lines share a compound. Resampling one of the two takes the noise of the other for skill:
where nothing at all was planted, intervals over compounds alone miss 0 every second time. Both are
therefore drawn, and a profile counts as often as the draws of both say (Owen 2007, "The pigeonhole
bootstrap").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bulkformer.evaluate.statistics import MIN_GROUPS, Bootstrap, Estimate, defined, interval


@dataclass(frozen=True)
class Crossed:
    """Profiles of one score: codes int [n] of its `unit` and of the `other` thing they share.

    The value of a unit is the mean over its profiles; a score is the mean or median over units.
    """

    bootstrap: Bootstrap
    unit: np.ndarray
    other: np.ndarray

    @classmethod
    def of(cls, bootstrap: Bootstrap, unit: np.ndarray, other: np.ndarray) -> Crossed:
        """Number the names [n] of both."""
        codes = (np.unique(names, return_inverse=True)[1] for names in (unit, other))
        return cls(bootstrap, *codes)

    def take(self, rows: np.ndarray) -> Crossed:
        """Return a part of the profiles, numbered anew."""
        return Crossed.of(self.bootstrap, self.unit[rows], self.other[rows])

    def mean(self, values: np.ndarray) -> Estimate:
        """Estimate the mean over units of values [n]; NaN are left out."""
        return self._over_units(values, np.mean, _weighted_mean)

    def median(self, values: np.ndarray) -> Estimate:
        """Estimate the median over units; a resample's is its lower median."""
        return self._over_units(values, np.median, _lower_median)

    def pooled(self, sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        """Estimate what `statistic` makes of the sums [n, k] of all profiles."""
        value = float(statistic(sums.sum(axis=0)))
        if not self._enough(self.unit, self.other):
            return Estimate(defined(value))
        cells, at = np.unique(self._cells, return_inverse=True)
        joined = np.zeros((len(cells), sums.shape[1]))
        np.add.at(joined, at, sums)
        width = self.other.max() + 1
        times = self._times(self.unit)[:, cells // width] * self._weights(cells % width)
        return interval(value, statistic(times @ joined))

    def _over_units(
        self,
        values: np.ndarray,
        observed: Callable[[np.ndarray], float],
        drawn: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> Estimate:
        known = np.isfinite(values)
        if not known.any():
            return Estimate(None)
        unit, other, values = self.unit[known], self.other[known], values[known]
        own = np.bincount(unit, weights=values) / np.maximum(np.bincount(unit), 1)
        value = float(observed(own[np.bincount(unit) > 0]))
        if not self._enough(unit, other):
            return Estimate(value)
        order = np.lexsort((other, unit))
        present, starts = np.unique(unit[order], return_index=True)
        weights = self._weights(other[order])
        count = np.add.reduceat(weights, starts, axis=1)
        total = np.add.reduceat(weights * values[order].astype(np.float32), starts, axis=1)
        times = np.where(count > 0, self._times(self.unit)[:, present], 0)
        return interval(value, drawn(total / np.maximum(count, 1), times))

    @property
    def _cells(self) -> np.ndarray:
        return self.unit * (self.other.max() + 1) + self.other

    @staticmethod
    def _enough(*codes: np.ndarray) -> bool:
        return all(len(np.unique(each)) >= MIN_GROUPS for each in codes)

    def _times(self, codes: np.ndarray) -> np.ndarray:
        """Return how often each draw takes each unit, float32 [n_boot, n_units]."""
        return self.bootstrap.draws(int(codes.max()) + 1)

    def _weights(self, other: np.ndarray) -> np.ndarray:
        """Return how often each draw takes the other thing of each row, float32 [n_boot, n].

        In reverse, since as many units and others would otherwise be drawn hand in hand.
        """
        return self._times(self.other)[::-1][:, other]


def _weighted_mean(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (values * times).sum(axis=1) / times.sum(axis=1)


def _lower_median(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    order = np.argsort(values, axis=1)
    reached = np.cumsum(np.take_along_axis(times, order, axis=1), axis=1)
    place = (reached < reached[:, -1:] / 2).sum(axis=1, keepdims=True)
    middle = np.take_along_axis(np.take_along_axis(values, order, axis=1), place, axis=1)[:, 0]
    return np.where(reached[:, -1] > 0, middle, np.nan)
