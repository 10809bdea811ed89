"""Reads what the authors published: the paper's checkpoints and the `bulkformer-latest` bundle.

Nothing here unpickles code: files are opened as plain tensors or refused. Sizes come from the
tensors themselves, so that every released and every smaller network of either layout loads.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from bulkformer.errors import InputError
from bulkformer.files import sha256
from bulkformer.model.bulkformer import BulkFormer, BulkFormerConfig
from bulkformer.model.bulkformer_latest import BulkFormerLatest, BulkFormerLatestConfig
from bulkformer.model.checkpoint import load_weights, make_config, read_json, read_safetensors
from bulkformer.model.embedding import inverse_frequencies
from bulkformer.model.graph_convolution import Graph

LATEST_ARCHITECTURE = "BulkFormerV1Plus-v1"
LATEST_FORMAT = 1
LATEST_FILES = (
    "model.pt",
    "model_config.json",
    "gene_vocab.csv",
    "edge_index.pt",
    "edge_weight.pt",
)
# Names in the bundle's model_config.json → ours; all others are the same in both.
LATEST_NAMES = {
    "num_genes": "n_genes",
    "depth": "layers",
    "nb_features": "features",
    "graph_hidden_dim": "graph_dim",
    "graph_scale_init": "graph_scale_start",
    "expression_scale_init": "expression_scale_start",
}
# Columns of the bundle's gene_vocab.csv → ours.
VOCABULARY_NAMES = {
    "canonical_ensg": "gene_id",
    "gene_symbol": "symbol",
    "gene_length_bp": "length_bp",
}


def load_paper_checkpoint(path: Path, graph: Graph, chunk: int | None = None) -> BulkFormer:
    """Return the model of a `.pt` or `.safetensors` state dict of the paper, in evaluation mode.

    The weights belong to the `graph` they were trained on (`read_released_graph`) but do not hold
    it. Raises InputError for an unsafe pickle, for the weights of the June 2025 preprint, and for
    tensors that are missing, unexpected or of another shape.
    """
    content = read_safetensors(path) if path.suffix == ".safetensors" else _read_tensors(path)
    state = _state_dict(content, path)
    if "gene_emb" in state or "ae_enc.0.weight" in state:
        raise InputError(
            f"{path}: these are the weights of the June 2025 preprint, whose network is another "
            "one; give a checkpoint of the December 2025 release"
        )
    model = BulkFormer(infer_config(state, path), graph, chunk)
    load_weights(model, state, path)
    expected = inverse_frequencies(model.config.dim, model.config.expression_base)
    if not torch.allclose(state["expr_emb.inv_freq"], expected, rtol=1e-5, atol=0):
        raise InputError(
            f"{path}: expr_emb.inv_freq does not follow 100^(-2i/dim); the file is damaged or of "
            "another release"
        )
    return model.eval()


def infer_config(state: dict[str, Tensor], path: Path) -> BulkFormerConfig:
    """Read genes, width, depth, heads and random features off the shapes of a state dict."""
    layer = re.compile(r"gb_formers\.(\d+)\.f\.(\d+)\.net\.layers\.0\.0\.norm\.weight")
    places = [tuple(map(int, match.groups())) for key in state if (match := layer.fullmatch(key))]
    try:
        rows, gene_dim = state["gene_emb_onehot_layer.weight"].shape
        _, n_genes = state["global_expr_proj.0.weight"].shape
        (dim,) = state["layernorm.weight"].shape
        attention = "gb_formers.0.f.0.net.layers.0.0.fn.fast_attention"
        features, head_dim = state[f"{attention}.projection_matrix"].shape
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a checkpoint of BulkFormer ({error}); give the released weights"
        ) from error
    if rows != n_genes:
        raise InputError(
            f"{path}: gene_emb_onehot_layer.weight has {rows:,} rows and global_expr_proj.0.weight "
            f"{n_genes:,} columns, and both are one a gene; the file is damaged or of another "
            "release"
        )
    # A gene table of another width than the tokens holds protein embeddings and is projected.
    projected = {} if gene_dim == dim else {"gene_dim": gene_dim}
    return BulkFormerConfig(
        n_genes=n_genes,
        dim=dim,
        **projected,
        layers=1 + max((layer for _, layer in places), default=0),
        heads=max(1, dim // head_dim),
        features=features,
        blocks=1 + max((block for block, _ in places), default=0),
    )


def read_released_graph(edge_index: Path, edge_weight: Path) -> Graph:
    """Read the published graph: an int64 [2, E] and a float32 [E] tensor file."""
    ends, weight = _read_tensors(edge_index), _read_tensors(edge_weight)
    if not (isinstance(ends, Tensor) and ends.ndim == 2 and len(ends) == 2):
        raise InputError(f"{edge_index}: not a tensor of two rows; give the released edge index")
    if not (isinstance(weight, Tensor) and weight.shape == ends.shape[1:]):
        raise InputError(f"{edge_weight}: not one weight for each edge of {edge_index}")
    if ends.dtype != torch.int64 or weight.dtype != torch.float32:
        raise InputError(
            f"{edge_index} and {edge_weight}: {ends.dtype} and {weight.dtype} instead of "
            "torch.int64 and torch.float32; give the released files, and not one in place of the "
            "other"
        )
    return Graph(ends[0], ends[1], weight)


def load_latest_bundle(
    folder: Path, chunk: int | None = None
) -> tuple[BulkFormerLatest, pd.DataFrame]:
    """Return the model of a `bulkformer-latest` bundle, in evaluation mode, and its vocabulary.

    The vocabulary has the columns gene_id, symbol and length_bp in model order. Raises InputError
    if a file is missing or is not the one in `manifest.json`, if architecture, configuration or
    parameter count disagree, or if tensors are missing, unexpected or of another shape.
    """
    manifest = _verified_manifest(folder)
    bundle = _read_tensors(folder / "model.pt")
    if not isinstance(bundle, dict) or not {"model", "model_config"} <= bundle.keys():
        raise InputError(f"{folder / 'model.pt'}: not the weights of a bulkformer-latest bundle")
    for name, content in (("manifest.json", manifest), ("model.pt", bundle)):
        if content.get("architecture") != LATEST_ARCHITECTURE:
            raise InputError(
                f"{folder / name}: architecture {content.get('architecture')!r} instead of "
                f"{LATEST_ARCHITECTURE!r}; give a bulkformer-latest bundle"
            )
    settings = read_json(folder / "model_config.json").get("model")
    if settings != bundle["model_config"]:
        raise InputError(f"{folder}: model_config.json differs from the settings inside model.pt")
    config = latest_config(settings, folder / "model_config.json")
    genes = _read_vocabulary(folder / "gene_vocab.csv", config.n_genes)
    graph = read_released_graph(folder / "edge_index.pt", folder / "edge_weight.pt")
    model = BulkFormerLatest(config, graph, chunk)
    load_weights(model, _state_dict(bundle["model"], folder / "model.pt"), folder / "model.pt")
    n_parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if n_parameters != manifest.get("trainable_parameters"):
        raise InputError(
            f"{folder / 'manifest.json'}: {manifest.get('trainable_parameters')} trainable "
            f"parameters, but the network has {n_parameters}"
        )
    return model.eval(), genes


def latest_config(settings: dict[str, Any], path: Path) -> BulkFormerLatestConfig:
    """Translate the bundle's settings; those that our network has built in must agree with it."""
    if not isinstance(settings, dict) or not all(settings.get(key) for key in ("dim", "heads")):
        raise InputError(f"{path}: no settings with dim and heads; download the bundle again")
    built_in = {
        "dim_head": settings["dim"] // settings["heads"],
        "ff_mult": 4,
        "fix_performer_projection_matrices": True,
    }
    for name, value in built_in.items():
        if settings.get(name) != value:
            raise InputError(f"{path}: {name} is {settings.get(name)!r}, must be {value!r}")
    ours = {
        LATEST_NAMES.get(name, name): value
        for name, value in settings.items()
        if name not in built_in
    }
    return make_config(BulkFormerLatestConfig, ours, path)


