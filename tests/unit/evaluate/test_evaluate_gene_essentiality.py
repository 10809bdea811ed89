"""Gene essentiality finds what was planted, scores nothing for knowing nothing, and never leaks."""

import numpy as np
import pandas as pd
import pytest
from essentiality_world import KINDS, Lines, read_predictions, value
from sklearn.metrics import roc_auc_score

from bulkformer.errors import InputError
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import Scoring, load_task, open_predictions
from bulkformer.evaluate.tasks import gene_essentiality_scores as scores_module
from bulkformer.evaluate.tasks.gene_essentiality_correlations import WITHIN, correlations
from bulkformer.evaluate.tasks.gene_essentiality_matrices import Arm, read_arms
from bulkformer.evaluate.units import read_units

REGIMES = ("held_out_lines", "held_out_lineages", "held_out_genes")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return Lines(tmp_path_factory.mktemp("lines"))


@pytest.fixture(scope="module")
def scored(world):
    """Metrics of every head, by name."""
    heads = ("ridge", "gene_effect_mean", "lineage_mean", "own_expression", "permuted_lines")
    return {head: world.score(world.predict(head)) for head in heads}


def per_gene(world, head, regime="held_out_lines", metric="per_gene_pearson"):
    """Scores of single genes by kind."""
    file = open_predictions(world.root / f"{head}_strict.parquet", load_task("gene_essentiality"))
    (arm,) = [each for each in read_arms(file) if each.regime == regime]
    kinds = {("lines", regime): "gene" if regime == "held_out_genes" else "patient"}
    scoring = Scoring("strict", world.settings, kinds, Bootstrap(0, 1))
    found = pd.Series(correlations(arm, scoring, metric == WITHIN).observed, arm.genes)
    return found.groupby(dict(zip(world.genes, world.kind, strict=True))).mean()


def test_the_gene_mean_knows_nothing_of_a_line_and_pools_to_the_root_of_eta_squared(world, scored):
    table = scored["gene_effect_mean"]
    for regime in REGIMES:
        for metric in ("per_gene_pearson", "within_lineage_pearson", "per_gene_pearson_deviation"):
            if (metric, regime) != ("per_gene_pearson_deviation", "held_out_genes"):
                assert value(table, metric, regime=regime)["value"] == 0
        assert value(table, "dependency_auroc", regime=regime)["value"] == 0.5
    effects = world.effects
    between = np.nanvar(np.where(np.isnan(effects), np.nan, np.nanmean(effects, axis=0)))
    floor = np.sqrt(between / np.nanvar(effects))
    assert value(table, "pearson", "pooled")["value"] == pytest.approx(floor, abs=0.02)
    assert value(table, "per_gene_pearson_raw")["value"] < -0.1  # the trap of pooled folds
    assert value(table, "mse_skill", "pooled")["value"] == 0


def test_a_planted_effect_of_the_own_gene_is_recovered(world, scored):
    limit = 0.5 / np.hypot(0.5, 0.15)  # the correlation of the effect with its cause
    own, ridge = per_gene(world, "own_expression"), per_gene(world, "ridge")
    assert own["own"] == pytest.approx(limit, abs=0.05)
    assert ridge["own"] > 0.6
    assert per_gene(world, "own_expression", "held_out_genes")["own"] > 0.9
    # Markers tell of the hidden state, the genes that depend on it do not.
    assert ridge["state"] == pytest.approx(limit, abs=0.05)
    assert own["state"] == 0
    row = value(scored["own_expression"], "per_gene_pearson")
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert row["ci_unit"] == "patient"
    assert row["ci_low"] > 0.1


def test_folds_decide_where_lines_are_held_out_and_genes_where_genes_are(world, scored):
    """Recomputed by hand: genes share the luck of the lines, so that they are no units."""
    units = read_units(world.root / "ridge_strict.units").to_pandas()
    units = units.astype({"regime": str, "unit_kind": str, "metric": str, "unit": str})
    own = read_units(world.root / "own_expression_strict.units").to_pandas().astype(str)
    assert set(own.loc[own["regime"] == "held_out_genes", "unit_kind"]) == {"gene"}
    units = units[(units["metric"] == "per_gene_pearson") & (units["regime"] == "held_out_lines")]
    assert set(units["unit_kind"]) == {"fold"}
    rows = read_predictions(world.root / "ridge_strict.parquet")
    rows = rows[rows["regime"] == "held_out_lines"]
    cells = rows.groupby(["repeat", "fold", "target_id"])[["y_true", "y_pred"]]
    r = cells.apply(lambda g: g["y_true"].corr(g["y_pred"]))
    by_hand = r.groupby(level=[0, 1]).mean()
    assert len(units) == len(by_hand) == 8
    for row in units.itertuples():
        assert row.value == pytest.approx(by_hand[row.repeat, int(row.unit)], abs=1e-5)


