"""Imputation: what is hidden, what is scored, and what the gene mean earns for knowing nothing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from evaluate_world import World, configuration, split_imputation
from scipy import stats

from bulkformer.embed.summaries import VisibleMean
from bulkformer.evaluate.metrics import METRICS, metrics
from bulkformer.evaluate.task import load_task
from bulkformer.evaluate.tasks.imputation import imputation
from bulkformer.evaluate.tasks.imputation_masks import hide, hiding_order
from bulkformer.evaluate.tasks.imputation_scores import PREDICTIONS, summarise
from bulkformer.expression.store import ExpressionStore, create_store

FRACTIONS = [0.15, 0.5]
SETTINGS = json.dumps({"mask_fractions": FRACTIONS, "mask_repeats": 2})


def predict(world: World, protocol: str, model: str, manifest: Path, name: str = "") -> Path:
    path = world.root / f"{protocol}_{model}{name}.parquet"
    cohorts = ["corpus", "external"]
    imputation(
        protocol, model, model, "{}", manifest, world.genes, cohorts,
        [world.samples(cohort) for cohort in cohorts], [world.store(cohort) for cohort in cohorts],
        world.reference, FRACTIONS, 2, 42, 16, path,
        weights=world.reference if model == "gene_mean" else None,
    )  # fmt: skip
    return path


def score(world: World, protocol: str, model: str, manifest: Path, predictions: Path) -> Path:
    path = predictions.with_suffix(".metrics")
    ledger = world.ledger(["corpus", "external"], '{"gene_mean": "fitted", "visible_mean": "none"}')
    origin = configuration(SETTINGS, "bulkformer", '{"pooling": "max"}')
    metrics("imputation", protocol, model, predictions, manifest, ledger, origin, 50, 42, path)
    return path


def value(table: pd.DataFrame, metric: str, dataset: str, **where: object) -> float:
    """The one value over all repeats, 15 % hidden unless said otherwise."""
    where = {"condition": "random 15%", "aggregation": None} | where
    rows = table[(table["metric"] == metric) & (table["dataset"] == dataset)]
    rows = rows[rows["group"].isna()]
    for column, wanted in where.items():
        if wanted is not None:
            rows = rows[rows[column] == wanted]
    if "repeat" not in where:
        rows = rows[rows["repeat"].isna()]
    assert len(rows) == 1
    return rows["value"].iloc[0]


def test_masks_do_not_depend_on_order_or_company_and_larger_shares_contain_smaller() -> None:
    names = ["a", "b", "c"]
    scores = np.stack([hiding_order(name, 0, 42, 200) for name in names])
    may_hide = np.random.default_rng(0).random((3, 200)) < 0.8
    alone = hide(scores[1:2], may_hide[1:2], 0.3)
    together = hide(scores, may_hide, 0.3)
    assert (together[1] == alone[0]).all()
    assert together.sum(axis=1).tolist() == np.rint(0.3 * may_hide.sum(axis=1)).tolist()
    assert not (together & ~may_hide).any()
    assert (together <= hide(scores, may_hide, 0.7)).all()
    assert (hiding_order("a", 1, 42, 200) != scores[0]).any()
    assert (hiding_order("a", 0, 43, 200) != scores[0]).any()


def test_all_models_are_asked_for_the_same_hidden_values(imputation_world: World) -> None:
    manifest = split_imputation(imputation_world)
    keys = ["dataset", "condition", "repeat", "sample_id", "target_id", "y_true", "y_reference"]
    one, other = (
        pd.read_parquet(predict(imputation_world, "strict", model, manifest))
        for model in ("gene_mean", "visible_mean")
    )
    pd.testing.assert_frame_equal(one[keys], other[keys])
    assert not np.allclose(one["y_pred"], other["y_pred"])


def test_fewer_test_samples_keep_their_masks(imputation_world: World) -> None:
    keys = ["condition", "repeat", "sample_id", "target_id"]
    many = pd.read_parquet(
        predict(imputation_world, "strict", "gene_mean", split_imputation(imputation_world))
    )
    few = pd.read_parquet(
        predict(
            imputation_world, "strict", "gene_mean", split_imputation(imputation_world, 5), "_few"
        )
    )
    many = many[many["sample_id"].isin(few["sample_id"].unique())]
    found, expected = (set(map(tuple, table[keys].astype(str).to_numpy())) for table in (few, many))
    assert found == expected


def test_the_gene_mean_pools_high_and_knows_nothing(imputation_world: World) -> None:
    manifest = split_imputation(imputation_world)
    for protocol in ("legacy", "strict"):
        predictions = predict(imputation_world, protocol, "gene_mean", manifest)
        table = pd.read_parquet(
            score(imputation_world, protocol, "gene_mean", manifest, predictions)
        )
        assert table.columns.tolist() == METRICS.names
        truth, told, _ = arrays(predictions, "corpus", "random 50%")
        share = 1 - ((truth - told) ** 2).mean() / truth.var()
        pooled = value(table, "pearson", "corpus", condition="random 50%")
        assert pooled == pytest.approx(np.sqrt(share), abs=0.01)
        assert pooled > 0.7
        for aggregation in ("mean_over_groups", "median_over_groups"):
            assert (
                value(table, "per_gene_pearson_deviation", "corpus", aggregation=aggregation) == 0
            )
        assert "per_gene_pearson" not in set(table["metric"])  # it would be the same number twice
        assert value(table, "centred_per_sample_pearson", "corpus") == 0
        assert value(table, "mse_skill", "corpus") == 0
        assert set(table["variant"]) == {"paper"}
        assert table[["pooling", "layer"]].isna().all(axis=None)  # no sample vector is used


def test_reported_metrics_are_those_of_the_saved_predictions(imputation_world: World) -> None:
    manifest = split_imputation(imputation_world)
    predictions = predict(imputation_world, "strict", "visible_mean", manifest)
    path = score(imputation_world, "strict", "visible_mean", manifest, predictions)
    table = pd.read_parquet(path)
    found: dict[str, list[float]] = {}
    for repeat in (0, 1):
        truth, told, reference = arrays(predictions, "external", "random 15%", repeat)
        expected = {
            "pearson": stats.pearsonr(truth, told).statistic,
            "spearman": stats.spearmanr(truth, told).statistic,
            "mse": ((truth - told) ** 2).mean(),
            "mae": np.abs(truth - told).mean(),
            "mse_skill": 1 - ((truth - told) ** 2).sum() / ((truth - reference) ** 2).sum(),
        }
        for metric, one in expected.items():
            found.setdefault(metric, []).append(one)
            assert value(table, metric, "external", repeat=repeat) == pytest.approx(one, rel=1e-9)
    for metric, both in found.items():
        assert value(table, metric, "external") == pytest.approx(np.mean(both), rel=1e-9)
    first = path.read_bytes()
    score(imputation_world, "strict", "visible_mean", manifest, predictions)
    assert path.read_bytes() == first


def test_genes_that_a_cohort_did_not_measure_never_enter_a_strict_score(
    imputation_world: World,
) -> None:
    manifest = split_imputation(imputation_world)
    first = predict(imputation_world, "strict", "visible_mean", manifest)
    clean = score(imputation_world, "strict", "visible_mean", manifest, first).read_bytes()
    targets = set(pd.read_parquet(first).query("dataset == 'external'")["target_id"])
    assert not targets & set(imputation_world.gene_ids[-10:])

    table = pd.read_parquet(imputation_world.samples("external"))
    store = imputation_world.store("external")
    values = pq_values(store)
    values[:, -10:] = 1e6
    measured = np.arange(imputation_world.n_genes) < imputation_world.n_genes - 10
    with create_store(store, measured, "log_tpm") as writer:
        writer.write(table["sample_id"].tolist(), values)
    again = predict(imputation_world, "strict", "visible_mean", manifest, "_corrupt")
    assert again.read_bytes() == first.read_bytes()
    assert score(imputation_world, "strict", "visible_mean", manifest, again).read_bytes() == clean


def test_the_legacy_protocol_pads_absent_genes_with_zeros_and_scores_them(
    imputation_world: World,
) -> None:
    manifest = split_imputation(imputation_world)
    table = pd.read_parquet(predict(imputation_world, "legacy", "gene_mean", manifest))
    padded = table[
        (table["dataset"] == "external") & table["target_id"].isin(imputation_world.gene_ids[-10:])
    ]
    assert len(padded)
    assert (padded["y_true"] == 0).all()
    assert set(table["repeat"]) == {0}


def test_models_are_ranked_by_a_measure_whose_interval_resamples_held_out_groups(
    imputation_world: World,
) -> None:
    metric, aggregation = load_task("imputation").primary["strict"]
    manifest = split_imputation(imputation_world)
    predictions = predict(imputation_world, "strict", "visible_mean", manifest)
    path = score(imputation_world, "strict", "visible_mean", manifest, predictions)
    table = pd.read_parquet(path).query("repeat.isna() and group.isna()")
    primary = table[(table["metric"] == metric) & (table["aggregation"] == aggregation)]
    external = primary[primary["dataset"] == "external"]
    assert set(external["ci_unit"]) == {"patient"}
    corpus = primary[primary["dataset"] == "corpus"]
    assert set(corpus["n_groups"]) == {4}
    assert corpus["ci_unit"].isna().all()  # four studies are too few for an interval
    assert set(table.query("metric == 'per_gene_pearson_deviation'")["ci_unit"]) == {"gene"}


def test_a_model_is_scored_on_the_genes_that_it_knows(
    imputation_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_genes = len(imputation_world.gene_ids)
    knows = np.arange(n_genes) % 4 > 0
    monkeypatch.setattr(VisibleMean, "predicts", lambda self: knows)
    manifest = split_imputation(imputation_world)
    predictions = predict(imputation_world, "strict", "visible_mean", manifest, "_narrow")
    saved = pd.read_parquet(predictions)
    unknown = set(np.array(imputation_world.gene_ids)[~knows])
    assert set(saved.loc[saved["y_pred"].isna(), "target_id"]) == unknown & set(saved["target_id"])
    path = score(imputation_world, "strict", "visible_mean", manifest, predictions)
    rows = pd.read_parquet(path).query("dataset == 'corpus' and condition == 'random 50%'")
    own = saved[(saved["dataset"] == "corpus") & (saved["condition"] == "random 50%")]
    known = own[own["y_pred"].notna()]
    share = known["target_id"].nunique() / own["target_id"].nunique()
    assert rows["gene_coverage"].tolist() == pytest.approx([share] * len(rows))
    assert 0.7 < share < 0.8
    first = known[known["repeat"] == 0]
    error = ((first["y_true"] - first["y_pred"]).astype(float) ** 2).mean()
    mse = rows[(rows["metric"] == "mse") & (rows["repeat"] == 0)].iloc[0]
    assert (mse["value"], mse["n"]) == (pytest.approx(error, rel=1e-5), len(first))


def test_one_row_group_holds_one_repeat_of_one_condition(imputation_world: World) -> None:
    file = pq.ParquetFile(
        predict(imputation_world, "strict", "gene_mean", split_imputation(imputation_world))
    )
    assert file.schema_arrow.equals(PREDICTIONS)
    assert file.num_row_groups == 2 * len(FRACTIONS) * 2
    sums = summarise(file.read_row_group(0).unify_dictionaries())
    assert sums.n == file.metadata.row_group(0).num_rows
    assert sums.coverage == 1


def test_the_ledger_marks_a_study_that_was_trained_on(imputation_world: World) -> None:
    manifest = split_imputation(imputation_world)
    states = {}
    for protocol in ("legacy", "strict"):
        predictions = predict(imputation_world, protocol, "gene_mean", manifest)
        path = score(imputation_world, protocol, "gene_mean", manifest, predictions)
        table = pd.read_parquet(path)
        assert set(table["weights"]) == {"fitted"}
        states |= {
            (protocol, dataset): set(rows["exposure"]) for dataset, rows in table.groupby("dataset")
        }
    assert states == {
        ("legacy", "corpus"): {"seen_unlabelled"},
        ("strict", "corpus"): {"clean"},
        ("legacy", "external"): {"clean"},
        ("strict", "external"): {"clean"},
    }


def arrays(
    predictions: Path, dataset: str, condition: str, repeat: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = pd.read_parquet(predictions)
    rows = table[
        (table["dataset"] == dataset)
        & (table["condition"] == condition)
        & (table["repeat"] == repeat)
    ]
    truth, told, reference = (
        rows[name].to_numpy(dtype=np.float64) for name in ("y_true", "y_pred", "y_reference")
    )
    return truth, told, reference


def pq_values(store: Path) -> np.ndarray:
    return ExpressionStore(store).read().copy()
