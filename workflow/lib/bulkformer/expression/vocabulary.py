"""The gene axis: which genes there are, in which order, and by which names files may call them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError

SCHEMA = pa.schema(
    [
        ("gene_id", pa.string()),  # Ensembl, no version; rows are sorted by it
        ("symbol", pa.string()),  # the gene_id where there is none
        ("entrez", pa.string()),  # null where unknown
        ("hgnc_id", pa.string()),  # null where unknown
        ("length_bp", pa.int64()),
        ("biotype", pa.string()),
        ("chromosome", pa.string()),
        ("aliases", pa.list_(pa.string())),  # other symbols that mean this gene and no other
        ("ambiguous", pa.list_(pa.string())),  # names that also mean another gene; never used
        ("source", pa.string()),  # files from which the row was made
    ]
)


@dataclass(frozen=True)
class Vocabulary:
    """The genes of the model, in model order.

    Attributes
    ----------
    gene_ids, symbols : n_genes strings
    length_bp : float64 [n_genes]
    table : all columns of genes.parquet
    """

    gene_ids: list[str]
    symbols: list[str]
    length_bp: np.ndarray
    table: pa.Table

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read genes.parquet; raises InputError if it is not the file of the expression stage."""
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise InputError(
                f"{path}: not a readable vocabulary ({error}); run the expression stage again"
            ) from error
        absent = [name for name in SCHEMA.names if name not in table.column_names]
        if absent:
            raise InputError(
                f"{path}: no column {', '.join(absent)}; run the expression stage again"
            )
        return cls(
            table["gene_id"].to_pylist(),
            table["symbol"].to_pylist(),
            table["length_bp"].to_numpy().astype(np.float64),
            table,
        )

    def __len__(self) -> int:
        return len(self.gene_ids)

    def names(self, system: str) -> tuple[dict[str, int], set[str]]:
        """Return {name: index} of an identifier system, and the names that are ambiguous in it.

        `system` is "ensembl", "symbol", or one that ends in "entrez".
        """
        if system == "ensembl":
            return {gene_id: at for at, gene_id in enumerate(self.gene_ids)}, set()
        column = "symbol" if system == "symbol" else "entrez"
        known: dict[str, int] = {}
        ambiguous: set[str] = set()
        rows = zip(
            *(self.table[name].to_pylist() for name in [column, "aliases", "ambiguous"]),
            strict=True,
        )
        for at, (name, aliases, shared) in enumerate(rows):
            names = [name, *(aliases if column == "symbol" else [])]
            known |= {name: at for name in names if name and name not in shared}
            ambiguous.update(shared)
        return known, ambiguous - known.keys()
