"""Measures of gene essentiality: how well lines are told apart, gene by gene.

Genes differ so much that any prediction of their means correlates highly over all values; what a
model knows of a line shows within a gene only. Matrices are lines by genes, NaN where unknown, and
all genes are measured at once.
"""

from collections.abc import Iterator

import numpy as np

from bulkformer.evaluate import measures

BLOCK_GENES = 512  # whose sums a group are held at a time
MIN_LINES = 5  # a gene known in fewer has no correlation worth the name
COMMON = 0.9  # share of lines that need a common essential gene
NEEDED = {"effect": -0.5, "probability": 0.5}  # beyond which a line needs a gene


def per_gene_pearson(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return r of every gene across lines, float64 [t]; NaN where truth is constant or too few."""
    everyone = np.zeros(len(truth), dtype=np.int64)
    parts = [sums[0] for _, sums in sums_by_group(truth, predicted, everyone, 1)]
    return correlation(np.concatenate(parts))


def correlation(sums: np.ndarray) -> np.ndarray:
    """Return r from moments [..., 6]; NaN with fewer than MIN_LINES values."""
    return np.where(sums[..., 0] >= MIN_LINES, measures.pearson(sums), np.nan)


class FoldMean:
    """The mean of r over folds, weighted by their lines, gathered some genes of a fold at a time.

    One r of all folds together would be below zero where there is nothing to know; see
    `measures.pearson_over_folds`, which does the same for data that fits in memory.
    """

    def __init__(self) -> None:
        self.weighted: np.ndarray | None = None
        self.weight: np.ndarray | None = None

    def add(self, genes: slice, sums: np.ndarray, n_genes: int) -> None:
        """Add the moments [..., block, 6] of `genes` in one fold; their precision is kept."""
        if self.weighted is None or self.weight is None:
            shape = (*sums.shape[:-2], n_genes)
            self.weighted, self.weight = (np.zeros(shape, dtype=sums.dtype) for _ in range(2))
        r = correlation(sums.astype(np.float64))
        weight = np.where(np.isnan(r), 0.0, sums[..., 0])
        self.weighted[..., genes] += weight * np.nan_to_num(r)
        self.weight[..., genes] += weight

    def mean(self) -> np.ndarray:
        """Return the mean, NaN for a gene that no fold has a correlation of."""
        with np.errstate(invalid="ignore"):
            return self.weighted / self.weight


def sums_by_group(
    truth: np.ndarray, predicted: np.ndarray, group: np.ndarray, n_groups: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield genes, a block at a time, and their moments a group of lines [n_groups, block, 6].

    The moments are n and the sums of t, p, t², p², tp, as `measures.moments` has them. Values are
    centred on the mean of each gene, so that sums of squares do not lose digits.
    """
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(n_groups))
    for start in range(0, truth.shape[1], BLOCK_GENES):
        genes = slice(start, start + BLOCK_GENES)
        known = ~(np.isnan(truth[order, genes]) | np.isnan(predicted[order, genes]))
        t, p = (
            np.where(known, values[order, genes].astype(np.float64), 0.0)
            for values in (truth, predicted)
        )
        t, p = (
            np.where(known, v - v.sum(axis=0) / np.maximum(known.sum(axis=0), 1), 0.0)
            for v in (t, p)
        )
        # A prediction that was constant is so to the last bit.
        p[
            :, np.abs(p).max(axis=0) <= measures.CONSTANT * _largest(predicted[order, genes], known)
        ] = 0
        terms = np.stack([known, t, p, t**2, p**2, t * p], axis=-1)
        yield genes, np.add.reduceat(terms, starts, axis=0)


