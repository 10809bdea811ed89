"""The network that is trained: new, or the one of another run, and how it is to be computed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from bulkformer.errors import InputError
from bulkformer.files import sha256
from bulkformer.graph.edges import read_graph
from bulkformer.model import cost
from bulkformer.model.attention import set_attention
from bulkformer.model.checkpoint import load_run, read_json
from bulkformer.model.variants import ESM2, VARIANTS, build, initialise_model
from bulkformer.pretrain.batches import CorpusSamples
from bulkformer.pretrain.distributed import World
from bulkformer.pretrain.gene_table import read_gene_table
from bulkformer.pretrain.progress import Machine
from bulkformer.pretrain.settings import Execution, Training
from bulkformer.pretrain.start import principal_gene_vectors


@dataclass(frozen=True)
class Origin:
    """Where genes, graph and weights come from: files of this workflow, or another run folder.

    Attributes
    ----------
    genes, graph : vocabulary of the model and edges over it
    start : run folder whose weights training goes on from, None for a new network
    run : its config.json
    """

    genes: Path
    graph: Path
    start: Path | None
    run: dict[str, Any]

    @classmethod
    def of(cls, start: Path | None, genes: Path, graph: Path | None) -> Origin:
        """Choose the files; InputError unless there is either a graph or a run folder."""
        if (start is None) == (graph is None):
            raise InputError("give --graph for a new model, or --start for one to go on from")
        if start is None:
            return cls(genes, graph, None, {})
        return cls(
            start / "genes.parquet", start / "graph.parquet", start,
            read_json(start / "config.json"),
        )  # fmt: skip

    @property
    def mode(self) -> str:
        return "fine-tune" if self.start else "train"

    def sha256(self) -> dict[str, str]:
        """Return the hash of each file."""
        files = {"genes": self.genes, "graph": self.graph}
        if self.start:
            files["start"] = self.start / "model.safetensors"
        return {name: sha256(path) for name, path in files.items()}

    def splits(self, corpus: Path, stores: list[Path], genes: Path) -> dict[str, CorpusSamples]:
        """Open the parts of the corpus that training looks at, on the genes of the model.

        Raises InputError if there is nothing to train on or to validate with.
        """
        table = pd.read_parquet(corpus)
        columns: tuple[list[str], ...] = ()
        if self.start:
            columns = tuple(
                pd.read_parquet(path, columns=["gene_id"])["gene_id"].tolist()
                for path in (self.genes, genes)
            )
        samples = {
            split: CorpusSamples(table, stores, split, *columns)
            for split in ("train", "validation", "validation_samples")
        }
        for split in ("train", "validation"):
            if not len(samples[split]):
                raise InputError(
                    f"{corpus}: no sample has split '{split}'; lower the other fractions"
                )
        return {split: of_split for split, of_split in samples.items() if len(of_split)}


def protein_table(
    origin: Origin, settings: dict[str, Any], path: Path | None
) -> torch.Tensor | None:
    """Return the protein embeddings that genes begin with, if the settings of `model` say so.

    Raises InputError if they say so and there is no table, or the other way round.
    """
    wanted = origin.start is None and settings.get("gene_identity") == ESM2
    if wanted != (path is not None):
        raise InputError(
            f"pretrain.model.gene_identity is {settings.get('gene_identity')!r}: --gene-table "
            f"{'is needed' if wanted else 'has no use'} (a run that is gone on from has its own)"
        )
    if path is None:
        return None
    return read_gene_table(path, pd.read_parquet(origin.genes)["gene_id"].tolist())


def shape_of(
    origin: Origin, settings: dict[str, Any], n_genes: int, gene_table: torch.Tensor | None = None
) -> Any:
    """Return the configuration of the network: that of the run folder, or from the settings."""
    if origin.start:
        return load_run(origin.start)[0].config
    return build(settings, n_genes, None if gene_table is None else gene_table.shape[1])


def make_network(
    origin: Origin,
    config: Any,
    gene_table: torch.Tensor | None,
    training_samples: CorpusSamples,
    settings: Training,
    seed: int,
    prediction_start: float,
) -> torch.nn.Module:
    """Return the network as training begins, on the CPU and in training mode."""
    if origin.start:
        return load_run(origin.start)[0].train()
    if settings.gene_start == "principal_components":
        if gene_table is not None:
            raise InputError(
                "pretrain.training.gene_start: principal_components and a table of proteins "
                "(pretrain.model.gene_identity) are two starts of one gene table; write random"
            )
        gene_table = principal_gene_vectors(training_samples, config.gene_dim or config.dim)
    graph = read_graph(origin.graph, config.n_genes)
    return initialise_model(config, graph, seed, prediction_start, gene_table)


def set_execution(
    model: torch.nn.Module, settings: Execution, device: torch.device
) -> torch.nn.Module:
    """Put the network on its device and choose how it is computed; the weights stay the same."""
    if device.type == "cuda":
        # TF32 keeps 10 bits of each factor. float32 here means float32; who wants speed trains
        # with precision bfloat16.
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    model = model.to(device)
    set_attention(model, settings.attention)
    model.activation_checkpointing = settings.activation_checkpointing
    if settings.compile:
        model.compile()  # in place: names of weights stay
    return model


def machine_of(
    config: Any, origin: Origin, training: Training, execution: Execution, world: World
) -> Machine:
    """Return what the run computes on, with the operations a sample takes and the rate to beat."""
    flops = rate = math.nan
    if world.is_first:
        n_edges = len(read_graph(origin.graph, config.n_genes).source)
        flops = cost.training_flops(config, n_edges, execution.batch_size)
        rate = cost.matrix_rate(world.device, getattr(torch, training.precision))
    return Machine(world.device, world.size, execution.batch_size, flops, rate)


def as_content(config: Any) -> dict[str, Any]:
    """Return variant and shape of a network as JSON content, for the identity of a run."""
    variant = next(name for name, (_, kind) in VARIANTS.items() if isinstance(config, kind))
    return {"variant": variant} | asdict(config)
