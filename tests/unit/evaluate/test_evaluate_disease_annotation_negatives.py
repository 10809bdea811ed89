"""Annotation: easy and hard negatives are told apart, and legacy heads beside the paper's own."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from annotation_world import predict, score, value
from evaluate_world import World, annotation_settings, split_annotation
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from bulkformer.evaluate.heads import HEADS
from bulkformer.evaluate.linear import fit_principal_axes

EASY, HARD = "all other classes", "other classes of the same tissue"


@pytest.fixture
def tissues(world: World) -> World:
    """Two diseases, each of one tissue; vectors know the tissue and nothing of a disease."""
    study = np.arange(240) // 10
    tissue = np.where(study % 2 == 0, "skin", "blood")
    sick = np.arange(240) % 2 == 0
    disease = np.where(sick, np.where(tissue == "skin", "psoriasis", "sepsis"), "control")
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(240, 4)) + 6 * (tissue == "skin")[:, None]
    labels = {"study_id": [f"GSE{s:02d}" for s in study], "tissue": tissue, "disease": disease}
    world.cohort("series", labels, vectors=vectors)
    split_annotation(world, annotation_settings())
    return world


def negatives(world: World, protocol: str = "strict") -> tuple[pd.DataFrame, pd.DataFrame]:
    text = annotation_settings()
    predictions = predict(world, protocol, text, ["random_forest"])
    table = score(world, protocol, text, predictions)
    return table[table["group_kind"] == "negatives"], pd.read_parquet(predictions)


def test_who_knows_the_tissue_alone_is_found_out_by_hard_negatives(tissues: World) -> None:
    table, _ = negatives(tissues)
    easy, hard = (value(table, "one_against_rest_auc", "weighted", group=g) for g in (EASY, HARD))
    assert easy["value"] > 0.7
    assert hard["ci_low"] <= 0.5 <= hard["ci_high"]
    assert easy["n"] == hard["n"] == 120  # the same cases
    assert (hard["ci_unit"], hard["n_groups"]) == ("study", 24)


def test_areas_are_those_of_scikit_learn_weighted_by_cases(tissues: World) -> None:
    table, saved = negatives(tissues, "legacy")
    classes = json.loads(saved["classes"].iloc[0])
    saved["tissue"], saved["y_true"] = saved["tissue"].astype(str), saved["y_true"].astype(str)
    areas: dict[str, list[tuple[float, int]]] = {EASY: [], HARD: []}
    for _, fold in saved.groupby("fold"):
        for disease, tissue in (("psoriasis", "skin"), ("sepsis", "blood")):
            told = np.stack(fold["probabilities"])[:, classes.index(disease)].round(6)
            sick = (fold["y_true"] == disease).to_numpy()
            here = (fold["tissue"] == tissue).to_numpy()
            areas[EASY].append((roc_auc_score(sick, told), sick.sum()))
            areas[HARD].append((roc_auc_score(sick[here], told[here]), sick.sum()))
    for group, found in areas.items():
        expected = np.average([a for a, _ in found], weights=[n for _, n in found])
        row = value(table, "one_against_rest_auc", "weighted", group=group)
        assert row["value"] == pytest.approx(expected, abs=1e-4)


def test_where_all_samples_are_of_one_tissue_nothing_is_said_of_negatives(planted: World) -> None:
    split_annotation(planted, annotation_settings())
    assert negatives(planted)[0].empty


def test_components_of_all_rows_are_a_labelled_leak_and_no_head(world: World) -> None:
    rng = np.random.default_rng(1)
    labels = {"patient_id": [f"P{i}" for i in range(60)], "disease": ["a", "b", "c"] * 20}
    vectors = rng.normal(size=(60, 30)).astype(np.float32)
    world.cohort("series", labels, vectors=vectors)
    text = json.loads(annotation_settings(group_by="patient_id"))
    text["legacy"]["further_heads"] = ["forest_of_the_authors_2026", "pca_on_all_rows"]
    split_annotation(world, json.dumps(text))
    saved = pd.read_parquet(predict(world, "legacy", json.dumps(text)))
    paper = "pca_random_forest"
    assert set(saved["head"]) == {paper, "forest_of_the_authors_2026", "pca_on_all_rows"}
    assert "pca_on_all_rows" not in HEADS
    first, second = (
        np.stack(saved.loc[saved["head"] == head, "probabilities"]).argmax(axis=1)
        for head in (paper, "pca_on_all_rows")
    )
    assert (first != second).any()
    strict = pd.read_parquet(predict(world, "strict", json.dumps(text)))
    assert set(strict["head"]) == {"logistic_regression", "random_forest"}


def test_the_leak_is_that_components_have_seen_the_test_rows_and_nothing_else(
    tmp_path: Path,
) -> None:
    from bulkformer.evaluate.heads import HeadSettings
    from bulkformer.evaluate.tasks.disease_annotation_fits import LEAKY, Fit, run_fit
    from bulkformer.evaluate.tasks.disease_annotation_samples import Samples

    rng = np.random.default_rng(2)
    vectors, labels = rng.normal(size=(50, 20)).astype(np.float32), np.arange(50) % 2
    np.save(tmp_path / "vectors.npy", vectors)
    nobody, rows = np.full(50, None), np.arange(50)
    samples = Samples(rows, rows, nobody, nobody, labels, rows, ["a", "b"], tmp_path, rows)
    fit = Fit(samples, (("random_folds", None),), LEAKY, 0, 0, rows[:40], rows[40:], 3)
    told, _ = run_fit(fit, str(tmp_path / "vectors.npy"), HeadSettings(5, 20))
    components = fit_principal_axes(vectors, 5).transform(vectors).astype(np.float32)
    forest = RandomForestClassifier(20, max_features="sqrt", random_state=3)
    forest.fit(components[:40], labels[:40])
    assert told == pytest.approx(forest.predict_proba(components[40:]).astype(np.float32))
