"""Which length a gene has: TPM, and with it every value of the run, depends on the definition.

The lengths of the paper agree with the union of exons for about half of the genes and are many
times longer or shorter for some, so the vocabulary says of each gene where its length is from.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.ensembl import CANONICAL_TRANSCRIPT, UNION_EXON
from bulkformer.sources.gene_lists import read_lengths

PAPER, GENE_LIST = "paper", "gene_list"
LENGTHS = [UNION_EXON, CANONICAL_TRANSCRIPT, PAPER, GENE_LIST]
PAPER_DEFAULT = "paper_default"  # what the paper takes for genes that its table lacks
PAPER_DEFAULT_BP = 1000


def check_lengths(lengths: str, length_table: Path | None, gene_list: Path | None) -> None:
    """Raise InputError for an unknown definition of lengths, or one that lacks its file."""
    key = "expression.vocabulary"
    if lengths not in LENGTHS:
        raise InputError(f"{key}.lengths is '{lengths}'; known are {', '.join(LENGTHS)}")
    if lengths == PAPER and length_table is None:
        raise InputError(
            f"{key}.lengths is '{PAPER}'; name the paper's table in {key}.length_table"
        )
    if lengths == GENE_LIST and gene_list is None:
        raise InputError(f"{key}.lengths is '{GENE_LIST}'; name a list in {key}.gene_list")


def with_listed(annotation: pd.DataFrame, listed: pd.DataFrame | None) -> pd.DataFrame:
    """Return the annotation and, below it, the listed genes that it lacks, marked as such.

    `listed` has gene_id and symbol; such a gene has the listed symbol and neither length nor
    biotype.
    """
    known = annotation.assign(in_annotation=True)
    if listed is None:
        return known
    foreign = listed[~listed["gene_id"].isin(annotation["gene_id"])]
    if foreign.empty:
        return known
    rows = {name: [None] * len(foreign) for name in annotation.columns}
    rows["gene_id"] = foreign["gene_id"].tolist()
    rows["symbol"] = [
        symbol or gene_id
        for gene_id, symbol in zip(foreign["gene_id"], foreign["symbol"], strict=True)
    ]
    rows["other_entrez"] = [[] for _ in range(len(foreign))]
    extra = pd.DataFrame(rows).astype({"length_bp": float})
    return pd.concat([known, extra.assign(in_annotation=False)], ignore_index=True)


def with_lengths(
    genes: pd.DataFrame, lengths: str, length_table: Path | None, listed: pd.DataFrame | None
) -> pd.DataFrame:
    """Return `genes` with length_bp by the definition `lengths`, and with length_source.

    A gene that the annotation lacks has no length by a definition that needs exons. Raises
    InputError if a gene of the list has no length where the lengths are to be those of the list.
    """
    if lengths == PAPER:
        known = genes["gene_id"].map(read_lengths(length_table))
        source = known.notna().map({True: PAPER, False: PAPER_DEFAULT})
        return genes.assign(length_bp=known.fillna(PAPER_DEFAULT_BP), length_source=source)
    if lengths == GENE_LIST:
        missing = ~(listed["length_bp"] > 0)
        if missing.any():
            raise InputError(
                f"expression.vocabulary.lengths is '{GENE_LIST}', but the list has no length of "
                f"{missing.sum()} genes, first {listed['gene_id'][missing].iloc[0]}; choose one of "
                f"{', '.join(name for name in LENGTHS if name != GENE_LIST)}"
            )
        own = genes["gene_id"].map(listed.set_index("gene_id")["length_bp"])
        # Genes outside the list keep the length of their exons: they are in annotation.parquet.
        source = own.notna().map({True: GENE_LIST, False: UNION_EXON})
        return genes.assign(length_bp=own.fillna(genes["length_bp"]), length_source=source)
    source = genes["in_annotation"].map({True: lengths, False: None})
    return genes.assign(length_source=source.astype(object).where(genes["in_annotation"], None))
