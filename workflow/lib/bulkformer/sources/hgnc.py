"""HGNC: approved gene symbols, and the earlier and other names that point to them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.text_matrix import UNREADABLE, open_bytes

FIELDS = {
    "gene_id": "ensembl_gene_id",
    "hgnc_id": "hgnc_id",
    "symbol": "symbol",
    "entrez": "entrez_id",
    "previous": "prev_symbol",
    "aliases": "alias_symbol",
}


def read_hgnc(path: Path) -> pd.DataFrame:
    """Read hgnc_complete_set.txt.

    Returns one row a gene with gene_id, hgnc_id, symbol, entrez (str, None where HGNC has none) and
    previous, aliases (lists of str). Genes without an Ensembl id stay in: their names still make a
    name ambiguous. Raises InputError if a column is absent or an approved symbol stands twice.
    """
    try:
        with open_bytes(path) as handle:
            table = pd.read_csv(
                handle,
                sep="\t",
                dtype=str,
                keep_default_na=False,
                usecols=lambda name: name in {*FIELDS.values(), "status"},
            )
    except (*UNREADABLE, ValueError) as error:
        raise InputError(f"{path}: not a readable HGNC table ({error}); fetch it again") from error
    absent = [theirs for theirs in FIELDS.values() if theirs not in table]
    if absent:
        raise InputError(
            f"{path}: no column {', '.join(absent)}; give hgnc_complete_set.txt of HGNC"
        )
    if "status" in table:
        table = table[table["status"] == "Approved"]
    genes = pd.DataFrame(
        {ours: table[theirs].str.strip() for ours, theirs in FIELDS.items()}
    ).reset_index(drop=True)
    for column in ["previous", "aliases"]:
        genes[column] = [
            [name.strip() for name in names.split("|") if name.strip()] for names in genes[column]
        ]
    for column in ["gene_id", "entrez"]:
        genes[column] = genes[column].where(genes[column] != "", None)
    repeated = genes["symbol"][genes["symbol"].duplicated()]
    if len(repeated):
        raise InputError(f"{path}: the symbol '{repeated.iloc[0]}' stands twice; fetch it again")
    return genes
