"""A closer look at a task: further questions beside its main measure, each with a figure.

Which rows of the metrics table answer a question stands in `closer_*.py`, a function a question;
what a task did not measure leaves its question out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bulkformer.report.cells import Table, is_missing, label
from bulkformer.report.figures import Estimate, Panel, Row, dot_chart
from bulkformer.report.inputs import Inputs
from bulkformer.report.pictures import Picture, kinds
from bulkformer.report.views import Comparison, estimate_of, overall


@dataclass(frozen=True)
class Part:
    """One question: a heading, how to read the answer, and the answer."""

    heading: str
    text: str
    figures: Sequence[Picture] = ()
    table: Table | None = None
    summary: str = "The numbers"  # of the fold that holds the table


@dataclass(frozen=True)
class Looked:
    """What the questions of a task are asked of.

    Attributes
    ----------
    metrics : all rows of the task
    whole : those about all of the data
    pairs : the comparisons of the task, as its cards show them
    """

    task: str
    inputs: Inputs
    pairs: Sequence[Comparison]
    metrics: pd.DataFrame
    whole: pd.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "whole", overall(self.metrics))

    @property
    def floor(self) -> str:
        """The floor that figures mark."""
        return self.pairs[0].floor if self.pairs else ""

    @property
    def head(self) -> str | None:
        """The first declared strict head."""
        return self.pairs[0].strict[0].head if self.pairs else None

    def strict(self, regime: str | None = None) -> pd.DataFrame:
        """Return the strict rows about all of the data, of one regime if it is named."""
        rows = self.whole[self.whole["protocol"] == "strict"]
        return rows if regime is None else rows[rows["regime"] == regime]

    def chart(
        self, name: str, description: str, panels: Sequence[Panel], rows: pd.DataFrame, said: str,
        lowest_first: bool = False,
    ) -> Picture | None:  # fmt: skip
        """Return the dot chart of some panels with its caption, or None if none holds a value.

        Parameters
        ----------
        rows : the rows that the panels show, for what the models had seen
        said : the caption
        """
        shown = [panel for panel in panels if panel.estimates]
        if not shown:
            return None
        models = ordered(shown, self.floor, lowest_first)
        svg = dot_chart(
            f"figure-{self.task}-{name}", description, model_rows(rows, models, self.inputs),
            shown, self.floor,
        )  # fmt: skip
        return Picture(svg, f"{said} {exposure_said(rows[rows['model'].isin(models)])}")


Question = Callable[[Looked], Part | None]


def look(inputs: Inputs, task: str, pairs: Sequence[Comparison]) -> list[Part]:
    """Return the parts of a task that its metrics hold."""
    from bulkformer.report import closer_annotation, closer_imputation, closer_outcomes

    questions: dict[str, Sequence[Question]] = {
        **closer_annotation.QUESTIONS, **closer_imputation.QUESTIONS, **closer_outcomes.QUESTIONS,
    }  # fmt: skip
    own = Looked(task, inputs, pairs, inputs.metrics[inputs.metrics["task"] == task])
    found = [question(own) for question in questions.get(task, ())]
    return [part for part in found if part is not None]


def part(
    heading: str, text: str, figures: Iterable[Picture | None], table: Table | None = None,
    summary: str = "The numbers",
) -> Part | None:  # fmt: skip
    """Return a part with the figures that there are, or None if nothing is left to show."""
    drawn = [figure for figure in figures if figure is not None]
    return Part(heading, text, drawn, table, summary) if drawn or table is not None else None


def picked(
    rows: pd.DataFrame, metric: str, aggregation: str, head: str | None = None
) -> dict[str, Estimate]:
    """Return {model: estimate} of one measure.

    A model that was not fitted with `head` has a head of its own; of several the highest value.
    """
    own = rows[(rows["metric"] == metric) & (rows["aggregation"] == aggregation)]
    found: dict[str, list[dict[str, Any]]] = {}
    for row in own.to_dict("records"):
        if not is_missing(row["value"]):
            found.setdefault(row["model"], []).append(row)
    named = {
        model: [row for row in each if row["head"] == head] or each for model, each in found.items()
    }
    return {
        model: estimate_of(max(each, key=lambda row: row["value"])) for model, each in named.items()
    }


def on_most_targets(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep rows that were scored on as many targets as any other row of the same measure.

    A head that was fitted to a part of them, the most selective genes for example, stands in the
    tables: its mean is about other targets.
    """
    same = ["protocol", "dataset", "regime", "condition", "metric", "aggregation", "group"]
    return rows[rows["n"] == rows.groupby(same, dropna=False)["n"].transform("max")]


def left_out(rows: pd.DataFrame, kept: pd.DataFrame) -> str:
    """Say which models have no row left, because they were scored on a part of the targets only."""
    names = sorted(set(rows["model"]) - set(kept["model"]))
    return f" Not shown, as asked for a part of the targets only: {', '.join(names)}." * bool(names)


def middle_half(rows: pd.DataFrame, metric: str, head: str | None = None) -> dict[str, Estimate]:
    """Return {model: median over groups, its interval the lower and upper quartile}."""
    median, low, high = (
        picked(rows, metric, f"{name}_over_groups", head)
        for name in ("median", "lower_quartile", "upper_quartile")
    )
    return {
        model: Estimate(each.value, low[model].value, high[model].value)
        for model, each in median.items()
        if model in low and model in high
    }


def ordered(panels: Sequence[Panel], floor: str, lowest_first: bool = False) -> list[str]:
    """Return the models by the first panel, best first; of equals the floor comes last."""
    models = dict.fromkeys(model for panel in panels for model in panel.estimates)
    sign = 1 if lowest_first else -1

    def key(model: str) -> tuple[bool, float, bool, str]:
        found = panels[0].estimates.get(model)
        return found is None, sign * found.value if found else 0.0, model == floor, model

    return sorted(models, key=key)


def model_rows(rows: pd.DataFrame, models: Sequence[str], inputs: Inputs) -> list[Row]:
    """Return the rows of a figure, with kind and whether the weights are random."""
    weights = rows.drop_duplicates("model").set_index("model")["weights"]
    known: Mapping[str, str] = kinds(inputs)
    return [
        Row(model, known.get(model, "unknown"), weights.get(model) == "random") for model in models
    ]


def exposure_said(rows: pd.DataFrame) -> str:
    """Say which models of a figure had seen something of the samples."""
    states = rows.loc[rows["exposure"] != "clean"].drop_duplicates(["model", "exposure"])
    seen = {
        state: ", ".join(dict.fromkeys(own["model"]))
        for state, own in states.groupby("exposure", sort=True)
    }
    if not seen:
        return "Exposure: clean for all."
    return "Exposure: " + "; ".join(f"{label(s)} for {names}" for s, names in seen.items()) + "."
