"""Differential expression on completed counts: what is rebuilt, called and recovered."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluate_world import World, configuration

from bulkformer.embed.registry import fit
from bulkformer.embed.training import read_training_data
from bulkformer.errors import InputError
from bulkformer.evaluate.metrics import metrics
from bulkformer.evaluate.tasks.imputation_counts import (
    check_counts,
)
from bulkformer.evaluate.tasks.imputation_differential import imputation_differential
from bulkformer.evaluate.tasks.imputation_differential_split import imputation_differential_split
from bulkformer.evaluate.tasks.imputation_differential_truth import imputation_differential_truth
from bulkformer.expression.store import ExpressionStore, create_store
from bulkformer.expression.vocabulary import SCHEMA

N_GENES, N_CLASS, N_TRAINING = 60, 8, 60
CHANGED = np.arange(0, N_GENES, 3)  # genes that the second class expresses otherwise
COMPONENTS = '{"components": 2}'
SECTION = {
    "cohort": "external",
    "label": "disease",
    "classes": ["control", "case"],
    "max_samples": 6,
    "max_genes": None,
    "mask_kinds": ["random", "whole_gene"],
    "mask_fractions": [0.3],
    "fdr": 0.05,
}


def log_tpm_of(counts: np.ndarray, length: np.ndarray) -> np.ndarray:
    rate = counts / length
    return np.log1p(1e6 * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)


def reads(n: int, state: np.ndarray, length: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Negative binomial counts; `state` [n] moves the genes in CHANGED up and down in turn."""
    base = np.linspace(4, 7, N_GENES)
    effect = np.zeros(N_GENES)
    effect[CHANGED] = np.where(np.arange(len(CHANGED)) % 2 == 0, 1.5, -1.5)
    depth = rng.uniform(0.5, 2, (n, 1))
    mean = depth * np.exp(base + state[:, None] * effect) * length / 2000
    return rng.poisson(rng.gamma(20, mean / 20)).astype(np.float32)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A corpus in which the changed genes vary together, and cases and controls of a new study."""
    world = World(tmp_path_factory.mktemp("clinic") / "results", N_GENES)
    rng = np.random.default_rng(5)
    length = rng.integers(500, 5000, N_GENES).astype(float)
    columns = {name: [None] * N_GENES for name in SCHEMA.names} | {
        "gene_id": world.gene_ids,
        "symbol": world.gene_ids,
        "length_bp": length.astype(int),
    }
    table = pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
    pq.write_table(table, world.genes)
    training = reads(N_TRAINING, rng.normal(size=N_TRAINING), length, rng)
    studies = [f"GSE{i // 6}" for i in range(N_TRAINING)]
    world.cohort("corpus", {"study_id": studies}, log_tpm_of(training, length))
    world.split_corpus("corpus", ["train"] * N_TRAINING)
    counts = reads(2 * N_CLASS, np.arange(2 * N_CLASS) // N_CLASS, length, rng)
    labels = {
        "disease": ["control"] * N_CLASS + ["case"] * N_CLASS,
        "patient_id": ["P0", "P0", *(f"P{i}" for i in range(2, 2 * N_CLASS))],
    }
    names = world.cohort("external", labels, log_tpm_of(counts, length))["sample_id"].tolist()
    with create_store(counts_of(world), np.ones(N_GENES, dtype=bool), "counts") as writer:
        writer.write(names, counts)
    found = read_training_data(world.corpus, [world.samples("corpus")], [world.store("corpus")])
    fit("pca", COMPONENTS, found, 0, world.root / "pca.safetensors")
    split(world)
    imputation_differential_truth(
        world.root / "split.parquet", world.genes, counts_of(world), world.reference,
        json.dumps(SECTION), 42, world.root / "truth.parquet",
    )  # fmt: skip
    return world


def counts_of(world: World) -> Path:
    return world.root / "external" / "counts.arrow"


def split(world: World, **section: object) -> pd.DataFrame:
    path = world.root / ("other.parquet" if section else "split.parquet")
    text = json.dumps(SECTION | section)
    imputation_differential_split(world.corpus, world.samples("external"), text, 42, path)
    return pd.read_parquet(path)


def predict(world: World, model: str, settings: str = "{}") -> Path:
    path = world.root / f"differential_{model}.parquet"
    imputation_differential(
        model, model, settings, world.root / "split.parquet", world.root / "truth.parquet",
        world.genes, world.samples("external"), world.store("external"), counts_of(world),
        world.reference, json.dumps(SECTION), 42, 16, path,
        weights={"gene_mean": world.reference, "left_out": None}.get(
            model, world.root / f"{model}.safetensors"
        ),
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def completed(clinic: World) -> dict[str, Path]:
    """{model: its predictions}"""
    return {
        "gene_mean": predict(clinic, "gene_mean"),
        "pca": predict(clinic, "pca", COMPONENTS),
        "left_out": predict(clinic, "left_out"),
    }


def by_hand(counts: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """PyDESeq2 as its manual runs it."""
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.ds import DeseqStats

    names = [f"s{i}" for i in range(len(counts))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = DeseqDataSet(
            counts=pd.DataFrame(counts.astype(int), index=names),
            metadata=pd.DataFrame({"condition": classes}, index=names),
            design="~condition",
            n_cpus=1,
            quiet=True,
        )
        data.deseq2()
        contrast = ["condition", "case", "control"]
        result = DeseqStats(data, contrast=contrast, n_cpus=1, quiet=True)
        result.summary()
    return result.results_df


def test_calls_are_those_of_pydeseq2_run_by_hand(clinic: World) -> None:
    rows = split(clinic)
    store = ExpressionStore(counts_of(clinic))
    counts = store.read(store.rows(rows["unit"].tolist()))
    expected = by_hand(counts, rows["stratum"].tolist())
    found = pd.read_parquet(clinic.root / "truth.parquet")
    assert found["gene_id"].tolist() == clinic.gene_ids
    # The classes have other names by hand, so another one is the intercept of the fit.
    np.testing.assert_allclose(found["log2_fold_change"], expected["log2FoldChange"], atol=1e-5)
    np.testing.assert_allclose(found["padj"], expected["padj"], rtol=1e-3)
    called = set(np.flatnonzero(found["padj"] < 0.05))
    assert called == set(np.flatnonzero(expected["padj"] < 0.05))
    assert set(CHANGED) <= called
    planted = found["log2_fold_change"].to_numpy()[CHANGED]
    assert (np.sign(planted) == np.where(np.arange(len(CHANGED)) % 2 == 0, 1, -1)).all()


def test_classes_are_drawn_once_a_patient_and_never_from_training(clinic: World) -> None:
    rows = split(clinic)
    assert rows["stratum"].value_counts().to_dict() == {"control": 6, "case": 6}
    assert not {"external_0000", "external_0001"} <= set(rows["unit"])  # one patient
    assert set(rows["regime"]) == {"external"}
    with pytest.raises(InputError, match=r"0 samples with disease 'cured'"):
        split(clinic, classes=["control", "cured"])


@pytest.fixture(scope="module")
def scored(clinic: World, completed: dict[str, Path]) -> dict[str, tuple[pd.DataFrame, ...]]:
    """{model: its metrics and the scores of its units}"""
    weights = {"gene_mean": "fitted", "pca": "fitted", "left_out": "none"}
    ledger = clinic.ledger(["corpus", "external"], json.dumps(weights))
    found = {}
    for model, saved in completed.items():
        paths = [clinic.root / f"{kind}_{model}.parquet" for kind in ("metrics", "units")]
        metrics(
            "imputation_differential", "strict", model, saved, clinic.root / "split.parquet",
            ledger, configuration(json.dumps(SECTION)), 50, 42, *paths,
        )  # fmt: skip
        found[model] = tuple(pd.read_parquet(path) for path in paths)
    return found


def test_a_model_of_the_genes_recovers_calls_that_the_gene_mean_loses(completed, scored) -> None:
    found = {}
    for model, (table, _) in scored.items():
        assert set(table["exposure"]) == {"clean"}
        found[model] = table.set_index(["condition", "metric"])["value"]
        check_by_hand(pd.read_parquet(completed[model]), table)
    whole = {model: values["whole gene 30%"] for model, values in found.items()}
    assert whole["gene_mean"]["recall"] < 0.2
    assert whole["pca"]["recall"] > 0.8
    assert whole["pca"]["log2_fold_change_pearson"] > 0.9
    assert found["pca"]["random 30%", "f1"] >= found["gene_mean"]["random 30%", "f1"]


def test_who_leaves_values_out_keeps_calls_on_what_is_left_and_calls_no_absent_gene(
    completed, scored
) -> None:
    """What imputation adds is what it finds beyond this."""
    table = scored["left_out"][0].set_index(["condition", "metric"])
    assert table.loc[("whole gene 30%", "recall"), "value"] == 0
    assert table.loc[("whole gene 30%", "f1"), "gene_coverage"] == 0
    assert table.loc[("random 30%", "recall"), "value"] > 0.7
    saved = pd.read_parquet(completed["left_out"]).set_index("condition")
    assert saved.loc["whole gene 30%", ["y_pred", "padj_pred"]].isna().all(axis=None)
    assert saved.loc["random 30%", "y_pred"].notna().mean() > 0.9


def check_by_hand(saved: pd.DataFrame, table: pd.DataFrame) -> None:
    """Precision, recall, F1 and correlations, recomputed with sets and pandas."""
    for condition, rows in saved.groupby("condition", observed=True):
        values = table[table["condition"] == condition].set_index("metric")["value"]
        up_and_down = [
            {
                (gene, change > 0)
                for gene, change, padj in rows[["target_id", change, padj]].itertuples(index=False)
                if padj < 0.05
            }
            for change, padj in (("y_true", "padj_true"), ("y_pred", "padj_pred"))
        ]
        true, found = up_and_down
        both = len(true & found)
        assert values["recall"] == pytest.approx(both / len(true))
        assert values["f1"] == pytest.approx(2 * both / (len(true) + len(found)))
        if found:
            assert values["precision"] == pytest.approx(both / len(found))
        else:
            assert np.isnan(values["precision"])
        for method in ("pearson", "spearman"):
            expected = rows["y_true"].corr(rows["y_pred"], method=method)
            assert values[f"log2_fold_change_{method}"] == pytest.approx(
                expected, abs=1e-9, nan_ok=True
            )


def test_models_are_compared_gene_by_gene_on_the_conclusion(completed, scored) -> None:
    found = {}
    for model, (table, units) in scored.items():
        rows = pd.read_parquet(completed[model]).astype({"condition": str, "target_id": str})
        values = table.set_index(["condition", "metric"])["value"]
        for condition, own in rows.groupby("condition"):
            true, told = (
                np.where(own[padj] < 0.05, np.sign(own[change]), 0)
                for change, padj in (("y_true", "padj_true"), ("y_pred", "padj_pred"))
            )
            part = units[units["condition"] == condition].astype({"unit": str})
            by_gene = part[part["metric"] == "call_agreement"].set_index("unit")["value"]
            expected = dict(zip(own["target_id"], (true == told).astype(float), strict=True))
            assert by_gene.to_dict() == expected
            for metric in ("call_agreement", "recall"):
                mean = part.loc[part["metric"] == metric, "value"].mean()
                assert values[condition, metric] == pytest.approx(mean)
            found[model, condition] = by_gene
    difference = found["pca", "whole gene 30%"] - found["gene_mean", "whole gene 30%"]
    assert difference.notna().all()  # the same genes under both
    assert difference.mean() > 0.1


def test_only_genes_that_were_hidden_somewhere_count(completed) -> None:
    saved = pd.read_parquet(completed["gene_mean"])
    shares = saved.groupby("condition", observed=True)["hidden_share"]
    assert (saved["hidden_share"] > 0).all()
    assert shares.min()["whole gene 30%"] == 1
    assert shares.size()["whole gene 30%"] == round(0.3 * N_GENES)


def test_values_that_are_no_reads_are_refused(clinic: World, tmp_path: Path) -> None:
    with create_store(tmp_path / "tpm.arrow", np.ones(3, dtype=bool), "tpm") as writer:
        writer.write(["a"], np.ones((1, 3)))
    with pytest.raises(InputError, match=r"tpm.arrow: holds 'tpm', .* needs counts"):
        check_counts(tmp_path / "tpm.arrow")
    check_counts(counts_of(clinic))
