"""Scores of single units (a fold, gene, study, drug, cancer ...), by which models are paired.

A metrics table says how good each model is; whether one is better than another is a question about
the same units under both. This file stands beside the metrics of each model and answers it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.files import atomic

NAME = pa.dictionary(pa.int32(), pa.string())
UNITS = pa.schema(
    [
        ("task", NAME),
        ("protocol", NAME),
        ("model", NAME),
        ("dataset", NAME),
        ("regime", NAME),
        ("condition", NAME),
        ("head", NAME),
        ("metric", NAME),
        ("unit_kind", NAME),
        ("repeat", pa.int32()),
        ("unit", NAME),
        ("value", pa.float64()),
    ]
)
FOLD = "fold"  # the kind of unit whose scores share training rows, which a paired test must know


@dataclass(frozen=True)
class UnitScores:
    """The scores of all units of one kind by one metric; higher is better.

    Attributes
    ----------
    metric : as in the metrics table where the same is measured there
    unit_kind : what a unit is: fold, gene, study, patient, drug, cancer_type, compound ...
    unit : names, alike for all models
    value : float [n_units]; NaN for a unit that has no score, which is left out
    repeat : None where the scores of a unit were averaged over repeats, as they must be for every
        kind but `fold`: repeats are no further units
    """

    dataset: str
    regime: str
    metric: str
    unit_kind: str
    unit: Sequence[str]
    value: np.ndarray
    condition: str | None = None
    head: str | None = None
    repeat: int | None = None


def write_units(path: Path, of: Mapping[str, str], parts: Iterable[UnitScores]) -> None:
    """Write the scores of one model, one part after the other; without rows if there are none.

    `of` names task, protocol and model.
    """
    with atomic(path) as partial, pq.ParquetWriter(partial, UNITS, compression="zstd") as writer:
        for part in parts:
            writer.write_table(_table(part, of))


def read_units(path: Path) -> pa.Table:
    """Return the scores of one model; raises InputError if the file is no such table."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: no readable scores of units ({error}); make it again") from error
    if not table.schema.equals(UNITS):
        raise InputError(f"{path}: its columns are not {', '.join(UNITS.names)}; make it again")
    return table


def _table(part: UnitScores, of: Mapping[str, str]) -> pa.Table:
    """Lay the units that have a score out as rows, sorted by name."""
    values, units = np.asarray(part.value, dtype=np.float64), np.asarray(part.unit, dtype=str)
    if len(values) != len(units) or len(np.unique(units)) != len(units):
        raise ValueError(f"{part.metric}: {len(values)} values of {len(units)} units, or one twice")
    order = np.argsort(units, kind="stable")
    order = order[np.isfinite(values[order])]
    constant = {**vars(part), **of}
    columns = {"unit": units[order].tolist(), "value": values[order]}
    return pa.table(
        [
            pa.array(columns.get(field.name, [constant.get(field.name)] * len(order)), field.type)
            for field in UNITS
        ],
        schema=UNITS,
    )
