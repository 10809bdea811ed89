"""Gene lists and gene lengths that others published, for vocabularies that fit their weights.

The order of a list is the order of a model's genes, so a list is taken whole or not at all: rows
that are no genes, repeated genes and a wrong number of genes are errors, except for the one stray
row that a published copy is known to have.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.text_matrix import UNREADABLE, delimiter, open_bytes

ENSEMBL_GENE = re.compile(r"ENSG\d{11}")
STRAY = "35991"  # an id of the May 2025 copy that is no gene
LENGTHS = {"gene_id": "ensg_id", "length_bp": "length"}


@dataclass(frozen=True)
class ListFormat:
    """How a list is written.

    Attributes
    ----------
    gene_id : column of Ensembl ids
    symbol, length_bp : columns that may be absent; the first name that is there counts
    index : column that numbers the genes from 0, where there is one
    genes : how many genes the list has, None for lists of any size
    """

    gene_id: str
    symbol: tuple[str, ...] = ()
    length_bp: tuple[str, ...] = ()
    index: str | None = None
    genes: int | None = None


FORMATS = {
    "bulkformer": ListFormat(
        "ensg_id", symbol=("gene_symbol", "symbol", "gene_name"), genes=20_010
    ),
    "bulkformer_latest": ListFormat(
        "canonical_ensg", ("gene_symbol",), ("gene_length_bp",), "vocab_index", 19_973
    ),
    "table": ListFormat("gene_id", ("symbol",), ("length_bp",)),
}


def read_gene_list(format: str, path: Path) -> pd.DataFrame:
    """Read a list of genes, in its order.

    Parameters
    ----------
    format : "bulkformer" for bulkformer_gene_info.csv of the paper (20,010 genes),
        "bulkformer_latest" for gene_vocab.csv (19,973 genes), "table" for a list of one's own with
        the column gene_id and, if wanted, symbol and length_bp; CSV, or TSV by its name, each plain
        or gzipped

    Returns
    -------
    One row a gene: gene_id (Ensembl, without version), symbol (str or None), length_bp (float, NaN
    where the list has none)

    Raises
    ------
    InputError : not such a file, or not the genes that such a list has
    """
    if format not in FORMATS:
        raise InputError(f"gene list format '{format}' is unknown; known are {', '.join(FORMATS)}")
    form = FORMATS[format]
    table = _read(path)
    needed = [form.gene_id, *([form.index] if form.index else [])]
    if absent := [name for name in needed if name not in table]:
        raise InputError(
            f"{path}: a gene list of the format '{format}' has the column {', '.join(absent)}; the "
            f"columns are {', '.join(table)}. Give another list, or say which format it has "
            "(expression.vocabulary.gene_list_format; --genes-format of released weights)"
        )
    table[form.gene_id] = table[form.gene_id].str.strip()
    stray = table[form.gene_id] == STRAY
    if stray.any():
        print(f"{path}: {stray.sum()} row '{STRAY}' is no gene and was dropped", file=sys.stderr)
        table = table[~stray].reset_index(drop=True)
    if form.index and table[form.index].tolist() != [str(at) for at in range(len(table))]:
        raise InputError(
            f"{path}: {form.index} has to count from 0 in the order of rows; fetch the file again"
        )
    genes = pd.DataFrame(
        {
            "gene_id": _without_version(table[form.gene_id], path),
            "symbol": _first_column(table, form.symbol),
            "length_bp": pd.to_numeric(_first_column(table, form.length_bp), errors="coerce"),
        }
    )
    if form.genes is not None and len(genes) != form.genes:
        raise InputError(
            f"{path}: {len(genes):,} genes, but the list '{format}' has {form.genes:,}; fetch the "
            "file again, or use the format 'table' for a list of your own"
        )
    return genes


def read_lengths(path: Path) -> dict[str, float]:
    """Return {Ensembl id: length in base pairs} of gene_length_df.csv (ensg_id, length).

    Raises InputError if a column is absent or a length is not a number above zero.
    """
    table = _read(path)
    if absent := [name for name in LENGTHS.values() if name not in table]:
        raise InputError(
            f"{path}: no column {', '.join(absent)}; give the paper's gene_length_df.csv, or a "
            "table of that form"
        )
    genes = _without_version(table[LENGTHS["gene_id"]].str.strip(), path)
    length = pd.to_numeric(table[LENGTHS["length_bp"]], errors="coerce")
    wrong = ~((length > 0) & (length < float("inf")))
    if wrong.any():
        raise InputError(
            f"{path}: the length '{table[LENGTHS['length_bp']][wrong].iloc[0]}' of "
            f"{genes[wrong].iloc[0]} is not a number above zero; correct it, or leave the row out"
        )
    return dict(zip(genes, length.astype(float), strict=True))


def _read(path: Path) -> pd.DataFrame:
    try:
        with open_bytes(path) as handle:
            table = pd.read_csv(handle, sep=delimiter(path), dtype=str, keep_default_na=False)
    except (*UNREADABLE, ValueError) as error:
        raise InputError(f"{path}: not a readable table ({error}); fetch it again") from error
    if table.empty:
        raise InputError(f"{path}: no gene below the header line; fetch it again")
    return table.rename(columns=str.strip)


def _without_version(ids: pd.Series, path: Path) -> pd.Series:
    """Return the ids without version; raises InputError unless each is a gene and stands once."""
    genes = ids.str.partition(".")[0]
    strange = ~genes.str.fullmatch(ENSEMBL_GENE)
    if strange.any():
        raise InputError(
            f"{path}: '{ids[strange].iloc[0]}' in data row {strange.idxmax() + 1} is no human "
            "Ensembl gene id; correct or remove the row"
        )
    if genes.duplicated().any():
        raise InputError(
            f"{path}: gene '{genes[genes.duplicated()].iloc[0]}' stands twice; keep one row"
        )
    return genes


def _first_column(table: pd.DataFrame, names: tuple[str, ...]) -> pd.Series:
    """Return the first of the columns that is there, empty cells None."""
    for name in names:
        if name in table:
            column = table[name].str.strip()
            return column.where(~column.isin(["", "NA", "nan"]), None)
    return pd.Series([None] * len(table), index=table.index, dtype=object)
