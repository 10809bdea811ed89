"""The same rules on small slices of real public cohorts."""

import json
import shutil

import pandas as pd
import pytest
from benchmark_rows import by_model, one, rows_of

from checkout import copy_project, snakemake

pytestmark = [pytest.mark.end_to_end, pytest.mark.real_data]

CONFIG = "tests/end_to_end/real_data/config.yaml"


@pytest.fixture(scope="module")
def results(root, development_data, tmp_path_factory):
    folder = copy_project(root, tmp_path_factory.mktemp("real_data") / "project")
    shutil.copytree(root / "tests/end_to_end/real_data", folder / "tests/end_to_end/real_data")
    run = snakemake(
        folder,
        "all",
        "data",
        *("--cores", "2", "--resources", "gpu=8", "--show-failed-logs", "--quiet", "progress"),
        *("--set-threads", "prognosis_predictions=1", "disease_annotation_predictions=1"),
        *("--configfile", "config/config.yaml", CONFIG),
        BULKFORMER_DATA=str(development_data),
    )
    assert run.returncode == 0, run.stdout[-5000:]
    return folder / "results/real_data"


@pytest.fixture(scope="module")
def metrics(results):
    return pd.read_parquet(results / "evaluate/metrics.parquet")


def test_the_vocabulary_is_the_real_protein_coding_genes(results):
    genes = pd.read_parquet(results / "expression/genes.parquet")
    assert 18_500 < len(genes) < 21_000
    assert (genes["length_bp"] > 0).all()
    assert genes["gene_id"].str.fullmatch(r"ENSG\d{11}").all()
    assert genes["gene_id"].is_unique


@pytest.mark.parametrize(
    ("cohort", "at_least"),
    [("tcga_rsem", 17_500), ("tcga_brca", 17_500), ("gtex_brain", 14_500), ("tb_hiv", 17_500)],
)
def test_cohorts_land_on_the_vocabulary_whatever_ids_they_use(results, cohort, at_least):
    coverage = json.loads((results / f"expression/{cohort}/coverage.json").read_text())
    assert coverage["genes_measured"] >= at_least


def test_no_patient_is_on_both_sides_of_the_split(results):
    corpus = pd.read_parquet(results / "expression/corpus.parquet")
    samples = pd.concat(
        pd.read_parquet(path, columns=["sample_id", "patient_id"])
        for path in results.glob("expression/*/samples.parquet")
    )
    patients = corpus[["sample_id", "split"]].merge(samples, on="sample_id")
    assert patients["patient_id"].notna().all()  # cohorts without donors are held out as a whole
    held_out = set(patients.loc[patients["split"] == "held_out_groups", "patient_id"])
    learned = set(patients.loc[patients["split"].isin(["train", "validation"]), "patient_id"])
    assert held_out
    assert not held_out & learned


def printed(rows, models=None):
    """Print values with their intervals, best first, and return the rows."""
    shown = rows if models is None else rows[rows["model"].isin(models)]
    shown = shown.sort_values("value", ascending=False)
    about = ["dataset", "regime", "condition", "model", "head", "metric", "aggregation"]
    numbers = ["value", "ci_low", "ci_high", "ci_unit", "n", "n_groups"]
    print(
        "\n" + shown[[*about, *numbers]].dropna(axis=1, how="all").round(3).to_string(index=False)
    )
    return rows


def test_bulkformer_beats_the_training_gene_mean_on_held_out_patients(metrics):
    about = {"task": "imputation", "protocol": "strict", "regime": "held_out_groups"}
    about |= {"condition": "random 15%"}
    skill = by_model(metrics, **about, metric="mse_skill", aggregation="pooled")
    printed(skill.reset_index())
    assert skill.loc["bulkformer", "ci_low"] > 0
    # What genes share is linear to a large part: these have an interval above 0 too.
    assert (skill.loc[["pca", "ridge", "nearest_neighbours"], "ci_low"] > 0).all()
    assert skill.loc["gene_mean", "value"] == pytest.approx(0, abs=1e-6)
    assert skill.loc["bulkformer", "ci_low"] > skill.loc["bulkformer_random", "ci_high"]
    pooled = one(metrics, **about, metric="pearson", aggregation="pooled", model="gene_mean")
    assert pooled["value"] > 0.7


def test_cancer_types_are_told_by_simple_models_as_well(metrics):
    about = {"task": "disease_annotation", "protocol": "strict", "regime": "grouped_folds"}
    about |= {"condition": None, "metric": "macro_f1", "aggregation": "pooled"}
    rows = printed(rows_of(metrics, **about))
    logistic = by_model(metrics, **about, head="logistic_regression")
    majority = one(metrics, **about, model="majority")
    for model in ("log_tpm", "pca", "bulkformer"):
        assert logistic.loc[model, "ci_low"] > majority["ci_high"], model
        assert logistic.loc[model, "ci_unit"] == "patient"
    permuted = one(metrics, **about, model="permuted_labels")
    assert permuted["ci_high"] < logistic.loc["log_tpm", "ci_low"]
    assert set(rows["dataset"]) == {"tcga_cancer_type"}


