"""Annotation: what a shortcut earns under each protocol, and that no test row is learned from."""

import json

import numpy as np
import pytest
from annotation_world import predict, score, value
from evaluate_world import World, annotation_settings, split_annotation

from bulkformer.errors import InputError
from bulkformer.evaluate.collect import collect
from bulkformer.evaluate.metrics import METRICS, metrics
from bulkformer.evaluate.task import load_task


def test_a_label_that_is_the_study_fools_legacy_folds_and_not_strict_ones(
    confounded: World,
) -> None:
    text = annotation_settings()
    split_annotation(confounded, text)
    legacy = score(confounded, "legacy", text, predict(confounded, "legacy", text))
    assert value(legacy, "weighted_f1", "fold_mean")["value"] > 0.9
    oracle = predict(confounded, "legacy", text, ["study_oracle"])
    explained = score(confounded, "legacy", text, oracle)
    assert value(explained, "weighted_f1", "fold_mean")["value"] > 0.99

    strict = score(confounded, "strict", text, predict(confounded, "strict", text))
    for head in ("logistic_regression", "random_forest"):
        assert value(strict, "macro_f1", "pooled", head=head)["value"] < 1 / 3 + 0.15
    oracle = predict(confounded, "strict", text, ["study_oracle"])
    unexplained = score(confounded, "strict", text, oracle)
    assert value(unexplained, "macro_f1", "pooled")["value"] < 1 / 3


def test_permuted_labels_score_at_chance_where_a_signal_is_planted(planted: World) -> None:
    text = annotation_settings()
    split_annotation(planted, text)
    found = score(planted, "strict", text, predict(planted, "strict", text))
    assert value(found, "macro_f1", "pooled", head="logistic_regression")["value"] > 0.8
    for protocol in ("legacy", "strict"):
        null = predict(planted, protocol, text, ["permuted_labels"])
        row = value(score(planted, protocol, text, null), "within_study_disease_auc", "weighted")
        assert row["ci_low"] <= 0.5 <= row["ci_high"]
        assert (row["ci_unit"], row["n_groups"]) == ("study", 12)


def test_within_a_study_disease_is_told_better_than_across_their_offsets(planted: World) -> None:
    text = annotation_settings()
    split_annotation(planted, text)
    found = score(planted, "strict", text, predict(planted, "strict", text, ["random_forest"]))
    within = value(found, "within_study_disease_auc", "weighted")["value"]
    assert within > value(found, "disease_auc", "weighted")["value"]
    assert within > 0.7


def test_a_head_that_knows_nothing_ranks_at_exactly_one_half(world: World) -> None:
    # Folds of studies differ in their share of cases, and a fold rich in cases leaves few of them
    # to training: ranked over all folds at once, the majority would look worse than chance.
    study = np.arange(150) // 10
    sick = np.arange(150) % 10 < 2 + study % 7
    labels = {
        "study_id": [f"GSE{s}" for s in study],
        "disease": np.where(sick, "asthma", "control").tolist(),
    }
    world.cohort("series", labels, vectors=np.ones((150, 2)))
    text = annotation_settings()
    split_annotation(world, text)
    for protocol in ("legacy", "strict"):
        table = score(world, protocol, text, predict(world, protocol, text, ["majority"]))
        for metric in ("disease_auc", "within_study_disease_auc"):
            assert value(table, metric, "weighted")["value"] == 0.5


def test_every_number_says_where_it_comes_from(confounded: World) -> None:
    text = annotation_settings()
    split_annotation(confounded, text)
    table = score(confounded, "strict", text, predict(confounded, "strict", text, ["majority"]))
    assert table.columns.tolist() == METRICS.names
    overall = table[table["fold"].isna() & table["group"].isna()]
    overall = overall[overall["metric"] != "tuning_trials"]
    assert set(overall["ci_unit"]) == {"study"}
    assert (overall["ci_low"] <= overall["ci_high"]).all()
    for column in ("n", "n_groups", "exposure", "split_sha256", "config_sha256", "code_version"):
        assert table[column].notna().all()
    assert set(table.loc[table["repeat"].isna(), "n_seeds"]) == {2}
    assert table[["variant", "pooling", "layer"]].isna().all(axis=None)
    assert table["code_version"].str.fullmatch(r".+\+[0-9a-f]{12}").all()


def test_rows_of_bulkformer_say_how_its_vectors_were_made(confounded: World) -> None:
    text = annotation_settings()
    split_annotation(confounded, text)
    predictions = predict(confounded, "strict", text, ["majority"])
    hashes = set()
    for pooling in ("max", "mean_measured"):
        model = ("bulkformer", json.dumps({"pooling": pooling}))
        table = score(confounded, "strict", text, predictions, *model)
        origin = table[["variant", "pooling", "layer"]].drop_duplicates().to_numpy().tolist()
        assert origin == [["paper", pooling, "last"]]
        hashes |= set(table["config_sha256"])
    assert len(hashes) == 2


def test_a_configuration_without_the_model_is_an_error(confounded: World) -> None:
    path = confounded.root / "none.parquet"
    for text, said in (("{}", "no key 'task'"), ("{", "not JSON")):
        with pytest.raises(InputError, match=said):
            split_annotation(confounded, annotation_settings())
            ledger = confounded.ledger(["series"])
            manifest = confounded.root / "split.parquet"
            metrics("disease_annotation", "strict", "any", path, manifest, ledger, text, 9, 1, path)


def test_a_sample_without_a_vector_is_an_error_that_names_it(planted: World) -> None:
    text = annotation_settings()
    split_annotation(planted, text)
    planted.cohort("series", {"disease": ["control"] * 119}, vectors=np.zeros((119, 3)))
    with pytest.raises(InputError, match="series_0119"):
        predict(planted, "strict", text)


def test_joined_metrics_do_not_depend_on_order_and_repeat_no_number(confounded: World) -> None:
    text = annotation_settings()
    split_annotation(confounded, text)
    parts = []
    for protocol in ("legacy", "strict"):
        predictions = predict(confounded, protocol, text, ["majority"])
        score(confounded, protocol, text, predictions)
        parts.append(predictions.with_suffix(".metrics"))
    one, other = confounded.root / "one.parquet", confounded.root / "other.parquet"
    collect(parts, one)
    collect(parts[::-1], other)
    assert one.read_bytes() == other.read_bytes()
    with pytest.raises(InputError, match="stands 2 times"):
        collect([*parts, parts[0]], other)
    with pytest.raises(InputError, match="not those of the metrics table"):
        collect([confounded.root / "split.parquet"], other)


def test_a_task_is_found_by_its_name() -> None:
    assert load_task("disease_annotation").primary["strict"] == ("macro_f1", "pooled")
    with pytest.raises(InputError, match="disease_annotation"):
        load_task("astrology")
