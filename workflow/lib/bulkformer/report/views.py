"""Selects rows of the metrics table: which numbers stand side by side, which model is the floor.

Every number of the page comes through here or is shown as a row of the full tables; none is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import Any

import pandas as pd

from bulkformer.errors import InputError
from bulkformer.evaluate.comparison_arms import SIMPLE_KINDS, scored_on_of
from bulkformer.evaluate.task import first_declared, load_task
from bulkformer.report.cells import is_missing, label
from bulkformer.report.figures import Estimate, Row
from bulkformer.report.measure_names import FLOORS, IN_FIGURES, IN_TABLES, MEASURE_NAMES

MetricRow = dict[str, Any]  # one row of the metrics table by column


@dataclass(frozen=True)
class Measure:
    """One column of numbers: a metric under a protocol, with a head where the task has heads."""

    protocol: str
    metric: str
    aggregation: str
    head: str | None = None

    @property
    def name(self) -> str:
        """The metric in words."""
        known = MEASURE_NAMES.get((self.metric, self.aggregation))
        return known[0] if known else f"{label(self.metric)}, {label(self.aggregation)}"

    @property
    def axis(self) -> str:
        """What an axis of this measure counts."""
        known = MEASURE_NAMES.get((self.metric, self.aggregation))
        return known[1] if known else self.name

    @property
    def title(self) -> str:
        """Protocol and metric, for the heading of a column or panel."""
        return f"{self.protocol.capitalize()}: {self.name}"


@dataclass(frozen=True)
class Comparison:
    """One dataset of a task: its rows under both protocols, and the measures to show.

    Attributes
    ----------
    regimes : {protocol: regime}
    rows : rows of the metrics table that speak about all of the data, of one condition
    legacy, strict : primary measures, one strict measure a head
    more, in_tables : measures beside them
    others : the same dataset under its other conditions; this one is the headline
    one_of_several : whether the dataset has other regimes too, which are comparisons of their own
    """

    task: str
    dataset: str
    regimes: Mapping[str, str]
    condition: str | None
    rows: pd.DataFrame
    legacy: Measure
    strict: Sequence[Measure]
    more: Sequence[Measure]
    in_tables: Sequence[Measure]
    others: Sequence[Comparison] = ()
    one_of_several: bool = False

    @property
    def panels(self) -> list[Measure]:
        """Measures of the figure, legacy first; further heads stand in the table."""
        return [self.legacy, *self.strict[:2], *self.more]

    @property
    def floors(self) -> Mapping[str, str]:
        """The models that know nothing about the sample, with what they do."""
        return FLOORS.get(self.task, {})

    @property
    def floor(self) -> str:
        """The floor that figures mark."""
        return next(iter(self.floors), "")

    def higher_floor(self, measure: Measure) -> str:
        """Return the floor with the highest value of a measure; of equals the first."""
        found = {model: self.estimate(model, measure) for model in self.floors}
        values = {model: each.value for model, each in found.items() if each is not None}
        return max(values, key=values.__getitem__, default=self.floor)

    def row(self, model: str, measure: Measure, alike: MetricRow | None = None) -> MetricRow | None:
        """Return the one row of a model and measure, or None if it was not run.

        A model with a head of its own (a majority vote, for example) answers for every head; of
        several such heads the one with the highest value does, of those that were scored on most
        targets, or with `alike` on the same ones as that row. Raises InputError if several rows
        claim the same place.
        """
        key = (model, measure.protocol, measure.metric, measure.aggregation)
        rows = self.by_measure.get(key, [])
        if any(row["head"] == measure.head for row in rows):
            rows = [row for row in rows if row["head"] == measure.head]
        if len(rows) > len({row["head"] for row in rows}):
            raise InputError(
                f"metrics: {len(rows)} rows for {self.task}, {self.dataset}, {measure.protocol}, "
                f"{model}, {measure.metric} ({measure.aggregation}); keep one"
            )
        known = [row for row in rows if not is_missing(row["value"])]
        if known:
            asked = scored_on_of(alike or max(known, key=lambda row: row["n"]))
            known = [row for row in known if scored_on_of(row) == asked]
        return max(known, key=lambda row: row["value"], default=None)

    @cached_property
    def by_measure(self) -> dict[tuple[str, ...], list[MetricRow]]:
        """Return the rows by model, protocol, metric and aggregation."""
        found: dict[tuple[str, ...], list[MetricRow]] = {}
        for row in self.rows.to_dict("records"):
            key = (row["model"], row["protocol"], row["metric"], row["aggregation"])
            found.setdefault(key, []).append(row)
        return found

    def estimate(self, model: str, measure: Measure) -> Estimate | None:
        """Return value and interval for a figure, or None if it was not run."""
        row = self.row(model, measure)
        return None if row is None else estimate_of(row)

    def estimates(
        self, subject: str, other: str, measure: Measure
    ) -> tuple[Estimate | None, Estimate | None]:
        """Return two estimates on the same targets; without such a head of `other`, it has none."""
        own = self.row(subject, measure)
        opposite = self.row(other, measure, own)
        return tuple(None if row is None else estimate_of(row) for row in (own, opposite))  # type: ignore[return-value]

    def models(self) -> list[str]:
        """Return the models, best by the first strict measure first, those without one last.

        Of equals the floor comes last.
        """

        def key(model: str) -> tuple[bool, float, bool, str]:
            found = self.estimate(model, self.strict[0])
            return found is None, -found.value if found else 0.0, model == self.floor, model

        return sorted(self.rows["model"].unique(), key=key)

    def best_simple(
        self, measure: Measure, kinds: Mapping[str, str], subject: str | None = None
    ) -> str | None:
        """Return the baseline or classical model with the highest value, the floor left out.

        Only those count that were scored on the same targets as `subject`, where it has a value;
        else those scored on most.
        """
        simple = [
            model
            for model in self.models()
            if kinds.get(model) in SIMPLE_KINDS and model not in self.floors
        ]
        alike = None if subject is None else self.row(subject, measure)
        rows = {model: row for model in simple if (row := self.row(model, measure, alike))}
        if alike is None:
            most = max((scored_on_of(row)[0] for row in rows.values()), default=0)
            rows = {model: row for model, row in rows.items() if row["n"] == most}
        return min(rows, key=lambda model: (-rows[model]["value"], model), default=None)


def overall(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the rows about all of the data: no single class, gene, fold or repeat."""
    parts = [name for name in ("group", "fold", "repeat") if name in metrics.columns]
    single = metrics[parts].map(lambda value: not is_missing(value)).any(axis=1)
    return metrics[~single]


