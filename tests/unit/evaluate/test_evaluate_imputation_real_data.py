"""Imputation of real tumours: what the gene mean, components and ridge are worth on BRCA counts."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluate_world import World

from bulkformer.embed.registry import fit
from bulkformer.embed.training import read_training_data
from bulkformer.evaluate.splits import Units, manifest, write_manifest
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import Scoring, load_task, open_predictions
from bulkformer.evaluate.tasks.imputation import imputation
from bulkformer.evaluate.tasks.imputation_differential import imputation_differential
from bulkformer.evaluate.tasks.imputation_differential_truth import imputation_differential_truth
from bulkformer.expression.store import create_store
from bulkformer.expression.vocabulary import SCHEMA

pytestmark = pytest.mark.real_data

N_GENES, N_TEST = 600, 20  # tested tumours of each subtype
CLASSES = ["BRCA.LumA", "BRCA.Basal"]
MODELS = {
    "gene_mean": "{}",
    "pca": '{"components": 20}',
    "ridge": '{"predictors": 20, "penalty": 0.1, "max_samples": 5000}',
}
SECTION = {
    "cohort": "brca", "classes": CLASSES, "max_genes": 200, "mask_kinds": ["whole_gene"],
    "mask_fractions": [0.3], "fdr": 0.05,
}  # fmt: skip


@pytest.fixture(scope="module")
def tumours(development_data: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Breast tumours: some of both subtypes are tested, all others train."""
    counts = pd.read_parquet(development_data / "tcga_counts/tcga_brca_counts_symbols.parquet")
    genes = pd.read_csv(development_data / "ids/anno_grch38_ensg_entrez_symbol.tsv.gz", sep="\t")
    genes = genes.dropna(subset="eff_length").drop_duplicates("symbol").set_index("symbol")
    counts = counts[counts.index.isin(genes.index) & (counts.median(axis=1) >= 50)]
    counts = counts.sample(N_GENES, random_state=1).sort_index()
    length = genes.loc[counts.index, "eff_length"].to_numpy(dtype=float)
    patient = counts.columns.str.replace(".", "-").str[:12]
    subtypes = pd.read_csv(development_data / "tcga_clinical/tcga_subtypes.tsv.gz", sep="\t")
    subtypes = subtypes[subtypes["sampleID"].str.endswith("-01")]
    of_patient = subtypes.set_index(subtypes["sampleID"].str[:12])["Subtype_Selected"]
    subtype = of_patient[~of_patient.index.duplicated()].reindex(patient).to_numpy()

    world = World(tmp_path_factory.mktemp("tumours") / "results", N_GENES)
    columns = {name: [None] * N_GENES for name in SCHEMA.names} | {
        "gene_id": world.gene_ids,
        "symbol": counts.index.tolist(),
        "length_bp": length.astype(int),
    }
    table = pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
    pq.write_table(table, world.genes)
    reads = counts.to_numpy(dtype=float).T
    rate = reads / length
    log_tpm = np.log1p(1e6 * rate / rate.sum(axis=1, keepdims=True))
    labels = {"disease": subtype, "patient_id": patient, "study_id": patient}
    rows = world.cohort("brca", labels, log_tpm)
    with create_store(counts_of(world), np.ones(N_GENES, dtype=bool), "counts") as writer:
        writer.write(rows["sample_id"].tolist(), reads)
    tested = np.concatenate([np.flatnonzero(subtype == name)[:N_TEST] for name in CLASSES])
    split = np.full(len(rows), "train", dtype=object)
    split[tested] = "held_out_groups"
    world.split_corpus("brca", split)
    chosen = rows.iloc[np.sort(tested)]
    n = len(chosen)
    units = Units(
        chosen["sample_id"].tolist(), chosen["patient_id"].tolist(), "patient",
        chosen["disease"].tolist(), ["brca"] * n,
    )  # fmt: skip
    for task in ("imputation", "imputation_differential"):
        parts = {"protocol": "strict", "regime": "held_out_groups", "repeat": 0, "seed": 1}
        frozen = manifest(units, np.zeros(n), task=task, dataset="brca", **parts)
        write_manifest(world.root / f"{task}.parquet", [frozen])
    training = read_training_data(world.corpus, [world.samples("brca")], [world.store("brca")])
    for model, settings in MODELS.items():
        fit(model, settings, training, 0, world.root / f"{model}.safetensors")
    return world


def counts_of(world: World) -> Path:
    return world.root / "brca" / "counts.arrow"


def scores(path: Path, task: str, settings: dict) -> pd.Series:
    """{(condition, metric, aggregation): value} about all of the data."""
    found = load_task(task)
    kinds = {("brca", "held_out_groups"): "patient"}
    scoring = Scoring("strict", settings, kinds, Bootstrap(0, 1))
    rows = [
        ((score.condition, score.metric, score.aggregation), score.estimate.value)
        for score in found.score(open_predictions(path, found), scoring)
        if score.group is None and score.repeat is None
    ]
    return pd.Series(dict(rows))


def test_what_correlated_genes_tell_of_hidden_ones_in_new_patients(tumours: World) -> None:
    found = {}
    for model, settings in MODELS.items():
        path = tumours.root / f"imputed_{model}.parquet"
        imputation(
            "strict", model, model, settings, tumours.root / "imputation.parquet", tumours.genes,
            ["brca"], [tumours.samples("brca")], [tumours.store("brca")], tumours.reference, [0.3],
            1, 42, 16, path, weights=tumours.root / f"{model}.safetensors",
            mask_kinds=["random", "whole_gene", "panel"], panel_genes=60,
        )  # fmt: skip
        found[model] = scores(path, "imputation", {})
    table = pd.DataFrame(found)
    print("\n", table.round(3).to_string())
    for condition in ("random 30%", "whole gene 30%", "panel 60 genes"):
        skill = table.loc[condition, "mse_skill", "pooled"]
        gene = table.loc[condition, "per_gene_pearson_deviation", "mean_over_groups"]
        assert table.loc[condition, "pearson", "pooled"]["gene_mean"] > 0.7
        assert (skill["gene_mean"], gene["gene_mean"]) == (0, 0)
        assert (skill[["pca", "ridge"]] > 0.05).all()
        assert (gene[["pca", "ridge"]] > 0.2).all()


def test_imputed_genes_keep_the_difference_between_subtypes(tumours: World) -> None:
    truth, split = tumours.root / "truth.parquet", tumours.root / "imputation_differential.parquet"
    text = json.dumps(SECTION)
    imputation_differential_truth(
        split, tumours.genes, counts_of(tumours), tumours.reference, text, 42, truth
    )
    found = {}
    for model, settings in MODELS.items():
        path = tumours.root / f"differential_{model}.parquet"
        imputation_differential(
            model, model, settings, split, truth, tumours.genes, tumours.samples("brca"),
            tumours.store("brca"), counts_of(tumours), tumours.reference, text, 42, 16, path,
            weights=tumours.root / f"{model}.safetensors",
        )  # fmt: skip
        found[model] = scores(path, "imputation_differential", SECTION)
    table = pd.DataFrame(found).loc["whole gene 30%"]
    print("\n", table.round(3).to_string())
    assert table.loc[("recall", "pooled"), "gene_mean"] < 0.1
    assert (table.loc[("f1", "pooled"), ["pca", "ridge"]] > 0.5).all()
    assert (table.loc[("log2_fold_change_pearson", "pooled"), ["pca", "ridge"]] > 0.7).all()
