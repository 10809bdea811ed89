"""The one interface behind which every benchmark stands.

A task says what its units, groups and targets are, which heads a protocol fits, what a row of its
predictions holds, and how saved predictions become scores. Nothing else in this stage knows a task
by name: a new one is three modules in `tasks/` and no change here.
"""

import importlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.evaluate.statistics import Bootstrap, Estimate
from bulkformer.evaluate.units import UnitScores

PROTOCOLS = ("legacy", "strict")


@dataclass(frozen=True)
class Score:
    """One number of the metrics table.

    Attributes
    ----------
    metric, aggregation : what was measured, and how units were joined: pooled, mean_over_groups,
        median_over_groups, lower_ or upper_quartile_over_groups, weighted or fold_mean
    estimate : value and interval; `ci_unit` says what the interval resampled
    n, n_groups : rows (hidden values, samples or genes) and groups behind the value
    repeat, fold : None for a value over all of them; `n_seeds` counts the repeats behind it
    group_kind, group : the part of the data that the value is about; None for all of it
    gene_coverage : share of the targets that the model could predict
    """

    dataset: str
    regime: str
    metric: str
    aggregation: str
    estimate: Estimate
    n: int
    n_groups: int
    ci_unit: str | None = None
    condition: str | None = None
    head: str | None = None
    fold: int | None = None
    repeat: int | None = None
    n_seeds: int = 1
    group_kind: str | None = None
    group: str | None = None
    gene_coverage: float | None = None


@dataclass(frozen=True, eq=False)  # one is itself: what was computed for it is kept by it
class Scoring:
    """What scoring may use besides the predictions.

    Attributes
    ----------
    protocol : legacy or strict
    settings : the task's section of the config
    group_kinds : {(dataset, regime): what a group is}, as the manifest says
    bootstrap : the draws
    """

    protocol: str
    settings: Mapping[str, Any]
    group_kinds: Mapping[tuple[str, str], str]
    bootstrap: Bootstrap


@dataclass(frozen=True)
class Task:
    """The description of one benchmark.

    Attributes
    ----------
    name : as in the config and in every path
    unit : what a row of the manifest is
    target : what `target_id` names, that is, what y_true and y_pred are values of
    primary : {protocol: (metric, aggregation)} by which models are ranked
    predictions : schema of predictions.parquet
    heads : (protocol, settings) -> heads that are fitted on the vectors of every model; empty where
        the model itself predicts
    score : predictions and scoring -> scores
    units : predictions and scoring -> scores of single units, higher is better; models are compared
        by these, pair by pair. None for a task that has no such scores (yet)
    paired : {protocol: metric} of the primary family of comparisons, declared before any model
        runs; the other scores of units are secondary
    paired_units : {regime: kinds of units} where that metric has units of several kinds: the first
        kind that is there decides
    headline : {protocol: {"regime" or "condition": names}}: of each dataset, the first of these
        names that it has makes the primary family, and where it has none of them, all do
    null : name of the model that knows nothing of a unit, against which every model is compared too
    null_knows : {protocol: what it knows nevertheless}, as the end of "name, which ..."
    ranked : {protocol: regime} of the folds that rank models, where others only stand beside them;
        empty if all regimes do
    """

    name: str
    unit: str
    target: str
    primary: Mapping[str, tuple[str, str]]
    predictions: pa.Schema
    heads: Callable[[str, Mapping[str, Any]], Sequence[str]]
    score: Callable[[pq.ParquetFile, Scoring], Iterator[Score]]
    units: Callable[[pq.ParquetFile, Scoring], Iterator[UnitScores]] | None = None
    paired: Mapping[str, str] = field(default_factory=dict)
    paired_units: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headline: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    null: str | None = None
    null_knows: Mapping[str, str] = field(default_factory=dict)
    ranked: Mapping[str, str] = field(default_factory=dict)

    def declared(self, protocol: str, name: str) -> Sequence[str]:
        """Return the regimes or conditions that were declared headlines, the first one first."""
        return self.headline.get(protocol, {}).get(name, ())


def first_declared(declared: Sequence[str], present: Collection[str | None]) -> Any:
    """Return the first declared name that is present, None if none of them is."""
    return next((name for name in declared if name in present), None)


def load_task(name: str) -> Task:
    """Return the task of that name; raises InputError if there is none."""
    known = sorted(
        path.stem.removesuffix("_scores")
        for path in (Path(__file__).parent / "tasks").glob("*_scores.py")
    )
    if name not in known:
        raise InputError(f"unknown task '{name}'; known are {', '.join(known)}")
    return importlib.import_module(f"bulkformer.evaluate.tasks.{name}_scores").TASK


def open_predictions(path: Path, task: Task) -> pq.ParquetFile:
    """Open saved predictions; raises InputError if they are not those of `task`."""
    try:
        file = pq.ParquetFile(path, memory_map=True)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: not readable predictions ({error}); make them again") from error
    if not file.schema_arrow.equals(task.predictions):
        raise InputError(f"{path}: its columns are not those of {task.name}; make it again")
    return file
