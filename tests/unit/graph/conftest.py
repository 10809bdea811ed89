"""A vocabulary of genes that a test names."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from bulkformer.expression.vocabulary import SCHEMA
from bulkformer.files import write_table


def write_vocabulary(
    path: Path,
    symbols: Sequence[str],
    aliases: dict[str, list[str]] | None = None,
    ambiguous: dict[str, list[str]] | None = None,
) -> list[str]:
    """Write genes.parquet; return the gene ids, in the order of `symbols`."""
    columns = {name: pa.nulls(len(symbols), SCHEMA.field(name).type) for name in SCHEMA.names}
    columns["gene_id"] = [f"ENSG{number:011d}" for number in range(1, len(symbols) + 1)]
    columns["symbol"] = symbols
    columns["aliases"] = [(aliases or {}).get(symbol, []) for symbol in symbols]
    columns["ambiguous"] = [(ambiguous or {}).get(symbol, []) for symbol in symbols]
    write_table(path, pa.table(columns, schema=SCHEMA))
    return columns["gene_id"]


@pytest.fixture(name="write_vocabulary", scope="session")
def vocabulary_writer():
    """The function that writes a vocabulary."""
    return write_vocabulary
