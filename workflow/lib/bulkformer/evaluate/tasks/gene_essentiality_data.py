"""What the heads of gene essentiality read: dependencies as a matrix, and vectors beside them.

Lines and genes are matched by id, never by position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.evaluate.records import equals, read_columns

EXPRESSION = "log_tpm"  # the embedder whose vectors are the expression itself
DEPENDENT = 0.5  # probability above which a line depends on a gene, as DepMap says


@dataclass(frozen=True)
class Units:
    """The cell lines of the manifest, sorted by sample id: arrays [n]."""

    sample_id: list[str]
    group: np.ndarray
    lineage: np.ndarray


@dataclass(frozen=True)
class Dependencies:
    """Dependencies of lines (rows, as asked for) on genes (columns, sorted).

    Attributes
    ----------
    genes : gene ids [t]
    values : float32 [n, t], what is predicted; NaN where unknown
    dependent : int8 [n, t], 1 or 0 where a probability is known, else -1
    """

    genes: list[str]
    values: np.ndarray
    dependent: np.ndarray


def tested_lines(manifest: pa.Table, path: Path) -> Units:
    """Return the cell lines of the manifest with their patients and lineages, sorted by id.

    Raises InputError, naming the `path` of the manifest, if it holds none.
    """
    by_patient = manifest.filter(
        pa.array(equals(manifest, "group_kind", "patient") & (manifest["repeat"].to_numpy() == 0))
    ).sort_by("unit")
    if not len(by_patient):
        raise InputError(
            f"{path}: holds no line of gene_essentiality in a group of kind patient; make the "
            "split again"
        )
    group, lineage = (
        np.array(by_patient[name].to_pylist(), dtype=object) for name in ("group", "stratum")
    )
    return Units(by_patient["unit"].to_pylist(), group, lineage)


def read_dependencies(path: Path, lines: Sequence[str], endpoint: str) -> Dependencies:
    """Read `effect` or `probability` of the given cell_line_ids, a run of rows at a time.

    A gene without any value of the endpoint in these lines is left out. Raises InputError if the
    table has no value at all.
    """
    row_of = {line: row for row, line in enumerate(lines)}
    columns = ["gene_id", "cell_line_id"]
    file = pq.ParquetFile(path, read_dictionary=columns)
    genes = sorted(set(_names(file, "gene_id")))
    column_of = {gene: column for column, gene in enumerate(genes)}
    values = np.full((len(lines), len(genes)), np.nan, dtype=np.float32)
    dependent = np.full(values.shape, -1, dtype=np.int8)
    for number in range(file.num_row_groups):
        table = file.read_row_group(number, columns=[*columns, "effect", "probability"])
        rows, places = (
            _codes(table[name], of)
            for name, of in (("cell_line_id", row_of), ("gene_id", column_of))
        )
        known = rows >= 0
        rows, places = rows[known], places[known]
        chance = table["probability"].to_numpy()[known]
        values[rows, places] = table[endpoint].to_numpy()[known]
        dependent[rows, places] = np.where(np.isnan(chance), -1, chance > DEPENDENT)
    any_value = ~np.isnan(values).all(axis=0)
    if not any_value.any():
        raise InputError(
            f"{path}: no {endpoint} of any tested line; name a table that has it in "
            "outcomes.dependency, or set evaluate.gene_essentiality.endpoint"
        )
    kept = [gene for gene, keep in zip(genes, any_value, strict=True) if keep]
    return Dependencies(kept, values[:, any_value], dependent[:, any_value])


def cell_line_ids(samples: Path, cell_lines: Path, sample_ids: Sequence[str]) -> list[str]:
    """Return the cell_line_id of each sample; raises InputError for one that has none."""
    # Imported here: it loads pandas, for which the help of the step need not wait.
    from bulkformer.outcomes.cell_lines import resolver

    columns = read_columns(samples, ["sample_id", "cell_line_id"])
    line_of = resolver(pq.read_table(cell_lines, columns=["cell_line_id", "sanger_id"]))
    found = dict(zip(columns["sample_id"], columns["cell_line_id"], strict=True))
    absent = [name for name in sample_ids if found.get(name) not in line_of]
    if absent:
        raise InputError(
            f"{samples}: {len(absent)} samples of the manifest are no known cell line, first "
            f"'{absent[0]}'; make the split again"
        )
    return [line_of[found[name]] for name in sample_ids]


def own_columns(
    vocabulary: Path, genes: Sequence[str], embedder: str, dimension: int
) -> np.ndarray | None:
    """Return the column of each gene in vectors that are the expression; None if they are not.

    Raises InputError for expression of another vocabulary.
    """
    if embedder != EXPRESSION:
        return None
    names = read_columns(vocabulary, ["gene_id"])["gene_id"]
    if len(names) != dimension:
        raise InputError(
            f"{vocabulary}: {len(names)} genes, but vectors of {EXPRESSION} have {dimension}; run "
            "the embed stage again"
        )
    column_of = {gene: column for column, gene in enumerate(names)}
    return np.array([column_of.get(gene, -1) for gene in genes])


def _names(file: pq.ParquetFile, column: str) -> list[str]:
    names: set[str] = set()
    for number in range(file.num_row_groups):
        names.update(file.read_row_group(number, columns=[column])[column].unique().to_pylist())
    return sorted(names)


def _codes(column: pa.ChunkedArray, place_of: dict[str, int]) -> np.ndarray:
    """Return the place of each value, -1 for one that has none."""
    encoded = column.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    places = np.array([place_of.get(name, -1) for name in encoded.dictionary.to_pylist()])
    return places[encoded.indices.to_numpy()]
