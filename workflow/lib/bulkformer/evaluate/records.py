"""Reads the labels and group keys of samples, column by column, without a data frame.

Every step of this stage is a process of its own, and most of them need a few columns of a few
tables: plain lists are enough, and the step starts at once.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError

Columns = dict[str, list]

# Sample types of the Genomic Data Commons, by name and by the two digits of the barcode, that are a
# primary tumour; blood cancers have no solid one.
PRIMARY_SAMPLE_TYPES = frozenset(
    {
        "Primary Tumor",
        "Primary Blood Derived Cancer - Peripheral Blood",
        "Primary Blood Derived Cancer - Bone Marrow",
        "01",
        "03",
        "09",
    }
)


def read_columns(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Columns:
    """Return the named columns as lists; an optional column that is absent is all None.

    Raises InputError if the file cannot be read or lacks a required column.
    """
    try:
        names = pq.read_schema(path).names
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: not a readable Parquet file ({error}); make it again") from error
    absent = [name for name in required if name not in names]
    if absent:
        raise InputError(
            f"{path}: no column '{absent[0]}'; it has {', '.join(names)}. "
            "Name a column that is there, or add this one"
        )
    present = list(dict.fromkeys([*required, *(name for name in optional if name in names)]))
    table = pq.read_table(path, columns=present)
    columns = {name: table[name].to_pylist() for name in present}
    return columns | {name: [None] * table.num_rows for name in optional if name not in columns}


def select(columns: Columns, rows: Sequence[int]) -> Columns:
    """Return the chosen rows of every column."""
    return {name: [values[row] for row in rows] for name, values in columns.items()}


def equals(table: pa.Table, name: str, value: str | None) -> np.ndarray:
    """Return which rows have `value` in a column of text, bool [n]; None means null.

    Raises ValueError for a value that is not in the dictionary of a column that has one.
    """
    column = table[name].combine_chunks()
    if value is None:
        return column.is_null().to_numpy(zero_copy_only=False)
    if not pa.types.is_dictionary(column.type):
        return np.array([each == value for each in column.to_pylist()], dtype=bool)
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes == column.dictionary.to_pylist().index(value)


def read_kept(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Columns:
    """Return the samples of a cohort that passed quality control, sorted by sample id."""
    columns = read_columns(path, ["sample_id", *required], ["kept", *optional])
    ids = columns["sample_id"]
    kept = [row for row, keep in enumerate(columns["kept"]) if keep is None or keep]
    return select(columns, sorted(kept, key=lambda row: ids[row]))


def pair(cohorts: Sequence[str], paths: Sequence[Path], option: str) -> dict[str, Path]:
    """Join the options `--cohort` and `option`, which come in the same order."""
    if len(cohorts) != len(paths) or len(set(cohorts)) != len(cohorts):
        raise InputError(
            f"{len(cohorts)} --cohort and {len(paths)} {option}; "
            "give each cohort once, with one file each, in the same order"
        )
    return dict(zip(cohorts, paths, strict=True))


def split_keys(value: str | None) -> list[str]:
    """Return the single keys of a field that may hold several, separated by commas."""
    return [key.strip() for key in (value or "").split(",") if key.strip()]


def as_key(name: str | None) -> str:
    """Return a name without the comma, which separates keys."""
    return (name or "").replace(",", ";")


def one_primary_per_patient(samples: Columns) -> list[int]:
    """Return the rows that stay when each patient counts once, with a primary tumour.

    Where the cohort knows sample types, normals, metastases and recurrences leave. Of the aliquots
    of a patient the first by sample id stays; samples without a patient id all stay. `samples`
    needs the columns sample_id, patient_id and sample_type.
    """
    types = samples["sample_type"]
    if PRIMARY_SAMPLE_TYPES.intersection(types):
        rows = [
            row for row, kind in enumerate(types) if kind is None or kind in PRIMARY_SAMPLE_TYPES
        ]
    else:
        rows = list(range(len(types)))
    first: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: samples["sample_id"][row]):
        patient = samples["patient_id"][row]
        first.setdefault(f"patient {patient}" if patient else f"row {row}", row)
    return sorted(first.values())
