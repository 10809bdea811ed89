"""Further questions of each task: drawn from the rows that answer them, else left out."""

import re
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from report_mock import metric

from bulkformer.report.closer import (
    Looked,
    Part,
    exposure_said,
    look,
    middle_half,
    ordered,
    picked,
)
from bulkformer.report.figures import Estimate, Panel
from bulkformer.report.views import Measure

KINDS = {
    "bulkformer": "foundation", "ridge": "classical", "floor": "baseline", "untrained": "control",
}  # fmt: skip
VALUES = {"bulkformer": 0.6, "ridge": 0.7, "floor": 0.1, "untrained": 0.3}
CONDITION = "random 15%"


def rows(**about: Any) -> list[dict[str, Any]]:
    """Return one row a model; a callable is asked for the value that belongs to a model."""
    empty = dict.fromkeys(
        ["condition", "head", "group_kind", "group", "fold", "repeat", "ci_low", "ci_high"]
    )
    made = []
    for model, value in VALUES.items():
        known = {"protocol": "strict", "dataset": "d", "aggregation": "pooled", "model": model}
        known |= {"weights": "random" if model == "untrained" else "fitted"}
        more = {key: each(model) if callable(each) else each for key, each in about.items()}
        made.append(empty | metric(more.pop("value", value), None) | known | more)
    return made


def looked(task: str, metrics: list[dict[str, Any]], regime: str = "grouped_folds") -> list[Part]:
    """Return the parts of a task with one comparison whose floor is `floor`."""
    table = pd.DataFrame(metrics).assign(task=task)
    measure = Measure("strict", metrics[0]["metric"], metrics[0]["aggregation"], "ridge")
    pair = SimpleNamespace(
        task=task, dataset="d", floor="floor", strict=[measure], regimes={"strict": regime},
        condition=None, rows=table[table["group"].isna()],
    )  # fmt: skip
    models = {name: {"kind": kind} for name, kind in KINDS.items()}
    inputs = SimpleNamespace(metrics=table, provenance={"models": models, "config": {}})
    return look(inputs, task, [pair])


def only(parts: list[Part], heading: str) -> Part:
    (found,) = (each for each in parts if each.heading == heading)
    return found


def texts(part: Part) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", "".join(f.svg for f in part.figures))


def test_few_shot_curves_run_over_the_share_of_labels() -> None:
    made = [
        row
        for share in (10, 50, 100)
        for row in rows(
            metric="macro_f1", regime="grouped_folds_few_shot",
            condition=f"{share} % of training groups",
        )
    ]  # fmt: skip
    part = only(looked("disease_annotation", made), "With fewer labels")
    assert {"10", "50", "100", "training groups with labels (%)"} <= set(texts(part))


def test_probes_are_drawn_with_chance_as_a_line() -> None:
    made = rows(metric="balanced_accuracy", regime="probe_study")
    part = only(looked("disease_annotation", made), "What else the vectors tell")
    assert "floor" in texts(part)
    assert "stroke-dasharray" in part.figures[0].svg
    assert "The dashed line is chance" in part.figures[0].caption


def test_single_studies_stand_beside_folds_of_groups() -> None:
    made = rows(metric="macro_f1", regime="grouped_folds")
    half = {model: value / 2 for model, value in VALUES.items()}
    made += rows(metric="macro_f1", regime="held_out_studies", value=half.__getitem__)
    part = only(looked("disease_annotation", made), "Every study held out alone")
    assert {"0.600", "0.300", "Folds of groups", "Studies one by one"} <= set(texts(part))


def test_the_lowest_calibration_error_comes_first() -> None:
    made = rows(metric="expected_calibration_error", regime="grouped_folds")
    part = only(looked("disease_annotation", made), "Calibration")
    shown = [text for text in texts(part) if text.split(" ")[0] in VALUES]
    assert [text.split(" ")[0] for text in shown if "floor" not in text] == [
        "untrained", "bulkformer", "ridge",
    ]  # fmt: skip
    assert "untrained (untrained)" in shown


