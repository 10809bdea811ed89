"""Tables of facts about patients, drugs, lines or profiles: the columns we need, under our names.

Providers call one thing by many names; which column is which is said once, by a mapping of our
names to theirs, and what is missing is reported with the columns that are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.samples import parse_columns, read_sample_table

# How these providers spell "not available", beside those that every sample table may use.
NOTHING = frozenset(
    ["#N/A", "[Not Available]", "[Not Applicable]", "[Unknown]", "none", "None", "-666", "-666.0"]
)


def parse_mapping(text: str, key: str) -> dict[str, str]:
    """Return {our name: their name} of the "ours=theirs;ours=theirs" at a config key."""
    return parse_columns(text, f"config, {key}")


def read_fields(
    path: Path,
    required: Mapping[str, str],
    optional: Mapping[str, str] | None = None,
    key: str = "",
) -> pd.DataFrame:
    """Read TSV, CSV (also gzipped) or Parquet; all cells str, None where there is nothing.

    Parameters
    ----------
    required, optional : our name -> their column; an optional column that is absent is all None
    key : config key that a message names as the place to correct the mapping

    Raises InputError if a required column is absent, or if there is no row.
    """
    table = read_sample_table(path)
    if table.empty:
        raise InputError(f"{path}: no row below the header line; fetch it again")
    fields = {}
    for ours, theirs in {**(optional or {}), **required}.items():
        if theirs in table.columns:
            fields[ours] = nothing_to_none(table[theirs])
        elif ours in required:
            raise InputError(
                f"{path}: no column '{theirs}' for {ours}; the columns are "
                f"{', '.join(map(str, table.columns[:20]))}. Give the provider's file"
                + (f", or say which column it is in {key}" if key else "")
            )
        else:
            fields[ours] = pd.Series([None] * len(table), dtype=object)
    return pd.DataFrame(fields, dtype=object)


def check_ids(
    table: pd.DataFrame, column: str, path: Path, theirs: str, form: re.Pattern[str] | None = None
) -> None:
    """Raise InputError for the first row whose id is absent or not of `form`, or stands twice.

    `theirs` is the name of the column in the provider's file.
    """
    ids = table[column].tolist()
    for row, value in enumerate(ids, start=1):
        if value is None:
            raise InputError(
                f"{path}: row {row} of the data has no {theirs}; fill it, or remove it"
            )
        if form and not form.fullmatch(value):
            raise InputError(
                f"{path}: row {row} of the data has the {theirs} '{value}', which is not of the "
                f"form {form.pattern}; give the provider's file"
            )
    if repeated := table[column][table[column].duplicated()].tolist():
        raise InputError(f"{path}: {theirs} '{repeated[0]}' stands twice; keep one row")


def nothing_to_none(values: Sequence[object]) -> list[object]:
    """Return `values` with None for what spells "not available" (`-666` of LINCS, `#N/A`, …)."""
    return [None if value in NOTHING else value for value in values]


def numbers(table: pd.DataFrame, column: str, path: Path) -> np.ndarray:
    """Return a column as float64, NaN for None; raises InputError for text that is no number."""
    values = np.full(len(table), np.nan)
    for row, value in enumerate(table[column]):
        if value is None:
            continue
        try:
            values[row] = float(value)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{path}: '{value}' in column {column}, row {row + 1} of the data, is not a number;"
                " correct it or leave the cell empty"
            ) from error
    return values
