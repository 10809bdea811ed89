"""Published files: sizes are inferred, nothing is unpickled, and no damage goes unnoticed."""

import dataclasses
import json
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from changed_states import add, delete, halve, rename, transpose
from safetensors.torch import save_file

from bulkformer.errors import InputError
from bulkformer.files import sha256
from bulkformer.model.bulkformer import initialise
from bulkformer.model.checkpoint import separate
from bulkformer.model.released import (
    infer_config,
    load_latest_bundle,
    load_paper_checkpoint,
    read_released_graph,
)


@torch.no_grad()
def test_sizes_are_inferred_from_the_shapes(tmp_path, model, config, graph, x):
    state = model.state_dict()
    assert infer_config(state, tmp_path) == config
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "ddp.pt")
    save_file(separate(state), tmp_path / "plain.safetensors")
    for name in ("ddp.pt", "plain.safetensors"):
        loaded = load_paper_checkpoint(tmp_path / name, graph)
        assert torch.equal(loaded(x), model(x))
        assert not loaded.training


class Marker:
    """Unpickling it would run a command that leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return subprocess.check_call, ([sys.executable, "-c", f"open({str(self.path)!r}, 'w')"],)


def plain_pickle(content, path):
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("write", [torch.save, plain_pickle])
def test_a_malicious_pickle_is_refused_and_nothing_of_it_runs(tmp_path, graph, write):
    path, trace = tmp_path / "weights.pt", tmp_path / "trace"
    write({"gene_emb_onehot_layer.weight": Marker(trace)}, path)
    with pytest.raises(InputError, match=rf"weights\.pt \(SHA-256 {sha256(path)}\): refused"):
        load_paper_checkpoint(path, graph)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>Sign in</html>"])
def test_a_page_in_place_of_weights_is_refused(tmp_path, graph, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        load_paper_checkpoint(tmp_path / name, graph)


def test_weights_of_the_june_2025_preprint_are_recognised_and_refused(tmp_path, graph):
    torch.save({"gene_emb": torch.zeros(30, 1280)}, tmp_path / "june.pt")
    with pytest.raises(InputError, match="June 2025 preprint"):
        load_paper_checkpoint(tmp_path / "june.pt", graph)


def test_weights_of_another_network_are_refused(tmp_path, graph):
    torch.save({"encoder.weight": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="not a checkpoint of BulkFormer"):
        load_paper_checkpoint(tmp_path / "other.pt", graph)


def test_frequencies_that_are_not_the_published_ones_are_refused(tmp_path, model, graph):
    state = separate(model.state_dict())
    state["expr_emb.inv_freq"] *= 1.01
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="inv_freq"):
        load_paper_checkpoint(tmp_path / "weights.safetensors", graph)


def test_the_released_graph_is_read_as_source_target_and_weight(tmp_path, graph):
    torch.save(torch.stack([graph.source, graph.target]), tmp_path / "index.pt")
    torch.save(graph.weight, tmp_path / "weight.pt")
    read = read_released_graph(tmp_path / "index.pt", tmp_path / "weight.pt")
    assert all(map(torch.equal, read, graph))
    torch.save(graph.weight[1:], tmp_path / "weight.pt")
    with pytest.raises(InputError, match="one weight for each edge"):
        read_released_graph(tmp_path / "index.pt", tmp_path / "weight.pt")


FAST = "gb_formers.0.f.1.net.layers.0.0.fn.fast_attention.projection_matrix"
KEYS = ["gene_emb_onehot_layer.weight", "global_expr_proj.0.weight", "head.1.weight", FAST]


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("change", [delete, add, rename, transpose, halve])
def test_a_key_that_is_not_what_was_published_is_refused_by_name(
    tmp_path, model, graph, change, key, suffix
):
    state = separate(model.state_dict())
    change(state, key)
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pt":
        torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    else:
        save_file(state, path)
    with pytest.raises(InputError, match=rf"weights\.{suffix}: .*{key}"):
        load_paper_checkpoint(path, graph)


def twice(state, key):
    return state | {f"module.{key}": state[key]}


def numbered(state, key):
    return state | {7: state[key]}


def damaged(state, key):
    state[key].view(-1)[0] = torch.nan
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (twice, "head.1.weight stands twice"),
        (numbered, "not a dictionary of tensors"),
        (damaged, "not finite: head.1.weight"),
    ],
)
def test_keys_that_cannot_be_told_apart_and_damaged_numbers_are_refused(
    tmp_path, model, graph, change, message
):
    torch.save(change(separate(model.state_dict()), "head.1.weight"), tmp_path / "weights.pt")
    with pytest.raises(InputError, match=message):
        load_paper_checkpoint(tmp_path / "weights.pt", graph)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_layers_that_are_stored_twice_and_differ_are_refused(tmp_path, model, graph, suffix):
    state = separate(model.state_dict())
    alias = FAST.replace("net.", "proj_updater.instance.")
    state[alias][0, 0] += 1e-6
    path = tmp_path / f"weights.{suffix}"
    (torch.save if suffix == "pt" else save_file)(state, path)
    with pytest.raises(InputError, match=rf"not equal to their second copy: {alias}"):
        load_paper_checkpoint(path, graph)


@torch.no_grad()
def test_a_gene_table_of_protein_embeddings_is_recognised_by_its_width(tmp_path, config, graph, x):
    wide = initialise(dataclasses.replace(config, gene_dim=20), graph, seed=1).eval()
    save_file(separate(wide.state_dict()), tmp_path / "weights.safetensors")
    loaded = load_paper_checkpoint(tmp_path / "weights.safetensors", graph)
    assert loaded.config.gene_dim == 20
    assert torch.equal(loaded(x), wide(x))


@pytest.mark.parametrize("swapped", [True, False])
def test_an_edge_file_of_another_type_is_refused_by_name(tmp_path, graph, swapped):
    index, weight = tmp_path / "index.pt", tmp_path / "weight.pt"
    torch.save(torch.stack([graph.source, graph.target]), weight if swapped else index)
    torch.save(graph.weight if swapped else graph.weight.double(), index if swapped else weight)
    with pytest.raises(InputError, match=r"index\.pt"):
        read_released_graph(index, weight)


@pytest.fixture
def bundle(golden, tmp_path):
    """A writable copy of the golden bundle."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for path in (golden / "bulkformer_latest").iterdir():
        shutil.copyfile(path, folder / path.name)
    return folder


