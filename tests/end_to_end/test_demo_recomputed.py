"""Metrics of patients and tissues, made again from saved predictions by other libraries.

scikit-learn, scikit-survival, SciPy and PyDESeq2 stand for the whole of `bulkformer.evaluate`: only
the predictions and the rows of the table that they must give come from it.
"""

import json

import numpy as np
import pandas as pd
import pytest
from benchmark_rows import one, predictions
from scipy import stats
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    roc_auc_score,
)
from sksurv.metrics import concordance_index_censored, integrated_brier_score
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv

pytestmark = pytest.mark.end_to_end

EQUAL = {"rel": 1e-6, "abs": 1e-6}


# --- prognosis


def survival(metric, aggregation="weighted", protocol="strict"):
    regime = {"legacy": "random_folds", "strict": "grouped_folds"}[protocol]
    about = {"task": "prognosis", "protocol": protocol, "regime": regime, "condition": None}
    return about | {"metric": metric, "aggregation": aggregation}


PROGNOSIS_ARMS = [
    ("log_tpm", "ridge_cox"),
    ("pca", "elastic_net_cox"),
    ("clinical_only", "clinical"),
]


@pytest.mark.parametrize(("model", "head"), PROGNOSIS_ARMS)
@pytest.mark.parametrize(
    ("metric", "parts"),
    [("within_cancer_c_index", ["fold", "stratum"]), ("c_index", ["fold"])],
)
def test_concordance_is_that_of_scikit_survival(metrics, results, model, head, metric, parts):
    earned = possible = 0.0
    for _, rows in predictions(results, "prognosis", "strict", model, head=head).groupby(parts):
        time, event = rows["time"].to_numpy(), rows["event"].to_numpy(dtype=bool)
        if not (event & (time < time.max())).any():
            continue  # no pair to compare, which scikit-survival calls an error
        _, right, wrong, tied, _ = concordance_index_censored(event, time, rows["y_pred"])
        earned += right + tied / 2
        possible += right + wrong + tied
    found = one(metrics, **survival(metric), model=model, head=head)
    assert found["value"] == pytest.approx(earned / possible, **EQUAL)


@pytest.mark.parametrize(("model", "head"), PROGNOSIS_ARMS)
def test_brier_scores_are_those_of_scikit_survival(metrics, results, model, head):
    table = predictions(results, "prognosis", "strict", model, head=head)
    total = n = 0
    for (fold, cancer), rows in table.groupby(["fold", "stratum"]):
        others = table[table["fold"] != fold]
        horizons = np.array(json.loads(rows["horizons"].iloc[0]))
        usable = horizons < others.loc[others["event"] == 1, "time"].max()
        # Who was lost is known of training patients with the same cancer, or of all if those are
        # few, as long as one in ten of them was followed.
        same = others[others["stratum"] == cancer]
        others = same if len(same) >= 20 else others
        days, followed = kaplan_meier_estimator(
            others["event"].astype(bool), others["time"], reverse=True
        )
        usable &= horizons < min([*days[followed < 0.1], days.max()])
        horizons = horizons[usable]
        # It scores days between the first and last of those tested. Two more patients make these
        # wide enough and add no error: one lost at once, and one who lived and was told to.
        last = others["time"].max()
        time = np.append(rows["time"].clip(upper=last), [0.5, last])
        event = np.append(rows["event"].astype(bool), [False, False])
        curves = np.vstack([np.stack(rows["survival"])[:, usable], np.ones((2, len(horizons)))])
        learned = Surv.from_arrays(others["event"].astype(bool), others["time"])
        score = integrated_brier_score(learned, Surv.from_arrays(event, time), curves, horizons)
        total, n = total + len(time) * score, n + len(rows)
    found = one(metrics, **survival("integrated_brier_score", "pooled"), model=model, head=head)
    assert found["value"] == pytest.approx(total / n, **EQUAL)


