"""The assessment looks at validation samples only, and every table follows from the same values."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from pretrain_world import ABSENT, COHORTS, GENES, SAMPLES, split_of, write_corpus

from bulkformer.errors import InputError
from bulkformer.files import write_json, write_table
from bulkformer.graph.edges import read_graph
from bulkformer.model.checkpoint import load_run, save_run
from bulkformer.model.cost import training_flops
from bulkformer.model.variants import build, gene_table_of, initialise_model
from bulkformer.pretrain.assess import assess
from bulkformer.pretrain.gene_vectors import untrained
from bulkformer.pretrain.learning_curve import POINTS, learning_curve
from bulkformer.pretrain.record import COST, HISTORY
from bulkformer.pretrain.run_cost import run_cost
from bulkformer.pretrain.settings import nearest_share

NUMBERS = {split: [n for n in range(SAMPLES) if split_of(n) == split]
           for split in ("train", "validation", "validation_samples")}  # fmt: skip
TABLES = ("accuracy", "genes", "deciles", "learning", "gene_vectors")
SHAPE = {"dim": 8, "layers": 1, "heads": 2}


def write_run(corpus, folder, variant="paper", mode="train", **settings):
    """Write the run folder of a network that learned nothing, with three steps of history."""
    edges = read_graph(corpus / "graph.parquet", GENES)
    more = {"graph_dim": 4, "features": 8} if variant == "latest" else {}
    config = build({"variant": variant, **SHAPE, **more, **settings}, GENES)
    model = initialise_model(config, edges, 1, 3.0)
    record = {"mode": mode, "licence": "MIT"}
    history, cost = [], []
    if mode == "train":
        record["settings"] = {"gene_start": "principal_components"}
        history = [
            {"step": step, "epoch": 0, "split": "train", "loss": 9.0 - step, "learning_rate": 0.1}
            for step in (1, 2, 3)
        ]
        cost = [
            {"step": 3, "start": 1, "seconds": 7200.0, "samples_per_second": 2.0, "memory_gb": 1.0,
             "processes": 2, "batch_size": 4, "device": "cpu"},
        ]  # fmt: skip
    write_table(folder / "history.parquet", pa.Table.from_pylist(history, schema=HISTORY))
    write_table(folder / "cost.parquet", pa.Table.from_pylist(cost, schema=COST))
    provenance = {"training": {"epochs": 2}, "training_samples": 12} if mode == "train" else {}
    write_json(folder / "provenance.json", provenance)
    save_run(folder, model, corpus / "graph.parquet", corpus / "genes.parquet", record)
    return folder


def look(folder, run, out, **changes):
    """Run the step and return its tables and its summary."""
    assess(
        **{
            "run": run, "genes": folder / "genes.parquet", "corpus": folder / "corpus.parquet",
            "store": [folder / cohort / "log_tpm.arrow" for cohort in COHORTS],
            "hidden": [0.15, 0.5], "trained_with": [0.15], "repeats": 1, "max_samples": 100,
            "batch_size": 4, "seed": 1, "folder": out,
        }
        | changes
    )  # fmt: skip
    tables = {name: pd.read_parquet(out / f"{name}.parquet") for name in TABLES}
    return tables | {"summary": json.loads((out / "assessment.json").read_text())}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    return write_run(corpus, tmp_path_factory.mktemp("run") / "tiny")


@pytest.fixture(scope="module")
def found(corpus, run, tmp_path_factory):
    return look(corpus, run, tmp_path_factory.mktemp("found"))


def test_both_kinds_of_validation_are_looked_at_and_nothing_else(found):
    splits = found["summary"]["splits"]
    assert splits == {
        split: {"samples": len(NUMBERS[split]), "of": len(NUMBERS[split])}
        for split in ("validation", "validation_samples")
    }
    assert set(found["accuracy"]["split"]) == set(splits)


def test_samples_that_are_held_out_for_the_benchmarks_change_nothing(corpus, run, found, tmp_path):
    other = tmp_path / "corpus"
    shutil.copytree(corpus, other)
    rows = pd.read_parquet(corpus / "corpus.parquet")
    held_out = [
        {"cohort": "one", "sample_id": "s999", "group": "x", "study_id": "x", "split": split}
        for split in ("held_out_groups", "held_out_samples")
    ]
    pd.concat([rows, pd.DataFrame(held_out)]).to_parquet(other / "corpus.parquet")
    again = look(other, run, tmp_path / "out")
    pd.testing.assert_frame_equal(again["accuracy"], found["accuracy"])


def test_the_floor_is_the_mean_of_training_samples(corpus, found):
    genes = found["genes"].query("split == 'validation'")
    assert (
        genes["gene_id"].tolist() == pd.read_parquet(corpus / "genes.parquet")["gene_id"].tolist()
    )
    from bulkformer.pretrain.batches import CorpusSamples

    stores = [corpus / cohort / "log_tpm.arrow" for cohort in COHORTS]
    samples = CorpusSamples(pd.read_parquet(corpus / "corpus.parquet"), stores, "train")
    values = samples.read(np.arange(len(samples))).numpy()
    assert np.allclose(genes["mean"], np.nanmean(values, axis=0), atol=1e-5)


def test_figures_by_gene_and_by_decile_add_up_to_those_of_the_split(found):
    for row in found["accuracy"].query("every_gene_hidden").to_dict("records"):
        genes, tenths = (
            found[name][found[name]["split"] == row["split"]] for name in ("genes", "deciles")
        )
        genes = genes[genes["n_values"] > 0]
        assert genes["n_values"].sum() == row["n_values"]
        assert np.average(genes["mse"], weights=genes["n_values"]) == pytest.approx(row["mse"])
        for by in ("expression", "variance"):
            assert tenths.loc[tenths["by"] == by, "n_genes"].sum() == len(genes)
        assert row["mse_skill"] == pytest.approx(1 - row["mse"] / row["gene_mean_mse"])


def test_a_network_that_learned_nothing_does_not_beat_the_gene_mean(found):
    rows = found["accuracy"].query("split == 'validation'")
    assert (rows["ci_high"] < 0).all()


def test_every_gene_is_hidden_at_the_share_nearest_to_that_of_training(found):
    hidden = found["accuracy"].set_index("mask_fraction")["every_gene_hidden"]
    assert hidden[0.15].all()
    assert not hidden[0.5].any()
    assert found["summary"]["main_fraction"] == 0.15
    assert nearest_share([0.05, 0.15, 0.3], [0.05, 0.15]) == 0.15  # of two as near, the harder
    assert nearest_share([0.05, 0.12, 0.3], [0.05, 0.15]) == 0.12


def test_no_more_samples_are_taken_than_asked_for(corpus, run, tmp_path):
    few = look(corpus, run, tmp_path, max_samples=5)
    assert set(few["accuracy"]["n_samples"]) == {5}


def test_two_looks_write_the_same_bytes(corpus, run, found, tmp_path):
    for name in ("one", "two"):
        look(corpus, run, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_gene_vectors_have_a_width_that_leaves_out_what_describes_the_sample(found):
    vectors = found["gene_vectors"]
    assert set(map(len, vectors["contextual"])) == {SHAPE["dim"]}
    assert {"identity", "untrained", "start", "principal_components"} <= set(vectors.columns)


def test_a_gene_that_only_some_samples_measured_takes_its_vector_from_these(corpus, run, tmp_path):
    rows = pd.read_parquet(corpus / "corpus.parquet")
    only_two = (rows["split"] != "validation") | (rows["cohort"] == "two")
    other = tmp_path / "corpus"
    shutil.copytree(corpus, other)
    rows[only_two].to_parquet(other / "corpus.parquet")
    vectors = look(other, run, tmp_path / "out")["gene_vectors"]
    unknown = vectors["contextual"].map(lambda vector: np.isnan(vector).all())
    assert unknown[unknown].index.tolist() == [ABSENT]


@pytest.mark.parametrize("variant", ["paper", "latest"])
def test_weights_that_came_from_elsewhere_have_no_cost_and_no_curve(corpus, tmp_path, variant):
    run = write_run(corpus, tmp_path / "run", variant=variant, mode="released")
    (run / "cost.parquet").unlink()
    found = look(corpus, run, tmp_path / "out")
    assert found["summary"]["cost"] is None
    assert found["summary"]["mode"] == "released"
    assert found["summary"]["variant"] == variant
    assert found["learning"].empty
    assert "start" not in found["gene_vectors"]


def test_the_cost_of_a_run_is_told_from_its_own_tables(corpus, run, found):
    cost = found["summary"]["cost"]
    flops = training_flops(load_run(run)[0].config, 2 * GENES)
    assert cost["hours"] == 2
    assert cost["device_hours"] == 4  # two processes
    assert cost["samples"] == 24
    assert cost["flops"] == pytest.approx(24 * flops)


def test_machines_share_the_time_of_a_run_that_moved_between_them():
    rows = pd.DataFrame(
        {
            "step": [10, 20, 50],
            "start": [1, 2, 4],  # the third start saved nothing
            "seconds": [3600.0, 7200.0, 9000.0],
            "samples_per_second": [1.0, 3.0, 40.0],
            "memory_gb": [2.0, 3.0, 9.0],
            "mfu": [np.nan, np.nan, 0.4],
            "processes": [1, 1, 4],
            "batch_size": [4, 4, 16],
            "device": ["cpu", "cpu", "H100"],
        }
    )
    cost = run_cost(rows, {}, 1e9)
    slow, fast = cost["machines"]
    assert (slow["hours"], slow["steps"], slow["mfu"]) == (2.0, 20, None)
    assert (fast["hours"], fast["device_hours"], fast["steps"]) == (0.5, 2.0, 30)
    assert slow["samples_per_second"] == 2.0
    assert cost["device_hours"] == 4.0
    assert cost["starts"] == 3
    assert cost["flops"] is None
    assert run_cost(rows.iloc[:0], {}, 1e9) is None


def test_the_untrained_network_keeps_what_training_does_not_change(corpus):
    edges = read_graph(corpus / "graph.parquet", GENES)
    for trained in (True, False):
        config = build({**SHAPE, "gene_identity_trained": trained}, GENES)
        model = initialise_model(config, edges, 1, 3.0)
        fresh = untrained(model, edges, seed=2)
        assert torch.equal(gene_table_of(fresh), gene_table_of(model)) == (not trained)
        assert not torch.equal(fresh.head[1].weight, model.head[1].weight)


def test_the_drawn_curve_is_thinned_and_looks_only_back():
    steps = np.arange(1, 3 * POINTS + 1)
    rng = np.random.default_rng(0)
    history = pd.DataFrame(
        {"step": steps, "split": "train", "loss": rng.random(len(steps)), "learning_rate": 0.1}
    )
    whole, half = learning_curve(history), learning_curve(history.iloc[: 2 * POINTS])
    assert len(whole) == POINTS
    assert set(whole["step"]) <= set(steps)
    assert whole["smooth_loss"].std() < 0.2 * whole["loss"].std()
    jump = history.assign(loss=np.where(steps > 2 * POINTS, 100.0, 1.0))
    before = learning_curve(jump).query("step <= 2 * @POINTS")
    assert (before["smooth_loss"] == 1.0).all()
    assert len(half) == POINTS


def test_a_corpus_without_validation_stops_with_a_reason(corpus, run, tmp_path):
    rows = pd.read_parquet(corpus / "corpus.parquet").query("split != 'validation'")
    rows.to_parquet(tmp_path / "corpus.parquet")
    with pytest.raises(InputError, match="no sample has split 'validation'"):
        look(corpus, run, tmp_path / "out", corpus=tmp_path / "corpus.parquet")
