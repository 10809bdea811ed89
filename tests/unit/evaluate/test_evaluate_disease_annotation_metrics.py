"""Annotation: every number of the table, computed again from saved predictions by scikit-learn."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from annotation_world import predict, score, value
from evaluate_world import World, annotation_settings, split_annotation
from sklearn import metrics as known

from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import Scoring, load_task, open_predictions
from bulkformer.evaluate.tasks import disease_annotation_scores as scores_module
from bulkformer.evaluate.tasks.disease_annotation_repeats import read_repeats

KINDS = {("planted", "grouped_folds"): "study", ("planted", "few_shot"): "study"}


def read(predictions: object) -> pd.DataFrame:
    saved = pd.read_parquet(predictions)
    for name in ("y_true", "y_pred", "study_id"):
        saved[name] = saved[name].astype(str)
    return saved


MEASURES: dict[str, Callable[[pd.Series, pd.Series], float]] = {
    "macro_f1": lambda truth, told: known.f1_score(truth, told, average="macro"),
    "weighted_f1": lambda truth, told: known.f1_score(truth, told, average="weighted"),
    "accuracy": known.accuracy_score,
    "balanced_accuracy": known.balanced_accuracy_score,
    "matthews_correlation": known.matthews_corrcoef,
}


@pytest.mark.parametrize(("protocol", "head"), [("legacy", None), ("strict", "random_forest")])
def test_measures_of_labels_are_those_of_scikit_learn(
    confounded: World, protocol: str, head: str | None
) -> None:
    text = annotation_settings()
    split_annotation(confounded, text)
    predictions = predict(confounded, protocol, text, head and [head])
    table, saved = score(confounded, protocol, text, predictions), read(predictions)
    repeats = [rows for _, rows in saved.groupby("repeat")]
    for metric, measure in MEASURES.items():
        pooled = np.mean([measure(rows["y_true"], rows["y_pred"]) for rows in repeats])
        by_fold = [
            measure(rows["y_true"], rows["y_pred"]) for _, rows in saved.groupby(["repeat", "fold"])
        ]
        assert value(table, metric, "pooled")["value"] == pytest.approx(pooled)
        assert value(table, metric, "fold_mean")["value"] == pytest.approx(np.mean(by_fold))
    for fold, rows in repeats[0].groupby("fold"):
        for metric in ("macro_f1", "weighted_f1"):
            expected = MEASURES[metric](rows["y_true"], rows["y_pred"])
            row = value(table, metric, "pooled", fold=fold, repeat=0)
            assert row["value"] == pytest.approx(expected)
    for name in ("disease0", "disease1", "disease2"):
        by_repeat = [
            known.f1_score(rows["y_true"] == name, rows["y_pred"] == name) for rows in repeats
        ]
        row = value(table, "f1", "pooled", group=name)
        assert row["value"] == pytest.approx(np.mean(by_repeat))
        assert row["n"] == (repeats[0]["y_true"] == name).sum()


def test_areas_are_those_of_scikit_learn_averaged_over_folds_of_a_study(planted: World) -> None:
    text = annotation_settings()
    split_annotation(planted, text)
    predictions = predict(planted, "legacy", text)
    table, saved = score(planted, "legacy", text, predictions), read(predictions)
    # Classes are asthma and control, in this order.
    saved["likely"] = np.stack(saved["probabilities"])[:, 0].astype(np.float32)
    saved["sick"] = saved["y_true"] == "asthma"

    def weighted(parts: list[str]) -> float:
        areas, sizes = [], []
        for _, rows in saved.groupby(parts):
            if rows["sick"].nunique() == 2:
                areas.append(known.roc_auc_score(rows["sick"], rows["likely"].round(6)))
                sizes.append(len(rows))
        return float(np.average(areas, weights=sizes))

    found = value(table, "disease_auc", "weighted")["value"]
    assert found == pytest.approx(weighted(["fold"]), abs=1e-4)
    within = value(table, "within_study_disease_auc", "weighted")
    assert within["value"] == pytest.approx(weighted(["study_id", "fold"]), abs=1e-4)


def test_every_study_with_cases_and_controls_is_a_unit_with_its_own_area(planted: World) -> None:
    text = annotation_settings()
    split_annotation(planted, text)
    predictions = predict(planted, "strict", text, ["logistic_regression"])
    scoring = Scoring("strict", json.loads(text), KINDS, Bootstrap(0, 1))
    task = load_task("disease_annotation")
    parts = list(task.units(open_predictions(predictions, task), scoring))
    (of_studies,) = (part for part in parts if part.unit_kind == "study")
    assert (of_studies.metric, of_studies.repeat) == ("within_study_disease_auc", None)
    saved = read(predictions)
    saved = saved[saved["regime"] == "grouped_folds"]
    saved["likely"] = np.stack(saved["probabilities"])[:, 0].astype(np.float32).round(6)
    expected = {}
    for study, rows in saved.groupby("study_id"):
        if rows["y_true"].nunique() == 2:  # a study lies in one strict fold of each repeat
            areas = [
                known.roc_auc_score(own["y_true"] == "asthma", own["likely"])
                for _, own in rows.groupby("repeat")
            ]
            expected[study] = np.mean(areas)
    assert len(expected) > 2
    found = dict(zip(of_studies.unit, of_studies.value, strict=True))
    assert found == pytest.approx(expected, abs=1e-4)


def test_top_3_and_calibration_are_counted_as_defined(world: World) -> None:
    rng = np.random.default_rng(3)
    label = np.arange(120) % 6
    vectors = rng.normal(size=(120, 8))
    vectors[np.arange(120), label] += 2
    labels = {
        "patient_id": [f"P{i}" for i in range(120)],
        "disease": [f"disease{one}" for one in label],
    }
    world.cohort("series", labels, vectors=vectors)
    text = annotation_settings(group_by="patient_id")
    split_annotation(world, text)
    predictions = predict(world, "strict", text, ["logistic_regression"])
    table, saved = score(world, "strict", text, predictions), read(predictions)
    hits, errors = [], []
    for _, rows in saved.groupby("repeat"):
        told = np.stack(rows["probabilities"]).astype(np.float64)
        truth = rows["y_true"].str[-1].astype(int).to_numpy()
        hits.append(known.top_k_accuracy_score(truth, told, k=3))
        sure, right = told.max(axis=1), told.argmax(axis=1) == truth
        part = np.digitize(sure, np.linspace(0, 1, 16)[1:-1])
        errors.append(
            sum(abs(sure[part == b].mean() - right[part == b].mean()) * (part == b).mean()
                for b in np.unique(part))
        )  # fmt: skip
    assert value(table, "top_3_accuracy", "pooled")["value"] == pytest.approx(np.mean(hits))
    error = value(table, "expected_calibration_error", "pooled")["value"]
    assert error == pytest.approx(np.mean(errors), abs=1e-6)


def test_the_table_says_how_many_settings_a_head_tried(planted: World) -> None:
    text = annotation_settings()
    split_annotation(planted, text)
    table = score(planted, "strict", text, predict(planted, "strict", text))
    for head, trials in (("logistic_regression", 5), ("random_forest", 0)):
        assert value(table, "tuning_trials", "fold_mean", head=head)["value"] == trials


def test_predictions_are_counted_once_for_scores_and_for_units(
    confounded: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = annotation_settings()
    split_annotation(confounded, text)
    task = load_task("disease_annotation")
    saved = open_predictions(predict(confounded, "strict", text, ["majority"]), task)
    scoring = Scoring("strict", json.loads(text), KINDS, Bootstrap(0, 1))
    counted = []

    def noted(rows: object, classes: object) -> object:
        counted.append(rows)
        return read_repeats(rows, classes)

    monkeypatch.setattr(scores_module, "read_repeats", noted)
    scores = list(task.score(saved, scoring))
    before = len(counted)
    units = list(task.units(saved, scoring))
    assert before == len(counted) > 0
    of_folds = [each for each in scores if each.fold is not None and each.metric == "macro_f1"]
    found = [each for each in units if each.metric == "macro_f1"]
    assert sum(len(each.unit) for each in found) == len(of_folds) > 0