def test_a_lineage_mean_says_nothing_within_a_lineage_or_of_a_new_one(world, scored):
    table = scored["lineage_mean"]
    assert per_gene(world, "lineage_mean")["lineage"] > 0.7
    assert value(table, "within_lineage_pearson")["value"] == 0
    assert value(table, "per_gene_pearson", regime="held_out_lineages")["value"] == 0
    assert per_gene(world, "own_expression", metric="within_lineage_pearson")["own"] > 0.85


def test_effects_dealt_at_random_score_nothing(world, scored):
    kinds = per_gene(world, "permuted_lines")
    assert set(kinds.index) == set(KINDS)
    row = value(scored["permuted_lines"], "per_gene_pearson")
    assert row["ci_low"] < 0 < row["ci_high"]


def test_no_head_tells_lines_apart_where_effects_are_noise(tmp_path):
    """Every regime and head, with effects that hang on nothing but the gene."""
    world = Lines(tmp_path / "noise")
    rng = np.random.default_rng(2)
    shape = world.effects.shape
    noise = rng.normal(-1, 0.5, shape[1]) + rng.normal(0, 0.3, shape)
    world.write_dependency(noise.astype(np.float32))
    asked = []
    for head in ("ridge", "pca_ridge", "own_expression", "lineage_mean", "permuted_lines"):
        table = world.score(world.predict(head))
        for regime in table["regime"].unique():
            for metric in ("per_gene_pearson", "within_lineage_pearson"):
                over_genes = value(table, f"{metric}_over_genes", regime=regime)
                width = over_genes["ci_high"] - over_genes["ci_low"]
                assert abs(over_genes["value"]) <= 0.77 * width, (head, regime, metric)
                asked.append((head, regime))
    assert len(set(asked)) >= 11


def test_slow_heads_are_asked_about_the_genes_that_differ_most_between_training_lines(world):
    path = world.predict("elastic_net")
    rows = read_predictions(path)
    assert "held_out_genes" not in set(rows["regime"])
    values = pd.DataFrame(
        world.effects.astype("f8"), [f"S-{line}" for line in world.lines], world.genes
    )
    for _, own in rows.groupby(["regime", "repeat", "fold"], observed=True):
        training = values.drop(index=own["sample_id"].unique())
        spread = training.std(ddof=0).sort_values(ascending=False)
        assert set(own["target_id"]) == set(spread.index[: world.settings["single_targets"]])
    table = world.score(path)
    row = value(table, "per_gene_pearson")
    assert row["ci_low"] > 0.3
    assert value(table, "tuning_trials", "fold_mean")["value"] == 6
    asked = rows.loc[rows["regime"] == "held_out_lines", "target_id"].nunique()
    assert row["gene_coverage"] == pytest.approx(asked / len(world.genes))


def test_more_genes_are_above_a_threshold_than_by_chance_only_where_something_was_planted(scored):
    for head, expected in {"own_expression": 0.2, "gene_effect_mean": 0.0}.items():
        above = value(scored[head], "genes_above_0.4")["value"]
        chance = value(scored[head], "genes_above_0.4_permuted")["value"]
        assert above - chance == pytest.approx(expected, abs=0.08)


def test_dependencies_of_lines_that_are_held_out_change_no_prediction_of_them(world, tmp_path):
    before = read_predictions(world.predict("ridge"))
    other = Lines(tmp_path / "other")
    held = before[(before["regime"] == "held_out_lines") & (before["repeat"] == 0)]
    held = held[held["fold"] == 0]
    rows = [f"S-{line}" in set(held["sample_id"]) for line in other.lines]
    noise = np.random.default_rng(1).normal(size=other.effects.shape).astype(np.float32)
    changed = np.where(np.array(rows)[:, None] & ~np.isnan(other.effects), noise, other.effects)
    other.write_dependency(changed)
    after = read_predictions(other.predict("ridge"))
    after = after[(after["regime"] == "held_out_lines") & (after["repeat"] == 0)]
    after = after[after["fold"] == 0]
    assert not np.allclose(after["y_true"], held["y_true"])
    for column in ("sample_id", "target_id", "y_pred", "train_mean"):
        assert after[column].tolist() == held[column].tolist(), column