def tasks_of(metrics: pd.DataFrame) -> list[str]:
    """Return the tasks of the table, imputation first, because it is what was learned."""
    present = metrics["task"].unique()
    return [task for task in FLOORS if task in present] + [t for t in present if t not in FLOORS]


def comparisons(metrics: pd.DataFrame, task: str, config: Mapping[str, Any]) -> list[Comparison]:
    """Return one comparison a dataset, legacy regime beside strict regime."""
    description = load_task(task)
    settings = config.get("evaluate", {}).get(task, {})
    every_head = description.heads("strict", settings)
    rows = overall(metrics[metrics["task"] == task])
    if description.ranked:
        rows = rows[rows["regime"] == rows["protocol"].map(description.ranked)]
    found = []
    pairs = list(paired_regimes(rows))
    for dataset, regimes in pairs:
        own = rows[rows["dataset"] == dataset]
        own = own[own["regime"] == own["protocol"].map(regimes)]
        fitted = set(own.loc[own["protocol"] == "strict", "head"])
        heads = [head for head in every_head if head in fitted] or [None]
        beside, in_tables = (
            [Measure(*name, heads[0]) for name in by_task.get(task, ()) if has(own, *name)]
            for by_task in (IN_FIGURES, IN_TABLES)
        )
        first = headline_condition(own, description.declared("strict", "condition"))
        names = [name for name in own["condition"].unique() if not is_missing(name)] or [None]
        conditions = sorted(names, key=lambda name: name != first)
        every = [
            Comparison(
                task=task,
                dataset=dataset,
                regimes=regimes,
                condition=condition,
                rows=own if condition is None else own[own["condition"] == condition],
                legacy=Measure("legacy", *description.primary["legacy"]),
                strict=[Measure("strict", *description.primary["strict"], head) for head in heads],
                more=beside,
                in_tables=in_tables,
                one_of_several=[name for name, _ in pairs].count(dataset) > 1,
            )
            for condition in conditions
        ]
        found.append(replace(every[0], others=every[1:]))
    return found


def paired_regimes(rows: pd.DataFrame) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each dataset with {protocol: regime}, in the order of the table.

    Where strict has several regimes and legacy one, that one stands beside each of them.
    """
    for dataset in rows["dataset"].unique():
        own = rows[rows["dataset"] == dataset]
        legacy, strict = (
            list(own.loc[own["protocol"] == protocol, "regime"].unique())
            for protocol in ("legacy", "strict")
        )
        if len(legacy) == 1:
            legacy *= max(len(strict), 1)
        for one, other in zip_longest(legacy, strict):
            pair = {"legacy": one, "strict": other}
            yield dataset, {key: value for key, value in pair.items() if value is not None}


def has(rows: pd.DataFrame, protocol: str, metric: str, aggregation: str) -> bool:
    """Return whether any row holds this measure."""
    return bool(
        (
            (rows["protocol"] == protocol)
            & (rows["metric"] == metric)
            & (rows["aggregation"] == aggregation)
        ).any()
    )


def headline_condition(rows: pd.DataFrame, declared: Sequence[str] = ()) -> str | None:
    """Return the condition to show first: the first declared one, else one that both protocols
    have.
    """
    conditions = [value for value in rows["condition"].unique() if not is_missing(value)]
    if not conditions:
        return None
    if (first := first_declared(declared, conditions)) is not None:
        return first
    shared = [
        value
        for value in conditions
        if rows.loc[rows["condition"] == value, "protocol"].nunique() > 1
    ]
    return (shared or conditions)[0]


def estimate_of(row: MetricRow) -> Estimate:
    """Return value and interval of a metrics row."""
    low, high = (None if is_missing(row[end]) else float(row[end]) for end in ("ci_low", "ci_high"))
    return Estimate(float(row["value"]), low, high)


def figure_rows(comparison: Comparison, kinds: Mapping[str, str]) -> list[Row]:
    """Return the rows of a figure, best first."""
    weights = comparison.rows.drop_duplicates("model").set_index("model")["weights"]
    return [
        Row(model, kinds.get(model, "unknown"), weights[model] == "random")
        for model in comparison.models()
    ]