def test_tuning_is_listed_by_head() -> None:
    made = rows(
        metric="tuning_trials", regime="grouped_folds", aggregation="fold_mean",
        head=lambda model: "svm" if model == "ridge" else "logistic",
        value=lambda model: 5.0 if model == "ridge" else float(len(model) > 5),
    )  # fmt: skip
    part = only(looked("disease_annotation", made), "Tuning")
    said = {row[0].text: (row[1].text, row[2].text) for row in part.table.rows}
    assert said["svm"] == ("ridge", "5")
    assert said["logistic"][1] == "0 to 1"


def test_kinds_of_masks_have_curves_and_a_panel_is_drawn_by_itself() -> None:
    made = [
        row
        for condition in ("whole gene 15%", "whole gene 50%", "random 15%", "panel 100 genes")
        for row in rows(metric="mse_skill", condition=condition, regime="held_out_groups")
    ]
    part = only(looked("imputation", made), "Other kinds of masks")
    assert len(part.figures) == 2
    assert {"Whole gene", "15", "50", "panel 100 genes"} <= set(texts(part))
    assert "Random" not in texts(part)


def test_genes_are_shown_by_median_and_quartiles() -> None:
    made = [
        row
        for name, add in (("median", 0.0), ("lower_quartile", -0.05), ("upper_quartile", 0.05))
        for row in rows(
            metric="per_gene_pearson_deviation", aggregation=f"{name}_over_groups",
            condition=CONDITION, regime="held_out_groups",
            value=lambda model, add=add: VALUES[model] + add,
        )
    ]  # fmt: skip
    frame = pd.DataFrame(made)
    half = middle_half(frame, "per_gene_pearson_deviation")
    assert half["ridge"] == Estimate(0.7, pytest.approx(0.65), pytest.approx(0.75))
    part = only(looked("imputation", made), "Gene by gene")
    assert "not intervals of the median" in part.text


def test_recovery_of_genes_has_f1_precision_and_recall_for_each_mask() -> None:
    made = [
        row
        for condition in (CONDITION, "whole gene 15%")
        for name in ("f1", "precision", "recall")
        for row in rows(metric=name, condition=condition, regime="external")
    ]
    (part,) = looked("imputation_differential", made)
    assert len(part.figures) == 2
    assert {"F1", "Precision", "Recall"} <= set(texts(part))


def drugs(**about: Any) -> list[dict[str, Any]]:
    made = rows(
        metric="per_drug_pearson", aggregation="mean_over_groups", regime="held_out_lines",
        head="ridge",
    )  # fmt: skip
    for number in range(3):
        made += rows(
            metric="per_drug_pearson", regime="held_out_lines", head="ridge", group_kind="drug",
            group=f"GDSC:{number}", value=lambda model, n=number: VALUES[model] + 0.1 * (n - 1),
        )  # fmt: skip
    return [row | about for row in made]


def test_every_drug_is_a_dot_and_a_model_that_saw_the_lines_is_named() -> None:
    (part,) = looked("drug_response", drugs(exposure="seen_unlabelled"), "held_out_lines")
    dots = re.findall(r'<path d="([^"]*h0[^"]*)"', part.figures[0].svg)
    assert [each.count("h0") for each in dots] == [3] * len(VALUES)
    assert "seen unlabelled for " in part.figures[0].caption


def test_genes_above_a_threshold_stand_beside_what_permuted_lines_give() -> None:
    made = rows(metric="per_gene_pearson", aggregation="mean_over_groups", regime="held_out_lines")
    for name in ("genes_above_0.2", "genes_above_0.2_permuted"):
        made += rows(metric=name, aggregation="mean_over_groups", regime="held_out_lines")
    made += rows(
        metric="per_gene_pearson", aggregation="mean_over_groups", regime="held_out_lines",
        group_kind="genes", group="selective",
    )  # fmt: skip
    (part,) = looked("gene_essentiality", made, "held_out_lines")
    assert {"All genes", "Selective", "Genes with r above 0.2"} <= set(texts(part))
    assert "h0" in part.figures[1].svg


