"""From the `embedder` column of the models table to a model that is ready for use.

Modules are imported only when asked for, so that the gene mean does not wait for PyTorch. A new
embedder is one module and one line here.
"""

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bulkformer.embed.interface import Context, Embedder, FittedEmbedder, State
from bulkformer.embed.settings import as_json, parse_settings
from bulkformer.embed.training import TrainingData
from bulkformer.errors import InputError
from bulkformer.files import atomic

EMBEDDERS = {
    "autoencoder": "bulkformer.embed.autoencoder:Autoencoder",
    "bulkformer": "bulkformer.embed.bulkformer:BulkFormerEmbedder",
    "gene_mean": "bulkformer.embed.means:GeneMean",
    "gene_median": "bulkformer.embed.means:GeneMedian",
    "left_out": "bulkformer.embed.summaries:LeftOut",
    "library_size": "bulkformer.embed.summaries:LibrarySize",
    "log_tpm": "bulkformer.embed.summaries:LogTpm",
    "nearest_neighbours": "bulkformer.embed.neighbours:NearestNeighbours",
    "pca": "bulkformer.embed.low_rank:PrincipalComponents",
    "ridge": "bulkformer.embed.ridge:Ridge",
    "soft_impute": "bulkformer.embed.soft_impute:SoftImpute",
    "summary_scalars": "bulkformer.embed.summaries:SummaryScalars",
    "tissue_mean": "bulkformer.embed.means:TissueMean",
    "vae": "bulkformer.embed.autoencoder:VariationalAutoencoder",
    "visible_mean": "bulkformer.embed.summaries:VisibleMean",
    "visible_training_mean": "bulkformer.embed.means:VisibleTrainingMean",
}
# One metadata entry: with several, safetensors writes them in an order that changes between runs.
METADATA_KEY = "fit"


def load(
    embedder: str, settings: str, weights: Path | None, genes: Path, seed: int, batch_size: int
) -> Embedder:
    """Build a model of the models table.

    Parameters
    ----------
    embedder, settings : the columns of that name; settings is a JSON object
    weights : run folder of BulkFormer, fit.safetensors of a fitted model, None for all others
    genes : the vocabulary, Parquet with `gene_id` in model order
    batch_size : samples a forward pass

    Raises InputError for an unknown embedder or setting, for weights that are missing, not wanted,
    or made with another embedder, other settings or another vocabulary.
    """
    kind = _embedder_class(embedder)
    chosen = parse_settings(embedder, kind.settings_type, settings)
    gene_ids = pq.read_table(genes, columns=["gene_id"])["gene_id"].to_pylist()
    if (weights is None) != (kind.needs == "nothing"):
        remedy = {
            "nothing": "learns nothing; leave --weights out",
            "fit": "needs --weights <its fit.safetensors>",
            "run": "needs --weights <run folder of the pretrain stage>",
        }
        raise InputError(f"embedder '{embedder}' {remedy[kind.needs]}")
    state = None
    if weights is not None and kind.needs == "fit":
        state = _read_state(weights, embedder, as_json(chosen), len(gene_ids))
    context = Context(gene_ids, seed, batch_size, weights, state)
    return kind(embedder, chosen, context)


def fit(embedder: str, settings: str, training: TrainingData, seed: int, output: Path) -> None:
    """Fit a model and save what it learned; same samples, settings and seed, same bytes on CPU.

    Raises InputError for an embedder that has nothing to fit.
    """
    kind = _embedder_class(embedder)
    if not issubclass(kind, FittedEmbedder):
        raise InputError(f"embedder '{embedder}' has nothing to fit")
    chosen = parse_settings(embedder, kind.settings_type, settings)
    state = kind.fit(chosen, training, seed)
    description = {
        "embedder": embedder,
        "settings": as_json(chosen),
        "seed": seed,
        "n_genes": training.n_genes,
        "n_samples": len(training),
        "names": dict(state.names),
    }
    tensors = {name: np.ascontiguousarray(value) for name, value in state.tensors.items()}
    content = save(tensors, metadata={METADATA_KEY: json.dumps(description, sort_keys=True)})
    with atomic(output) as partial:
        partial.write_bytes(content)


def _embedder_class(embedder: str) -> type[Embedder]:
    if embedder not in EMBEDDERS:
        raise InputError(f"unknown embedder '{embedder}'; known are {', '.join(sorted(EMBEDDERS))}")
    module, name = EMBEDDERS[embedder].split(":")
    kind = getattr(importlib.import_module(module), name)
    if not dataclasses.is_dataclass(kind.settings_type):
        raise TypeError(f"{name}.settings_type must be a dataclass")
    return kind


def _read_state(path: Path, embedder: str, settings: dict[str, Any], n_genes: int) -> State:
    try:
        with safe_open(path, framework="numpy") as handle:
            metadata = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable fit ({error}); run the fit again") from error
    if METADATA_KEY not in metadata:
        raise InputError(f"{path}: not made by the fit step; run the fit again")
    description = json.loads(metadata[METADATA_KEY])
    expected = {"embedder": embedder, "settings": settings, "n_genes": n_genes}
    for key, value in expected.items():
        if description[key] != value:
            raise InputError(
                f"{path}: fitted with {key} {description[key]}, but {value} was asked for; "
                "run the fit again"
            )
    return State(tensors, description["names"])
