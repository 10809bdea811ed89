"""Tasks on cell lines in the demo: the planted signal is found, and who knows nothing scores so.

The truth of the simulation says how well the best possible model could do, a correlation with the
true activity of the program behind an outcome; no score may lie above that.
"""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from benchmark_rows import by_model, one, predictions, rows_of

pytestmark = pytest.mark.end_to_end

LINES = ["held_out_lines", "held_out_tissues"]
PERTURBATION_REGIMES = {
    "held_out_compounds": "compound",
    "held_out_cells": "cell_id",
    "held_out_plates": "group",
}


def drug(metrics, regime, metric, aggregation="mean_over_groups", protocol="strict"):
    return {"task": "drug_response", "protocol": protocol, "regime": regime} | {
        "condition": "ln_ic50", "metric": metric, "aggregation": aggregation
    }  # fmt: skip


def essentiality(regime, metric, **more):
    about = {"task": "gene_essentiality", "protocol": "strict", "regime": regime}
    return about | {"metric": metric, "aggregation": "mean_over_groups"} | more


def perturbation(regime, metric):
    about = {"task": "perturbation", "protocol": "strict", "regime": regime}
    return about | {"metric": metric, "aggregation": "mean_over_groups"}


def share_between(table, group):
    """Return the root of eta squared: how a group's own mean correlates with its values."""
    means = table.groupby(group)["y_true"].transform("mean")
    return np.sqrt(means.var() / table["y_true"].var())


@pytest.fixture(scope="module")
def activity(simulated):
    """True activities of all programs by cell line."""
    lines, values = simulated("cell_lines")
    return pd.DataFrame(values, index=lines["cell_line_id"])


# --- drug response


def test_ridge_finds_in_held_out_lines_what_each_drug_depends_on(
    metrics, results, planted, activity
):
    table = predictions(
        results, "drug_response", "strict", "log_tpm", regime="held_out_lines", measure="ln_ic50"
    )
    names = pd.read_parquet(results / "outcomes/drugs.parquet").set_index("drug_id")["name"]
    program = {drug: planted["drug_program"].get(name) for drug, name in names.items()}
    # GDSC1 spells the first drug in a way of its own.
    (first,) = [drug for drug, found in program.items() if found is None] or [None]
    if first:
        program[first] = planted["drug_program"]["Venetoclax"]
    best = []
    for (of, _), screen in table.groupby(["drug_id", "target_id"]):
        true = activity.loc[screen["sample_id"], program[of]]
        best.append((of, np.corrcoef(true, screen["y_true"])[0, 1]))
    ceiling = pd.DataFrame(best).groupby(0)[1].mean().mean()
    for model in ("log_tpm", "pca"):
        found = one(
            metrics,
            **drug(metrics, "held_out_lines", "per_drug_pearson"),
            model=model,
            head="ridge",
        )
        assert 0.5 * ceiling < found["ci_low"], model
        assert found["value"] < ceiling, model


@pytest.mark.parametrize("regime", LINES)
@pytest.mark.parametrize("metric", ["per_drug_pearson", "interaction_pearson"])
def test_ridge_beats_every_mean_of_drugs_and_lines(metrics, regime, metric):
    aggregation = "pooled" if metric == "interaction_pearson" else "mean_over_groups"
    where = drug(metrics, regime, metric, aggregation)
    ridge = by_model(metrics, **where, head="ridge")
    # A tissue that is held out has no mean: only where lines are held out is it a rival.
    rivals = rows_of(metrics, **where)
    rivals = rivals[rivals["model"].isin(["drug_mean", "drug_line_means", "drug_tissue_mean"])]
    assert len(rivals) == 3
    assert ridge.loc["log_tpm", "ci_low"] > rivals["ci_high"].max()


@pytest.mark.parametrize("regime", LINES)
@pytest.mark.parametrize("model", ["drug_mean", "drug_line_means", "response_mean"])
def test_means_know_nothing_of_a_held_out_line(metrics, regime, model):
    """An effect of the line is 0 for a line never seen, so that its sum is the mean of the drug."""
    for metric, aggregation in (
        ("per_drug_pearson", "mean_over_groups"),
        ("per_drug_pearson", "median_over_groups"),
        ("interaction_pearson", "pooled"),
    ):
        found = rows_of(metrics, **drug(metrics, regime, metric, aggregation), model=model)
        assert (found[["value", "ci_low", "ci_high"]] == 0).all(axis=None)


