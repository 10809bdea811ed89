"""Sample tables: reading them, finding the columns we know by other names, joining them by id.

Samples are joined by identifier and never by position, and what a table does not say stays unknown;
only a TCGA barcode may speak for itself, because patient and sample type are part of it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.sources.counts import CohortFiles, check_unique
from bulkformer.sources.text_matrix import UNREADABLE, delimiter, open_bytes

UNKNOWN = frozenset(["", "NA", "N/A", "NaN", "nan", "null"])
ALWAYS = ["sample_id", "study_id", "patient_id"]
NUMERIC = ["single_cell_probability", "aligned_reads"]

# GDC code tables, "Sample Type Codes"; names as GDC sample sheets spell them.
TCGA_SAMPLE_TYPES = {
    "01": "Primary Tumor",
    "02": "Recurrent Tumor",
    "03": "Primary Blood Derived Cancer - Peripheral Blood",
    "04": "Recurrent Blood Derived Cancer - Bone Marrow",
    "05": "Additional - New Primary",
    "06": "Metastatic",
    "07": "Additional Metastatic",
    "08": "Human Tumor Original Cells",
    "09": "Primary Blood Derived Cancer - Bone Marrow",
    "10": "Blood Derived Normal",
    "11": "Solid Tissue Normal",
    "12": "Buccal Cell Normal",
    "13": "EBV Immortalized Normal",
    "14": "Bone Marrow Normal",
    "20": "Control Analyte",
    "40": "Recurrent Blood Derived Cancer - Peripheral Blood",
    "50": "Cell Lines",
    "60": "Primary Xenograft Tissue",
    "61": "Cell Line Derived Xenograft Tissue",
}
# R turns dashes into dots when barcodes become column names.
BARCODE = re.compile(r"^TCGA[-.](\w{2})[-.](\w{4})(?:[-.](\d{2})[A-Z]?(?:[-.].*)?)?$")


def patient_of(barcode: str | None) -> str | None:
    """Return the patient of a TCGA barcode with dashes; other identifiers as they are."""
    match = BARCODE.match(barcode or "")
    return f"TCGA-{match[1]}-{match[2]}" if match else barcode


def parse_columns(text: str, place: str = "cohorts table, sample_columns") -> dict[str, str]:
    """Return {our name: their name} of "ours=theirs;ours=theirs".

    `place` is where the message of an InputError says that it stands.
    """
    columns: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        ours, separator, theirs = (piece.strip() for piece in part.partition("="))
        if not (ours and separator and theirs) or ours in columns:
            raise InputError(
                f"{place}: cannot read '{part}'; write ours=theirs;ours=theirs, each of our names "
                "once"
            )
        columns[ours] = theirs
    return columns


def read_sample_table(path: Path, encoding: str = "utf-8-sig") -> pd.DataFrame:
    """Read a TSV, CSV (each also gzipped) or Parquet table; all columns str, None if unknown.

    Row names without a header, as R writes them, become the column `row_names`.
    """
    try:
        if path.suffix == ".parquet":
            stored = pq.read_table(path)
            table = pd.DataFrame(
                {name: stored[name].cast(pa.string()).to_pandas() for name in stored.column_names}
            ).fillna("")
        else:
            with open_bytes(path) as handle:
                table = pd.read_csv(
                    handle,
                    sep=delimiter(path),
                    dtype=str,
                    keep_default_na=False,
                    encoding=encoding,
                )
        if not isinstance(table.index, pd.RangeIndex):
            if (table.iloc[:, -1] == "").all():
                raise ValueError("its rows end with a separator that its header has not")
            table = table.reset_index(names="row_names")
    # What pandas raises for a malformed file are ValueErrors.
    except (*UNREADABLE, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: not a readable sample table ({error}); give a TSV, CSV or Parquet file with "
            "one header line and one row a sample"
        ) from error
    table.columns = [str(column).strip() for column in table.columns]
    if delimiter(path) == "\t" and path.suffix != ".parquet":
        _check_quotes(table, path)
    return as_text(table)


def _check_quotes(table: pd.DataFrame, path: Path) -> None:
    """Raise InputError for a cell that two stray quotation marks made of several rows."""
    for name in table.columns:
        for row, cell in enumerate(table[name]):
            if "\n" in cell:
                raise InputError(
                    f"{path}: '{name}' in row {row + 1} of the data begins with a quotation mark "
                    f"and goes on in the next line ({cell[:40]!r}); remove the mark"
                )


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Strip every cell of a table of str; a cell that says nothing becomes None."""
    return pd.DataFrame(
        {
            name: [None if cell.strip() in UNKNOWN else cell.strip() for cell in table[name]]
            for name in table.columns
        },
        dtype=object,
    )


