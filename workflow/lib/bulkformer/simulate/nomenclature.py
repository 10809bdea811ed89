"""Other names of the invented genes: HGNC and Entrez ids, previous symbols and aliases."""

from dataclasses import dataclass

import numpy as np

from bulkformer.simulate.annotation import Annotation

RENAMED = 0.1  # share of genes with a previous symbol, and as many with an alias


@dataclass(frozen=True)
class Nomenclature:
    """Names by gene, in the order of the annotation.

    Attributes
    ----------
    hgnc_id : list of str [n_genes], empty where HGNC has no entry (patches, the unnamed gene)
    entrez_id : list of int [n_genes]
    previous, alias : lists [n_genes] of lists of symbols
    ambiguous_alias : one alias that two genes carry
    """

    hgnc_id: list[str]
    entrez_id: list[int]
    previous: list[list[str]]
    alias: list[list[str]]
    ambiguous_alias: str


def draw_nomenclature(annotation: Annotation, rng: np.random.Generator) -> Nomenclature:
    """Give a tenth of the coding genes a previous symbol and another tenth one or two aliases."""
    named = [bool(symbol) for symbol in annotation.symbol] & ~annotation.patch
    previous: list[list[str]] = [[] for _ in annotation.gene_id]
    alias: list[list[str]] = [[] for _ in annotation.gene_id]
    chosen = rng.permutation(np.flatnonzero(annotation.coding & named))
    n_renamed = max(4, int(RENAMED * len(chosen)))
    for gene in chosen[:n_renamed]:
        previous[gene] = [f"OLD{gene + 1:04d}"]
    for number, gene in enumerate(chosen[n_renamed : 2 * n_renamed]):
        alias[gene] = [f"ALT{gene + 1:04d}", f"ALT{gene + 1:04d}B"][: 1 + number % 2]
    ambiguous_alias = "ALTBOTH"
    for gene in chosen[-2:]:
        alias[gene] = [ambiguous_alias]
    return Nomenclature(
        hgnc_id=[f"HGNC:{90_001 + gene}" if known else "" for gene, known in enumerate(named)],
        entrez_id=[990_000_001 + gene for gene in range(len(annotation))],
        previous=previous,
        alias=alias,
        ambiguous_alias=ambiguous_alias,
    )
