"""Tasks on patients and tissues in the demo: the planted signal is found, and nulls score so."""

import numpy as np
import pandas as pd
import pytest
from benchmark_rows import by_model, one, predictions, rows_of
from sksurv.metrics import concordance_index_censored

pytestmark = pytest.mark.end_to_end

DATASETS = ["tcga_cancer_type", "gtex_tissue", "disignatlas_disease"]


# --- prognosis


def prognosis(metric, **more):
    about = {"task": "prognosis", "protocol": "strict", "regime": "grouped_folds"}
    return about | {"metric": metric, "aggregation": "weighted", "condition": None} | more


def within_cancer_c(table, risk):
    """Return the share of concordant pairs within a fold and a cancer, all pairs together."""
    earned = possible = 0.0
    for _, rows in table.assign(risk=risk).groupby(["fold", "stratum"]):
        event = rows["event"].to_numpy(dtype=bool)
        time = rows["time"].to_numpy()
        if not (event & (time < time.max())).any():
            continue
        _, right, wrong, tied, _ = concordance_index_censored(event, time, rows["risk"])
        earned += right + tied / 2
        possible += right + wrong + tied
    return earned / possible


@pytest.mark.parametrize("head", ["ridge_cox", "elastic_net_cox"])
def test_cox_on_expression_comes_as_near_as_it_can_to_the_planted_hazard(
    metrics, results, planted, simulated, head
):
    from bulkformer.simulate.outcomes_clinic import LOG_HAZARD, LOG_HAZARD_OF_AGE

    samples, activity = simulated("samples")
    tumours = ((samples["cohort"] == "tcga") & (samples["disease"] != "control")).to_numpy()
    program = pd.Series(activity[tumours, planted["hazard_program"]])
    program.index = samples.loc[tumours, "patient_id"]
    program = program[~program.index.duplicated()]
    age = pd.read_parquet(results / "outcomes/clinical.parquet").set_index("patient_id")[
        "age_years"
    ]
    hazard = LOG_HAZARD * program / program.std(ddof=0) + LOG_HAZARD_OF_AGE * age
    table = predictions(results, "prognosis", "strict", "log_tpm", head=head)
    # No risk orders patients better than the hazard by which they were made to die.
    best = within_cancer_c(table, hazard[table["group"]].to_numpy())
    found = one(metrics, **prognosis("within_cancer_c_index"), model="log_tpm", head=head)
    assert found["ci_low"] < best < found["ci_high"]
    assert found["ci_low"] > 0.5


def test_the_cancer_type_pools_well_and_knows_nothing_within_a_cancer(metrics):
    found = one(metrics, **prognosis("within_cancer_c_index"), model="cancer_type_only")
    assert tuple(found[["value", "ci_low", "ci_high"]]) == (0.5, 0.5, 0.5)
    assert one(metrics, **prognosis("c_index"), model="cancer_type_only")["ci_low"] > 0.5
    legacy = {"protocol": "legacy", "regime": "random_folds"}
    paper = prognosis("auroc", aggregation="fold_mean") | legacy
    assert one(metrics, **paper, model="cancer_type_only")["ci_low"] > 0.5
    within = one(metrics, **prognosis("within_cancer_auroc") | legacy, model="cancer_type_only")
    assert within["value"] == 0.5


def test_one_curve_for_all_has_no_brier_skill_and_expression_has(metrics):
    where = prognosis("integrated_brier_skill", aggregation="pooled")
    assert one(metrics, **where, model="log_tpm", head="ridge_cox")["ci_low"] > 0
    # Elastic net finds nothing in three numbers, and predicts the curve of all patients.
    null = one(metrics, **where, model="library_size", head="elastic_net_cox")
    assert null["value"] == pytest.approx(0, abs=0.01)


# --- disease annotation


def annotation(dataset, metric, **more):
    about = {"task": "disease_annotation", "dataset": dataset, "protocol": "strict"}
    about |= {"regime": "grouped_folds", "metric": metric, "aggregation": "pooled"}
    return about | {"condition": None} | more


@pytest.mark.parametrize("dataset", DATASETS)
def test_labels_are_told_from_expression_and_not_from_their_frequency(metrics, dataset):
    where = annotation(dataset, "macro_f1")
    found = one(metrics, **where, model="log_tpm", head="logistic_regression")
    null = one(metrics, **where, model="majority")
    assert found["ci_low"] > null["ci_high"]
    permuted = one(metrics, **where, model="permuted_labels")
    assert found["ci_low"] > permuted["ci_high"]