def select(table: pd.DataFrame, columns: dict[str, str], path: Path) -> pd.DataFrame:
    """Return the columns {our name: their name} of `table` under our names.

    Raises InputError naming a column that is not there, and those that are.
    """
    for ours, theirs in columns.items():
        if theirs not in table.columns:
            raise InputError(
                f"{path}: no column '{theirs}' for {ours}; the columns are "
                f"{', '.join(map(str, table.columns))}. Say which one it is in sample_columns of "
                f"the cohorts table, as {ours}=<column>"
            )
    return pd.DataFrame(
        {ours: table[theirs] for ours, theirs in columns.items()}, index=table.index
    )


def match(files: CohortFiles, sample_ids: list[str]) -> tuple[list[int], pd.DataFrame]:
    """Return the positions of the samples to read, and all that the sample table says of them.

    The table's columns go by our names where `files.columns` gives them. Without a table, nothing
    is known but what TCGA barcodes say. Raises InputError as `select` and `join` do.
    """
    if files.samples is None:
        check_unique(sample_ids, files.expression)
        positions, samples = list(range(len(sample_ids))), pd.DataFrame({"sample_id": sample_ids})
    else:
        table = renamed(read_sample_table(files.samples), files.columns, files.samples)
        positions, samples = join(sample_ids, table, files.expression, files.samples)
    return positions, complete(from_barcodes(samples), files.samples or files.expression)


def renamed(table: pd.DataFrame, columns: dict[str, str], path: Path) -> pd.DataFrame:
    """Return all columns of `table`, those of {our name: their name} first and under our names."""
    named = select(table, {"sample_id": "sample_id"} | columns, path)
    others = table.drop(columns=[name for name in columns.values() if name in table])
    others = others.drop(columns=[name for name in others if name in named])
    return pd.concat([named, others], axis=1)


def join(
    sample_ids: Sequence[str], table: pd.DataFrame, path: Path, table_path: Path
) -> tuple[list[int], pd.DataFrame]:
    """Match the samples of a matrix with the rows of its sample table.

    Returns the positions in `sample_ids` of the samples that are in both, in their order, and their
    rows of `table`. Says on stderr how many were left out. Raises InputError if the matrix or the
    table repeats an id, or if the two share none.
    """
    check_unique(sample_ids, path)
    if table["sample_id"].isna().any():
        row = int(table["sample_id"].isna().to_numpy().argmax())
        raise InputError(f"{table_path}: row {row + 1} has no sample id; fill it or remove the row")
    check_unique(table["sample_id"].tolist(), table_path)
    known = set(table["sample_id"])
    positions = [at for at, sample_id in enumerate(sample_ids) if sample_id in known]
    if not positions:
        example = f"'{sample_ids[0]}'" if sample_ids else "none"
        raise InputError(
            f"{path} and {table_path} share no sample: the first ids are {example} and "
            f"'{table['sample_id'].iloc[0] if len(table) else 'none'}'. Name the column of the "
            "table that holds the ids in sample_columns, as sample_id=<column>, and check the "
            "orientation"
        )
    if len(positions) < len(sample_ids) or len(positions) < len(table):
        print(
            f"{path}: {len(sample_ids) - len(positions)} of {len(sample_ids)} samples are not in "
            f"{table_path}, and {len(table) - len(positions)} of its {len(table)} rows have no "
            "counts; both were left out",
            file=sys.stderr,
        )
    chosen = [sample_ids[at] for at in positions]
    return positions, table.set_index("sample_id").loc[chosen].reset_index()


def from_barcodes(table: pd.DataFrame) -> pd.DataFrame:
    """Fill unknown `patient_id` and `sample_type` from sample ids that are TCGA barcodes."""
    matches = [BARCODE.match(sample_id) for sample_id in table["sample_id"]]
    if not any(matches):
        return table
    table = table.copy()
    barcode = {
        "patient_id": [f"TCGA-{m[1]}-{m[2]}" if m else None for m in matches],
        "sample_type": [TCGA_SAMPLE_TYPES.get(m[3]) if m else None for m in matches],
    }
    for column, values in barcode.items():
        if not any(values):
            continue
        given = (
            table[column] if column in table else pd.Series(None, index=table.index, dtype=object)
        )
        pairs = zip(given, values, strict=True)
        table[column] = pd.Series(
            [value if pd.isna(known) else known for known, value in pairs],
            index=table.index,
            dtype=object,
        )
    return table


def complete(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Put the columns that are always there first and turn the numeric ones into floats."""
    columns = dict.fromkeys(ALWAYS) | {name: table[name] for name in table.columns}
    for name in NUMERIC:
        if name in columns:
            try:
                columns[name] = pd.to_numeric(columns[name]).astype(float)
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"{path}: column '{name}' is not all numbers ({error}); correct it, or map "
                    "another column in sample_columns"
                ) from error
    completed = pd.DataFrame(columns, index=table.index).reset_index(drop=True)
    texts = [name for name in completed if name not in NUMERIC]
    completed[texts] = completed[texts].astype(object).where(completed[texts].notna(), None)
    return completed
