"""Each gene's strongest partners, found while the tiles of the correlation matrix pass by.

A gene's running threshold is the strength of the last partner it would keep so far. It only rises,
so that after the first tiles a tile costs one comparison with almost no survivors, and the result
does not depend on the order of tiles: workers take one each, product and comparison.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from bulkformer.graph.correlation import GeneClasses, Tile, exact_correlation

# What single precision may shift r by. Partners that are closer than this to the last place are
# all kept until `exact_correlation` decides, so that rounding never chooses an edge.
ROUNDING = 2e-5
SAME_R = 12  # decimals of exact r: what differs beyond them differs by the order of a sum
TILES_AHEAD = 3  # tiles in work or waiting, for each worker
LEAST_STRENGTH = float(np.finfo(np.float32).tiny)  # of an edge: r of constant genes is 0


class Candidates(NamedTuple):
    """Pairs in both directions: source and target int64, strength |r| float32; sorted by source."""

    source: np.ndarray
    target: np.ndarray
    strength: np.ndarray


class StrongestPartners:
    """Collects candidates and forgets those that can no longer be among a gene's strongest.

    Attributes
    ----------
    least : float32 [n_genes], the running threshold; a weaker partner cannot be kept
    """

    def __init__(self, n_genes: int, neighbours: int, min_correlation: float) -> None:
        """Keep `neighbours` partners a gene, each with |r| >= `min_correlation`."""
        self.neighbours = neighbours
        floor = max(min_correlation - ROUNDING, LEAST_STRENGTH)
        self.least = np.full(n_genes, floor, dtype=np.float32)
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._n_pending = 0
        self._merge_at = n_genes * neighbours // 2

    def survivors(self, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
        """Return the sort keys uint64 and targets int32 of candidates in both directions.

        Reads the thresholds and changes none but those of the genes of a tile on the diagonal, so
        that many tiles may be in work at a time.
        """
        strength = tile.left @ tile.right.T
        np.abs(strength, out=strength)
        if tile.on_diagonal:
            np.fill_diagonal(strength, 0)
            if self.neighbours < len(tile.genes):
                last = np.partition(strength, -self.neighbours, axis=1)[:, -self.neighbours]
                self.least[tile.genes] = np.maximum(self.least[tile.genes], last - ROUNDING)
            strength *= np.tri(len(strength), k=-1, dtype=np.float32).T
        of_genes, of_partners = self.least[tile.genes], self.least[tile.partners]
        survives = strength >= of_genes[:, None]
        survives |= strength >= of_partners[None, :]
        row, column = np.divmod(np.flatnonzero(survives), len(tile.partners))
        strength = strength[row, column]
        forward, backward = strength >= of_genes[row], strength >= of_partners[column]
        gene, partner = tile.genes[row], tile.partners[column]
        strength = np.minimum(strength, 1)
        source = np.concatenate([gene[forward], partner[backward]])
        target = np.concatenate([partner[forward], gene[backward]])
        strength = np.concatenate([strength[forward], strength[backward]])
        return _key(source, strength), target.astype(np.int32)

    def add(self, key: np.ndarray, target: np.ndarray) -> None:
        """Take in what `survivors` found; now and then, raise the thresholds."""
        self._pending.append((key, target))
        self._n_pending += len(key)
        if self._n_pending >= self._merge_at:
            kept = self.candidates()
            self._pending = [(_key(kept.source, kept.strength), kept.target.astype(np.int32))]
            self._n_pending = 0

    def candidates(self) -> Candidates:
        """Return what may be among a gene's strongest, the strongest first; raises thresholds."""
        if not self._pending:
            return Candidates(*np.empty((2, 0), dtype=np.int64), np.empty(0, dtype=np.float32))
        key, target = (np.concatenate(part) for part in zip(*self._pending, strict=True))
        order = np.argsort(key)
        source, strength = _unpack(key[order])
        first = np.searchsorted(source, np.arange(len(self.least)))
        last = first + self.neighbours - 1
        full = np.flatnonzero(last < np.append(first[1:], len(source)))
        self.least[full] = np.maximum(self.least[full], strength[last[full]] - ROUNDING)
        kept = strength >= self.least[source]
        return Candidates(source[kept], target[order][kept].astype(np.int64), strength[kept])


def collect_candidates(tiles: Iterable[Tile], partners: StrongestPartners) -> Iterator[int]:
    """Multiply and search all tiles, one thread each; yield how many pairs each tile brings.

    As many threads as BLAS would use take a tile each, because comparisons then run beside products
    and no thread waits for another within a tile.
    """
    from threadpoolctl import threadpool_info, threadpool_limits  # only this step needs it

    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    workers = max(pools, default=1)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as executor:
        in_work: deque = deque()
        for tile in tiles:
            if len(in_work) >= TILES_AHEAD * workers:
                partners.add(*in_work.popleft().result())
            in_work.append(executor.submit(partners.survivors, tile))
            yield len(tile.genes) * len(tile.partners) // (2 if tile.on_diagonal else 1)
        while in_work:
            partners.add(*in_work.popleft().result())


def settle(
    candidates: Candidates,
    values: np.ndarray,
    classes: GeneClasses,
    neighbours: int,
    min_correlation: float,
) -> Candidates:
    """Return the `neighbours` strongest of each gene with |r| >= `min_correlation`.

    Where single precision cannot tell, r is computed exactly from `values` float32 [n_genes, n]. Of
    targets that tie for the last place the first ones in the vocabulary are kept.
    """
    source, target, strength = candidates
    rank = strength.astype(np.float64)
    first = np.searchsorted(source, np.arange(len(values)))
    end = np.append(first[1:], len(source))
    crowded = end - first > neighbours
    last = np.full(len(values), min_correlation)
    last[crowded] = strength[first[crowded] + neighbours - 1]
    close = np.abs(rank - last[source]) <= ROUNDING
    close |= np.abs(rank - min_correlation) <= ROUNDING
    exact = np.abs(exact_correlation(values, classes, source[close], target[close]))
    rank[close] = exact.round(SAME_R)
    kept = rank >= max(min_correlation, LEAST_STRENGTH)
    source, target, strength, rank = (part[kept] for part in (*candidates, rank))
    order = np.lexsort((target, -rank, source))
    source, target, strength = source[order], target[order], strength[order]
    place = np.arange(len(source)) - np.searchsorted(source, source)
    kept = place < neighbours
    return Candidates(source[kept], target[kept], strength[kept])


def _key(source: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Return uint64 that sort by source, then by strength from the largest; strength is >= 0."""
    bits = np.ascontiguousarray(strength, dtype=np.float32).view(np.uint32)
    return (source.astype(np.uint64) << np.uint64(32)) | (~bits).astype(np.uint64)


def _unpack(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bits = ~key.astype(np.uint32)
    return (key >> np.uint64(32)).astype(np.int64), bits.view(np.float32)
