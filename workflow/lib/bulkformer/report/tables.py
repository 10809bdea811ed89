"""Tables of metrics and of literature values: rows as they are, sorted and rounded.

A number never stands without what a reader needs to weigh it: how many units, which interval over
what, how many seeds, whether the model had seen the data, and the hash of the split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bulkformer.report.cells import (
    MISSING,
    Cell,
    Column,
    Table,
    count,
    count_cell,
    decimal_cell,
    is_missing,
    label,
    plural,
    text_cell,
)
from bulkformer.report.views import Comparison, Measure, MetricRow

HASH_LETTERS = 8
FEW_GROUPS = 10  # an interval over fewer is itself uncertain, and the page says over how many
EXPOSURE_HELP = "clean: nothing of the test cohort was seen; anything else weakens the number"
WEIGHTS_NOTES = {
    "random": "untrained weights",
    "released": "released weights",
    "fine_tuned": "released weights, trained on",
}


def model_cell(
    model: str, kind: str, weights: Any, description: str = "", floor: bool = False
) -> Cell:
    """Write a model's name, marked by its kind; what it stands for is said below it."""
    return Cell(str(model), standing(kind, weights, floor), kind, description)


def standing(kind: str, weights: Any, floor: bool = False) -> str:
    """Say what a reader must not take for a contender: a floor, a control, untrained weights."""
    words = ["floor" if floor else "", "control" if kind == "control" else ""]
    return ", ".join(word for word in [*words, WEIGHTS_NOTES.get(weights, "")] if word)


def exposure_cell(state: Any, evidence: str = "") -> Cell:
    """Write whether a model has seen a cohort; everything but clean is marked."""
    if is_missing(state):
        return Cell(MISSING)
    mark = "clean" if state == "clean" else "seen"
    return Cell(str(state), mark=mark, help=evidence)


def hash_cell(value: Any, help: bool = True) -> Cell:
    """Write the first letters of a hash; all of it shows under the pointer."""
    if is_missing(value):
        return Cell(MISSING)
    return Cell(str(value)[:HASH_LETTERS], help=str(value) if help else "")


def metric_cell(row: MetricRow | None) -> Cell:
    """Write value and interval of one metrics row; n, seeds and split show under the pointer."""
    if row is None:
        return Cell(MISSING, "not run")
    known = decimal_cell(row["value"], row["ci_low"], row["ci_high"], help=row_facts(row))
    groups = count(row["n_groups"])
    if not known.note:
        few = f": only {groups} groups" if row["n_groups"] < FEW_GROUPS else ""
        return replace(known, note=f"no interval{few}")
    if row["n_groups"] < FEW_GROUPS:
        unit = "group" if is_missing(row["ci_unit"]) else row["ci_unit"]
        return replace(known, flag=f"{groups} {unit if row['n_groups'] == 1 else plural(unit)}")
    return known


def row_facts(row: MetricRow) -> str:
    """Say in one line what stands behind a metrics row."""
    facts = [f"n {count(row['n'])}", f"groups {count(row['n_groups'])}"]
    if not is_missing(row["ci_unit"]):
        facts.append(f"interval over {plural(row['ci_unit'])}, {count(row['n_boot'])} resamples")
    facts += [
        f"seeds {count(row['n_seeds'])}",
        f"exposure {row['exposure']}",
        f"split {str(row['split_sha256'])[:HASH_LETTERS]}",
    ]
    if not is_missing(row["head"]):
        facts.append(f"head {row['head']}")
    return ", ".join(facts)


def comparison_table(
    comparison: Comparison, name: str, models: Mapping[str, Mapping[str, Any]]
) -> Table:
    """Return the table behind a figure: one row a model, legacy and strict side by side."""
    measures = [*comparison.panels, *comparison.in_tables]
    rows, marks = [], []
    for model in comparison.models():
        found = [comparison.row(model, measure) for measure in measures]
        legacy = found[0]
        strict = next((row for row in found[1:] if row is not None), None)
        first = next((row for row in found if row is not None), None)
        if first is None:
            continue
        known = models.get(model, {})
        rows.append(
            [
                model_cell(
                    model,
                    known.get("kind", ""),
                    first["weights"],
                    known.get("description", ""),
                    model in comparison.floors,
                ),
                *(metric_cell(row) for row in found),
                *(both(count_cell, legacy, strict, column) for column in ("n", "n_groups")),
                both(count_cell, legacy, strict, "n_seeds"),
                exposure_both(legacy, strict),
                hash_cell(first["split_sha256"]),
            ]
        )
        marks.append("floor" if model in comparison.floors else "")
    columns = [
        Column("Model"),
        *(measure_column(measure, len(comparison.strict) > 1) for measure in measures),
        Column("n", True, "values, samples or genes behind the legacy and the first strict number"),
        Column("Groups", True, "studies, patients, donors or genes, legacy and strict"),
        Column("Seeds", True, "masks or repeats of the folds, legacy and strict"),
        Column("Exposure", help=EXPOSURE_HELP),
        Column("Split", help="SHA-256 of the split manifest"),
    ]
    return Table(name, columns, rows, row_marks=marks)


def measure_column(measure: Measure, name_head: bool) -> Column:
    """Return the heading of a measure; the head is named where there are several."""
    head = f", {measure.head}" if name_head and measure.head else ""
    name = measure.name[0].upper() + measure.name[1:]
    return Column(name + head, True, measure.axis, above=measure.protocol)


def both(write: Any, legacy: MetricRow | None, strict: MetricRow | None, column: str) -> Cell:
    """Write the legacy fact with the strict one below it, once if they agree."""
    values = [None if row is None else row[column] for row in (legacy, strict)]
    if values[0] == values[1] or is_missing(values[1]):
        return write(values[0])
    return write(values[0], note=f"strict {count(values[1])}")


def exposure_both(legacy: MetricRow | None, strict: MetricRow | None) -> Cell:
    """Write exposure under the strict protocol, and under the legacy one if it differs."""
    states = [None if row is None else row["exposure"] for row in (legacy, strict)]
    if states[0] == states[1] or is_missing(states[0]):
        return exposure_cell(states[1])
    cell = exposure_cell(states[1] if not is_missing(states[1]) else states[0])
    return Cell(cell.text, f"legacy: {states[0]}", cell.mark)


def literature_table(name: str, literature: pd.DataFrame, tasks: Sequence[str]) -> Table:
    """Return published values of the tasks that were run here, with the digits of the source."""
    rows = literature[literature["task"].isin(tasks)]
    return Table(
        name,
        [
            Column("Task"), Column("Dataset"), Column("Metric"), Column("Aggregation"),
            Column("Model"), Column("Published value", True), Column("Version"),
            Column("Source and note", wide=True),
        ],
        [
            [
                text_cell(label(row["task"])), text_cell(row["dataset"]), text_cell(row["metric"]),
                text_cell(label(row["aggregation"])), text_cell(row["model"]),
                published_cell(row["value"]), text_cell(row["version"]),
                text_cell(row["source"], note="" if is_missing(row["note"]) else row["note"]),
            ]
            for _, row in rows.iterrows()
        ],
        empty="The table holds no value for the tasks that were run.",
        filterable=True,
    )  # fmt: skip


def published_cell(value: Any) -> Cell:
    """Write a published value with as many digits as it was published with."""
    if is_missing(value):
        return Cell(MISSING, "not given")
    return Cell(value.replace("-", "−"))
