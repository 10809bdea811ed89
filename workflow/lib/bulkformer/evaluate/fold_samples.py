"""The fold_samples step: names the training samples of one fold, for whatever learns before a task.

A graph, a scaling or a model that is fitted for an evaluation may see the samples of the other
folds only. The table says of which manifest it is a part, so that what learns from it can say so.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.splits import read_manifest
from bulkformer.files import sha256, write_table


def fold_samples(
    manifest: Annotated[Path, Option(help="Frozen folds of a task.")],
    task: Annotated[str, Option()],
    dataset: Annotated[str, Option()],
    protocol: Annotated[str, Option()],
    fold: Annotated[int, Option(help="The fold that is held out.")],
    output: Annotated[Path, Option(help="Parquet to write: cohort, sample_id.")],
    regime: Annotated[str | None, Option(help="Needed if the dataset has several.")] = None,
    repeat: Annotated[int, Option()] = 0,
) -> None:
    """Write the samples of a dataset that one fold may learn from, sorted."""
    table = read_manifest(manifest, task, protocol)
    wanted = {"dataset": dataset, "regime": regime, "repeat": repeat}
    for column, value in wanted.items():
        known = sorted(set(table[column].to_pylist()))
        if value is None and len(known) == 1:
            regime = value = known[0]
        if value not in known:
            absent = f"no {column} was named for" if value is None else f"no {column} '{value}' of"
            raise InputError(
                f"{manifest}: {absent} {task}, {protocol}; it has {', '.join(map(str, known))}"
            )
        table = table.filter(pc.equal(table[column], value))
    folds = sorted(set(table["fold"].to_pylist()))
    if fold not in folds:
        raise InputError(
            f"{manifest}: no fold {fold} of {dataset}, {protocol} {regime}; it has "
            f"{', '.join(map(str, folds))}"
        )
    training = table.filter(pc.not_equal(table["fold"], fold))
    origin = f"training samples of {task}, {dataset}, {protocol} {regime}, "
    origin += f"repeat {repeat}, fold {fold} held out"
    samples = pa.table({"cohort": training["cohort"], "sample_id": training["unit"]})
    samples = samples.sort_by([("cohort", "ascending"), ("sample_id", "ascending")])
    write_table(
        output,
        samples.replace_schema_metadata({"origin": origin, "split_sha256": sha256(manifest)}),
    )
    print(f"{output}: {len(samples)} {origin}", file=sys.stderr)


if __name__ == "__main__":
    command(fold_samples)