def test_within_a_cancer_who_dies_first_is_known_less_well_than_pooled_scores_say(metrics):
    about = {"task": "prognosis", "protocol": "strict", "condition": None}
    about |= {"aggregation": "weighted"}
    models = ["cancer_type_only", "clinical_only", "log_tpm", "pca", "bulkformer"]
    within = rows_of(metrics, **about, metric="within_cancer_c_index")
    pooled = rows_of(metrics, **about, metric="c_index")
    printed(within, models)
    printed(pooled, models)
    assert set(models) <= set(within["model"])
    cancer = within[within["model"] == "cancer_type_only"].iloc[0]
    assert tuple(cancer[["value", "ci_low", "ci_high"]]) == (0.5, 0.5, 0.5)
    assert pooled.loc[pooled["model"] == "cancer_type_only", "ci_low"].iloc[0] > 0.5
    assert within["ci_low"].notna().all()
    assert (within["n_seeds"] == 3).all()


def test_every_model_tells_cancer_types_apart_in_the_same_folds(results):
    folder = results / "evaluate/disease_annotation/strict"
    folds = {
        path.parent.name: pd.read_parquet(path, columns=["sample_id", "regime", "repeat", "fold"])
        .query("regime == 'grouped_folds'")
        .drop(columns="regime")
        .astype({"sample_id": str})
        .drop_duplicates()
        .sort_values(["sample_id", "repeat"])
        .values.tolist()
        for path in folder.glob("*/predictions.parquet")
    }
    assert len(folds) > 5
    assert all(own == folds["bulkformer"] for own in folds.values())


def test_cohorts_that_the_model_learned_from_are_marked(metrics):
    rows = metrics.query("task == 'disease_annotation' and model == 'bulkformer'")
    assert (rows["exposure"] != "clean").all()


def explained_by(table, group, value):
    """Return eta squared: the share of the variance of a column that lies between groups."""
    values = table.dropna(subset=[value])
    means = values.groupby(group, observed=True)[value].transform("mean")
    return means.var() / values[value].var()


def test_a_tumour_that_came_through_two_pipelines_is_one_sample_of_the_corpus(results):
    """Three stomach cancers are in both TCGA slices: RSEM by Firehose, and counts by HTSeq."""
    pairs = pd.read_parquet(results / "expression/duplicates.parquet")
    assert set(pairs["by"]) == {"expression"}
    patients = {
        frozenset((row.sample_id[:12], row.other_sample_id[:12])) for row in pairs.itertuples()
    }
    same = {frozenset([patient]) for patient in ("TCGA-BR-8592", "TCGA-FP-7916", "TCGA-BR-A4IV")}
    assert patients == same
    corpus = pd.read_parquet(results / "expression/corpus.parquet")
    assert not set(corpus["sample_id"]) & {"TCGA-BR-8592", "TCGA-FP-7916", "TCGA-BR-A4IV"}


def test_survival_has_the_published_patients_without_the_unusable_ones(results):
    summary = json.loads((results / "outcomes/survival.json").read_text())
    assert summary["dropped"]["OS"]["redacted"] == 55
    survival = pd.read_parquet(results / "outcomes/survival.parquet")
    assert (survival["time_days"] > 0).all()
    assert survival.query("endpoint == 'OS'")["patient_id"].is_unique


def test_drugs_and_genes_explain_as_much_of_their_tables_as_they_are_known_to(results):
    """Known of these two tables: eta squared of the drug 0.697, of the gene 0.714."""
    response = pd.read_parquet(results / "outcomes/response.parquet")
    assert explained_by(response, "drug_id", "ln_ic50") == pytest.approx(0.697, abs=0.002)
    dependency = pd.read_parquet(
        results / "outcomes/dependency.parquet", columns=["gene_id", "probability"]
    )
    assert explained_by(dependency, "gene_id", "probability") == pytest.approx(0.714, abs=0.01)


def test_perturbation_profiles_have_controls_of_their_plate_or_of_their_cells(results):
    profiles = pd.read_parquet(results / "outcomes/perturbation.parquet")
    assert len(profiles) == 581
    compounds = profiles[profiles["perturbagen_type"] == "trt_cp"]
    assert compounds["controls"].isin(["plate", "cell_and_time"]).all()


def test_genes_that_are_annotated_alike_are_neighbours(results):
    made = json.loads((results / "graph/gene_ontology.json").read_text())
    assert made["origin"] == "external"
    assert made["n_edges"] > 100_000