def _verified_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    manifest = read_json(path)
    if manifest.get("format_version") != LATEST_FORMAT:
        raise InputError(
            f"{path}: format_version {manifest.get('format_version')!r} instead of {LATEST_FORMAT}"
        )
    for name in LATEST_FILES:
        file, listed = folder / name, manifest.get("files", {}).get(name)
        if listed is None:
            raise InputError(f"{path}: does not list {name}; download the bundle again")
        if not file.exists():
            raise InputError(f"{file}: missing; download the bundle again")
        size, digest = listed.get("bytes"), listed.get("sha256")
        if file.stat().st_size != size or sha256(file) != digest:
            raise InputError(
                f"{file}: {file.stat().st_size} bytes that are not those of manifest.json "
                f"({size} bytes, SHA-256 {digest}); download it again"
            )
    return manifest


def _read_vocabulary(path: Path, n_genes: int) -> pd.DataFrame:
    table = pd.read_csv(path)
    if absent := {"vocab_index", *VOCABULARY_NAMES} - set(table.columns):
        raise InputError(f"{path}: no column {', '.join(sorted(absent))}; download it again")
    if table["vocab_index"].tolist() != list(range(n_genes)):
        raise InputError(f"{path}: vocab_index must count from 0 to {n_genes - 1} in this order")
    table = table.rename(columns=VOCABULARY_NAMES)[list(VOCABULARY_NAMES.values())]
    if (unclear := table["gene_id"].isna() | table["gene_id"].duplicated()).any():
        raise InputError(f"{path}: gene '{table['gene_id'][unclear].iloc[0]}' is not one of a kind")
    return table


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """Return tensors by name, without the prefix that training on several GPUs leaves."""
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise InputError(f"{path}: not a dictionary of tensors; give the released weights")
    state = {key.removeprefix("module."): tensor for key, tensor in content.items()}
    if len(state) != len(content):
        twice = next(key for key in content if f"module.{key}" in content)
        raise InputError(f"{path}: {twice} stands twice, with and without 'module.'; one is wrong")
    return state


def _read_tensors(path: Path) -> Any:
    """Open a PyTorch file that holds tensors and plain containers, and nothing that can run."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} (SHA-256 {sha256(path)}): refused, because it is no plain PyTorch file of "
            f"tensors and might run code on loading; give the published file"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"{path}: not a readable PyTorch file ({error})") from error
