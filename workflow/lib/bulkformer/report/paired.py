"""Shows the paired comparisons and the graph ablation: their rows, their verdicts, their sentences.

Every test, interval and sentence was made by the evaluate stage; here rows are only chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bulkformer.evaluate.comparison_arms import BEST_OF_EACH, REFERENCE
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
    "too_few_units": ("too few to decide", "unknown"),
}
HEADLINE = ["dataset", "regime", "condition", "metric", "unit_kind"]
PAIR = ["unit_kind", "model", "head", "opponent", "opponent_head"]
ROLES = {REFERENCE: "", BEST_OF_EACH: ", best head of each"}
TESTS = {"wilcoxon": "signed rank", "corrected_t": "t, corrected for folds"}


@dataclass(frozen=True)
class Said:
    """One sentence of the evaluate stage with its mark."""

    verdict: str
    text: str


def sentences(comparisons: pd.DataFrame, task: str, models: Mapping[str, Any]) -> list[Said]:
    """Return what is said of foundation models against simple ones in the declared headlines.

    First those of the same head, then the best head of a model against the best simple model, where
    that is another comparison.
    """
    strict = comparisons[(comparisons["task"] == task) & (comparisons["protocol"] == "strict")]
    primary = strict["primary"].astype(bool)
    headlines = {tuple(row) for row in strict.loc[primary, HEADLINE].fillna("").to_numpy()}
    here = [tuple(row) in headlines for row in strict[HEADLINE].fillna("").to_numpy()]
    rows = strict[here].to_dict("records")
    said: dict[tuple[str, ...], Said] = {}
    for role in ROLES:
        for row in rows:
            foundation = models.get(row["model"], {}).get("kind") == "foundation"
            if row["role"] == role and foundation and (row["primary"] or role != REFERENCE):
                text = f"{place(row)}{ROLES[role]}: {row['sentence']}"
                key = place(row), *(str(row[name]) for name in PAIR)
                said.setdefault(key, Said(VERDICTS[row["verdict"]][1], text))
    return list(said.values())


def place(row: Mapping[str, Any]) -> str:
    """Name dataset, regime and condition."""
    parts = [row["dataset"], label(row["regime"]), row["condition"]]
    return ", ".join(str(part) for part in parts if not is_missing(part))


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
