"""Metrics of cell lines, made again from saved predictions by pandas, SciPy and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from benchmark_rows import one, predictions
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

pytestmark = pytest.mark.end_to_end

EQUAL = {"rel": 1e-6, "abs": 1e-6}


def mean_over_folds(table, target, at_least):
    """Return by target the mean of the r of its folds, each weighing as much as it has lines.

    A constant prediction has r 0; a constant truth has none, nor has a fold of too few lines.
    """
    earned, lines = 0.0, 0.0
    for _, rows in table.groupby("fold"):
        truth, told = (
            rows.pivot(index="sample_id", columns=target, values=name)
            for name in ("y_true", "y_pred")
        )
        varies = {
            name: np.ptp(values.fillna(values.mean()), axis=0) > 1e-6 * values.abs().max()
            for name, values in (("truth", truth), ("told", told))
        }
        r = truth.loc[:, varies["told"]].corrwith(told.loc[:, varies["told"]])
        r = r.reindex(truth.columns, fill_value=0.0)
        size = truth.notna().sum().where(varies["truth"] & (truth.notna().sum() >= at_least), 0)
        earned, lines = earned + (size * r).where(size > 0, 0), lines + size
    return (earned / lines.replace(0, np.nan)).dropna()


def skill(table):
    error = ((table["y_pred"] - table["y_true"]) ** 2).sum()
    return 1 - error / ((table["train_mean"] - table["y_true"]) ** 2).sum()


def with_doubles(table, columns=("y_true", "y_pred", "train_mean")):
    return table.astype(dict.fromkeys(columns, float))


# --- drug response


@pytest.mark.parametrize("regime", ["held_out_lines", "held_out_tissues"])
@pytest.mark.parametrize("model", ["log_tpm", "bulkformer", "drug_mean"])
def test_measures_of_response_are_those_of_scipy(metrics, results, regime, model):
    head = "drug_mean" if model == "drug_mean" else "ridge"
    where = {"regime": regime, "head": head}
    table = with_doubles(
        predictions(results, "drug_response", "strict", model, measure="ln_ic50", **where)
    )
    drug = table.drop_duplicates("target_id").set_index("target_id")["drug_id"]
    per_screen = mean_over_folds(table, "target_id", 3)
    per_drug = per_screen.groupby(drug).mean().dropna()
    about = {"task": "drug_response", "protocol": "strict", "model": model, "condition": "ln_ic50"}
    for metric, aggregation, value in [
        ("per_drug_pearson", "mean_over_groups", per_drug.mean()),
        ("per_drug_pearson", "median_over_groups", per_drug.median()),
        ("pearson", "pooled", stats.pearsonr(table["y_true"], table["y_pred"])[0]),
        ("spearman", "pooled", stats.spearmanr(table["y_true"], table["y_pred"])[0]),
        ("mse_skill", "pooled", skill(table)),
    ]:
        found = one(metrics, **about, **where, metric=metric, aggregation=aggregation)
        assert found["value"] == pytest.approx(value, **EQUAL), metric


# --- gene essentiality


@pytest.mark.parametrize("regime", ["held_out_lines", "held_out_lineages"])
@pytest.mark.parametrize("model", ["log_tpm", "gene_effect_mean"])
def test_measures_of_essentiality_are_those_of_scipy_and_scikit_learn(
    metrics, results, regime, model
):
    table = with_doubles(predictions(results, "gene_essentiality", "strict", model, regime=regime))
    head = "ridge" if model == "log_tpm" else model
    table = table[table["head"] == head].dropna(subset=["y_true", "y_pred"])
    per_gene = mean_over_folds(table, "target_id", 5)
    spread = table.groupby("target_id")["y_true"].std(ddof=0)
    about = {"task": "gene_essentiality", "protocol": "strict", "regime": regime}
    about |= {"model": model, "head": head}
    for metric, aggregation, group, value in [
        ("per_gene_pearson", "mean_over_groups", None, per_gene.mean()),
        ("per_gene_pearson", "median_over_groups", None, per_gene.median()),
        ("per_gene_pearson", "mean_over_groups", "selective", per_gene[spread > 0.3].mean()),
        ("pearson", "pooled", None, stats.pearsonr(table["y_true"], table["y_pred"])[0]),
        ("mse_skill", "pooled", None, skill(table)),
    ]:
        row = one(metrics, **about, metric=metric, aggregation=aggregation, group=group)
        assert row["value"] == pytest.approx(value, **EQUAL), (metric, group)


def test_areas_of_dependency_are_those_of_scikit_learn(metrics, results):
    """A fold weighs as much as it has pairs of a line that needs the gene and one that does not."""
    where = {"regime": "held_out_lines", "head": "ridge"}
    table = predictions(results, "gene_essentiality", "strict", "log_tpm", **where)
    table = table.dropna(subset=["dependent"])
    earned, pairs = {}, {}
    for (gene, _), rows in table.groupby(["target_id", "fold"]):
        needed = rows["dependent"].to_numpy(dtype=bool)
        n = needed.sum() * (~needed).sum()
        if n:
            area = roc_auc_score(needed, -rows["y_pred"])
            earned[gene] = earned.get(gene, 0) + n * area
            pairs[gene] = pairs.get(gene, 0) + n
    expected = np.mean([earned[gene] / pairs[gene] for gene in pairs])
    about = {"task": "gene_essentiality", "protocol": "strict", "model": "log_tpm"} | where
    found = one(metrics, **about, metric="dependency_auroc", aggregation="mean_over_groups")
    assert found["value"] == pytest.approx(expected, **EQUAL)
    assert found["n"] == len(pairs)


# --- perturbation


@pytest.mark.parametrize(
    ("regime", "unit"),
    [
        ("held_out_compounds", "compound"),
        ("held_out_cells", "cell_id"),
        ("held_out_plates", "group"),
    ],
)
@pytest.mark.parametrize("model", ["log_tpm", "compound_neighbours"])
def test_measures_of_changes_are_those_of_scipy(metrics, results, regime, unit, model):
    table = predictions(results, "perturbation", "strict", model, regime=regime)
    columns = ["y_true", "y_pred", "train_mean", "control"]
    truth, told, mean, control = (np.stack(table[column]).astype(float) for column in columns)

    def rest(values, given):
        """What a line through the mean change of all training profiles leaves."""
        fit = LinearRegression().fit(given[:, None], values)
        return values - fit.predict(given[:, None])

    profiles = pd.DataFrame(
        {
            "pearson_delta": [stats.pearsonr(*pair)[0] for pair in zip(truth, told, strict=True)],
            "pearson_delta_beyond_mean": [
                stats.pearsonr(rest(t, m), rest(p, m))[0]
                for t, p, m in zip(truth, told, mean, strict=True)
            ],
            "pearson_level": [
                stats.pearsonr(c + t, c + p)[0]
                for t, p, c in zip(truth, told, control, strict=True)
            ],
            "mae_skill": 1 - np.abs(told - truth).sum(axis=1) / np.abs(truth).sum(axis=1),
        }
    )
    by_unit = profiles.groupby(table[unit]).mean()
    head = "ridge" if model == "log_tpm" else model
    about = {"task": "perturbation", "protocol": "strict", "regime": regime, "model": model}
    about |= {"head": head}
    for metric in profiles:
        found = one(metrics, **about, metric=metric, aggregation="mean_over_groups")
        assert found["value"] == pytest.approx(by_unit[metric].mean(), **EQUAL), metric
        found = one(metrics, **about, metric=metric, aggregation="median_over_groups")
        assert found["value"] == pytest.approx(by_unit[metric].median(), **EQUAL), metric
