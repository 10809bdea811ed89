"""Annotation: what a shortcut earns under each protocol, and that no test row is learned from."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluate_world import World, annotation_settings, configuration, split_annotation
from sklearn.metrics import f1_score

from bulkformer.errors import InputError
from bulkformer.evaluate.collect import collect
from bulkformer.evaluate.metrics import METRICS, metrics
from bulkformer.evaluate.task import load_task
from bulkformer.evaluate.tasks import disease_annotation as step


def predict(
    world: World, protocol: str, text: str, heads: Sequence[str] | None = None, name: str = ""
) -> Path:
    path = world.root / f"{protocol}_{name or '_'.join(heads or ['all'])}.parquet"
    cohort = json.loads(text)["datasets"][0]["cohort"]
    step.disease_annotation(
        protocol, "any", world.root / "split.parquet", [cohort], [world.embeddings(cohort)],
        text, 42, path, head=heads and list(heads),
    )  # fmt: skip
    return path


def score(world: World, protocol: str, text: str, predictions: Path, *model: str) -> pd.DataFrame:
    path = predictions.with_suffix(".metrics")
    ledger = world.ledger([json.loads(text)["datasets"][0]["cohort"]])
    metrics(
        "disease_annotation", protocol, "any", predictions, world.root / "split.parquet", ledger,
        configuration(text, *model), 60, 42, path,
    )  # fmt: skip
    return pd.read_parquet(path)


def value(table: pd.DataFrame, metric: str, aggregation: str, **where: object) -> pd.Series:
    rows = table[(table["metric"] == metric) & (table["aggregation"] == aggregation)]
    for column in ("group", "fold", "repeat"):
        wanted = where.pop(column, None)
        rows = rows[rows[column].isna() if wanted is None else rows[column] == wanted]
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.fixture
def confounded(world: World) -> World:
    """24 studies of 6 samples; the label is the study's, and vectors carry the study's offset."""
    rng = np.random.default_rng(11)
    study = np.arange(144) // 6
    offsets = rng.normal(0, 3, (24, 20))
    vectors = offsets[study] + rng.normal(0, 0.3, (144, 20))
    labels = {"study_id": [f"GSE{s}" for s in study], "disease": [f"disease{s % 3}" for s in study]}
    world.cohort("series", labels, vectors=vectors)
    return world


@pytest.fixture
def planted(world: World) -> World:
    """12 studies of 10 samples; five of each have the disease, which shifts three dimensions."""
    rng = np.random.default_rng(12)
    study = np.arange(120) // 10
    sick = np.arange(120) % 2
    vectors = rng.normal(0, 3, (12, 20))[study] + rng.normal(size=(120, 20))
    vectors[:, :3] += 6 * sick[:, None]
    labels = {
        "study_id": [f"GSE{s}" for s in study],
        "disease": np.where(sick, "asthma", "control").tolist(),
    }
    world.cohort("series", labels, vectors=vectors)
    return world


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
    null = predict(planted, "strict", text, ["permuted_labels"])
    chance = score(planted, "strict", text, null)
    assert value(chance, "balanced_accuracy", "pooled")["value"] == pytest.approx(0.5, abs=0.12)
    row = value(chance, "within_study_disease_auc", "weighted")
    assert row["value"] == pytest.approx(0.5, abs=0.15)
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


def test_noise_in_place_of_test_rows_leaves_fitted_heads_identical(
    planted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = annotation_settings()
    split_annotation(planted, text)
    fitted: list = []

    def keep(*arguments: object) -> object:
        head = fit_head(*arguments)
        fitted.append(head)
        return head

    fit_head = step.fit_head
    monkeypatch.setattr(step, "fit_head", keep)
    heads = ["logistic_regression", "pca_logistic_regression"]
    predict(planted, "strict", text, heads)
    first = fitted.copy()
    table = pd.read_parquet(planted.root / "split.parquet")
    fold = table[(table["protocol"] == "strict") & (table["repeat"] == 0) & (table["fold"] == 0)][
        "unit"
    ]
    embedded = pd.read_parquet(planted.embeddings("series"))
    vectors = np.stack(embedded["embedding"])
    test = embedded["sample_id"].isin(fold).to_numpy()
    vectors[test] = np.random.default_rng(0).normal(size=(test.sum(), 20)) * 100
    labels = {"study_id": embedded["study_id"], "disease": embedded["disease"]}
    planted.cohort("series", labels, vectors=vectors)
    fitted.clear()
    predict(planted, "strict", text, heads)

    def content(head: object) -> list[bytes]:
        parts = []
        for part in dataclasses.astuple(head):
            parts += [
                np.asarray(each).tobytes() for each in (part if isinstance(part, tuple) else [part])
            ]
        return parts

    folds_and_repeats = 4 * 2
    for number in (0, folds_and_repeats):  # fold 0 of repeat 0, of either head
        assert content(first[number]) == content(fitted[number])
    assert content(first[1]) != content(fitted[1])


def test_reported_f1_is_that_of_the_saved_predictions(confounded: World) -> None:
    text = annotation_settings()
    split_annotation(confounded, text)
    predictions = predict(confounded, "legacy", text)
    table = score(confounded, "legacy", text, predictions)
    saved = pd.read_parquet(predictions)
    for average in ("weighted", "macro"):
        by_fold = [
            f1_score(rows["y_true"].astype(str), rows["y_pred"].astype(str), average=average)
            for _, rows in saved.groupby("fold")
        ]
        pooled = f1_score(saved["y_true"].astype(str), saved["y_pred"].astype(str), average=average)
        assert value(table, f"{average}_f1", "fold_mean")["value"] == pytest.approx(
            np.mean(by_fold)
        )
        assert value(table, f"{average}_f1", "pooled")["value"] == pytest.approx(pooled)
        for fold, one in enumerate(by_fold):
            row = value(table, f"{average}_f1", "pooled", fold=fold, repeat=0)
            assert row["value"] == pytest.approx(one)
    classes = table[table["group_kind"] == "class"]
    assert sorted(classes["group"].unique()) == ["disease0", "disease1", "disease2"]
    again = predict(confounded, "legacy", text, name="again")
    assert again.read_bytes() == predictions.read_bytes()


def test_every_number_says_where_it_comes_from(confounded: World) -> None:
    text = annotation_settings()
    split_annotation(confounded, text)
    table = score(confounded, "strict", text, predict(confounded, "strict", text, ["majority"]))
    assert table.columns.tolist() == METRICS.names
    overall = table[table["fold"].isna() & table["group"].isna()]
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
    with pytest.raises(InputError, match="disease_annotation, imputation"):
        load_task("astrology")