def test_the_pooled_correlation_of_the_drug_mean_is_the_share_between_drugs(metrics, results):
    table = predictions(
        results, "drug_response", "strict", "drug_mean", regime="held_out_lines", measure="ln_ic50"
    )
    found = one(metrics, **drug(metrics, "held_out_lines", "pearson", "pooled"), model="drug_mean")
    assert found["value"] == pytest.approx(share_between(table, "target_id"), abs=0.02)


def test_the_drug_mean_looks_good_pooled_as_in_the_paper(metrics):
    where = drug(metrics, "random_pairs", "pearson", "pooled", "legacy")
    assert one(metrics, **where, model="drug_mean")["value"] > 0.7
    assert one(metrics, **where, model="response_mean", head="global_mean")["ci_low"] < 0.1
    where = drug(metrics, "random_pairs", "per_drug_pearson", protocol="legacy")
    assert one(metrics, **where, model="drug_mean")["value"] == 0


# --- gene essentiality


def test_the_selective_genes_are_the_planted_ones(results, planted):
    table = predictions(results, "gene_essentiality", "strict", "log_tpm", regime="held_out_lines")
    spread = table.groupby("target_id")["y_true"].std(ddof=0)
    assert set(spread.index[spread > 0.3]) == set(planted["dependency"]["selective"])


@pytest.mark.parametrize("regime", ["held_out_lines", "held_out_lineages"])
@pytest.mark.parametrize("metric", ["per_gene_pearson", "within_lineage_pearson"])
def test_selective_genes_are_recovered_from_expression(metrics, regime, metric):
    where = essentiality(regime, metric, group="selective")
    for model in ("log_tpm", "own_expression"):
        found = one(metrics, **where, model=model)
        assert found["ci_low"] > 0.7, model


def test_no_model_knows_more_of_selective_genes_than_the_activity_of_their_program(
    metrics, results, simulated, activity, planted
):
    genes = pd.read_parquet(results.parents[1] / "resources/demo/simulate/genes.parquet")
    program = genes.set_index("gene_id")["program"]
    table = predictions(results, "gene_essentiality", "strict", "log_tpm", regime="held_out_lines")
    truth = table.pivot(index="sample_id", columns="target_id", values="y_true")
    best = [
        truth[gene].corr(-activity.loc[truth.index, program[gene]])
        for gene in planted["dependency"]["selective"]
    ]
    where = essentiality("held_out_lines", "per_gene_pearson", group="selective")
    found = rows_of(metrics, **where)
    assert found["value"].max() < np.mean(best)
    assert found.set_index("model").loc["log_tpm", "value"].max() > 0.8 * np.mean(best)


@pytest.mark.parametrize("regime", ["held_out_lines", "held_out_lineages"])
@pytest.mark.parametrize("group", [None, "selective", "not_common_essential"])
def test_the_mean_effect_of_a_gene_knows_nothing_of_a_line(metrics, regime, group):
    for metric in ("per_gene_pearson", "within_lineage_pearson"):
        where = essentiality(regime, metric, group=group)
        found = one(metrics, **where, model="gene_effect_mean")
        assert tuple(found[["value", "ci_low", "ci_high"]]) == (0, 0, 0)
        assert one(metrics, **where, model="lineage_mean")["value"] == 0 or (
            (regime, metric) == ("held_out_lines", "per_gene_pearson")
        )
    area = one(metrics, **essentiality(regime, "dependency_auroc"), model="gene_effect_mean")
    assert area["value"] == 0.5


def test_the_gene_mean_looks_good_pooled_as_in_the_paper(metrics, results):
    table = predictions(results, "gene_essentiality", "legacy", "gene_effect_mean")
    found = one(
        metrics,
        task="gene_essentiality",
        protocol="legacy",
        metric="pearson",
        aggregation="pooled",
        model="gene_effect_mean",
    )
    assert found["ci_low"] > 0.7
    assert found["value"] == pytest.approx(share_between(table, "target_id"), abs=0.02)


# --- perturbation


