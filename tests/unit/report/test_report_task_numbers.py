"""The pages of all numbers: complete, small, linked both ways, and what is no contender says so."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from report_mock import CONFIG, MODELS, described, write_inputs
from report_mock_paired import comparisons_table, line_models

from bulkformer.report import task_numbers
from bulkformer.report.grids import Numbers, Word, grid_of, part_of, words_of
from bulkformer.report.render import render
from bulkformer.report.task_numbers import numbers_grid, paired_grid


def grids_of(text: str) -> list[dict[str, Any]]:
    """Return what the script of a page reads."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', text, flags=re.S)
    return [json.loads(each) for each in found]


def column(grid: dict[str, Any], heading: str) -> dict[str, Any]:
    (found,) = (each for each in grid["columns"] if each["label"] == heading)
    return found


def texts(grid: dict[str, Any], heading: str) -> list[str]:
    """Return the text of every row."""
    found = column(grid, heading)
    return [found["words"][code][0] for code in found["codes"]]


@pytest.fixture(scope="module")
def pages(rendered: dict[str, Any]) -> dict[str, str]:
    return {path.stem: path.read_text() for path in rendered["numbers"]}


def test_every_number_of_the_metrics_table_is_shown_as_it_is(rendered, pages) -> None:
    table = pq.read_table(rendered["metrics"]).to_pandas()
    for task, rows in table.groupby("task"):
        (grid,) = grids_of(pages[task])
        assert grid["rows"] == len(rows)
        key = ["model", "metric", "aggregation", "dataset", "protocol"]
        shown = pd.DataFrame({name: texts(grid, name.capitalize()) for name in key})
        shown["value"] = column(grid, "Value")["numbers"]
        wanted = rows[[*key, "value"]].sort_values([*key, "value"], ignore_index=True)
        shown = shown.sort_values([*key, "value"], ignore_index=True)
        pd.testing.assert_frame_equal(shown[key], wanted[key], check_dtype=False)
        np.testing.assert_allclose(shown["value"], wanted["value"], atol=5.1e-4)


def test_rows_about_all_of_the_data_come_before_those_about_classes_and_repeats(pages) -> None:
    (grid,) = grids_of(pages["disease_annotation"])
    about = [text == "all" for text in texts(grid, "Part of the data")]
    assert about == sorted(about, reverse=True)
    assert "class BRCA" in texts(grid, "Part of the data")


def test_pages_are_linked_both_ways_and_need_nothing_from_elsewhere(page, pages) -> None:
    for task, text in pages.items():
        assert f'href="{task}.html"' in page
        assert f'href="index.html#{task}"' in text
        assert f'id="{task}"' in page
        assert not re.search(r'<(link|img|iframe)\b|src="|fetch\(|XMLHttpRequest', text)
        assert "nothing about biology" in text
        assert len(text) < 3_000_000


def test_controls_floors_and_untrained_weights_say_so_and_exposure_is_marked(pages) -> None:
    (grid,) = grids_of(pages["imputation"])
    models = {text: (note, mark) for text, note, mark in column(grid, "Model")["words"]}
    assert models["bulkformer_random"] == ("control, untrained weights", "control")
    assert models["gene_mean"] == ("floor", "baseline")
    assert models["bulkformer"] == ("", "foundation")
    marks = {text: mark for text, _, mark in column(grid, "Exposure")["words"]}
    assert marks == {"clean": "clean", "seen_unlabelled": "seen"}


def test_what_all_rows_share_is_said_once_above_them(pages) -> None:
    (grid,) = grids_of(pages["imputation"])
    headings = [each["label"] for each in grid["columns"]]
    assert "Split" not in headings
    assert "Resamples" not in headings
    said = re.sub(r"<[^>]+>", "", pages["imputation"])
    assert "In every row: " in said
    assert "split 5e5e5e5e" in said
    assert "resamples 200" in said


def test_a_table_too_long_for_a_page_keeps_the_rows_about_all(rendered, monkeypatch) -> None:
    metrics = pq.read_table(rendered["metrics"]).to_pandas()
    monkeypatch.setattr(task_numbers, "MAX_ROWS", 60)
    grid = numbers_grid(metrics, "imputation", {})
    assert grid.rows == 60
    assert "stand in metrics.csv alone" in grid.caption
    shown = {each.label for each in grid.columns} | {name for name, _ in grid.constants}
    assert dict(grid.constants)["Part of the data"] == "all"
    assert "Model" in shown


def test_no_comparison_is_hidden_and_each_carries_units_correction_and_exposure() -> None:
    models = line_models()
    grid = paired_grid(comparisons_table().to_pandas(), "drug_response", models)
    data = json.loads(grid.json())
    assert data["rows"] == 3
    assert texts(data, "Verdict") == ["worse", "no difference shown", "too few to decide"]
    assert texts(data, "Family") == ["primary", "primary", "other"]
    assert column(data, "Units")["numbers"] == [170, 170, 3]
    tests = {text: note for text, note, _ in column(data, "Test, correction")["words"]}
    assert tests == {"signed rank": "holm, 12 comparisons", "—": ""}
    constants = dict(grid.constants)
    assert constants["Exposure"] == "unknown"
    assert constants["Exposure of the opponent"] == "clean"


def test_hostile_names_cannot_leave_the_data(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--"
    models = described(["bulkformer"]) | {
        hostile: {"kind": "baseline", "weights": "none", "tasks": "imputation", "description": ""}
    }
    arguments = write_inputs(tmp_path, models=models)
    render(**arguments)
    text = arguments["numbers"][0].read_text()
    assert "alert(1)</script>" not in text
    (grid,) = grids_of(text)
    assert hostile in texts(grid, "Model")


def test_a_task_without_rows_says_so(tmp_path: Path) -> None:
    arguments = write_inputs(tmp_path, models=described(["ridge", "gene_mean"]), config=CONFIG)
    render(**arguments)
    assert "The task was not run." in arguments["numbers"][1].read_text()


def test_every_model_stands_on_the_pages_of_its_tasks(pages) -> None:
    for model, (_, _, tasks, _) in MODELS.items():
        for task in tasks.split(","):
            (grid,) = grids_of(pages[task])
            assert model in texts(grid, "Model")


def test_missing_values_are_null_and_large_ones_are_whole() -> None:
    data = Numbers("Value", [0.12349, None, float("nan"), 1234.56, 2.0]).data()
    assert data["numbers"] == [0.123, None, None, 1235, 2]


def test_a_column_with_one_text_or_number_leaves_the_table() -> None:
    columns = [words_of("A", ["x", "x"]), words_of("B", ["x", None]), Numbers("C", [3, 3])]
    grid = grid_of("t", "T", 2, columns, "", "")
    assert [each.label for each in grid.columns] == ["B"]
    assert grid.constants == [("A", "x"), ("C", "3")]
    assert words_of("B", ["x", None, float("nan")]).words == [Word("x"), Word("—")]


def test_parts_of_the_data_are_named() -> None:
    assert part_of((None, None, None, None)) == "all"
    assert part_of(("drug", "GDSC:1", None, None)) == "drug GDSC:1"
    assert part_of((None, None, 2.0, 0.0)) == "fold 2, repeat 0"
