"""Tables of gene dependency as blocks of lines: DepMap's wide tables, or any genes by lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.expression.identifiers import map_genes
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.sources.depmap_tables import open_gene_matrix
from bulkformer.sources.text_matrix import TextMatrix, read_header, sample_blocks

FORMATS = ["depmap", "table"]
LINES_AT_ONCE = 64

Blocks = Iterator[tuple[list[str], np.ndarray]]


@dataclass(frozen=True)
class Scores:
    """One table: names of its genes, and blocks of (line ids, float32 [n_lines, n_genes])."""

    path: Path
    identifiers: list[str]
    system: str
    blocks: Callable[[], Blocks] = field(repr=False)


def open_scores(format: str, path: Path) -> Scores:
    """Open a table of scores.

    "depmap" is models by genes, `SYMBOL (ENTREZ)`; "table" is genes in rows, symbols first, lines
    in columns (Parquet with the symbols as its index, TSV or CSV).
    """
    if format == "depmap":
        matrix = open_gene_matrix(path)
        return Scores(path, matrix.entrez, "entrez", matrix.rows)
    if format != "table":
        raise InputError(f"dependency format '{format}' is unknown; known are {', '.join(FORMATS)}")
    if path.suffix == ".parquet":
        return _parquet(path)
    header = read_header(path)
    text = TextMatrix(path, 0, header, 0, list(range(1, len(header))))
    symbols = text.labels()

    def blocks() -> Blocks:
        for lines, values in sample_blocks(text, text.values, header[1:], LINES_AT_ONCE):
            yield lines, values.astype(np.float32)

    return Scores(path, symbols, "symbol", blocks)


def _parquet(path: Path) -> Scores:
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable Parquet table ({error})") from error
    schema = file.schema_arrow
    text_types = (pa.string(), pa.large_string())
    texts = [name for name in schema.names if schema.field(name).type in text_types]
    if len(texts) != 1:
        raise InputError(
            f"{path}: {len(texts)} columns of text; give one of gene symbols, and one of numbers "
            "for each line"
        )
    symbols = file.read([texts[0]])[texts[0]].to_pylist()
    lines = [name for name in schema.names if name != texts[0]]

    def blocks() -> Blocks:
        for start in range(0, len(lines), LINES_AT_ONCE):
            chosen = lines[start : start + LINES_AT_ONCE]
            table = file.read(chosen)
            yield chosen, np.stack([table[name].to_numpy().astype(np.float32) for name in chosen])

    return Scores(path, symbols, "symbol", blocks)


def aligned(
    scores: Scores,
    vocabulary: Vocabulary,
    gene_rows: list[tuple[int, int]],
    line_of: dict[str, str],
) -> dict[str, np.ndarray]:
    """Return {cell_line_id: float32 [len(gene_rows)]} of a second table, NaN where it has nothing.

    Its genes are matched by name, whatever their order; the first row of a line holds.
    """
    column = map_genes(scores.identifiers, scores.system, vocabulary).column.tolist()
    where: dict[int, list[int]] = {}
    for at, gene in enumerate(column):
        if gene >= 0:
            where.setdefault(gene, []).append(at)
    single = [where.get(gene, []) for gene, _ in gene_rows]
    source = np.array([found[0] if len(found) == 1 else -1 for found in single], dtype=np.int64)
    found: dict[str, np.ndarray] = {}
    for models, values in scores.blocks():
        for model, row in zip(models, values, strict=True):
            line = line_of.get(model)
            if line is not None and line not in found:
                found[line] = np.where(source >= 0, row[source], np.float32(np.nan))
    return found