def test_disease_is_told_from_control_within_studies_and_the_study_alone_cannot(metrics):
    where = annotation("disignatlas_disease", "within_study_disease_auc", aggregation="weighted")
    found = one(metrics, **where, model="log_tpm", head="logistic_regression")
    assert found["ci_low"] > 0.5
    for null in ("majority", "study_oracle"):
        assert one(metrics, **where, model=null)["value"] == 0.5, null


def test_depth_is_read_from_the_library_size_and_hardly_from_expression(metrics):
    where = annotation("tcga_cancer_type", "macro_f1") | {"regime": "probe_library_size"}
    found = by_model(metrics, **where)
    assert found.loc["library_size", "ci_low"] > found.loc["log_tpm", "ci_high"]


# --- imputation


def imputation(condition, metric, aggregation, **more):
    about = {"task": "imputation", "dataset": "corpus", "protocol": "strict"}
    about |= {"regime": "held_out_groups", "condition": condition}
    return about | {"metric": metric, "aggregation": aggregation} | more


@pytest.mark.parametrize("condition", ["random 15%", "whole gene 15%", "panel 100 genes"])
def test_ridge_finds_the_programs_that_genes_share(metrics, condition):
    for metric, aggregation in (
        ("mse_skill", "pooled"),
        ("per_gene_pearson_deviation", "mean_over_groups"),
    ):
        found = by_model(metrics, **imputation(condition, metric, aggregation))
        rivals = ["gene_mean", "gene_median", "visible_mean", "summary_scalars"]
        rivals += ["visible_training_mean", "bulkformer_random"]
        for model in ("ridge", "pca"):
            assert found.loc[model, "ci_low"] > found.loc[rivals, "ci_high"].max(), metric


def test_the_gene_mean_is_0_in_strict_metrics_whatever_was_hidden(metrics):
    strict = metrics[(metrics["task"] == "imputation") & (metrics["protocol"] == "strict")]
    null = strict[strict["model"] == "gene_mean"]
    for metric in ("per_gene_pearson_deviation", "centred_per_sample_pearson", "mse_skill"):
        values = null.loc[null["metric"] == metric, ["value", "ci_low", "ci_high"]]
        assert len(values) > 5
        assert np.abs(values.dropna().to_numpy()).max() < 1e-6, metric


def test_the_gene_mean_looks_good_pooled_as_in_the_paper(metrics):
    where = imputation("random 15%", "pearson", "pooled", protocol="legacy")
    where["regime"] = "held_out_samples"
    assert one(metrics, **where, model="gene_mean")["ci_low"] > 0.7


def differential(condition, metric):
    about = {"task": "imputation_differential", "condition": condition}
    return about | {"metric": metric, "aggregation": "pooled"}


def test_differential_genes_come_back_through_other_genes_and_not_through_their_mean(metrics):
    """A gene hidden in all samples is the same in both classes, if its mean is put in its place."""
    found = by_model(metrics, **differential("whole gene 15%", "f1"))
    assert (found.loc[["ridge", "bulkformer"], "value"] > 0.5).all()
    recall = by_model(metrics, **differential("whole gene 15%", "recall"))
    assert recall.loc["gene_mean", "value"] == 0
    assert recall.loc[["ridge", "bulkformer"], "ci_low"].min() > recall.loc["gene_mean", "ci_high"]
    # Who leaves such a gene out cannot call it; who imputes it from others can.
    assert recall.loc["masked_counts", "value"] == 0
    random = by_model(metrics, **differential("random 15%", "f1"))
    assert random.loc["ridge", "value"] > random.loc["gene_mean", "value"]


# --- all tasks


@pytest.mark.parametrize("task", ["imputation", "disease_annotation", "prognosis", "drug_response",
                                  "perturbation", "gene_essentiality"])  # fmt: skip
def test_both_protocols_stand_side_by_side_for_the_same_models(metrics, task):
    models = rows_of(metrics, task=task).groupby("protocol")["model"].agg(set)
    assert models["legacy"] == models["strict"]
    assert {"bulkformer", "bulkformer_random", "pca"} <= models["strict"]
