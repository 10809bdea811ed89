"""Pearson correlation of all pairs of genes, where cohorts measured different genes.

The estimator is the ordinary Pearson r of two genes over all samples whose cohort measured both
("pairwise complete"): no value is filled in. Cohorts either measured a gene or did not, so genes
fall into a few classes, and all pairs between two classes share the same samples. Each pair of
classes is therefore one matrix product of standardised values, taken in tiles that fit in a
processor's cache; r is symmetric, so that every pair of genes has its turn once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bulkformer.errors import InputError

BLOCK_GENES = 1024  # a tile of r: 4 MB
# Least standard deviation, relative to the largest value: float32 resolves differences of 1e-7.
LEAST_SPREAD = 1e-6
PAIRED_VALUES = 8_000_000  # float64 values of pairs that `exact_correlation` holds: 64 MB a side


@dataclass(frozen=True)
class Tile:
    """A block of genes against a block of partners, over the samples that measured both.

    Attributes
    ----------
    genes, partners : int64 [a], [b], vocabulary indices; blocks are the same or share no gene
    left, right : float32 [a, n], [b, n], rows of mean 0 and length 1; constant genes are 0
    """

    genes: np.ndarray
    partners: np.ndarray
    left: np.ndarray
    right: np.ndarray

    @property
    def on_diagonal(self) -> bool:
        """Whether the genes are their own partners, so that every pair stands in it twice."""
        return self.genes is self.partners


class GeneClasses:
    """Genes that the same samples measured, and the samples that two of these classes share."""

    def __init__(self, measured: np.ndarray, sizes: Sequence[int]) -> None:
        """`measured` bool [n_patterns, n_genes]; `sizes` says how many samples each pattern has."""
        self._patterns, class_of_gene = np.unique(measured.T, axis=0, return_inverse=True)
        self.class_of_gene = class_of_gene.reshape(-1)
        self._pattern_of_sample = np.repeat(np.arange(len(sizes)), sizes)

    def members(self, number: int) -> np.ndarray:
        """Return the genes int64 of a class."""
        return np.flatnonzero(self.class_of_gene == number)

    def common(self, one: int, other: int) -> np.ndarray:
        """Return which samples, bool [n], measured the genes of both classes."""
        return (self._patterns[one] & self._patterns[other])[self._pattern_of_sample]

    def pairs(self, min_common: int) -> list[tuple[int, int]]:
        """Return the pairs one <= other with enough common samples, a class with itself first."""
        numbers = range(len(self._patterns))
        pairs = [(one, other) for one in numbers for other in numbers[one:]]
        pairs = [pair for pair in pairs if self.common(*pair).sum() >= min_common]
        return sorted(pairs, key=lambda pair: (pair[0] != pair[1], pair))


def correlation_tiles(
    values: np.ndarray, classes: GeneClasses, min_common: int, block_genes: int = BLOCK_GENES
) -> Iterator[Tile]:
    """Yield tiles until all pairs of genes had their turn; those on the diagonal come first.

    Parameters
    ----------
    values : float32 [n_genes, n], ln(TPM + 1); samples with the same measured genes are adjacent;
        where a gene was not measured, the value is never used. If every sample measured every
        gene, `values` is overwritten by its standardised form, because a copy of it would be most
        of the memory that co-expression takes
    min_common : pairs with fewer common samples are left out

    r is 0 where one of the genes is constant over them. Raises InputError if a measured value is
    not finite.
    """
    for one, other in classes.pairs(min_common):
        common = classes.common(one, other)
        own = classes.members(one)
        complete = len(own) == len(values) and bool(common.all())
        blocks = []
        for genes in _blocks(own, block_genes):
            block = (
                values[genes[0] : genes[-1] + 1]
                if complete
                else values[np.ix_(genes, np.flatnonzero(common))]
            )
            blocks.append((genes, _standardise(block)))
            if one == other:
                yield Tile(genes, genes, blocks[-1][1], blocks[-1][1])
        if one == other:
            for at, (genes, left) in enumerate(blocks):
                for partners, right in blocks[at + 1 :]:
                    yield Tile(genes, partners, left, right)
            continue
        for partners in _blocks(classes.members(other), block_genes):
            right = _standardise(values[np.ix_(partners, np.flatnonzero(common))])
            for genes, left in blocks:
                yield Tile(genes, partners, left, right)


def exact_correlation(
    values: np.ndarray, classes: GeneClasses, genes: np.ndarray, partners: np.ndarray
) -> np.ndarray:
    """Return r float64 of some pairs of genes, none of them constant, on one definition of values.

    Each pair is summed by itself and in double precision: r does not depend on which tile a pair
    lay in, and genes with equal values have equal r. `values` may be standardised already.
    """
    r = np.empty(len(genes))
    kind = np.stack([classes.class_of_gene[genes], classes.class_of_gene[partners]], axis=1)
    kind.sort(axis=1)
    for one, other in np.unique(kind, axis=0):
        common = classes.common(one, other)
        here = np.flatnonzero((kind == [one, other]).all(axis=1))
        step = max(1, PAIRED_VALUES // int(common.sum()))
        for start in range(0, len(here), step):
            at = here[start : start + step]
            a, b = _centred(values[genes[at]], common), _centred(values[partners[at]], common)
            lengths = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
            r[at] = (a * b).sum(axis=1) / lengths
    return r


def _blocks(genes: np.ndarray, block_genes: int) -> list[np.ndarray]:
    return [genes[start : start + block_genes] for start in range(0, len(genes), block_genes)]


def _standardise(block: np.ndarray) -> np.ndarray:
    """Give each row of `block` mean 0 and length 1, in place; constant rows become 0."""
    largest = np.maximum(block.max(axis=1), -block.min(axis=1))
    if not np.isfinite(largest).all():
        raise InputError(
            "a value of a measured gene is not a number; run the expression stage again"
        )
    block -= block.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    length = np.linalg.norm(block, axis=1)
    varies = length > LEAST_SPREAD * np.sqrt(block.shape[1]) * largest
    block *= (varies / np.where(varies, length, 1)).astype(np.float32)[:, None]
    return block


def _centred(rows: np.ndarray, common: np.ndarray) -> np.ndarray:
    chosen = rows[:, common].astype(np.float64)
    return chosen - chosen.mean(axis=1, keepdims=True)
