"""Folds of annotation: who counts once, what stays together, and which classes can be tested."""

import numpy as np
import pandas as pd
import pytest
from evaluate_world import World, annotation_settings, split_annotation

from bulkformer.errors import InputError


def test_a_patient_with_two_aliquots_lies_in_one_strict_fold_and_counts_once(
    world: World,
) -> None:
    patients = [f"P{i}" for i in range(30)] * 2
    labels = {
        "patient_id": patients,
        "cancer_type": [f"C{int(patient[1:]) % 3}" for patient in patients],
        "sample_type": ["Primary Tumor"] * 50 + ["Solid Tissue Normal"] * 10,
    }
    world.cohort("tcga", labels)
    text = annotation_settings(cohort="tcga", label="cancer_type", group_by="patient_id")
    table = pd.read_parquet(split_annotation(world, text))
    legacy, strict = (table[table["protocol"] == p] for p in ("legacy", "strict"))
    assert len(legacy) == 60
    assert legacy.groupby("group")["fold"].nunique().max() == 2
    for _, repeat in strict.groupby("repeat"):
        assert sorted(repeat["group"]) == sorted(set(patients))


def test_a_donor_with_many_tissues_lies_in_one_strict_fold(world: World) -> None:
    labels = {"donor_id": [f"D{i // 4}" for i in range(48)], "tissue": ["a", "b", "c", "d"] * 12}
    world.cohort("gtex", labels)
    text = annotation_settings(cohort="gtex", label="tissue", group_by="donor_id")
    table = pd.read_parquet(split_annotation(world, text)).query("protocol == 'strict'")
    assert len(table) == 48 * 2
    assert table.groupby(["repeat", "group"])["fold"].nunique().max() == 1
    assert set(table["group_kind"]) == {"donor"}


@pytest.mark.parametrize("column", ["patient_id", "donor_id", "biosample"])
def test_two_studies_of_one_person_lie_in_one_strict_fold(world: World, column: str) -> None:
    studies = [f"GSE{i // 4:02d}" for i in range(48)]
    person = [None] * 48
    person[0] = person[47] = "the same"
    labels = {"study_id": studies, "disease": ["a", "b"] * 24, column: person}
    world.cohort("series", labels)
    table = pd.read_parquet(split_annotation(world, annotation_settings()))
    strict = table.query("protocol == 'strict' and regime == 'grouped_folds'")
    study = dict(zip((f"series_{i:04d}" for i in range(48)), studies, strict=True))
    groups = strict.groupby(strict["unit"].map(study))["group"].unique().explode()
    assert groups["GSE11"] == groups["GSE00"] == "GSE00"
    assert groups.nunique() == 11


def test_a_disease_of_two_studies_is_dropped_and_said_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    study = np.arange(60) // 5
    label = np.where(study < 2, "rare", np.where(study < 7, "one", "other"))
    world.cohort("series", {"study_id": [f"GSE{s}" for s in study], "disease": label.tolist()})
    table = pd.read_parquet(split_annotation(world, annotation_settings()))
    assert set(table.loc[table["protocol"] == "strict", "stratum"]) == {"one", "other"}
    assert set(table.loc[table["protocol"] == "legacy", "stratum"]) == {"one", "other", "rare"}
    assert "dropped 1 of 3 classes" in capsys.readouterr().err


def test_one_testable_class_is_an_error_that_names_the_dataset(world: World) -> None:
    labels = {"study_id": ["GSE1"] * 10 + ["GSE2"] * 10, "disease": ["a", "b"] * 10}
    world.cohort("series", labels)
    with pytest.raises(InputError, match="planted, strict"):
        split_annotation(world, annotation_settings())
