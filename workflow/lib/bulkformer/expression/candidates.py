"""Pairs of samples whose sketches agree, found by bands of bits and never by comparing all pairs.

Samples that agree in all bits of some band meet in a bucket; the Hamming distance of all bits then
tells copies from chance (Indyk and Motwani 1998). Bands are as wide as the sought correlation
allows, because each further bit halves the chance encounters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import acos, ceil, log, pi, sqrt

import numpy as np

from bulkformer.expression.sketch import BITS

WIDTHS = {32: np.uint32, 16: np.uint16}
# Bands start at every byte, so they overlap; that hardly lowers what the bands find together.
MAX_BANDS = BITS // 8
MISSED = 0.001  # share of pairs at the sought correlation that the bands may miss
# The number of bits in which a pair differs is binomial; so many standard deviations are let pass.
# At 0.98 that is what correlates at 0.96: cell lines have thousands of cultures that are nearly so
# alike, and each pair that passes is read from disk.
DEVIATIONS = 5
# Members of one bucket that are compared with each: a family of thousands of copies is chained
# together by neighbours, at a cost that grows with its size and not with the square.
WINDOW = 64
PAIRS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Bands:
    """How sketches are cut.

    Attributes
    ----------
    width : bits of one band
    number : of bands
    found : share of pairs at the sought correlation that meet in some band
    max_distance : bits in which a pair may differ
    """

    width: int
    number: int
    found: float
    max_distance: int


def bands_for(correlation: float) -> Bands:
    """Return the widest bands that find nearly all pairs that correlate at `correlation`."""
    agree = 1 - acos(correlation) / pi
    for width in WIDTHS:
        together = agree**width
        needed = ceil(log(MISSED) / log(1 - together)) if together < 1 else 1
        number = min(needed, MAX_BANDS)
        if needed <= MAX_BANDS:
            break
    expected = BITS * (1 - agree)
    most = expected + DEVIATIONS * sqrt(expected * agree)
    return Bands(width, number, 1 - (1 - together) ** number, int(most))


def pairs_within(bits: np.ndarray, bands: Bands) -> np.ndarray:
    """Return pairs int64 [n_pairs, 2] of rows of uint8 [n, BITS / 8], first < second, sorted."""
    n = len(bits)
    words, found = _words(bits), []
    for key in _keys(bits, bands):
        order = np.argsort(key, kind="stable")
        arranged = key[order]
        for step in range(1, WINDOW + 1):
            together = np.flatnonzero(arranged[:-step] == arranged[step:])
            if len(together) == 0:
                break
            one, other = order[together], order[together + step]
            # The sort is stable: rows of one bucket stand in ascending order.
            found.append(_near(words, words, one, other, bands) @ [n, 1])
    return _unique(found, n)


def pairs_between(left: np.ndarray, right: np.ndarray, bands: Bands) -> np.ndarray:
    """Return pairs int64 [n_pairs, 2] of rows of `left` and of `right`, sorted."""
    n = max(len(right), 1)
    left_words, right_words, found = _words(left), _words(right), []
    for left_key, right_key in zip(_keys(left, bands), _keys(right, bands), strict=True):
        order = np.argsort(right_key, kind="stable")
        arranged = right_key[order]
        first = np.searchsorted(arranged, left_key, side="left")
        counts = np.searchsorted(arranged, left_key, side="right") - first
        for rows in _portions(counts):
            one = np.repeat(rows, counts[rows])
            starts = np.cumsum(counts[rows]) - counts[rows]
            within = np.arange(len(one)) - np.repeat(starts, counts[rows])
            other = order[first[one] + within]
            found.append(_near(left_words, right_words, one, other, bands) @ [n, 1])
    return _unique(found, n)


def _keys(bits: np.ndarray, bands: Bands) -> Iterator[np.ndarray]:
    """Yield one integer a row for each band: non-overlapping bands first, then those between."""
    width = bands.width // 8
    starts = [start for offset in range(width) for start in range(offset, bits.shape[1], width)]
    for start in starts[: bands.number]:
        columns = np.arange(start, start + width) % bits.shape[1]
        yield np.ascontiguousarray(bits[:, columns]).view(WIDTHS[bands.width])[:, 0]


def _portions(counts: np.ndarray) -> Iterator[np.ndarray]:
    """Yield runs of rows with about PAIRS_AT_ONCE pairs each, so that memory stays bounded."""
    rows = np.flatnonzero(counts)
    part = np.cumsum(counts[rows]) // PAIRS_AT_ONCE
    yield from np.split(rows, np.flatnonzero(np.diff(part)) + 1) if len(rows) else ()


def _near(
    left: np.ndarray, right: np.ndarray, one: np.ndarray, other: np.ndarray, bands: Bands
) -> np.ndarray:
    """Return those pairs [n, 2] of rows `one` and `other` that differ in few enough bits."""
    kept = []
    for start in range(0, len(one), PAIRS_AT_ONCE):
        a, b = one[start : start + PAIRS_AT_ONCE], other[start : start + PAIRS_AT_ONCE]
        # A quarter of the bits rules most chance encounters out.
        quarter = np.bitwise_count(left[a, :8] ^ right[b, :8]).sum(axis=1, dtype=np.int64)
        near = np.flatnonzero(quarter <= bands.max_distance / 4 + 4 * np.sqrt(BITS / 16))
        a, b = a[near], b[near]
        distance = np.bitwise_count(left[a] ^ right[b]).sum(axis=1, dtype=np.int64)
        near = distance <= bands.max_distance
        kept.append(np.column_stack([a[near], b[near]]))
    return np.concatenate(kept) if kept else np.empty((0, 2), np.int64)


def _words(bits: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(bits).view(np.uint64)


def _unique(found: list[np.ndarray], n: int) -> np.ndarray:
    numbers = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
    return np.column_stack(np.divmod(numbers.astype(np.int64), n))
