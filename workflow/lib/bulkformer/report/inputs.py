"""Reads what the stages said about themselves, and stops where a table is not what it should be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from bulkformer.errors import InputError

METRIC_COLUMNS = (
    "task", "dataset", "protocol", "regime", "condition", "model", "weights", "head",
    "group_kind", "group", "metric", "aggregation", "value", "n", "n_groups", "n_seeds",
    "ci_low", "ci_high", "ci_unit", "n_boot", "exposure", "split_sha256",
)  # fmt: skip
EXPOSURE_COLUMNS = ("model", "weights", "cohort", "regime", "exposure", "evidence")
HISTORY_COLUMNS = ("step", "split", "mask_fraction", "loss", "learning_rate")
PROVENANCE_KEYS = ("config", "cohorts", "models", "sources")
LITERATURE_COLUMNS = (
    "task", "dataset", "metric", "aggregation", "model", "value", "version", "source", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """Everything that the page shows; tables keep the order of their rows."""

    provenance: dict[str, Any]
    metrics: pd.DataFrame
    exposure: pd.DataFrame
    corpus: dict[str, Any]
    coverage: list[dict[str, Any]]
    graphs: list[dict[str, Any]]
    recoveries: list[dict[str, Any]]
    history: pd.DataFrame
    training: dict[str, Any]
    literature: pd.DataFrame
    independent: pd.DataFrame
    comparisons: pd.DataFrame | None = None
    ablation: pd.DataFrame | None = None
    outcomes: Sequence[dict[str, Any]] = ()

    @property
    def simulated(self) -> bool:
        """Whether the samples were simulated, so that no number says anything about biology."""
        return self.provenance["config"].get("sources", {}).get("mode") == "simulate"

    def kind(self, model: str) -> str:
        """Return how the models table groups a model: foundation, classical, baseline, control."""
        return self.provenance["models"].get(model, {}).get("kind", "unknown")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raises InputError if it is absent or not an object."""
    try:
        content = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not readable JSON ({error}); make it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object; make it again")
    return content


def read_provenance(path: Path) -> dict[str, Any]:
    """Return what the provenance step wrote; raises InputError if a part of it is absent."""
    content = read_json(path)
    absent = [key for key in PROVENANCE_KEYS if key not in content]
    if absent:
        raise InputError(f"{path}: no '{absent[0]}'; run the rule provenance again")
    return content


def read_parquet(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return a Parquet table; raises InputError if it is unreadable or lacks one of `columns`."""
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable table ({error}); make it again") from error
    return with_columns(path, table, columns)


def read_ledgers(paths: list[Path]) -> pd.DataFrame:
    """Return the ledgers of exposure of all tasks as one, each model and cohort once."""
    ledgers = [read_parquet(path, EXPOSURE_COLUMNS) for path in paths]
    return pd.concat(ledgers).drop_duplicates(["model", "cohort", "regime"], ignore_index=True)


def read_literature(path: Path) -> pd.DataFrame:
    """Return a table of published values, as text with the digits of the source.

    A value that the source does not give is NaN. Raises InputError for a value that is no number.
    """
    try:
        table = pd.read_csv(path, dtype=str, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable table ({error}); give a CSV file") from error
    with_columns(path, table, LITERATURE_COLUMNS)
    numbers = pd.to_numeric(table["value"], errors="coerce")
    broken = table.index[numbers.isna() & table["value"].notna()]
    if len(broken):
        raise InputError(
            f"{path}, line {broken[0] + 2}: the value '{table['value'][broken[0]]}' is no number; "
            "leave it empty if the source gives none"
        )
    return table


def with_columns(path: Path, table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return `table`; raises InputError naming the columns that it lacks."""
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise InputError(
            f"{path}: no column {', '.join(absent)}; has {', '.join(map(str, table.columns))}"
        )
    return table
