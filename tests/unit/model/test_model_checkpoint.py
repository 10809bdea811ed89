"""A run folder gives back the same network bit for bit, or refuses to load."""

import json

import pandas as pd
import pytest
import torch
from changed_states import add, delete, halve, rename, reshape
from safetensors.torch import load_file, save_file

from bulkformer.errors import InputError
from bulkformer.files import sha256
from bulkformer.graph.edges import symmetric, write_graph
from bulkformer.model import bulkformer_latest
from bulkformer.model.bulkformer import initialise
from bulkformer.model.checkpoint import load_run, load_weights, save_run


@pytest.fixture
def edges(graph):
    return symmetric(*graph)


@pytest.fixture
def model(config, edges):
    return initialise(config, edges, seed=1, prediction_start=2.0).eval()


@pytest.fixture
def tables(tmp_path, edges):
    """Write an edge table and a vocabulary as the stages before pretraining do."""
    write_graph(tmp_path / "edges.parquet", edges, 30)
    genes = pd.DataFrame({"gene_id": [f"ENSG{i:011}" for i in range(30)]})
    genes.to_parquet(tmp_path / "vocabulary.parquet")
    return tmp_path / "edges.parquet", tmp_path / "vocabulary.parquet"


@pytest.fixture
def run(tmp_path, model, tables):
    save_run(tmp_path / "run", model, *tables, training={"epochs": 3})
    return tmp_path / "run"


def rewrite_weights(run, state):
    """Replace the weights and their hash, as someone who edits a run on purpose."""
    save_file(state, run / "model.safetensors")
    config = json.loads((run / "config.json").read_text())
    config["sha256"]["model.safetensors"] = sha256(run / "model.safetensors")
    (run / "config.json").write_text(json.dumps(config))


@torch.no_grad()
@pytest.mark.parametrize("variant", ["paper", "latest"])
def test_a_saved_run_comes_back_bit_for_bit(
    tmp_path, model, latest_config, edges, tables, x, variant
):
    if variant == "latest":
        model = bulkformer_latest.initialise(latest_config, edges, seed=1).eval()
    save_run(tmp_path / variant, model, *tables, training={"epochs": 3})
    loaded, genes, config = load_run(tmp_path / variant)
    before, after = model.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(model(x), loaded(x))
    assert not loaded.training
    assert loaded.config == model.config
    assert genes["gene_id"].tolist() == [f"ENSG{i:011}" for i in range(30)]
    assert (config["variant"], config["training"]) == (variant, {"epochs": 3})


def test_the_same_model_is_saved_as_the_same_bytes(tmp_path, model, run, tables):
    save_run(tmp_path / "again", model, *tables, training={"epochs": 3})
    names = sorted(path.name for path in run.iterdir())
    assert names == ["config.json", "genes.parquet", "graph.parquet", "model.safetensors"]
    assert all((run / n).read_bytes() == (tmp_path / "again" / n).read_bytes() for n in names)


def test_whoever_may_read_one_file_of_a_run_may_read_the_weights(run):
    assert len({path.stat().st_mode for path in run.iterdir()}) == 1


def test_a_loaded_network_keeps_its_aliased_layers_tied(run):
    model, _, _ = load_run(run)
    performer = model.gb_formers[0].f[0]
    assert performer.proj_updater.instance is performer.net


@pytest.mark.parametrize("name", ["model.safetensors", "graph.parquet", "genes.parquet"])
def test_a_tampered_or_missing_file_is_refused(run, name):
    content = bytearray((run / name).read_bytes())
    content[len(content) // 2] ^= 1
    (run / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}.*SHA-256"):
        load_run(run)
    (run / name).unlink()
    with pytest.raises(InputError, match=f"{name}: missing"):
        load_run(run)


PROJECTION = "gb_formers.0.f.1.net.layers.0.0.fn.fast_attention.projection_matrix"
ALIAS = PROJECTION.replace("net.", "proj_updater.instance.")


@pytest.mark.parametrize("key", ["head.3.weight", PROJECTION, ALIAS])
@pytest.mark.parametrize("change", [delete, add, rename, reshape, halve])
def test_any_change_of_one_key_makes_loading_fail_and_names_the_key(run, change, key):
    state = load_file(run / "model.safetensors")
    change(state, key)
    rewrite_weights(run, state)
    with pytest.raises(InputError, match=rf"model\.safetensors.*{key}"):
        load_run(run)


def test_an_alias_that_differs_in_one_bit_makes_loading_fail(run):
    state = load_file(run / "model.safetensors")
    bits = state[ALIAS].view(torch.int32)
    bits[0, 0] ^= 1
    rewrite_weights(run, state)
    with pytest.raises(InputError, match=r"not equal to their second copy.*projection_matrix"):
        load_run(run)


def test_a_failed_load_leaves_the_network_as_it_was(model, tmp_path):
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    state = {key: torch.zeros_like(tensor) for key, tensor in before.items()}
    del state["head.3.bias"]
    with pytest.raises(InputError, match=r"missing: head\.3\.bias"):
        load_weights(model, state, tmp_path / "weights")
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": "newest"}, "variant 'newest' is none of paper, latest"),
        ({"model": {"n_genes": 30, "width": 3}}, "width"),
    ],
)
def test_a_config_of_another_kind_is_refused(run, change, message):
    config = json.loads((run / "config.json").read_text()) | change
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        load_run(run)


def test_a_graph_of_another_vocabulary_is_not_saved_with_the_model(tmp_path, model, edges, tables):
    write_graph(tmp_path / "other.parquet", edges, 40)
    with pytest.raises(InputError, match=r"other\.parquet: made for 40 genes"):
        save_run(tmp_path / "run", model, tmp_path / "other.parquet", tables[1], training={})
    assert not (tmp_path / "run").exists()
