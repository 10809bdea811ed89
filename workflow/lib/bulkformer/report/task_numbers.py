"""The page of one task: every number and every paired comparison, to be filtered and sorted.

Rows stand as they are in the metrics table and in the table of comparisons; none is left out while
the page stays small enough to open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bulkformer.report.cells import MISSING, count, is_missing, label, plural
from bulkformer.report.grids import (
    MAX_ROWS,
    Grid,
    Numbers,
    Word,
    Words,
    grid_of,
    numbers_of,
    part_of,
    words_of,
)
from bulkformer.report.header import banners
from bulkformer.report.inputs import Inputs
from bulkformer.report.measure_names import FLOORS, task_name
from bulkformer.report.paired import TESTS, VERDICTS
from bulkformer.report.tables import EXPOSURE_HELP, HASH_LETTERS, standing
from bulkformer.report.views import overall

ENDS = ("ci_low", "ci_high")
# Columns of the metrics table that few models or tasks fill, and how they are headed.
SELDOM = {"variant": "Variant", "pooling": "Pooling", "layer": "Layer"}


def numbers_context(title: str, inputs: Inputs, task: str, pages: Sequence[str]) -> dict[str, Any]:
    """Return everything that the template of a task's page asks for.

    Parameters
    ----------
    pages : the tasks that have such a page
    """
    models = inputs.provenance["models"]
    grids = [numbers_grid(inputs.metrics, task, models)]
    if inputs.comparisons is not None:
        grids.append(paired_grid(inputs.comparisons, task, models))
    name = task_name(task)
    return {
        "title": f"{name}: all numbers",
        "brand": "BulkFormer report",
        "beside": [
            ("index.html", "The report"),
            *((f"{other}.html", task_name(other)) for other in pages if other != task),
        ],
        "task": task,
        "lead": f"{title}. What the figures and cards of the report were chosen from.",
        "banners": banners(inputs, [task]),
        "facts": [
            {"name": grid.title.lower(), "value": count(grid.rows), "note": "rows"}
            for grid in grids
        ],
        "sections": [(grid.name, grid.title) for grid in grids],
        "grids": grids,
    }


def numbers_grid(metrics: pd.DataFrame, task: str, models: Mapping[str, Any]) -> Grid:
    """Return every row of the metrics table about a task, those about all of the data first."""
    own = metrics[metrics["task"] == task]
    about_all = overall(own).index
    rows = pd.concat([own.loc[about_all], own.drop(about_all)])
    shown = rows.head(MAX_ROWS)
    caption = "Rows about single classes, drugs, genes, folds or repeats follow those about all."
    if len(rows) > len(shown):
        caption += (
            f" The last {count(len(rows) - len(shown))} of {count(len(rows))} rows stand in "
            "metrics.csv alone, to keep the page small."
        )
    parts = [shown[name] for name in ("group_kind", "group")]
    parts += [shown.get(name, pd.Series(None, shown.index)) for name in ("fold", "repeat")]
    columns: list[Words | Numbers] = [
        model_words("Model", task, shown["model"], shown["weights"], models),
        words_of("Head", shown["head"]),
        words_of("Metric", shown["metric"]), words_of("Aggregation", shown["aggregation"]),
        numbers_of(shown, "Value", "value", ENDS),
        *(words_of(label(name).capitalize(), shown[name])
          for name in ("protocol", "dataset", "regime", "condition")),
        words_of("Part of the data", list(zip(*parts, strict=True)), part_word),
        *(words_of(heading, shown[name], listed=False)
          for name, heading in SELDOM.items() if name in shown),
        words_of("Interval over", shown["ci_unit"], over, listed=False),
        *(numbers_of(shown, heading, name, digits=0) for heading, name in
          (("n", "n"), ("Groups", "n_groups"), ("Seeds", "n_seeds"), ("Resamples", "n_boot"))),
        words_of("Exposure", shown["exposure"], exposure_word, EXPOSURE_HELP),
        words_of("Split", shown["split_sha256"], lambda sha: Word(str(sha)[:HASH_LETTERS]),
                 "first letters of the SHA-256 of the split manifest"),
    ]  # fmt: skip
    return grid_of(
        f"table-{task}-all", "All numbers", len(shown), columns, caption, "The task was not run."
    )


def paired_grid(comparisons: pd.DataFrame, task: str, models: Mapping[str, Any]) -> Grid:
    """Return all paired comparisons of a task, the primary family first."""
    own = comparisons[comparisons["task"] == task]
    own = own.sort_values("primary", ascending=False, kind="stable")
    shown = own.head(MAX_ROWS)
    tests = list(zip(shown["decided_by"], shown["correction"], shown["n_family"], strict=True))
    columns: list[Words | Numbers] = [
        model_words("Model", task, shown["model"], None, models),
        words_of("Head", shown["head"]),
        words_of("Verdict", shown["verdict"], verdict_word),
        numbers_of(shown, "Mean difference", "mean_difference", ("mean_low", "mean_high")),
        words_of("Against the", shown["role"]),
        model_words("Opponent", task, shown["opponent"], None, models),
        words_of("Head of the opponent", shown["opponent_head"]),
        words_of("Score", shown["metric"], lambda name: Word(label(name)),
                 "the score that both models have on the same units"),
        words_of("Family", shown["primary"], family_word),
        *(words_of(label(name).capitalize(), shown[name])
          for name in ("protocol", "dataset", "regime", "condition")),
        numbers_of(shown, "Median difference", "median_difference"),
        Numbers("Higher on, %", [share(rate) for rate in shown["win_rate"]], digits=0,
                help="share of units; a tie counts half"),
        numbers_of(shown, "Units", "n_units", digits=0),
        words_of("Unit", shown["unit_kind"], over, listed=False),
        numbers_of(shown, "Adjusted p", "p_adjusted"),
        words_of("Test, correction", tests, test_word, listed=False),
        words_of("Exposure", shown["exposure"], exposure_word, EXPOSURE_HELP),
        words_of("Exposure of the opponent", shown["opponent_exposure"], exposure_word),
        words_of("Opponent is", shown["opponent_rule"], listed=False),
    ]  # fmt: skip
    return grid_of(
        f"table-paired-{task}", "Paired comparisons", len(shown), columns,
        "Both models on the same units. No difference shown does not say that there is none.",
        "No scores of single units: nothing to compare pair by pair.",
    )  # fmt: skip


def model_words(
    heading: str, task: str, names: pd.Series, weights: pd.Series | None, models: Mapping[str, Any]
) -> Words:
    """Return a column of models, marked by kind; floors, controls and random weights say so."""
    known = [models.get(name, {}).get("weights") for name in names] if weights is None else weights

    def write(row: tuple[str, Any]) -> Word:
        model, trained = row
        kind = models.get(model, {}).get("kind", "")
        return Word(str(model), standing(kind, trained, model in FLOORS.get(task, {})), kind)

    return words_of(heading, list(zip(names, known, strict=True)), write)


def part_word(row: Sequence[Any]) -> Word:
    """Name the part of the data that a row is about."""
    return Word(part_of(row))


def family_word(primary: bool) -> Word:
    """Say whether a comparison is one of those that were declared before any model ran."""
    return Word("primary" if primary else "other")


def over(unit: Any) -> Word:
    """Name what an interval resamples."""
    return Word("no interval" if is_missing(unit) else plural(label(unit)))


def exposure_word(state: Any) -> Word:
    """Write whether a model has seen the samples; everything but clean is marked."""
    if is_missing(state):
        return Word(MISSING)
    return Word(str(state), mark="clean" if state == "clean" else "seen")


def verdict_word(verdict: str) -> Word:
    """Write the verdict of a comparison in words."""
    word, mark = VERDICTS[verdict]
    return Word(word, mark=f"verdict {mark}")


def test_word(row: tuple[Any, Any, Any]) -> Word:
    """Name the test that decided, and the family that its p was corrected for."""
    test, correction, family = row
    if is_missing(test):
        return Word(MISSING)
    corrected = f"{label(correction)}, {count(family)} comparisons"
    return Word(TESTS.get(test, label(test)), "" if is_missing(correction) else corrected)


def share(rate: Any) -> float | None:
    """Return a share in percent."""
    return None if is_missing(rate) else 100 * rate
