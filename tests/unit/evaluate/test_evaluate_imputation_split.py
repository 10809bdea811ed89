"""Test samples of imputation: strict ones share nothing with training; groups say their kind."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from evaluate_world import World, split_imputation

from bulkformer.errors import InputError


def test_the_split_keeps_what_the_strict_protocol_may_test(imputation_world: World) -> None:
    table = pq.read_table(split_imputation(imputation_world)).to_pandas()
    assert set(zip(table["protocol"], table["dataset"], table["regime"], strict=True)) == {
        ("legacy", "corpus", "held_out_samples"),
        ("strict", "corpus", "held_out_groups"),
        ("legacy", "external", "external"),
        ("strict", "external", "external"),
    }
    external = table[table["dataset"] == "external"]
    legacy, strict = (external[external["protocol"] == p] for p in ("legacy", "strict"))
    assert len(legacy) == 30
    assert not set(strict["unit"]) & {f"external_{i:04d}" for i in range(26, 30)}  # normals
    assert strict["group"].is_unique
    assert set(external["group_kind"]) == {"patient"}


def test_a_held_out_study_that_was_trained_on_is_an_error(imputation_world: World) -> None:
    corpus = pd.read_parquet(imputation_world.corpus)
    corpus.loc[corpus["group"] == "study_id:GSE12", "group"] = "study_id:GSE3"
    corpus.to_parquet(imputation_world.corpus)
    with pytest.raises(InputError, match="group 'study_id:GSE3' is held out and trained on"):
        split_imputation(imputation_world)


def test_external_samples_of_the_training_corpus_are_no_strict_test(world: World) -> None:
    values = np.ones((4, world.n_genes))
    world.cohort("corpus", {"study_id": ["GSE1", "GSE1", "GSE2", "GSE3"]}, values)
    world.split_corpus("corpus", ["train", "train", "held_out_samples", "held_out_groups"])
    labels = {"study_id": ["GSE1", "GSE8", "GSE9", "GSE8,GSE1"]}
    world.cohort("external", labels, values)
    table = pq.read_table(split_imputation(world)).to_pandas()
    external = table[(table["dataset"] == "external") & (table["protocol"] == "strict")]
    # GSE8 shares a sample with GSE1, which was trained on: the two are one study.
    assert external["unit"].tolist() == ["external_0002"]


def test_samples_that_pretraining_only_watches_are_in_no_test(world: World) -> None:
    world.cohort("corpus", {"study_id": ["GSE1"] * 4 + ["GSE3"]}, np.ones((5, world.n_genes)))
    splits = ["train", "train", "held_out_samples", "validation_samples", "held_out_groups"]
    world.split_corpus("corpus", splits)
    world.cohort("external", {"study_id": ["GSE9"]}, np.ones((1, world.n_genes)))
    table = pq.read_table(split_imputation(world)).to_pandas()
    tested = table.loc[table["dataset"] == "corpus", "unit"]
    assert sorted(tested) == ["corpus_0002", "corpus_0004"]


def test_external_samples_of_patients_and_donors_that_were_trained_on_are_no_strict_test(
    world: World,
) -> None:
    values = np.ones((6, world.n_genes))
    training = {
        "study_id": ["GSE1", "GSE1", "GSE2", "GSE3", "GSE4", "X1"],
        "patient_id": ["P1", None, "P3", "P4", None, None],
        "donor_id": [None, "D1", None, None, "D5", None],
    }
    world.cohort("corpus", training, values)
    world.split_corpus("corpus", ["train"] * 2 + ["held_out_samples", "held_out_groups"] * 2)
    labels = {
        "patient_id": ["P1", "P2", "P3", "P4,P1", "X1", "D1"],
        "donor_id": [None, "D1", "D2", None, "P1", None],
    }
    world.cohort("external", labels, values)
    table = pq.read_table(split_imputation(world)).to_pandas()
    external = table[(table["dataset"] == "external") & (table["protocol"] == "strict")]
    # P3 was only held out; a patient called like a study or donor of the corpus is someone else.
    kept = ["external_0002", "external_0004", "external_0005"]
    assert external["unit"].tolist() == kept


@pytest.mark.parametrize(
    ("groups", "kind"),
    [
        (["patient_id:P1", "patient_id:P2", "study_id:GSE1", "sample_id:a"], "patient"),
        (["donor_id:D1", "sample_id:a", "sample_id:b", "sample_id:c"], "donor"),
        (["sample_id:a", "sample_id:b", "sample_id:c", "sample_id:d"], "sample"),
    ],
)
def test_the_manifest_says_what_the_groups_of_the_corpus_are(
    world: World, groups: list[str], kind: str
) -> None:
    values = np.ones((6, world.n_genes))
    world.cohort("corpus", {"study_id": ["GSE1"] * 6}, values)
    world.split_corpus("corpus", ["train", "held_out_samples"] + ["held_out_groups"] * 4)
    corpus = pd.read_parquet(world.corpus)
    corpus["group"] = ["study_id:GSE8", "study_id:GSE8", *groups]
    corpus.to_parquet(world.corpus)
    world.cohort("external", {"study_id": ["GSE9"] * 6}, values)
    table = pq.read_table(split_imputation(world)).to_pandas()
    kinds = table[table["dataset"] == "corpus"].groupby("regime")["group_kind"].unique()
    assert kinds.map(list).to_dict() == {"held_out_groups": [kind], "held_out_samples": ["study"]}


def test_a_corpus_whose_groups_do_not_say_what_they_are_is_an_error(
    imputation_world: World,
) -> None:
    corpus = pd.read_parquet(imputation_world.corpus)
    corpus["group"] = corpus["study_id"]
    corpus.to_parquet(imputation_world.corpus)
    with pytest.raises(InputError, match="does not say what it is"):
        split_imputation(imputation_world)