def test_heads_of_a_part_of_the_targets_stand_not_beside_heads_of_all() -> None:
    about = {"metric": "per_gene_pearson", "regime": "held_out_lines"}
    about |= {"aggregation": "mean_over_groups"}
    forest = rows(**about, head="forest", n=100, value=0.91, model="forest")[:1]
    made = rows(**about, head="ridge") + [row | {"model": "log_tpm_forest"} for row in forest]
    made += rows(**about | {"metric": "n_lines"}, head="forest", model="log_tpm_forest")[:1]
    (part,) = looked("gene_essentiality", made, "held_out_lines")
    assert "log_tpm_forest" not in texts(part)
    asked = "Not shown, as asked for a part of the targets only: log_tpm_forest."
    assert asked in part.figures[0].caption
    single = [row | {"model": "log_tpm_forest", "n": 100} for row in drugs(head="forest")[::4]]
    (part,) = looked("drug_response", drugs() + single, "held_out_lines")
    assert "log_tpm_forest" not in texts(part)
    assert asked in part.figures[0].caption


def test_a_repeat_does_not_answer_for_all_of_them() -> None:
    about = {"metric": "per_gene_pearson", "regime": "held_out_lines", "head": "ridge"}
    made = rows(**about, aggregation="mean_over_groups")
    (whole,) = looked("gene_essentiality", made, "held_out_lines")
    made += rows(**about, aggregation="mean_over_groups", repeat=0, value=0.95)
    (part,) = looked("gene_essentiality", made, "held_out_lines")
    assert part.figures[0].svg == whole.figures[0].svg


def test_prognosis_shows_gain_over_clinical_data_each_cancer_and_calibration() -> None:
    made = rows(metric="within_cancer_c_index", aggregation="weighted", regime="grouped_folds")
    for cancer, few in (("BRCA", None), ("CHOL", "fewer_than_20_events")):
        made += rows(
            metric="within_cancer_c_index", aggregation="weighted", regime="grouped_folds",
            group_kind="cancer_type", group=cancer, condition=few,
        )  # fmt: skip
    made += rows(
        metric="c_index_gain_over_clinical", aggregation="weighted", regime="grouped_folds",
        value=lambda model: VALUES[model] - 0.5,
    )  # fmt: skip
    made += rows(metric="d_calibration_p_value", regime="grouped_folds")
    parts = looked("prognosis", made)
    assert [part.heading for part in parts] == [
        "Gain over clinical data", "Cancer by cancer", "Calibration",
    ]  # fmt: skip
    assert "clinical alone" in texts(parts[0])
    assert "chance" in texts(parts[1])
    table = parts[1].table
    assert [column.label for column in table.columns] == ["Model", "BRCA", "CHOL", "Exposure"]
    assert table.caption == "Fewer than 20 events: CHOL."
    notes = {row[0].text: row[0].note for row in table.rows}
    assert notes["untrained"] == "control, untrained weights"
    assert notes["floor"] == "floor"
    assert {row[-1].mark for row in table.rows} == {"clean"}


def test_what_was_not_measured_is_left_out() -> None:
    made = rows(metric="some_other_metric", regime="grouped_folds")
    for task in ("imputation", "disease_annotation", "prognosis", "drug_response", "new_task"):
        assert looked(task, made) == []


def test_a_model_with_a_head_of_its_own_answers_by_its_best_one() -> None:
    frame = pd.DataFrame(
        [
            *rows(metric="m", head="ridge"),
            *rows(metric="m", head="mlp", value=0.99),
            *(row | {"model": "own"} for row in rows(metric="m", head="x")[:1]),
        ]
    )
    found = picked(frame, "m", "pooled", "ridge")
    assert found["ridge"].value == 0.7
    assert found["own"].value == 0.6


def test_models_are_ordered_by_the_first_panel_and_of_equals_the_floor_is_last() -> None:
    panel = Panel("", "", {"floor": Estimate(0.0), "a": Estimate(0.0), "b": Estimate(0.5)})
    more = Panel("", "", {"c": Estimate(0.9)})
    assert ordered([panel, more], "floor") == ["b", "a", "floor", "c"]


def test_exposure_is_said_for_those_that_are_not_clean() -> None:
    frame = pd.DataFrame({"model": ["a", "b", "b"], "exposure": ["clean", "unknown", "unknown"]})
    assert exposure_said(frame) == "Exposure: unknown for b."
    assert exposure_said(frame[:1]) == "Exposure: clean for all."


def test_a_look_keeps_rows_about_all_of_the_data_apart() -> None:
    table = pd.DataFrame(drugs()).assign(task="drug_response")
    own = Looked("drug_response", SimpleNamespace(), [], table)
    assert len(own.whole) == len(VALUES)
    assert (own.floor, own.head) == ("", None)
