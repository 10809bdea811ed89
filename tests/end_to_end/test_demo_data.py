"""The front half of the demo: what the files of every provider became, against the known truth."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.end_to_end

COHORTS = ["archs4", "tcga", "gtex", "disignatlas", "toil", "depmap", "recount3"]
GRAPHS = ["coexpression", "string", "union", "gene_ontology", "random", "degree_matched"]
OUTCOMES = ["survival", "cell_lines", "drugs", "response", "dependency", "perturbation"]


@pytest.fixture(scope="module")
def truth(project):
    return pd.read_parquet(project / "resources/demo/simulate/samples.parquet")


def content(path):
    return json.loads(path.read_text())


def test_every_format_lands_on_the_gene_axis_with_its_samples(results):
    for cohort in COHORTS:
        coverage = content(results / f"expression/{cohort}/coverage.json")
        assert coverage["vocabulary_share"] > 0.85, cohort
        assert coverage["samples_kept"] > 0, cohort


def test_another_pipeline_gives_the_same_samples_nearly_the_same_expression(results):
    """The toil cohort holds GTEx once more, as log2(expected counts + 1)."""
    from bulkformer.expression.store import ExpressionStore

    gtex = ExpressionStore(results / "expression/gtex/log_tpm.arrow")
    toil = ExpressionStore(results / "expression/toil/log_tpm.arrow")
    shared = [sample for sample in gtex.sample_ids if sample in set(toil.sample_ids)]
    assert len(shared) > 20
    both = gtex.measured & toil.measured
    first, second = (store.read(store.rows(shared))[:, both] for store in (gtex, toil))
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(first, second, strict=True)]
    assert min(correlation) > 0.95


def test_copies_in_the_corpus_are_exactly_the_planted_ones(results, truth):
    planted = truth[(truth["cohort"] == "archs4") & (truth["copy_of"] != "")]
    pairs = pd.read_parquet(results / "expression/duplicates.parquet")
    found = {frozenset(pair) for pair in pairs[["sample_id", "other_sample_id"]].to_numpy()}
    assert found == {frozenset(pair) for pair in planted[["sample_id", "copy_of"]].to_numpy()}
    corpus = pd.read_parquet(results / "expression/corpus.parquet")
    assert all(len(pair & set(corpus["sample_id"])) == 1 for pair in found)


def test_corpus_samples_under_other_names_are_found_in_an_evaluation_cohort(results):
    overlap = pd.read_parquet(results / "expression/overlap/recount3.parquet")
    samples = pd.read_parquet(results / "expression/recount3/samples.parquet")
    assert set(overlap["sample_id"]) == set(samples.loc[samples["kept"], "sample_id"])
    assert set(overlap["by"]) == {"expression"}
    for stranger in ("gtex", "tcga", "depmap"):
        assert content(results / f"expression/overlap/{stranger}.json")["n_shared"] == 0


@pytest.mark.parametrize("table", OUTCOMES)
def test_every_outcome_has_rows_and_says_what_was_dropped(results, table):
    assert len(pd.read_parquet(results / f"outcomes/{table}.parquet")) > 0
    assert "dropped" in content(results / f"outcomes/{table}.json")


def test_outcomes_join_the_cohorts_by_patient_and_cell_line(results):
    survival = pd.read_parquet(results / "outcomes/survival.parquet")
    tcga = pd.read_parquet(results / "expression/tcga/samples.parquet")
    # Two patients of the clinical table have no RNA, as in the real one.
    assert len(set(survival["patient_id"]) - set(tcga["patient_id"])) == 2
    response = pd.read_parquet(results / "outcomes/response.parquet")
    depmap = pd.read_parquet(results / "expression/depmap/samples.parquet")
    assert len(set(response["cell_line_id"]) & set(depmap["sample_id"])) > 20


def test_every_graph_says_from_what_it_was_made(results):
    for graph in GRAPHS:
        made = content(results / f"graph/{graph}.json")
        assert made["origin"], graph
        assert made["n_edges"] > 0, graph


def test_graphs_hold_planted_edges_and_their_controls_hold_them_by_chance(results):
    for graph in GRAPHS:
        recovery = content(results / f"graph/{graph}.recovery.json")
        lift = recovery["within_program_precision"] / recovery["within_program_by_chance"]
        if graph in ("random", "degree_matched"):
            assert 0.7 < lift < 1.5, graph
        else:
            assert lift > 10, graph


def test_the_inventory_names_every_file_with_its_licence(project, results):
    inventory = pd.read_parquet(results / "sources/inventory.parquet")
    for row in inventory.itertuples():
        assert (project / "resources/demo" / row.source / row.file).stat().st_size == row.bytes
        assert len(row.sha256) == 64
        assert row.licence
        assert row.citation
    assert set(inventory["checked"]) == {"simulated"}
    of_cohorts = {"archs4", "gdc", "gtex", "disignatlas", "toil", "depmap", "recount3"}
    assert of_cohorts | {"string", "go", "ensembl", "hgnc", "gdsc"} <= set(inventory["source"])
    page = (results / "report/data.html").read_text()
    assert len(page) < 3_000_000
    for word in ("simulated", "overlap", *inventory["source"].unique()):
        assert word in page, word


def test_an_exported_cohort_carries_labels_and_the_embedding_of_every_model(results):
    import anndata

    exported = anndata.read_h5ad(results / "embed/gtex.h5ad")
    embedded = pd.read_parquet(results / "embed/bulkformer/gtex/samples.parquet")
    assert exported.obs_names.tolist() == embedded["sample_id"].tolist()
    assert {"X_bulkformer", "X_pca"} <= set(exported.obsm)
    assert np.array_equal(exported.obsm["X_bulkformer"], np.stack(embedded["embedding"]))
    assert exported.obs["tissue"].notna().all()


def test_the_graph_of_a_fold_is_made_from_its_training_samples_alone(results):
    folder = results / "evaluate/folds/tcga_cancer_type/strict/repeat_0_fold_0"
    split = pd.read_parquet(results / "evaluate/splits/disease_annotation.parquet")
    fold = split.query(
        "dataset == 'tcga_cancer_type' and protocol == 'strict' and repeat == 0"
        " and regime == 'grouped_folds'"
    )
    training = sorted(fold.loc[fold["fold"] != 0, "unit"])
    assert 0 < len(training) < len(fold)
    made = content(folder / "coexpression.json")
    assert made["samples_sha256"] == hashlib.sha256("\n".join(training).encode()).hexdigest()
