"""Few-shot curves, studies held out one by one, and probes for what else a vector tells."""

import json

import numpy as np
import pandas as pd
import pytest
from annotation_world import predict, score, value
from evaluate_world import World, annotation_settings, split_annotation


def settings(**further: object) -> str:
    text = json.loads(annotation_settings())
    text["further"] |= further
    text["strict"] |= {"folds": 3, "repeats": 1, "trees": 5}
    return json.dumps(text)


def manifest(world: World, text: str, regime: str) -> pd.DataFrame:
    table = pd.read_parquet(split_annotation(world, text))
    return table[table["regime"] == regime]


def test_more_training_groups_tell_more_and_all_of_them_what_the_folds_told(
    planted: World,
) -> None:
    text = settings(few_shot=[0.1, 0.5, 1.0])
    split_annotation(planted, text)
    table = score(planted, "strict", text, predict(planted, "strict", text))
    curve = table[table["regime"] == "grouped_folds_few_shot"]
    assert set(curve["head"]) == {"logistic_regression"}
    found = [
        value(curve, "balanced_accuracy", "pooled", condition=f"{share} % of training groups")
        for share in (10, 50, 100)
    ]
    assert found[0]["value"] < found[1]["value"] <= found[2]["value"]
    folds = table[table["regime"] == "grouped_folds"]
    headline = value(folds, "balanced_accuracy", "pooled", head="logistic_regression")
    assert found[2]["value"] == headline["value"]
    assert folds["condition"].isna().all()


def test_few_shot_curves_and_probes_ask_vectors_once_and_controls_beside_them(
    planted: World,
) -> None:
    text = settings(few_shot=[0.5, 1.0], held_out_studies=50, probes=["study_id"])
    split_annotation(planted, text)
    asked = {
        name: set(pd.read_parquet(predict(planted, "strict", text, heads))["regime"].astype(str))
        for name, heads in {
            "model": None,
            "baseline": ["linear_svm"],
            "majority": ["majority"],
            "permuted": ["permuted_labels"],
        }.items()
    }
    beside = {"grouped_folds_few_shot", "held_out_studies"}
    assert asked["model"] == asked["majority"] == {"grouped_folds", "probe_study"} | beside
    assert asked["permuted"] == {"grouped_folds"} | beside
    assert asked["baseline"] == {"grouped_folds"}
    legacy = pd.read_parquet(predict(planted, "legacy", text))
    assert set(legacy["regime"]) == {"random_folds"}


def test_every_study_is_a_fold_where_they_are_few(planted: World) -> None:
    table = manifest(planted, settings(held_out_studies=12), "held_out_studies")
    assert table.groupby("fold")["group"].nunique().tolist() == [1] * 12
    assert set(table["role"]) == {"test"}


def test_of_many_studies_some_with_both_classes_are_held_out_and_the_others_teach(
    world: World,
) -> None:
    study = np.arange(120) // 6
    sick = np.where(study < 12, np.arange(120) % 2, study % 2)  # 12 of 20 studies are mixed
    labels = {
        "study_id": [f"GSE{s:02d}" for s in study],
        "disease": np.where(sick, "asthma", "control").tolist(),
    }
    vectors = np.random.default_rng(0).normal(size=(120, 4)) + 5 * sick[:, None]
    world.cohort("series", labels, vectors=vectors)
    text = settings(held_out_studies=5)
    table = manifest(world, text, "held_out_studies")
    tested = table[table["role"] == "test"]
    assert sorted(tested["fold"].unique()) == [0, 1, 2, 3, 4]
    assert set(tested["group"]) < {f"GSE{s:02d}" for s in range(12)}
    assert (table.loc[table["role"] == "train", "fold"] == -1).all()
    assert len(table) == 120
    saved = pd.read_parquet(predict(world, "strict", text, ["majority"]))
    held_out = saved[saved["regime"] == "held_out_studies"]
    assert set(held_out["sample_id"]) == set(tested["unit"])


def test_a_probe_finds_the_study_in_vectors_that_carry_its_offset(planted: World) -> None:
    text = settings(probes=["study_id"])
    split_annotation(planted, text)
    table = score(planted, "strict", text, predict(planted, "strict", text))
    probe = table[table["regime"] == "probe_study"]
    found = value(probe, "balanced_accuracy", "pooled")
    assert found["value"] > 0.9
    assert (found["ci_unit"], found["n"]) == ("sample", 120)
    assert value(probe, "balanced_accuracy_by_chance", "pooled")["value"] == pytest.approx(1 / 12)
    floor = score(planted, "strict", text, predict(planted, "strict", text, ["majority"]))
    chance = value(floor[floor["regime"] == "probe_study"], "balanced_accuracy", "pooled")
    assert chance["value"] == pytest.approx(1 / 12, abs=0.03)
    saved = pd.read_parquet(predict(planted, "strict", text, name="again"))
    assert set(saved.loc[saved["regime"] == "probe_study", "target_id"]) == {"study_id"}
    assert set(saved.loc[saved["regime"] == "grouped_folds", "target_id"]) == {"disease"}


def test_numbers_are_probed_by_tenths_and_donors_stay_whole(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    labels = {
        "donor_id": [f"D{i // 4}" for i in range(160)],
        "tissue": ["a", "b", "c", "d"] * 40,
        "library_size": [None, *rng.lognormal(15, 1, 159)],
        "platform": ["GPL1"] * 160,
        "plate": ["A", "B", "C", "D"] * 40,
    }
    world.cohort("series", labels)
    text = json.loads(settings(probes=["library_size", "platform", "plate", "unheard_of"]))
    text["datasets"][0] |= {"label": "tissue", "group_by": "donor_id"}
    table = manifest(world, json.dumps(text), "probe_library_size")
    assert sorted(table["stratum"].unique()) == [f"tenth {t:02d}" for t in range(1, 11)]
    assert table["stratum"].value_counts().between(15, 16).all()
    assert len(table) == 159
    assert table.groupby("group")["fold"].nunique().max() == 1
    said = capsys.readouterr().err
    assert "probe of platform: left out, 1 classes" in said
    assert "probe of plate: left out, it says the same as the label" in said
    assert "probe of unheard_of: left out, 0 classes" in said
