"""Run folders: one folder holds all that inference needs, and does not load if anything is off.

`model.safetensors` (weights), `graph.parquet` (edges, which no weight file contains),
`genes.parquet` (vocabulary) and `config.json` (variant, shape, training record, and the SHA-256 of
the other three).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bulkformer.errors import InputError
from bulkformer.files import atomic, sha256, write_json
from bulkformer.graph.edges import read_graph
from bulkformer.model.bulkformer import BulkFormerConfig
from bulkformer.model.bulkformer_latest import BulkFormerLatestConfig
from bulkformer.model.variants import VARIANTS, Model, variant_of

Config = TypeVar("Config", BulkFormerConfig, BulkFormerLatestConfig)
WEIGHTS, GRAPH, GENES = "model.safetensors", "graph.parquet", "genes.parquet"


def save_run(
    folder: Path, model: Model, graph_table_path: Path, genes_path: Path, training: dict[str, Any]
) -> None:
    """Write a run folder; `training` is any JSON content that tells how the weights came about.

    The graph table and the vocabulary are copied byte by byte. `config.json` comes last, so that a
    folder in which anything is missing or mixed with an older run does not load. Raises InputError
    if the graph is none of this vocabulary.
    """
    read_graph(graph_table_path, model.config.n_genes)
    with atomic(folder / WEIGHTS) as partial:
        partial.touch()
        permissions = partial.stat().st_mode
        save_file(separate(model.state_dict()), partial)
        partial.chmod(permissions)  # safetensors would let nobody but the owner read them
    for source, name in ((graph_table_path, GRAPH), (genes_path, GENES)):
        with atomic(folder / name) as partial:
            shutil.copyfile(source, partial)
    config = {
        "variant": variant_of(model),
        "model": asdict(model.config),
        "training": training,
        "sha256": {name: sha256(folder / name) for name in (WEIGHTS, GRAPH, GENES)},
    }
    write_json(folder / "config.json", config)


def load_run(
    folder: Path | str, chunk: int | None = None
) -> tuple[Model, pd.DataFrame, dict[str, Any]]:
    """Return the model on CPU in evaluation mode, its gene table in model order, and the config.

    Raises InputError if a file is missing or changed, if the graph or the genes do not fit, or if
    the weights are not exactly those that the network expects.
    """
    folder = Path(folder)
    config = read_json(folder / "config.json")
    if config.get("variant") not in VARIANTS:
        raise InputError(
            f"{folder / 'config.json'}: variant {config.get('variant')!r} is none of "
            f"{', '.join(VARIANTS)}; give the folder of a pretraining run"
        )
    for name in (WEIGHTS, GRAPH, GENES):
        if not (folder / name).exists():
            raise InputError(f"{folder / name}: missing; copy the run folder as a whole")
        if sha256(folder / name) != config.get("sha256", {}).get(name):
            raise InputError(
                f"{folder / name}: not the file that config.json describes (SHA-256 differs); "
                "copy the run folder as a whole or train again"
            )
    kind, config_kind = VARIANTS[config["variant"]]
    model_config = make_config(config_kind, config.get("model", {}), folder / "config.json")
    genes = pd.read_parquet(folder / GENES)
    if len(genes) != model_config.n_genes:
        raise InputError(
            f"{folder / GENES}: {len(genes)} genes, but the model has {model_config.n_genes}"
        )
    model = kind(model_config, read_graph(folder / GRAPH, model_config.n_genes), chunk)
    load_weights(model, read_safetensors(folder / WEIGHTS), folder / WEIGHTS)
    return model.eval(), genes, config


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, or raise InputError if the file holds something else."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a JSON object was expected")
    return content


def make_config(kind: type[Config], settings: dict[str, Any], path: Path) -> Config:
    """Build a configuration from the settings in the file `path`; InputError if names differ."""
    try:
        return kind(**settings)
    except TypeError as error:
        raise InputError(f"{path}: not the settings of this network ({error})") from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file, or raise InputError if it is something else."""
    try:
        return load_file(path)
    except (SafetensorError, FileNotFoundError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error


def load_weights(model: Model, state: dict[str, Tensor], path: Path) -> None:
    """Load `state`, read from `path`, into `model`: every tensor is used and none is left out.

    Raises InputError naming keys that are missing, unexpected, of another shape or type or not
    finite, and aliases (layers stored twice) whose copies differ.
    """
    expected = model.state_dict()
    different = [
        f"{key} {_form(state[key])} instead of {_form(expected[key])}"
        for key in expected.keys() & state.keys()
        if _form(state[key]) != _form(expected[key])
    ]
    problems = {
        "missing": sorted(expected.keys() - state.keys()),
        "unexpected": sorted(state.keys() - expected.keys()),
        "of another form": sorted(different),
        "not equal to their second copy": sorted(_unequal_aliases(state)),
        "not finite": sorted(key for key in state if not torch.isfinite(state[key]).all()),
    }
    found = [f"{kind}: {_listed(keys)}" for kind, keys in problems.items() if keys]
    if found:
        raise InputError(
            f"{path}: not the weights of this network ({len(state)} tensors, "
            f"{len(expected)} expected); {'; '.join(found)}"
        )
    model.load_state_dict(state)


def separate(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors on CPU, each with memory of its own: safetensors stores no aliases."""
    return {key: tensor.detach().cpu().clone().contiguous() for key, tensor in state.items()}


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _listed(keys: list[str], most: int = 5) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


def _unequal_aliases(state: dict[str, Tensor]) -> list[str]:
    """Return the keys under `proj_updater.instance.` whose bits differ from those under `net.`."""
    alias_of = {
        key: key.replace("proj_updater.instance.", "net.")
        for key in state
        if "proj_updater.instance." in key
    }
    return [
        alias
        for alias, key in alias_of.items()
        if key in state and not torch.equal(_bits(state[alias]), _bits(state[key]))
    ]


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)
