"""The gene axis: which genes there are, in which order, and by which names files may call them.

The file holds one row a gene, in model order: sorted by id if the genes are our own choice, in the
order of the list if they are a published one.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError

SCHEMA = pa.schema(
    [
        ("gene_id", pa.string()),  # Ensembl, no version
        ("symbol", pa.string()),  # the gene_id where there is none
        ("entrez", pa.string()),  # null where unknown
        ("other_entrez", pa.list_(pa.string())),  # Entrez ids that mean this gene as well
        ("hgnc_id", pa.string()),  # null where unknown
        ("length_bp", pa.int64()),  # null: no TPM without a length, the gene counts as unmeasured
        ("length_source", pa.string()),  # by which definition; null where there is no length
        ("biotype", pa.string()),  # null where the annotation lacks the gene
        ("chromosome", pa.string()),  # likewise
        ("in_annotation", pa.bool_()),  # a listed gene that is not stays, so that the model fits
        ("aliases", pa.list_(pa.string())),  # other symbols that mean this gene and no other
        ("ambiguous", pa.list_(pa.string())),  # names that also mean another gene; never used
        ("source", pa.string()),  # files from which the row was made
    ]
)
# Metadata of the file: what becomes of the copies on Y of genes where X and Y recombine.
PAR_Y, SUM, DROP = b"par_y", "sum", "drop"


@dataclass(frozen=True)
class Vocabulary:
    """The genes of the model, in model order.

    Attributes
    ----------
    gene_ids, symbols : n_genes strings
    length_bp : float64 [n_genes], NaN where unknown
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

    @property
    def drops_copies_on_y(self) -> bool:
        """Whether counts of copies on Y are left out, and not added to those of the gene on X."""
        return (self.table.schema.metadata or {}).get(PAR_Y, b"").decode() == DROP

    @property
    def has_length(self) -> np.ndarray:
        """Bool [n_genes]: genes that can have a TPM."""
        return ~np.isnan(self.length_bp)

    def own_names(self, system: str) -> set[str]:
        """Return the current names of the genes in an identifier system, none of their others."""
        if system == "ensembl":
            return set(self.gene_ids)
        return set(self.table["symbol" if system == "symbol" else "entrez"].to_pylist())

    def names(self, system: str) -> tuple[dict[str, int], set[str]]:
        """Return {name: index} of an identifier system, and the names that are ambiguous in it.

        `system` is "ensembl", "symbol", or one that ends in "entrez".
        """
        if system == "ensembl":
            return {gene_id: at for at, gene_id in enumerate(self.gene_ids)}, set()
        column, others = ("symbol", "aliases") if system == "symbol" else ("entrez", "other_entrez")
        known: dict[str, int] = {}
        ambiguous: set[str] = set()
        rows = zip(
            *(self.table[name].to_pylist() for name in [column, others, "ambiguous"]), strict=True
        )
        for at, (name, synonyms, shared) in enumerate(rows):
            known |= {name: at for name in [name, *synonyms] if name and name not in shared}
            ambiguous.update(shared)
        return known, ambiguous - known.keys()
