"""BulkFormer behind the interface: what it is fed, how it is pooled, and its two controls."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from embed_world import expression, frame, write_genes
from test_embed_feeding import NUMPY_POOLING

from bulkformer.embed.registry import load
from bulkformer.errors import InputError
from bulkformer.files import sha256
from bulkformer.graph.edges import read_graph, symmetric, write_graph
from bulkformer.model.bulkformer import BulkFormerConfig, initialise
from bulkformer.model.bulkformer_latest import BulkFormerLatestConfig
from bulkformer.model.checkpoint import load_run, save_run
from bulkformer.model.variants import gene_table_of, initialise_model

N_GENES = 20
MEASURED = np.arange(N_GENES) >= 6


@pytest.fixture
def run_folder(tmp_path):
    """A tiny trained-looking run over the vocabulary of the test."""
    edges = np.random.default_rng(0).integers(0, N_GENES, size=(40, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    graph = tmp_path / "edges.parquet"
    pd.DataFrame({"source": edges[:, 0], "target": edges[:, 1], "weight": 0.5}).to_parquet(graph)
    config = BulkFormerConfig(n_genes=N_GENES, dim=8, layers=1, heads=2)
    model = initialise(config, read_graph(graph, N_GENES), seed=3, prediction_start=2.0)
    genes = write_genes(tmp_path / "genes.parquet", N_GENES)
    save_run(tmp_path / "run", model, graph, genes, {"epochs": 1})
    return tmp_path / "run"


@pytest.fixture
def ready(run_folder):
    def build(seed: int = 0, genes=None, batch_size: int = 3, **settings):
        genes = run_folder / "genes.parquet" if genes is None else genes
        return load("bulkformer", json.dumps(settings), run_folder, genes, seed, batch_size)

    return build


def cohort(n_samples: int = 7) -> np.ndarray:
    values = expression(n_samples, N_GENES, seed=4)
    values[:, ~MEASURED] = np.nan
    return values


def gene_tokens(run_folder, fed: np.ndarray) -> np.ndarray:
    """Run the network itself on [n, G] that already has -10 where nothing is known."""
    model, _, _ = load_run(run_folder)
    x = torch.from_numpy(fed)
    with torch.inference_mode():
        return model.embed(x, (x == -10).float().mean(dim=1)).numpy()


@pytest.mark.parametrize("pooling", NUMPY_POOLING)
def test_the_sample_vector_is_the_pooled_tokens_of_absent_genes_masked(pooling, ready, run_folder):
    values = cohort()
    values[0, 10] = 0  # measured zeros stay zero
    tokens = gene_tokens(run_folder, np.nan_to_num(values, nan=-10))
    vectors = ready(pooling=pooling).embed(values, MEASURED, frame(7))
    np.testing.assert_allclose(vectors, NUMPY_POOLING[pooling](tokens, MEASURED), atol=1e-5)
    short = ready(pooling=pooling, summary_scalars=False).embed(values, MEASURED, frame(7))
    np.testing.assert_array_equal(short, vectors[:, :-3])


def test_absent_genes_can_be_fed_as_zero_as_in_the_papers_benchmarks(ready, run_folder):
    values = cohort()
    tokens = gene_tokens(run_folder, np.nan_to_num(values, nan=0))
    vectors = ready(absent_value="zero").embed(values, MEASURED, frame(7))
    np.testing.assert_allclose(vectors, tokens.max(axis=1), atol=1e-5)
    with pytest.raises(InputError, match="absent_value 'zero'"):
        ready(absent_value="zero").impute(values, frame(7))


def test_hidden_genes_are_fed_as_masked_and_come_back_predicted(ready, run_folder):
    values = cohort()
    hidden = np.random.default_rng(1).random(values.shape) < 0.3
    visible = np.where(hidden, np.float32(np.nan), values)
    model, _, _ = load_run(run_folder)
    x = torch.from_numpy(np.nan_to_num(visible, nan=-10))
    with torch.inference_mode():
        expected = model(x, (x == -10).float().mean(dim=1)).numpy()
    result = ready().impute(visible, frame(7))
    unknown = np.isnan(visible)
    np.testing.assert_allclose(result[unknown], expected[unknown], atol=1e-5)
    np.testing.assert_array_equal(result[~unknown], visible[~unknown])
    corrupted = np.where(hidden, values * 9, values)
    again = ready().impute(np.where(hidden, np.float32(np.nan), corrupted), frame(7, seed=8))
    np.testing.assert_array_equal(again, result)


def test_a_sample_gives_the_same_alone_in_a_batch_and_in_another_order(ready):
    values, order = cohort(), np.random.default_rng(0).permutation(7)
    vectors = ready(batch_size=3).embed(values, MEASURED, frame(7))
    alone = ready(batch_size=1).embed(values[order], MEASURED, frame(7).iloc[order])
    np.testing.assert_allclose(alone, vectors[order], atol=1e-5)


def test_random_weights_differ_from_trained_ones_follow_the_seed_and_are_labelled(
    ready, run_folder
):
    values = cohort()
    trained = ready()
    random = ready(weights="random")
    vectors = random.embed(values, MEASURED, frame(7))
    assert np.abs(vectors - trained.embed(values, MEASURED, frame(7))).max() > 0.01
    again = ready(weights="random").embed(values, MEASURED, frame(7))
    np.testing.assert_array_equal(again, vectors)
    other = ready(weights="random", seed=1).embed(values, MEASURED, frame(7))
    assert np.abs(vectors - other).max() > 0.01
    assert trained.provenance().weights == "trained"
    assert trained.provenance().weights_sha256 == sha256(run_folder / "model.safetensors")
    assert trained.provenance().tensors_loaded == len(load_run(run_folder)[0].state_dict())
    assert random.provenance().weights == "random"
    assert random.provenance().weights_sha256 is None
    assert random.provenance().licence is None
    graphs = {m.provenance().details["graph_sha256"] for m in (trained, random)}
    assert graphs == {sha256(run_folder / "graph.parquet")}


def test_shuffled_genes_are_one_fixed_permutation_that_is_undone_in_the_prediction(
    ready, run_folder
):
    values = cohort()
    shuffled = ready(shuffle_genes=True)
    order = shuffled.columns
    assert sorted(order) == list(range(N_GENES))
    assert not np.array_equal(order, np.arange(N_GENES))
    np.testing.assert_array_equal(ready(shuffle_genes=True).columns, order)
    straight = ready().impute(values[:, order], frame(7))
    np.testing.assert_allclose(shuffled.impute(values, frame(7))[:, order], straight, atol=1e-5)
    tokens = gene_tokens(run_folder, np.nan_to_num(values[:, order], nan=-10))
    vectors = ready(shuffle_genes=True, pooling="mean_measured").embed(values, MEASURED, frame(7))
    np.testing.assert_allclose(vectors, tokens[:, MEASURED[order]].mean(axis=1), atol=1e-5)


def test_a_vocabulary_in_another_order_gives_the_same_vectors(ready, run_folder, tmp_path, capsys):
    values, order = cohort(), np.random.default_rng(2).permutation(N_GENES)
    genes = pd.read_parquet(run_folder / "genes.parquet")
    table = pd.concat([genes.iloc[order], pd.DataFrame({"gene_id": ["ENSG_NEW"]})])
    table.to_parquet(tmp_path / "other.parquet")
    extra = np.full((7, 1), 5, dtype=np.float32)
    reordered = np.hstack([values[:, order], extra])
    measured = np.append(MEASURED[order], True)
    model = ready(genes=tmp_path / "other.parquet")
    np.testing.assert_allclose(
        model.embed(reordered, measured, frame(7)),
        ready().embed(values, MEASURED, frame(7)),
        atol=1e-5,
    )
    assert model.provenance().genes_matched == N_GENES
    reordered[:, -1] = np.nan
    predicted = model.impute(reordered, frame(7))
    # An invented value would be scored as if the model had said it.
    assert model.predicts().tolist() == [True] * N_GENES + [False]
    assert np.isnan(predicted[:, -1]).all()
    assert np.isfinite(predicted[:, :-1]).all()
    assert "1 vocabulary genes are unknown to the model" in capsys.readouterr().err


def test_a_vocabulary_without_a_shared_gene_is_refused(ready, tmp_path):
    pd.DataFrame({"gene_id": ["A", "B"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="shares no gene with the vocabulary"):
        ready(genes=tmp_path / "other.parquet")


@pytest.mark.parametrize(
    ("mode", "label"), [("released", "released"), ("fine-tune", "fine_tuned"), ("train", "trained")]
)
def test_the_provenance_says_how_the_weights_of_the_run_came_about(run_folder, ready, mode, label):
    config = json.loads((run_folder / "config.json").read_text())
    config["training"]["mode"] = mode
    (run_folder / "config.json").write_text(json.dumps(config))
    assert ready().provenance().weights == label
    assert ready(weights="random").provenance().weights == "random"


def test_the_untrained_control_of_the_latest_network_starts_as_its_training_does(tmp_path):
    edges = symmetric(np.arange(19), np.arange(1, 20), np.ones(19))
    write_graph(tmp_path / "edges.parquet", edges, N_GENES)
    config = BulkFormerLatestConfig(
        n_genes=N_GENES, dim=8, layers=1, heads=2, features=4, graph_dim=4
    )
    genes = write_genes(tmp_path / "genes.parquet", N_GENES)
    model = initialise_model(config, edges, 3, 2.0)
    save_run(tmp_path / "run", model, tmp_path / "edges.parquet", genes, {"prediction_start": 1.5})
    control = load("bulkformer", '{"weights": "random"}', tmp_path / "run", genes, 0, 4)
    assert control.model.expression_head[3].bias.item() == 1.5
    assert control.embed(cohort(2), MEASURED, frame(2)).shape == (2, 8)


@pytest.mark.parametrize("trained", [True, False])
def test_the_untrained_control_keeps_a_gene_table_that_training_never_changes(tmp_path, trained):
    edges = symmetric(np.arange(19), np.arange(1, 20), np.ones(19))
    write_graph(tmp_path / "edges.parquet", edges, N_GENES)
    config = BulkFormerConfig(
        n_genes=N_GENES, dim=8, layers=1, heads=2, gene_dim=5, gene_table_trained=trained
    )
    genes = write_genes(tmp_path / "genes.parquet", N_GENES)
    model = initialise_model(config, edges, 3, 2.0)
    save_run(tmp_path / "run", model, tmp_path / "edges.parquet", genes, {})
    control = load("bulkformer", '{"weights": "random"}', tmp_path / "run", genes, 0, 4)
    same = torch.equal(gene_table_of(control.model), gene_table_of(model))
    assert same == (not trained)
    assert not torch.equal(control.model.gene_emb_proj[0].weight, model.gene_emb_proj[0].weight)
