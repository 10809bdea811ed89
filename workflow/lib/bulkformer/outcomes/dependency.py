"""The dependency step: which genes each cell line cannot do without, one row a gene and line.

A release is two tables of 1,200 lines by 18,000 genes, hence 21 million rows: they are written a
run of lines at a time. Of the second table, the probabilities, all values are held, 4 bytes each,
because its lines may stand in another order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.identifiers import map_genes
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.files import atomic
from bulkformer.outcomes.cell_lines import resolver
from bulkformer.outcomes.dependency_tables import Scores, aligned, open_scores
from bulkformer.outcomes.tables import DEPENDENCY, finish_summary

EXAMPLES = 20
ROWS_IN_GROUP = 1_000_000


def dependency(
    format: Annotated[str, Option(help="depmap or table.")],
    release: Annotated[str, Option(help="Release of the tables, such as 24Q4.")],
    genes: Annotated[Path, Option(help="genes.parquet.")],
    cell_lines: Annotated[Path, Option(help="cell_lines.parquet.")],
    output: Annotated[Path, Option(help="dependency.parquet to write.")],
    summary: Annotated[Path, Option(help="dependency.json to write.")],
    effect: Annotated[Path | None, Option(help="Gene effect, models by genes.")] = None,
    probability: Annotated[Path | None, Option(help="Probability of dependency, or calls.")] = None,
    licence: Annotated[list[str] | None, Option(help="Licences of the sources.")] = None,
) -> None:
    """Write gene effect and probability of dependency in long form."""
    if effect is None and probability is None:
        raise InputError(
            "config, outcomes.dependency: neither effect nor probability is given; name at least "
            "one"
        )
    vocabulary = Vocabulary.load(genes)
    line_of = resolver(pq.read_table(cell_lines, columns=["cell_line_id", "sanger_id"]))
    main = open_scores(format, effect or probability)
    other = open_scores(format, probability) if effect and probability else None
    gene_rows, gene_content = one_column_a_gene(main, vocabulary)
    gene_ids = [vocabulary.gene_ids[gene] for gene, _ in gene_rows]
    columns = [column for _, column in gene_rows]
    if not columns:
        raise InputError(
            f"{main.path}: none of its genes is in the vocabulary; check that the format is right"
        )
    second = aligned(other, vocabulary, gene_rows, line_of) if other else {}

    tally = Tally()
    batches = (
        long_rows(gene_ids, line, (first, extra) if effect else (extra, first), release)
        for line, first, extra in known_lines(main, columns, second, line_of, tally)
    )
    with (
        atomic(output) as partial,
        pq.ParquetWriter(partial, DEPENDENCY, compression="zstd") as writer,
    ):
        for group in _grouped(batches):
            writer.write_table(group)
        if not tally.lines:
            raise InputError(
                f"{main.path}: none of its lines is in {cell_lines.name}; check that both are of "
                "one provider"
            )
    content = {
        "dropped": {
            name: n for name, n in {**tally.dropped, **gene_content["dropped"]}.items() if n
        },
        "joined": gene_content["joined"]
        | {
            "cell_lines": len(tally.lines),
            "lines_only_in_probability": len(set(second) - tally.lines),
            "lines_without_probability": len(tally.lines - set(second)) if other else 0,
        },
        "genes_in_several_columns": gene_content["repeated"],
        "binary": tally.binary,  # calls in place of scores: no ranking within a line
        "release": release,
    }
    files = [path for path in [effect, probability] if path]
    finish_summary(summary, tally.rows, content, (files, licence or []))


@dataclass
class Tally:
    """What was seen while the lines went by.

    Attributes
    ----------
    lines : cell_line_ids that were written
    rows : values that were written
    binary : whether all scores of the main table are 0 or 1
    dropped : {reason: number} of lines, and of values that neither table has
    """

    lines: set[str] = field(default_factory=set)
    rows: int = 0
    binary: bool = True
    dropped: Counter[str] = field(default_factory=Counter)


def known_lines(
    main: Scores,
    columns: list[int],
    second: dict[str, np.ndarray],
    line_of: dict[str, str],
    tally: Tally,
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield cell_line_id, scores of the main and of the second table, each float32 [n_genes].

    `columns` are those of the main table; of a line that stands twice the first row holds.
    """
    absent = np.full(len(columns), np.nan, dtype=np.float32)
    for models, values in main.blocks():
        for model, row in zip(models, values, strict=True):
            line = line_of.get(model)
            if line is None or line in tally.lines:
                tally.dropped["unknown_line" if line is None else "repeated_line"] += 1
                continue
            first, extra = row[columns], second.get(line, absent)
            missing = int((np.isnan(first) & np.isnan(extra)).sum())
            tally.lines.add(line)
            tally.binary &= bool(np.isin(first[~np.isnan(first)], (0, 1)).all())
            tally.dropped["values_missing_in_all"] += missing
            tally.rows += len(columns) - missing
            yield line, first, extra


def one_column_a_gene(
    scores: Scores, vocabulary: Vocabulary
) -> tuple[list[tuple[int, int]], dict[str, object]]:
    """Return (gene of the vocabulary, column of the file), in the order of the vocabulary.

    Scores cannot be summed as counts can, so a gene with several columns is left out and listed.
    """
    mapping = map_genes(scores.identifiers, scores.system, vocabulary)
    columns_of: dict[int, list[int]] = {}
    for column, gene in enumerate(mapping.column.tolist()):
        if gene >= 0:
            columns_of.setdefault(gene, []).append(column)
    repeated = [gene for gene, columns in sorted(columns_of.items()) if len(columns) > 1]
    rows = [(gene, found[0]) for gene, found in sorted(columns_of.items()) if len(found) == 1]
    content = {
        "dropped": {
            "genes_not_in_vocabulary": len(scores.identifiers) - int((mapping.column >= 0).sum()),
            "genes_in_several_columns": len(repeated),
        },
        "joined": {
            "genes_in_file": len(scores.identifiers),
            "genes": len(rows),
            "share_of_genes_known": round(float((mapping.column >= 0).mean()), 6),
        },
        "repeated": [vocabulary.gene_ids[gene] for gene in repeated][:EXAMPLES],
    }
    return rows, content


def long_rows(
    gene_ids: list[str],
    line: str,
    scores: tuple[np.ndarray, np.ndarray],
    release: str,
) -> pa.Table:
    """Return the rows of one line for the genes that have any score; NaN becomes null."""
    chosen = np.flatnonzero(~(np.isnan(scores[0]) & np.isnan(scores[1])))
    return pa.table(
        {
            "gene_id": pa.array([gene_ids[gene] for gene in chosen], pa.string()),
            "cell_line_id": pa.array([line] * len(chosen), pa.string()),
            "effect": pa.array(scores[0][chosen], pa.float32(), from_pandas=True),
            "probability": pa.array(scores[1][chosen], pa.float32(), from_pandas=True),
            "release": pa.array([release] * len(chosen), pa.string()),
        },
        schema=DEPENDENCY,
    )


def _grouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows of `tables` in groups of some ROWS_IN_GROUP."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(map(len, held)) >= ROWS_IN_GROUP:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


if __name__ == "__main__":
    command(dependency)