def test_the_table_says_what_the_saved_predictions_say(world, scored):
    """Recomputed by hand: per gene, within folds, repeats averaged; AUROC by scikit-learn."""
    rows = read_predictions(world.root / "ridge_strict.parquet")
    rows = rows[rows["regime"] == "held_out_lines"]
    cells = rows.groupby(["repeat", "target_id", "fold"])[["y_true", "y_pred"]]
    r, n = cells.apply(lambda g: g["y_true"].corr(g["y_pred"])), cells.size()
    by_gene = ["repeat", "target_id"]
    r = (r * n).groupby(by_gene).sum() / n.groupby(by_gene).sum()
    r = r.unstack("repeat").mean(axis=1)
    table = scored["ridge"]
    assert value(table, "per_gene_pearson")["value"] == pytest.approx(r.mean(), abs=1e-6)
    assert value(table, "per_gene_pearson", "median_over_groups")["value"] == pytest.approx(
        r.median(), abs=1e-6
    )
    areas = {}
    for (repeat, gene), own in rows.groupby(["repeat", "target_id"]):
        folds = [fold for _, fold in own.groupby("fold") if fold["dependent"].nunique() == 2]
        called = [fold["dependent"].astype(int) for fold in folds]
        if folds:
            found = [
                roc_auc_score(c, -fold["y_pred"]) for c, fold in zip(called, folds, strict=True)
            ]
            areas[repeat, gene] = np.average(
                found, weights=[c.sum() * (1 - c).sum() for c in called]
            )
    areas = pd.Series(areas).unstack(0).mean(axis=1)
    row = value(table, "dependency_auroc")
    assert row["value"] == pytest.approx(areas.mean(), abs=1e-6)
    assert row["n"] == len(areas) < len(world.genes)
    pooled = [g["y_true"].corr(g["y_pred"]) for _, g in rows.groupby("repeat")]
    assert value(table, "pearson", "pooled")["value"] == pytest.approx(np.mean(pooled), abs=1e-5)
    skill = [
        1 - ((g["y_pred"] - g["y_true"]) ** 2).sum() / ((g["train_mean"] - g["y_true"]) ** 2).sum()
        for _, g in rows.groupby("repeat")
    ]
    assert value(table, "mse_skill", "pooled")["value"] == pytest.approx(np.mean(skill), abs=1e-5)


def test_selective_and_common_genes_are_told_by_the_truth(world, scored):
    spread = pd.Series(np.nanstd(world.effects.astype("f8"), axis=0), world.genes)
    row = value(scored["ridge"], "per_gene_pearson", group="selective")
    assert row["n"] == (spread > 0.3).sum()
    needed = np.nansum(world.effects < -0.5, axis=0) / (~np.isnan(world.effects)).sum(axis=0)
    row = value(scored["ridge"], "per_gene_pearson", group="not_common_essential")
    assert row["n"] == (needed < 0.9).sum() < len(world.genes)


def test_calls_in_place_of_scores_are_predicted_as_probabilities(tmp_path):
    world = Lines(tmp_path / "calls", n=60)
    world.settings["endpoint"] = "probability"
    world.write_dependency(world.effects, calls_only=True)
    table = world.score(world.predict("own_expression", "legacy"), "legacy")
    assert value(table, "dependency_auroc", regime="random_folds")["value"] > 0.6
    dropped = value(table, "genes_without_correlation", "pooled", regime="random_folds")
    assert dropped["value"] > 5  # genes that all lines need, or none
    world.settings["endpoint"] = "effect"
    with pytest.raises(InputError, match="endpoint"):
        world.predict("own_expression", "legacy")


def test_own_expression_of_vectors_that_are_no_expression_is_refused(world, tmp_path):
    other = Lines(tmp_path / "vectors", n=60)
    other.write_vectors("log_tpm", np.ones((60, 4)))
    with pytest.raises(InputError, match=r"70 genes, but vectors of log_tpm have 4"):
        other.predict("own_expression")
    # As many numbers as there are genes are no expression yet.
    other.write_vectors("log_tpm", np.ones((60, 70)))
    with pytest.raises(InputError, match="embedder log_tpm"):
        other.predict("own_expression", embedder="pca")
    with pytest.raises(InputError, match="unknown head 'own'"):
        other.predict("own")


def test_the_share_by_chance_is_that_of_all_repeats():
    rng = np.random.default_rng(0)
    lines, genes = [f"line {n}" for n in range(8)], [f"g{n}" for n in range(300)]
    shape, code = (2, 8, 300), np.arange(8)
    predicted = rng.normal(size=shape).astype(np.float32)
    predicted[0] = 0.0  # the first repeat is above nothing
    arm = Arm(
        "d", "r", "h", lines, genes, lines, code, code, rng.normal(size=shape[1:]),
        np.full(shape[1:], -1), predicted, np.zeros(shape), np.zeros(shape, np.int16), 1.0, 1,
    )  # fmt: skip
    scoring = Scoring("strict", {}, {}, Bootstrap(0, 1))
    rows = {}

    def row(metric, aggregation, estimate, *_):
        rows[metric] = estimate.value

    list(scores_module._above(arm, scoring, np.ones(300), False, row))
    # Of 8 lines r is above 0.2 in 32 % of all cases: t = 0.5 with 6 degrees of freedom.
    assert rows["genes_above_0.2_permuted"] == pytest.approx(0.32 / 2, abs=0.03)
