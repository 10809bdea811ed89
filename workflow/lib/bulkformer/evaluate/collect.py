"""Joins the metrics of all models into the one long table that every figure is a view of."""

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.metrics import METRICS
from bulkformer.files import write_table

# What identifies a number; two rows that agree in all of these say the same thing twice.
KEY = [
    "task",
    "protocol",
    "dataset",
    "regime",
    "condition",
    "model",
    "head",
    "metric",
    "aggregation",
    "group_kind",
    "group",
    "repeat",
    "fold",
]


def collect(
    metrics: Annotated[list[Path], Option(help="metrics.parquet of one model, task, protocol.")],
    output: Annotated[Path, Option()],
) -> None:
    """Join metrics tables, sorted; raises InputError for a foreign table or a repeated number."""
    tables = []
    for path in metrics:
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"{path}: not a readable table ({error}); make it again") from error
        if not table.schema.equals(METRICS):
            raise InputError(
                f"{path}: its columns are not those of the metrics table; make it again"
            )
        tables.append(table)
    joined = pa.concat_tables(tables).sort_by([(name, "ascending") for name in KEY])
    counts = joined.group_by(KEY).aggregate([([], "count_all")])
    twice = [row for row in counts.to_pylist() if row["count_all"] > 1]
    if twice:
        row = {name: value for name, value in twice[0].items() if value is not None}
        raise InputError(f"the same number stands {row.pop('count_all')} times: {row}")
    write_table(output, joined)


if __name__ == "__main__":
    command(collect)
