"""Shows the paired comparisons and the graph ablation: their rows, their verdicts, their sentences.

Every test, interval and sentence was made by the evaluate stage; here rows are only chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bulkformer.report.cells import (
    Cell,
    Column,
    Table,
    count,
    count_cell,
    decimal,
    decimal_cell,
    interval,
    is_missing,
    label,
    plural,
    text_cell,
)
from bulkformer.report.tables import exposure_cell

COMPARISON_COLUMNS = (
    "task", "protocol", "dataset", "regime", "condition", "metric", "unit_kind", "role", "model",
    "head", "opponent", "opponent_head", "opponent_rule", "primary", "n_units", "mean_difference",
    "mean_low", "mean_high", "median_difference", "win_rate", "decided_by", "correction",
    "n_family", "p_adjusted", "verdict", "exposure", "opponent_exposure", "sentence",
)  # fmt: skip
ABLATION_COLUMNS = (
    "protocol", "dataset", "regime", "condition", "metric", "unit_kind", "graph", "reference",
    "n_repeats", "n_units", "value", "least_repeat", "greatest_repeat", "mean_difference", "low",
    "high", "p_adjusted", "verdict", "exposure", "sentence",
)  # fmt: skip
# The verdicts of the evaluate stage: what is written, and the mark that readings use.
VERDICTS = {
    "better": ("better", "above"),
    "worse": ("worse", "below"),
    "no_difference_shown": ("no difference shown", "overlap"),
    "too_few_units": ("too few units", "unknown"),
}
TESTS = {"wilcoxon": "signed rank", "corrected_t": "t, corrected for folds"}


@dataclass(frozen=True)
class Said:
    """One sentence of the evaluate stage with its mark."""

    verdict: str
    text: str


def sentences(comparisons: pd.DataFrame, task: str, models: Mapping[str, Any]) -> list[Said]:
    """Return what is said of foundation models against the reference by the primary score."""
    rows = comparisons[
        (comparisons["task"] == task)
        & comparisons["primary"].astype(bool)
        & (comparisons["role"] == "reference")
        & (comparisons["protocol"] == "strict")
    ]
    return [
        Said(VERDICTS[row["verdict"]][1], f"{place(row)}: {row['sentence']}")
        for row in rows.to_dict("records")
        if models.get(row["model"], {}).get("kind") == "foundation"
    ]


def place(row: Mapping[str, Any]) -> str:
    """Name dataset, regime and condition."""
    parts = [row["dataset"], label(row["regime"]), row["condition"]]
    return ", ".join(str(part) for part in parts if not is_missing(part))


def paired_table(comparisons: pd.DataFrame, task: str) -> Table:
    """Return all comparisons of a task, the primary family first."""
    own = comparisons[comparisons["task"] == task]
    own = own.sort_values("primary", ascending=False, kind="stable")
    return Table(
        f"table-paired-{task}",
        [
            Column("Verdict"),
            Column("Protocol"),
            Column("Where", wide=True),
            Column("Score", help="the score that both models have on the same units"),
            Column("Model"),
            Column("Against"),
            Column("Mean difference", True),
            Column("Median difference", True),
            Column("Higher on", True, help="share of units; a tie counts half"),
            Column("Units", True),
            Column("Adjusted p", True),
            Column("Exposure"),
        ],
        [paired_row(row) for row in own.to_dict("records")],
        empty="No scores of single units: nothing to compare pair by pair.",
        filterable=True,
    )


def paired_row(row: Mapping[str, Any]) -> Sequence[Cell]:
    """Return one comparison; the sentence rests on its verdict."""
    word, mark = VERDICTS[row["verdict"]]
    family = "" if is_missing(row["correction"]) else label(row["correction"])
    decided = TESTS.get(row["decided_by"], "")
    share = None if is_missing(row["win_rate"]) else 100 * row["win_rate"]
    return [
        Cell(word, "primary" if row["primary"] else "", f"verdict {mark}", row["sentence"]),
        text_cell(row["protocol"]),
        text_cell(place(row)),
        text_cell(label(row["metric"])),
        text_cell(row["model"], "" if is_missing(row["head"]) else row["head"]),
        text_cell(
            row["opponent"],
            "" if is_missing(row["opponent_head"]) else row["opponent_head"],
            help=f"{label(row['role'])}: {row['opponent_rule']}",
        ),
        decimal_cell(row["mean_difference"], row["mean_low"], row["mean_high"]),
        Cell(decimal(row["median_difference"])),
        Cell("—" if share is None else f"{share:.0f} %"),
        count_cell(row["n_units"], plural(label(row["unit_kind"]))),
        Cell(
            decimal(row["p_adjusted"]),
            f"{decided}; {family}, {count(row['n_family'])} comparisons" if decided else "",
        ),
        exposure_cell(row["exposure"]),
    ]


def ablation_table(ablation: pd.DataFrame | None) -> Table | None:
    """Return the graph ablation, or None if it was not run."""
    if ablation is None:
        return None
    return Table(
        "table-ablation",
        [
            Column("Graph"),
            Column("Where", wide=True),
            Column("Score", help="mean over held-out groups and repeats"),
            Column("Least and greatest repeat"),
            Column("Difference to the first graph", True),
            Column("Units", True),
            Column("Adjusted p", True),
            Column("Verdict"),
            Column("Exposure"),
        ],
        [ablation_row(row) for row in ablation.to_dict("records")],
    )


def ablation_sentences(ablation: pd.DataFrame | None) -> list[Said]:
    """Return what is said of each graph but the first."""
    rows = [] if ablation is None else ablation.dropna(subset=["verdict"]).to_dict("records")
    return [Said(VERDICTS[row["verdict"]][1], f"{place(row)}: {row['sentence']}") for row in rows]


def ablation_row(row: Mapping[str, Any]) -> Sequence[Cell]:
    """Return one graph in one place."""
    is_first = is_missing(row["verdict"])
    word, mark = ("the first", "") if is_first else VERDICTS[row["verdict"]]
    return [
        text_cell(label(row["graph"])),
        text_cell(place(row), label(row["metric"])),
        Cell(decimal(row["value"]), f"{count(row['n_repeats'])} networks"),
        Cell(interval(row["least_repeat"], row["greatest_repeat"])),
        decimal_cell(row["mean_difference"], row["low"], row["high"]),
        count_cell(row["n_units"], plural(label(row["unit_kind"]))),
        Cell(decimal(row["p_adjusted"])),
        Cell(word, mark=f"verdict {mark}" if mark else ""),
        exposure_cell(row["exposure"]),
    ]