@pytest.fixture(scope="module")
def planted_changes(project, simulated):
    """Return a function: profile ids, symbols -> planted change in log2 intensity [n, genes]."""
    from bulkformer.simulate.outcomes_perturbation import draw_wells

    lines, activities = simulated("cell_lines")
    wells = {well.profile_id: well for well in draw_wells(lines, activities.shape[1])}
    genes = pd.read_parquet(project / "resources/demo/simulate/genes.parquet")
    genes = genes.drop_duplicates("symbol").set_index("symbol")

    def change(profiles, symbols):
        chosen = genes.loc[symbols]
        loading = np.array([float(loadings[0]) for loadings in chosen["loadings"]])
        own = [wells[profile] for profile in profiles]
        program, shift = (
            np.array([[getattr(w, name)] for w in own]) for name in ("program", "shift")
        )
        return np.where(chosen["program"].to_numpy() == program, shift * loading / np.log(2), 0)

    return change


def left_beyond(values, line):
    """Return rows of `values` less their regression on the row of `line`, both with an offset."""
    values = values - values.mean(axis=1, keepdims=True)
    line = line - line.mean(axis=1, keepdims=True)
    slope = (values * line).sum(axis=1) / (line**2).sum(axis=1)
    return values - slope[:, None] * line


@pytest.mark.parametrize(("regime", "unit"), PERTURBATION_REGIMES.items())
def test_similar_compounds_give_nearly_all_of_the_planted_change(
    metrics, results, planted_changes, regime, unit
):
    table = predictions(results, "perturbation", "strict", "compound_neighbours", regime=regime)
    file = results / "evaluate/perturbation/strict/compound_neighbours/predictions.parquet"
    symbols = json.loads(pq.read_schema(file).metadata[b"genes"])
    change = planted_changes(table["sample_id"], symbols)
    truth, mean = (np.stack(table[name]).astype(float) for name in ("y_true", "train_mean"))
    pairs = zip(left_beyond(truth, mean), left_beyond(change, mean), strict=True)
    best = pd.Series([np.corrcoef(*pair)[0, 1] for pair in pairs])
    ceiling = best.groupby(table[unit]).mean().mean()
    where = perturbation(regime, "pearson_delta_beyond_mean")
    found = one(metrics, **where, model="compound_neighbours")
    assert 0.75 * ceiling < found["value"] < ceiling
    assert found["ci_low"] > one(metrics, **where, model="cell_mean_delta")["ci_high"]


@pytest.mark.parametrize("regime", PERTURBATION_REGIMES)
def test_no_change_and_the_mean_change_know_nothing_of_a_compound(metrics, regime):
    where = perturbation(regime, "pearson_delta_beyond_mean")
    for model in ("no_change", "mean_delta"):
        found = one(metrics, **where, model=model)
        assert tuple(found[["value", "ci_low", "ci_high"]]) == (0, 0, 0), model
        retrieval = one(metrics, **perturbation(regime, "retrieval"), model=model)
        assert retrieval["value"] == pytest.approx(0.5, abs=0.01), model
    unchanged = one(metrics, **perturbation(regime, "pearson_delta"), model="no_change")
    assert unchanged["value"] == 0


@pytest.mark.parametrize("protocol", ["legacy", "strict"])
def test_the_truth_itself_scores_1_by_every_measure(metrics, protocol):
    found = rows_of(
        metrics,
        task="perturbation",
        protocol=protocol,
        model="perturbation_ground_truth",
        aggregation="mean_over_groups",
    )
    perfect = found["metric"].map(lambda metric: 0.0 if metric == "mae" else 1.0)
    assert found["value"].to_numpy() == pytest.approx(perfect.to_numpy(), abs=1e-6)
    assert found["metric"].nunique() > 8


def test_no_change_looks_good_by_levels_as_in_the_paper(metrics):
    where = perturbation("random_compounds", "pearson_level") | {"protocol": "legacy"}
    of_two_heads = metrics["model"] == "permuted_changes"
    found = by_model(metrics[~of_two_heads], **where)
    assert found.loc["no_change", "ci_low"] > 0.9
    assert found["value"].drop("perturbation_ground_truth").max() < (
        found.loc["no_change", "value"] + 0.05
    )


def test_every_row_of_perturbation_says_how_few_genes_were_measured(metrics):
    rows = metrics[metrics["task"] == "perturbation"]
    assert rows["condition"].str.fullmatch(r"intensities, \d+ of \d+ genes").all()