def within_cells(values: np.ndarray, known: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return values [n, t] less their mean over the known lines of their cell, codes int [n].

    A cell is a lineage in one fold: lines of two folds were predicted by two fits, and the mean of
    a lineage over both would let the training means of the one be compared with the other's lines.
    """
    residual = np.full(values.shape, np.nan)
    for code in np.unique(cell):
        rows = cell == code
        own = np.where(known[rows], values[rows].astype(np.float64), 0.0)
        n = np.maximum(known[rows].sum(axis=0), 1)
        rest = own - own.sum(axis=0) / n
        rest[np.abs(rest) <= measures.CONSTANT * np.abs(own)] = 0.0
        residual[rows] = np.where(known[rows], rest, np.nan)
    return residual


def dependency_areas(
    score: np.ndarray, dependent: np.ndarray, fold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return AUROC and AUPRC of every gene [t]: whether dependent lines have the higher score.

    Only lines of one fold are ranked together. A fit that did not meet a gene's only dependent line
    gives all lines of that fold one score, and the fits that did give some of theirs another one:
    ranked across folds, both would look as if they knew. AUROC weighs a fold by its pairs, AUPRC by
    its dependent lines, and the latter takes equal scores together.

    Parameters
    ----------
    score : float [n, t]
    dependent : int8 [n, t], 1, 0 or -1 for unknown
    fold : codes int [n] of the fit that predicted each line
    """
    sums = np.zeros((4, score.shape[1]))
    for code in np.unique(fold):
        rows = fold == code
        known = (dependent[rows] >= 0) & ~np.isnan(score[rows])
        positive = known & (dependent[rows] == 1)
        n, n_positive = known.sum(axis=0), positive.sum(axis=0)
        pairs = n_positive * (n - n_positive)
        # What is unknown stands last, behind every score.
        ordered = np.where(known, score[rows], -np.inf)
        order = np.argsort(-ordered, axis=0, kind="stable")
        ordered, hit = (np.take_along_axis(v, order, axis=0) for v in (ordered, positive))
        first, last = _ends_of_ties(ordered)
        place = (first + last) / 2
        behind = np.where(hit, n - 1 - place, 0.0).sum(axis=0) - n_positive * (n_positive - 1) / 2
        hits = np.take_along_axis(hit.cumsum(axis=0), last, axis=0)
        precision = np.where(hit, hits / (last + 1), 0.0).sum(axis=0)
        both = pairs > 0
        sums += [both * behind, pairs, both * precision, both * n_positive]
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[0] / sums[1], sums[2] / sums[3]


def _ends_of_ties(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last row of the equal values that each row belongs to, int [n, t]."""
    n = len(ordered)
    row = np.arange(n)[:, None]
    changes = ordered[1:] != ordered[:-1]
    edge = np.ones((1, ordered.shape[1]), dtype=bool)
    first = np.maximum.accumulate(np.where(np.concatenate([edge, changes]), row, 0), axis=0)
    last = np.where(np.concatenate([changes, edge]), row, n)
    return first, np.minimum.accumulate(last[::-1], axis=0)[::-1]


def gene_sets(truth: np.ndarray, endpoint: str, selective: float) -> dict[str, np.ndarray]:
    """Return {set: bool [t]}: genes that differ between lines, and those not needed by nearly all.

    Parameters
    ----------
    truth : values of the endpoint, NaN where unknown
    selective : standard deviation across lines above which a gene is selective
    """
    known = ~np.isnan(truth)
    n = np.maximum(known.sum(axis=0), 1)
    values = np.where(known, truth, 0.0).astype(np.float64)
    mean = values.sum(axis=0) / n
    spread = np.sqrt(np.where(known, (values - mean) ** 2, 0.0).sum(axis=0) / n)
    limit = NEEDED[endpoint]
    needed = truth < limit if endpoint == "effect" else truth > limit
    common = (needed & known).sum(axis=0) >= COMMON * n
    return {"selective": spread > selective, "not_common_essential": ~common}


def unit_length(values: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return centred values [n, t] of length 1 a gene, 0 where unknown or constant, float32.

    The product of two such matrices is the mean of r over folds, weighted by their lines; with
    values missing, of lines that were permuted, nearly. `fold` int [n] are codes.
    """
    known = np.nan_to_num(values, nan=0.0)
    scaled = np.empty(known.shape, dtype=np.float32)
    for code in np.unique(fold):
        rows = fold == code
        length = np.sqrt((known[rows] ** 2).sum(axis=0))
        scaled[rows] = known[rows] / np.where(length > 0, length, 1.0) * np.sqrt(rows.mean())
    return scaled


def permuted_within(fold: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an order of lines [n] that keeps every line in its fold."""
    order = np.empty(len(fold), dtype=np.int64)
    for code in np.unique(fold):
        rows = np.flatnonzero(fold == code)
        order[rows] = rng.permutation(rows)
    return order


def _largest(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    return np.abs(np.where(known, values, 0.0)).max(axis=0)