def sign(folder, **changes):
    """Rewrite the manifest so that it describes the files that lie there."""
    manifest = json.loads((folder / "manifest.json").read_text()) | changes
    for name, entry in manifest["files"].items():
        entry["bytes"] = (folder / name).stat().st_size
        entry["sha256"] = sha256(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.golden
@pytest.mark.parametrize(
    "name",
    ["model.pt", "model_config.json", "gene_vocab.csv", "edge_index.pt", "edge_weight.pt"],
)
def test_a_tampered_byte_anywhere_in_a_bundle_is_noticed(bundle, name):
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}.*manifest"):
        load_latest_bundle(bundle)


@pytest.mark.golden
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "BulkFormerV2"}, "manifest.json: architecture 'BulkFormerV2'"),
        ({"trainable_parameters": 1}, "1 trainable parameters"),
        ({"format_version": 2}, "format_version 2"),
    ],
)
def test_a_manifest_that_disagrees_with_the_bundle_is_refused(bundle, changes, message):
    sign(bundle, **changes)
    with pytest.raises(InputError, match=message):
        load_latest_bundle(bundle)


@pytest.mark.golden
def test_a_bundle_whose_settings_differ_from_those_in_its_weights_is_refused(bundle):
    path = bundle / "model_config.json"
    settings = json.loads(path.read_text())
    settings["model"]["mask_ratio_reference"] = 0.2
    path.write_text(json.dumps(settings))
    sign(bundle)
    with pytest.raises(InputError, match=r"model_config\.json differs"):
        load_latest_bundle(bundle)


@pytest.mark.golden
def test_a_bundle_whose_genes_are_out_of_order_is_refused(bundle):
    path = bundle / "gene_vocab.csv"
    lines = path.read_text().splitlines()
    lines[1], lines[2] = lines[2], lines[1]
    path.write_text("\n".join(lines))
    sign(bundle)
    with pytest.raises(InputError, match=r"gene_vocab\.csv: vocab_index"):
        load_latest_bundle(bundle)


@pytest.mark.golden
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gene_symbol", "name", "no column gene_symbol"),
        ("vocab_index", "index", "no column vocab_index"),
    ],
)
def test_a_bundle_whose_gene_table_lacks_a_column_is_refused_by_name(bundle, old, new, message):
    path = bundle / "gene_vocab.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    sign(bundle)
    with pytest.raises(InputError, match=rf"gene_vocab\.csv: {message}"):
        load_latest_bundle(bundle)


@pytest.mark.golden
def test_a_bundle_that_was_saved_by_several_gpus_is_the_same_bundle(bundle):
    expected, _ = load_latest_bundle(bundle)
    content = torch.load(bundle / "model.pt", weights_only=True)
    content["model"] = {f"module.{key}": value for key, value in content["model"].items()}
    torch.save(content, bundle / "model.pt")
    sign(bundle)
    loaded, _ = load_latest_bundle(bundle)
    for key, value in expected.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


@pytest.mark.golden
@pytest.mark.parametrize("key", ["expression_scale", "performer.net.layers.1.1.fn.fn.w2.bias"])
def test_a_bundle_without_one_of_its_tensors_is_refused(bundle, key):
    content = torch.load(bundle / "model.pt", weights_only=True)
    del content["model"][key]
    torch.save(content, bundle / "model.pt")
    sign(bundle)
    with pytest.raises(InputError, match=f"missing: {key}"):
        load_latest_bundle(bundle)
