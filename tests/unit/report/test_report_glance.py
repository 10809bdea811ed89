"""The first screen: one row a task, and no verdict that a paired test did not give."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from report_mock import CONFIG, MODELS, described, metrics_table
from report_mock_paired import SETTINGS, comparison, line_models, response_metrics

from bulkformer.evaluate.comparisons import COMPARISONS
from bulkformer.report.glance import glance_sentence, glance_tables, headlines
from bulkformer.report.measure_names import task_name
from bulkformer.report.views import Comparison, comparisons

DESCRIBED = described(MODELS) | line_models()
EVALUATE = CONFIG | {"evaluate": CONFIG["evaluate"] | {"drug_response": SETTINGS}}


@pytest.fixture(scope="module")
def compared() -> list[Comparison]:
    """Two imputation, two annotation and two drug response comparisons."""
    metrics = pd.concat(
        [metrics_table(described(MODELS)).to_pandas(), response_metrics().to_pandas()]
    )
    tasks = ("imputation", "disease_annotation", "drug_response")
    return [pair for task in tasks for pair in comparisons(metrics, task, EVALUATE)]


def paired(**more: Any) -> pd.DataFrame:
    row = comparison("bulkformer", "no_difference_shown", "No difference shown, it says.")
    return pd.DataFrame([row | {"condition": None} | more], columns=COMPARISONS.names)


def rows_of(compared: list[Comparison], table: pd.DataFrame | None, number: int = 0) -> dict:
    shown = glance_tables(compared, table, EVALUATE, DESCRIBED, 0.15)[number]
    return {row[0].text + " " + row[0].note: row for row in shown.rows}


def test_every_task_has_one_row_and_everything_else_stands_below(compared) -> None:
    first, others = glance_tables(compared, None, EVALUATE, DESCRIBED, 0.15)
    tasks = [row[0].text for row in first.rows]
    assert tasks == ["Imputation", "Disease annotation", "Drug response"]
    every = sum(1 + len(pair.others) for pair in compared)
    assert len(first.rows) + len(others.rows) == every


def test_legacy_and_strict_each_show_value_verdict_and_floor(compared) -> None:
    first, _ = glance_tables(compared, None, EVALUATE, DESCRIBED)
    asked = ["Pretrained model", "Against the best simple model", "Floor"]
    assert [column.label for column in first.columns] == ["Task", *asked, *asked]
    assert [column.above for column in first.columns] == ["", *["legacy"] * 3, *["strict"] * 3]
    (row,) = (row for row in first.rows if row[0].text == "Imputation")
    assert row[3].note.endswith("gene_mean")
    assert (row[3].text, row[6].text) == ("0.860", "0.000")


def test_the_verdict_is_that_of_the_paired_test_and_says_no_difference_shown(compared) -> None:
    row = rows_of(compared, paired())["Drug response gdsc, held out lines"]
    assert row[5].text == "no difference shown"
    assert row[5].note == (
        "log_tpm: −0.050 [−0.070, −0.030], per drug pearson over 170 drugs, adjusted p below 0.001"
    )
    assert row[5].help == "No difference shown, it says. log_tpm: the best simple one."


@pytest.mark.parametrize(
    "change",
    [{"role": "null"}, {"metric": "per_drug_spearman"}, {"regime": "held_out_tissues"},
     {"model": "pca"}, {"protocol": "legacy"}],
)  # fmt: skip
def test_another_comparison_gives_no_verdict(compared, change) -> None:
    row = rows_of(compared, paired(**change))["Drug response gdsc, held out lines"]
    assert "no test, intervals only" in row[5].note


def test_of_several_heads_the_declared_one_is_shown(compared) -> None:
    table = pd.concat([paired(head="gradient_boosting", verdict="better"), paired(verdict="worse")])
    cell = rows_of(compared, table)["Drug response gdsc, held out lines"][5]
    assert cell.text == "worse"
    assert cell.note.endswith("; with gradient boosting: better")


def test_the_same_head_goes_before_the_best_of_each_and_folds_before_drugs(compared) -> None:
    best = paired(role="best_of_each", verdict="better")
    place = "Drug response gdsc, held out lines"
    assert rows_of(compared, best)[place][5].text == "better"
    both = pd.concat([best, paired(unit_kind="drug", verdict="better"),
                      paired(unit_kind="fold", verdict="worse")])  # fmt: skip
    cell = rows_of(compared, both)[place][5]
    assert (cell.text, "with" in cell.note) == ("worse", False)


def test_an_opponent_that_the_configuration_names_is_not_called_the_best(compared) -> None:
    named = paired(opponent_rule="named in the configuration; both with the same head")
    cell = rows_of(compared, named)["Drug response gdsc, held out lines"][5]
    assert cell.note.startswith("log_tpm, named in the configuration: −0.050")
    assert "highest" not in cell.help
    first, _ = glance_tables(compared, named, EVALUATE, DESCRIBED)
    assert not any("scored highest" in column.help for column in first.columns)
    said = glance_sentence(compared, named, EVALUATE, DESCRIBED)
    assert "Against the best or named simple model" in said
    assert "Against the best simple" in glance_sentence(compared, paired(), EVALUATE, DESCRIBED)


def test_without_a_simple_model_on_the_same_targets_there_is_no_verdict(compared) -> None:
    pair = next(each for each in compared if each.task == "drug_response")
    rows = pair.rows.assign(n=pair.rows["n"].where(pair.rows["model"] != "bulkformer", 100))
    row = rows_of([replace(pair, rows=rows)], None)["Drug response gdsc, held out lines"]
    for cell in (row[2], row[5]):
        assert (cell.text, cell.note) == ("—", "no simple model was asked for the same targets")
    assert row[3].note.endswith("drug_mean, on other targets")


def test_the_headline_is_the_dataset_named_first_and_the_regime_that_holm_declares(
    compared,
) -> None:
    declared = {
        "drug_response": SETTINGS
        | {"strict": {"regimes": ["held_out_scaffolds", "held_out_lines"]}},
        "disease_annotation": {"datasets": [{"name": "disignatlas_disease"}]},
    }
    for evaluate, regime, dataset in (
        (EVALUATE["evaluate"], "held_out_lines", "tcga_cancer_type"),
        (declared, "held_out_lines", "disignatlas_disease"),
    ):
        shown = {each.task: each for each in headlines(compared, {"evaluate": evaluate})}
        assert shown["drug_response"].regimes["strict"] == regime
        if evaluate is declared:
            assert shown["disease_annotation"].dataset == dataset


def test_a_further_question_of_a_task_stands_below_it(compared) -> None:
    further = [replace(compared[0], task="imputation_differential")]
    order = [each.task for each in headlines([*compared, *further], EVALUATE)]
    assert order[:2] == ["imputation", "imputation_differential"]
    assert task_name("imputation_differential") == "Imputation: differential genes"


def test_the_verdicts_are_counted_in_one_sentence(compared) -> None:
    assert "no difference shown in 1 of 1 headlines" in glance_sentence(
        compared, paired(), EVALUATE, DESCRIBED
    )
    assert "No paired comparison" in glance_sentence(compared, None, EVALUATE, DESCRIBED)


def test_the_mask_of_the_training_is_named(compared) -> None:
    rows = rows_of(compared, None) | rows_of(compared, None, 1)
    for name in rows:
        assert ("as in training" in name) == ("random 15%" in name)
    assert any("random 50%" in name for name in rows)


def test_without_a_foundation_model_the_row_says_so(compared) -> None:
    simple = {name: about for name, about in DESCRIBED.items() if about["kind"] != "foundation"}
    first, _ = glance_tables(compared, None, EVALUATE, simple)
    assert {cell.note for row in first.rows for cell in row[1:]} == {"not run"}
    assert glance_sentence(compared, None, EVALUATE, simple) == "No foundation model took part."


def test_a_number_of_a_model_that_saw_the_samples_says_so(compared) -> None:
    rows = rows_of(compared, None)
    imputation = next(row for name, row in rows.items() if name.startswith("Imputation"))
    assert imputation[1].flag == "exposure: seen unlabelled"  # legacy: samples of trained studies
    assert imputation[4].flag == ""
    opponent = rows_of(compared, paired(exposure="clean", opponent_exposure="unknown"))
    assert opponent["Drug response gdsc, held out lines"][5].flag.endswith(", exposure: unknown")
