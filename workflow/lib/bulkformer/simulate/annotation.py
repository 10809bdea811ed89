"""Invented genes: identifiers, places on the genome, exons and lengths.

Every reference file and every count table of the universe names these genes, each in its own way.
Identifiers look like the real ones but lie outside the ranges that Ensembl and HGNC have assigned,
so that simulated and real data cannot be joined by accident.
"""

from dataclasses import dataclass

import numpy as np

CHROMOSOMES = [*map(str, range(1, 23)), "X"]
PATCHES = ["CHR_HSCHR6_MHC_COX_CTG1", "CHR_HG2128_PATCH", "CHR_HSCHR19LRC_COX1_CTG3_1"]
NON_CODING = ["lncRNA", "processed_pseudogene", "misc_RNA", "snoRNA"]
NON_CODING_PER_CODING = 20  # one non-coding gene for 20 coding ones
PSEUDOAUTOSOMAL = 3  # genes that older gene models list on X and again on Y
NEWER_THAN_GENCODE_36 = 0.02  # share of genes that the older models of GDC and GTEx lack

Interval = tuple[int, int]


@dataclass(frozen=True)
class Annotation:
    """Genes in the order of their identifiers; the last ones are copies on patches.

    Attributes
    ----------
    gene_id : list of str [n_genes], Ensembl-like, without version
    version : int array [n_genes], the version that Ensembl 107 writes
    symbol : list of str [n_genes]; empty for the one gene that Ensembl did not name
    biotype : list of str [n_genes]
    chromosome : list of str [n_genes]
    strand : list of "+" or "-" [n_genes]
    transcripts : list [n_genes] of transcripts; a transcript is a list of (start, end), 1-based,
        both ends included, ascending
    length_bp : int array [n_genes], base pairs that at least one exon covers
    pseudoautosomal, newer, patch : bool arrays [n_genes]
    """

    gene_id: list[str]
    version: np.ndarray
    symbol: list[str]
    biotype: list[str]
    chromosome: list[str]
    strand: list[str]
    transcripts: list[list[list[Interval]]]
    length_bp: np.ndarray
    pseudoautosomal: np.ndarray
    newer: np.ndarray
    patch: np.ndarray

    def __len__(self) -> int:
        return len(self.gene_id)

    @property
    def coding(self) -> np.ndarray:
        """Bool [n_genes]: protein-coding and on a chromosome, hence in the vocabulary."""
        return (np.array(self.biotype) == "protein_coding") & ~self.patch

    @property
    def written_symbol(self) -> list[str]:
        """Symbols as count tables print them: a gene without a name appears under its id."""
        pairs = zip(self.symbol, self.gene_id, strict=True)
        return [symbol or gene_id for symbol, gene_id in pairs]

    @property
    def in_older_models(self) -> np.ndarray:
        """Bool [n_genes]: genes that the GENCODE models of GDC and GTEx contain."""
        return ~self.newer & ~self.patch


def draw_annotation(n_coding: int, rng: np.random.Generator) -> Annotation:
    """Return `n_coding` protein-coding genes, some non-coding ones and copies on patches.

    The copies carry the symbol and the biotype of a coding gene but an identifier of their own,
    as Ensembl's alternative haplotypes do.
    """
    n_non_coding = n_coding // NON_CODING_PER_CODING
    n_main = n_coding + n_non_coding
    n_genes = n_main + len(PATCHES)
    coding = np.zeros(n_main, dtype=bool)
    coding[rng.permutation(n_main)[:n_coding]] = True
    coding_places = np.flatnonzero(coding)

    symbol = [f"GENE{number:04d}" for number in range(1, n_main + 1)]
    biotype = ["protein_coding" if is_coding else rng.choice(NON_CODING) for is_coding in coding]
    chosen = rng.permutation(coding_places)
    pseudoautosomal = np.zeros(n_genes, dtype=bool)
    pseudoautosomal[chosen[:PSEUDOAUTOSOMAL]] = True
    unnamed = chosen[PSEUDOAUTOSOMAL]
    copied = chosen[PSEUDOAUTOSOMAL + 1 : PSEUDOAUTOSOMAL + 1 + len(PATCHES)]
    newer = rng.random(n_genes) < NEWER_THAN_GENCODE_36
    newer[chosen[: PSEUDOAUTOSOMAL + 1]] = False
    symbol += [symbol[gene] for gene in copied]
    biotype += [biotype[gene] for gene in copied]
    symbol[unnamed] = ""

    # Neighbours in the file are neighbours on the genome, as in Ensembl; the order says nothing
    # about programs, which are drawn independently.
    borders = np.linspace(0, n_main, len(CHROMOSOMES) + 1).astype(int)
    chromosome = list(np.repeat(CHROMOSOMES, np.diff(borders)))
    for gene in np.flatnonzero(pseudoautosomal):
        chromosome[gene] = "X"
    transcripts = [_draw_transcripts(start=20_000 + 60_000 * n, rng=rng) for n in range(n_genes)]
    return Annotation(
        gene_id=[f"ENSG00000{900_001 + number}" for number in range(n_genes)],
        version=rng.integers(2, 19, size=n_genes),
        symbol=symbol,
        biotype=biotype,
        chromosome=chromosome + PATCHES,
        strand=list(rng.choice(["+", "-"], size=n_genes)),
        transcripts=transcripts,
        length_bp=np.array([union_length(exons) for exons in transcripts]),
        pseudoautosomal=pseudoautosomal,
        newer=newer,
        patch=np.arange(n_genes) >= n_main,
    )


def union_length(transcripts: list[list[Interval]]) -> int:
    """Return the base pairs that at least one exon covers; overlaps count once."""
    total, covered = 0, 0
    for start, end in sorted(interval for exons in transcripts for interval in exons):
        total += max(0, end - max(start, covered + 1) + 1)
        covered = max(covered, end)
    return total


def _draw_transcripts(start: int, rng: np.random.Generator) -> list[list[Interval]]:
    """Return two transcripts of 3 to 8 and of fewer exons, some of which overlap in part."""
    lengths = np.exp(rng.normal(5.6, 0.7, size=rng.integers(3, 9))).astype(int) + 60
    gaps = rng.integers(200, 4_000, size=len(lengths))
    starts = start + np.concatenate([[0], np.cumsum(lengths + gaps)[:-1]])
    first = [(int(s), int(s + n - 1)) for s, n in zip(starts, lengths, strict=True)]
    shift = int(rng.integers(10, 60))  # less than the shortest exon: the first exons overlap
    second = [(first[0][0] + shift, first[0][1] + shift), *first[1:-1]]
    return [first, second]
