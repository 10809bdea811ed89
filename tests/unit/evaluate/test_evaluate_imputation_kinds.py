"""Imputation under every kind of mask, through the steps: same masks, same rules, same numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from evaluate_world import World, configuration, split_imputation
from scipy import stats

from bulkformer.errors import InputError
from bulkformer.evaluate.metrics import metrics
from bulkformer.evaluate.tasks.imputation import imputation
from bulkformer.evaluate.tasks.imputation_masks import KINDS
from bulkformer.expression.store import ExpressionStore, create_store

COHORTS = ["corpus", "external"]
CONDITIONS = ["random 30%", "whole gene 30%", "low expression 30%", "panel 12 genes"]


def predict(world: World, model: str, name: str = "", protocol: str = "strict", **options) -> Path:
    path = world.root / f"{protocol}_{model}{name}.parquet"
    imputation(
        protocol, model, model, "{}", world.root / "split.parquet", world.genes, COHORTS,
        [world.samples(cohort) for cohort in COHORTS], [world.store(cohort) for cohort in COHORTS],
        world.reference, [0.3], 2, 42, 16, path,
        **{"weights": world.reference if model == "gene_mean" else None}
        | {"mask_kinds": list(KINDS), "panel_genes": 12}
        | options,
    )  # fmt: skip
    return path


@pytest.fixture
def masked_world(imputation_world: World) -> World:
    split_imputation(imputation_world)
    return imputation_world


def test_all_models_meet_the_same_masks_of_every_kind(masked_world: World) -> None:
    keys = ["dataset", "condition", "repeat", "sample_id", "target_id", "y_true", "y_reference"]
    one, other = (
        pd.read_parquet(predict(masked_world, model)) for model in ("gene_mean", "visible_mean")
    )
    pd.testing.assert_frame_equal(one[keys], other[keys])
    assert list(one["condition"].unique()) == CONDITIONS
    repeats = one.groupby("condition", observed=True)["repeat"].nunique()
    assert repeats.to_dict() == dict(zip(CONDITIONS, [2, 1, 1, 1], strict=True))


def test_unmeasured_genes_never_enter_whatever_the_mask(masked_world: World) -> None:
    first = predict(masked_world, "visible_mean")
    unmeasured = set(masked_world.gene_ids[-10:])
    targets = pd.read_parquet(first).query("dataset == 'external'")["target_id"]
    assert not unmeasured & set(targets)

    store = ExpressionStore(masked_world.store("external"))
    names, values, measured = store.sample_ids, store.read(), store.measured
    values[:, ~measured] = 1e6
    with create_store(masked_world.store("external"), measured, "log_tpm") as writer:
        writer.write(names, values)
    assert predict(masked_world, "visible_mean", "_corrupt").read_bytes() == first.read_bytes()


def test_the_legacy_protocol_hides_at_random_only(masked_world: World) -> None:
    table = pd.read_parquet(predict(masked_world, "gene_mean", protocol="legacy"))
    assert table["condition"].unique().tolist() == ["random 30%"]


def test_a_panel_that_nobody_described_stops_before_anything_is_predicted(
    masked_world: World,
) -> None:
    with pytest.raises(InputError, match="no panel is given"):
        predict(masked_world, "gene_mean", panel_genes=None)
    assert not (masked_world.root / "strict_gene_mean.parquet").exists()


def test_scores_of_genes_samples_and_deciles_are_those_of_the_saved_predictions(
    masked_world: World,
) -> None:
    path = masked_world.root / "metrics.parquet"
    ledger = masked_world.ledger(COHORTS, '{"visible_mean": "none"}')
    settings = configuration(json.dumps({}))
    saved = predict(masked_world, "visible_mean")
    manifest = masked_world.root / "split.parquet"
    metrics("imputation", "strict", "visible_mean", saved, manifest, ledger, settings, 50, 42, path)
    found = pd.read_parquet(path).query("repeat.isna() and dataset == 'external'")
    rows = pd.read_parquet(saved).query("dataset == 'external' and repeat == 0")
    for condition in CONDITIONS[1:]:  # those of one mask
        own = rows[rows["condition"] == condition].astype(
            {"target_id": str, "sample_id": str, "y_true": float, "y_pred": float}
        )
        own = own.assign(
            truth=own["y_true"] - own["y_reference"], told=own["y_pred"] - own["y_reference"]
        )
        by_gene = {
            gene: stats.pearsonr(part["truth"], part["told"]).statistic
            for gene, part in own.groupby("target_id")
            if len(part) >= 5
        }
        by_sample = own.groupby("sample_id")[["truth", "told"]].apply(
            lambda part: stats.pearsonr(part["truth"], part["told"]).statistic
        )
        genes = pd.Series(by_gene)
        expected = {
            ("per_gene_pearson_deviation", "mean_over_groups"): genes.mean(),
            ("per_gene_pearson_deviation", "median_over_groups"): genes.median(),
            ("per_gene_pearson_deviation", "lower_quartile_over_groups"): np.quantile(
                genes, 0.25, method="inverted_cdf"
            ),
            ("per_gene_pearson_deviation", "upper_quartile_over_groups"): np.quantile(
                genes, 0.75, method="inverted_cdf"
            ),
            ("centred_per_sample_pearson", "mean_over_groups"): by_sample.mean(),
        }
        table = found[found["condition"] == condition]
        overall = table[table["group"].isna()].set_index(["metric", "aggregation"])["value"]
        for key, value in expected.items():
            assert overall[key] == pytest.approx(value, abs=1e-6), (condition, key)

        corpus = pd.read_parquet(masked_world.corpus)
        store = ExpressionStore(masked_world.store("corpus"))
        training = store.read(store.rows(corpus.loc[corpus["split"] == "train", "sample_id"]))
        for kind, level in (
            ("expression_decile", training.mean(axis=0, dtype=float)),
            ("variance_decile", training.std(axis=0, dtype=float)),
        ):
            level = pd.Series(level, index=masked_world.gene_ids)[genes.index]
            deciles = table[table["group_kind"] == kind].set_index("group")["value"]
            parts = np.array_split(genes[level.sort_values(kind="stable").index].to_numpy(), 10)
            for number, part in enumerate((part for part in parts if len(part)), start=1):
                assert deciles[f"{number:02d}"] == pytest.approx(part.mean(), abs=1e-6)


def test_pooled_measures_come_last(masked_world: World) -> None:
    path = masked_world.root / "metrics.parquet"
    ledger = masked_world.ledger(COHORTS, '{"gene_mean": "fitted"}')
    saved, manifest = predict(masked_world, "gene_mean"), masked_world.root / "split.parquet"
    metrics(
        "imputation", "strict", "gene_mean", saved, manifest, ledger, configuration("{}"), 0, 42,
        path,
    )  # fmt: skip
    table = pq.read_table(path).to_pandas().query("dataset == 'corpus' and group.isna()")
    one = table[table["condition"] == "panel 12 genes"]["metric"].tolist()
    assert one[0].startswith("per_gene")
    assert one[-2:] == ["pearson", "spearman"]
