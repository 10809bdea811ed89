"""Plain matrices of counts: TSV, CSV (each also gzipped) or Parquet, and a sample table.

This is the way in for a user's own cohort: one row in the cohorts table says which file, which
orientation, and which columns of the sample table hold what.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.sources.counts import Blocks, CohortFiles, Counts, check_unique
from bulkformer.sources.samples import match
from bulkformer.sources.text_matrix import TextMatrix, chosen_rows, read_header, sample_blocks

ORIENTATIONS = ["genes_in_rows", "samples_in_rows"]


def read(files: CohortFiles) -> Counts:
    """Open a matrix whose first column (or Parquet index) holds the identifiers of its rows.

    With a sample table, samples that are in both are read and a line on stderr says how many were
    left out; all columns of the table are carried, renamed as asked. Without one, nothing is known
    of the samples but what TCGA barcodes say. Raises InputError for samples that stand twice and
    for matrices and tables that share no sample.
    """
    if files.orientation not in ORIENTATIONS:
        raise InputError(
            f"{files.expression}: orientation '{files.orientation}' is unknown; write "
            f"{' or '.join(ORIENTATIONS)} in the cohorts table"
        )
    if files.expression.suffix == ".parquet":
        return _read_parquet(files)
    return _read_text(files)


def _read_text(files: CohortFiles) -> Counts:
    path = files.expression
    columns = read_header(path)
    matrix = TextMatrix(path, 0, columns, 0, list(range(1, len(columns))))
    labels = matrix.labels()
    if files.orientation == "genes_in_rows":
        gene_ids = labels
        positions, samples = match(files, columns[1:])
        chosen = [matrix.values[at] for at in positions]
        sample_ids = samples["sample_id"].tolist()

        def blocks(max_samples: int) -> Blocks:
            return sample_blocks(matrix, chosen, sample_ids, max_samples)
    else:
        gene_ids = columns[1:]
        positions, samples = match(files, labels)

        def blocks(max_samples: int) -> Blocks:
            return chosen_rows(matrix.rows(), positions, labels, max_samples)

    return Counts(gene_ids, samples, blocks)


def _read_parquet(files: CohortFiles) -> Counts:
    path = files.expression
    try:
        schema = pq.read_schema(path)
        label = _label_column(schema, path)
        labels = pq.read_table(path, columns=[label])[label].cast(pa.string()).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: not a readable Parquet file ({error}); fetch it again"
        ) from error
    if None in labels:
        raise InputError(f"{path}: row {labels.index(None) + 1} has no '{label}'; name every row")
    labels = [text.strip() for text in labels]
    columns = [name for name in schema.names if name != label]
    if files.orientation == "genes_in_rows":
        gene_ids = labels
        positions, samples = match(files, [name.strip() for name in columns])
        wanted = [columns[at] for at in positions]
        sample_ids = samples["sample_id"].tolist()
        _check_types(schema, wanted, path)

        def blocks(max_samples: int) -> Blocks:
            for start in range(0, len(wanted), max_samples):
                table = pq.read_table(path, columns=wanted[start : start + max_samples])
                values = np.stack([column.to_numpy() for column in table.columns])
                ids = sample_ids[start : start + len(values)]
                yield ids, values
    else:
        gene_ids = [name.strip() for name in columns]
        positions, samples = match(files, labels)
        _check_types(schema, columns, path)

        def blocks(max_samples: int) -> Blocks:
            with pq.ParquetFile(path) as file:
                rows = (
                    np.stack([c.to_numpy(zero_copy_only=False) for c in batch.columns], axis=1)
                    for batch in file.iter_batches(batch_size=max_samples, columns=columns)
                )
                yield from chosen_rows(rows, positions, labels, max_samples)

    return Counts(gene_ids, samples, blocks)


def _label_column(schema: pa.Schema, path: Path) -> str:
    """Return the column of row identifiers: the stored pandas index, else the first column."""
    if len(set(schema.names)) < len(schema.names):
        check_unique(schema.names, path)
    index = [
        name
        for name in (schema.pandas_metadata or {}).get("index_columns", [])
        if isinstance(name, str)  # a numbered index is described, not stored
    ]
    if len(index) > 1 or len(schema.names) < 2:
        raise InputError(
            f"{path}: {len(schema.names)} columns with {len(index)} of them as index; store one "
            "column of row identifiers and the columns of counts"
        )
    return index[0] if index else schema.names[0]


def _check_types(schema: pa.Schema, columns: list[str], path: Path) -> None:
    for name in columns:
        type_ = schema.field(name).type
        if not (pa.types.is_integer(type_) or pa.types.is_floating(type_)):
            raise InputError(
                f"{path}: column '{name}' holds {type_} and not numbers; leave it out of the "
                "matrix, or out of the sample table"
            )