def test_areas_of_the_paper_s_protocol_are_those_of_scikit_learn(metrics, results):
    folds = predictions(results, "prognosis", "legacy", "log_tpm").groupby("fold")
    for metric, measure in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
        by_fold = [measure(rows["event"], rows["y_pred"]) for _, rows in folds]
        found = one(metrics, **survival(metric, "fold_mean", "legacy"), model="log_tpm")
        assert found["value"] == pytest.approx(np.mean(by_fold), **EQUAL), metric


# --- disease annotation


@pytest.mark.parametrize("dataset", ["tcga_cancer_type", "gtex_tissue", "disignatlas_disease"])
@pytest.mark.parametrize("model", ["bulkformer", "library_size", "majority"])
def test_measures_of_labels_are_those_of_scikit_learn(metrics, results, dataset, model):
    head = "majority" if model == "majority" else "logistic_regression"
    where = {"dataset": dataset, "regime": "grouped_folds", "head": head}
    table = predictions(results, "disease_annotation", "strict", model, **where)
    truth, told = table["y_true"], table["y_pred"]
    about = {"task": "disease_annotation", "protocol": "strict", "model": model, "condition": None}
    for metric, value in {
        "macro_f1": f1_score(truth, told, average="macro"),
        "weighted_f1": f1_score(truth, told, average="weighted", zero_division=0),
        "balanced_accuracy": balanced_accuracy_score(truth, told),
        "matthews_correlation": matthews_corrcoef(truth, told),
    }.items():
        found = one(metrics, **about, **where, metric=metric, aggregation="pooled")
        assert found["value"] == pytest.approx(value, **EQUAL), metric


def test_the_area_within_studies_is_that_of_scikit_learn(metrics, results):
    where = {"dataset": "disignatlas_disease", "regime": "grouped_folds"}
    where |= {"head": "logistic_regression"}
    table = predictions(results, "disease_annotation", "strict", "bulkformer", **where)
    control = json.loads(table["classes"].iloc[0]).index("control")
    table["likely"] = 1 - np.stack(table["probabilities"]).astype(float)[:, control]
    by_study = [
        (len(rows), roc_auc_score(rows["y_true"] != "control", rows["likely"]))
        for _, rows in table.groupby("study_id")
        if rows["y_true"].nunique() > 1
    ]
    assert len(by_study) > 1
    size, area = np.array(by_study).T
    found = one(
        metrics,
        task="disease_annotation",
        protocol="strict",
        model="bulkformer",
        metric="within_study_disease_auc",
        condition=None,
        **where,
    )
    assert found["value"] == pytest.approx(np.average(area, weights=size), **EQUAL)


# --- imputation


@pytest.mark.parametrize("model", ["bulkformer", "ridge"])
@pytest.mark.parametrize(
    ("dataset", "regime", "condition"),
    [("corpus", "held_out_groups", "random 15%"), ("tcga", "external", "whole gene 15%")],
)
def test_measures_of_imputed_values_are_those_of_scipy(
    metrics, results, model, dataset, regime, condition
):
    where = {"dataset": dataset, "regime": regime, "condition": condition}
    table = predictions(results, "imputation", "strict", model, **where)
    columns = ["y_true", "y_pred", "y_reference"]
    table[columns] = table[columns].astype(float)
    truth, told, mean = (table[column] for column in columns)

    def by(column, at_least, shift):
        values = []
        for _, rows in table.assign(t=truth - shift, p=told - shift).groupby(column):
            if len(rows) >= at_least and rows["t"].nunique() > 1:
                known = rows["p"].nunique() > 1
                values.append(stats.pearsonr(rows["t"], rows["p"])[0] if known else 0.0)
        return values

    per_gene = by("target_id", 5, 0)
    about = {"task": "imputation", "protocol": "strict", "model": model} | where
    for metric, aggregation, value in [
        ("mse_skill", "pooled", 1 - ((told - truth) ** 2).sum() / ((mean - truth) ** 2).sum()),
        ("pearson", "pooled", stats.pearsonr(truth, told)[0]),
        ("spearman", "pooled", stats.spearmanr(truth, told)[0]),
        ("mae", "pooled", (told - truth).abs().mean()),
        ("per_gene_pearson_deviation", "mean_over_groups", np.mean(per_gene)),
        ("per_gene_pearson_deviation", "median_over_groups", np.median(per_gene)),
        ("centred_per_sample_pearson", "mean_over_groups", np.mean(by("sample_id", 3, mean))),
    ]:
        found = one(metrics, **about, metric=metric, aggregation=aggregation)
        assert found["value"] == pytest.approx(value, **EQUAL), metric


