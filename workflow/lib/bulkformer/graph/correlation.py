"""Pearson correlation of all pairs of genes, where cohorts measured different genes.

The estimator is the ordinary Pearson r of two genes over all samples whose cohort measured both
("pairwise complete"): no value is filled in. Cohorts either measured a gene or did not, so genes
fall into a few classes, and all pairs between two classes share the same samples. Each pair of
classes is therefore one matrix product of standardised values, taken in tiles that fit in memory.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bulkformer.errors import InputError

BLOCK_GENES = 1024  # a block of r at 20,000 genes: 82 MB
# Least standard deviation, relative to the largest value: float32 resolves differences of 1e-7.
LEAST_SPREAD = 1e-6


def correlation_blocks(
    values: np.ndarray,
    measured: np.ndarray,
    sizes: Sequence[int],
    min_common: int,
    block_genes: int = BLOCK_GENES,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (genes int64 [a], partners int64 [b], r float32 [a, b]) until all pairs had their turn.

    Parameters
    ----------
    values : float32 [n_genes, n], ln(TPM + 1); samples with the same measured genes are adjacent;
        where a gene was not measured, the value is never used
    measured : bool [n_patterns, n_genes]
    sizes : samples of each pattern, in order
    min_common : pairs with fewer common samples are left out

    r is 0 where one of the
    genes is constant over them. Raises InputError if a measured value is not finite.
    """
    pattern_of_sample = np.repeat(np.arange(len(sizes)), sizes)
    classes, class_of_gene = np.unique(measured.T, axis=0, return_inverse=True)
    members = [np.flatnonzero(class_of_gene == number) for number in range(len(classes))]
    for own_class, own in zip(classes, members, strict=True):
        for other_class, other in zip(classes, members, strict=True):
            common = (own_class & other_class)[pattern_of_sample]
            if common.sum() < min_common:
                continue
            partners = np.empty((len(other), common.sum()), dtype=np.float32)
            for start in range(0, len(other), block_genes):
                tile = other[start : start + block_genes]
                partners[start : start + block_genes] = _standardised(values[tile], common)
            for start in range(0, len(own), block_genes):
                genes = own[start : start + block_genes]
                r = _standardised(values[genes], common) @ partners.T
                yield genes, other, np.clip(r, -1, 1, out=r)


def strongest(
    genes: np.ndarray, partners: np.ndarray, r: np.ndarray, neighbours: int, min_correlation: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return source, target, |r| of the strongest of some `partners` of some `genes`.

    At most `neighbours` a gene, all with |r| >= `min_correlation`. No gene is its own partner.
    """
    strength = np.abs(r)
    strength[genes[:, None] == partners[None, :]] = 0
    least = np.full(len(genes), min_correlation, dtype=np.float32)
    if neighbours < len(partners):
        least = np.maximum(least, np.partition(strength, -neighbours, axis=1)[:, -neighbours])
    row, column = np.nonzero((strength >= least[:, None]) & (strength > 0))
    return first_places(genes[row], partners[column], strength[row, column], neighbours)


def first_places(
    source: np.ndarray, target: np.ndarray, strength: np.ndarray, neighbours: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep the `neighbours` strongest targets of each source, sorted by source.

    Of targets that tie for the last place the first ones in the vocabulary are kept.
    """
    order = np.lexsort((target, -strength, source))
    source, target, strength = source[order], target[order], strength[order]
    place = np.arange(len(source)) - np.searchsorted(source, source)
    kept = place < neighbours
    return source[kept], target[kept], strength[kept]


def _standardised(values: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Return the columns `common` with mean 0 and length 1 in each row; constant rows are 0."""
    chosen = values if common.all() else values[:, common]
    largest = np.abs(chosen).max(axis=1)
    if not np.isfinite(largest).all():
        raise InputError(
            "a value of a measured gene is not a number; run the expression stage again"
        )
    centred = chosen - chosen.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    length = np.linalg.norm(centred, axis=1)
    varies = length > LEAST_SPREAD * np.sqrt(centred.shape[1]) * largest
    centred *= (varies / np.where(varies, length, 1)).astype(np.float32)[:, None]
    return centred
