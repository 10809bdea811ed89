"""What a finished run leaves behind: its run folder, whose bytes rest on the settings alone.

Only the cost differs between two runs of the same settings; it has a table of its own.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

import bulkformer
from bulkformer.errors import InputError
from bulkformer.files import write_json, write_table
from bulkformer.model.checkpoint import save_run
from bulkformer.pretrain.batches import CorpusSamples, gene_mean
from bulkformer.pretrain.distributed import World
from bulkformer.pretrain.loop import Losses, Plan
from bulkformer.pretrain.network import Origin
from bulkformer.pretrain.progress import Progress
from bulkformer.pretrain.releases import exposure_of_folder
from bulkformer.pretrain.resume import load_checkpoint, save_checkpoint
from bulkformer.pretrain.validation import (
    IN_DISTRIBUTION,
    SELECTING,
    gene_mean_errors,
    hidden_losses,
)

HISTORY = pa.schema(
    [
        ("step", pa.int64()),
        ("epoch", pa.int64()),
        ("split", pa.string()),
        ("mask_fraction", pa.float64()),
        ("loss", pa.float64()),
        ("learning_rate", pa.float64()),
    ]
)
COST = pa.schema(
    [
        ("step", pa.int64()),
        ("start", pa.int64()),
        ("seconds", pa.float64()),
        ("samples_per_second", pa.float64()),
        ("memory_gb", pa.float64()),
        ("mfu", pa.float64()),
        ("processes", pa.int64()),
        ("batch_size", pa.int64()),
        ("device", pa.string()),
    ]
)


def gene_mean_floor(
    samples: dict[str, CorpusSamples], plan: Plan, world: World
) -> tuple[torch.Tensor, Losses]:
    """Return the mean of each gene over training samples, and its losses by split and share hidden.

    The mean takes a pass over the corpus, and is read from the state folder after a restart.
    Raises InputError if the corpus holds infinite values, before anything is learned from them.
    """
    path = plan.state / "gene_mean.pt"
    train = samples["train"]
    # Only the first process looks: a network file system may show the others a new file late.
    if world.any(world.is_first and path.exists()):
        saved = load_checkpoint(path)["mean"] if world.is_first else torch.zeros(train.n_genes)
        mean = world.sum(saved).float()
    else:
        mean = gene_mean(train, world)
        if world.is_first:
            save_checkpoint(path, {"mean": mean})
    losses = {
        split: hidden_losses(
            gene_mean_errors(mean), samples[split], plan.validation, plan.seed, world,
            plan.execution.batch_size,
        )
        for split in (SELECTING, IN_DISTRIBUTION)
        if split in samples
    }  # fmt: skip
    for split, of_split in losses.items():
        if not all(map(math.isfinite, of_split.values())):
            raise InputError(
                f"samples of the split '{split}' of the corpus have infinite values in their "
                "log_tpm store; correct their counts, and run the expression stage again"
            )
    return mean, losses


def write_run(
    folder: Path,
    model: torch.nn.Module,
    origin: Origin,
    identity: dict[str, Any],
    training_record: dict[str, Any],
    samples: dict[str, CorpusSamples],
    floors: Losses,
    plan: Plan,
    progress: Progress,
) -> None:
    """Write the run folder of a finished run.

    Every file is whole or absent. A process that is killed on the way finds the run done in its
    state when it is started again, and writes the same files.
    """
    selecting = plan.validation.selecting_fraction(plan.training)
    write_table(folder / "history.parquet", pa.table(progress.history.columns, schema=HISTORY))
    write_table(folder / "cost.parquet", pa.Table.from_pylist(progress.cost, schema=COST))
    training_ids = "\n".join(sorted(samples["train"].sample_ids))
    summary = {
        **identity,
        "mode": origin.mode,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        **{f"{split}_samples": len(of_split) for split, of_split in named(samples).items()},
        "training_samples_sha256": hashlib.sha256(training_ids.encode()).hexdigest(),
        "steps": progress.step,
        "best_step": progress.best_step,
        "best_validation_loss": progress.best_loss,
        "selecting_mask_fraction": selecting,
        "gene_mean_validation_loss": floors[SELECTING][selecting],
        "gene_mean_losses": [
            {"split": split, "mask_fraction": share, "loss": loss}
            for split, of_split in floors.items()
            for share, loss in of_split.items()
        ],
        "device": next(model.parameters()).device.type,
        "graph": origin.graph.stem,
        "versions": {"bulkformer": bulkformer.__version__, "torch": torch.__version__},
    }
    if origin.start:
        summary["exposure"] = exposure_of_folder(origin.start)
    write_json(folder / "provenance.json", summary)
    # Last, because the rule takes the presence of the weights for the end of the run.
    save_run(folder, model, origin.graph, origin.genes, training_record)


def named(samples: dict[str, CorpusSamples]) -> dict[str, CorpusSamples]:
    """Return the splits under the names that count them in the provenance."""
    names = {"train": "training", SELECTING: "validation", IN_DISTRIBUTION: "in_distribution"}
    return {names[split]: of_split for split, of_split in samples.items()}