@pytest.fixture(scope="module")
def contrast(results):
    """What PyDESeq2 finds between two cancers in measured counts, by its own example."""
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.ds import DeseqStats

    from bulkformer.expression.store import ExpressionStore

    samples = pd.read_parquet(results / "evaluate/splits/imputation_differential.parquet")
    tested = pd.read_parquet(results / "evaluate/imputation_differential/truth.parquet")
    genes = pd.read_parquet(results / "expression/genes.parquet")["gene_id"].tolist()
    store = ExpressionStore(results / "expression/tcga/counts.arrow")
    values = store.read(store.rows(samples["unit"].tolist()))
    counts = pd.DataFrame(values, index=samples["unit"], columns=genes)[tested["gene_id"]]
    about = samples.set_index("unit")[["stratum"]].rename(columns={"stratum": "cancer"})
    assert set(about["cancer"]) == {"CHOL", "STAD"}
    data = DeseqDataSet(
        counts=counts.round().astype(int), metadata=about, design="~cancer", quiet=True, n_cpus=1
    )
    data.deseq2()
    found = DeseqStats(data, contrast=["cancer", "STAD", "CHOL"], quiet=True, n_cpus=1)
    found.summary()
    return found.results_df


@pytest.mark.filterwarnings("ignore")  # of libraries that PyDESeq2 calls
def test_calls_on_measured_counts_are_those_of_pydeseq2(results, contrast):
    tested = pd.read_parquet(results / "evaluate/imputation_differential/truth.parquet")
    for own, theirs in (("log2_fold_change", "log2FoldChange"), ("padj", "padj")):
        expected = contrast.loc[tested["gene_id"], theirs].to_numpy()
        assert tested[own].to_numpy() == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True)
    assert 0.1 < (contrast["padj"] < 0.05).mean() < 0.9


@pytest.mark.parametrize("model", ["ridge", "gene_mean"])
@pytest.mark.parametrize("condition", ["random 15%", "whole gene 15%"])
def test_recovered_calls_are_counted_as_they_are_saved(
    metrics, results, contrast, model, condition
):
    where = {"condition": condition}
    table = predictions(results, "imputation_differential", "strict", model, **where)
    true, told = (
        contrast.loc[table["target_id"], "padj"].to_numpy() < 0.05,
        table["padj_pred"] < 0.05,
    )
    fold_change = contrast.loc[table["target_id"], "log2FoldChange"].to_numpy()
    right = true & told & (np.sign(fold_change) == np.sign(table["y_pred"]))
    about = {"task": "imputation_differential", "model": model, "aggregation": "pooled"} | where
    recall = one(metrics, **about, metric="recall")["value"]
    assert recall == pytest.approx(right.sum() / true.sum(), **EQUAL)
    precision = one(metrics, **about, metric="precision")["value"]
    if told.any():
        assert precision == pytest.approx(right.sum() / told.sum(), **EQUAL)
    else:
        assert np.isnan(precision)
    f1 = one(metrics, **about, metric="f1")["value"]
    assert f1 == pytest.approx(2 * right.sum() / (true.sum() + told.sum()), **EQUAL)
