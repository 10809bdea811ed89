"""Runs the steps of disease annotation on a planted world, and finds a number in their table."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from evaluate_world import World, configuration

from bulkformer.evaluate.metrics import metrics
from bulkformer.evaluate.tasks import disease_annotation as step


def predict(
    world: World,
    protocol: str,
    text: str,
    heads: Sequence[str] | None = None,
    name: str = "",
    threads: int = 1,
    memory_mb: int | None = None,
) -> Path:
    """Write predictions and return where."""
    path = world.root / f"{protocol}_{name or '_'.join(heads or ['all'])}.parquet"
    cohort = json.loads(text)["datasets"][0]["cohort"]
    step.disease_annotation(
        [protocol], "any", world.root / "split.parquet", [cohort], [world.embeddings(cohort)],
        text, 42, [path], head=heads and list(heads), threads=threads, memory_mb=memory_mb,
    )  # fmt: skip
    return path


def score(world: World, protocol: str, text: str, predictions: Path, *model: str) -> pd.DataFrame:
    """Return the metrics table of saved predictions."""
    path = predictions.with_suffix(".metrics")
    ledger = world.ledger([json.loads(text)["datasets"][0]["cohort"]])
    metrics(
        "disease_annotation", protocol, "any", predictions, world.root / "split.parquet", ledger,
        configuration(text, *model), 60, 42, path,
    )  # fmt: skip
    return pd.read_parquet(path)


def value(table: pd.DataFrame, metric: str, aggregation: str, **where: object) -> pd.Series:
    """Return the one row of a metric, by default over all of the data."""
    rows = table[(table["metric"] == metric) & (table["aggregation"] == aggregation)]
    for column in ("group", "fold", "repeat"):
        wanted = where.pop(column, None)
        rows = rows[rows[column].isna() if wanted is None else rows[column] == wanted]
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    assert len(rows) == 1
    return rows.iloc[0]
