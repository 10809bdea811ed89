"""The pretrain step: from corpus and graph to a run folder that holds all that inference needs."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.files import sha256
from bulkformer.pretrain.launch import launch
from bulkformer.pretrain.memory import keep_freed_memory
from bulkformer.pretrain.settings import (
    Execution,
    Training,
    Validation,
    as_record,
    read_object,
    read_settings,
)

if TYPE_CHECKING:
    import torch

    from bulkformer.pretrain.batches import CorpusSamples
    from bulkformer.pretrain.distributed import World
    from bulkformer.pretrain.loop import Plan


def train(
    genes: Annotated[Path, Option(help="Vocabulary of the stores, genes.parquet.")],
    corpus: Annotated[Path, Option(help="Split corpus, corpus.parquet.")],
    store: Annotated[list[Path], Option(help="log_tpm.arrow of each corpus cohort.")],
    training: Annotated[str, Option(help="JSON, pretrain.training of the config.")],
    seed: Annotated[int, Option()],
    revision: Annotated[int, Option()],
    folder: Annotated[Path, Option(help="Run folder to write.")],
    state: Annotated[Path, Option(help="Folder of checkpoints; survives a failed job.")],
    model: Annotated[str, Option(help="JSON, pretrain.model of the config.")] = "{}",
    validation: Annotated[str, Option(help="JSON, pretrain.validation.")] = "{}",
    execution: Annotated[
        str, Option(help="JSON, pretrain.execution: changes the speed, not the result.")
    ] = "{}",
    graph: Annotated[Path | None, Option(help="Gene graph to convolve over.")] = None,
    gene_table: Annotated[
        Path | None, Option(help="Protein embeddings that genes begin with.")
    ] = None,
    start: Annotated[
        Path | None,
        Option(help="Run folder to go on from; its weights, genes and graph replace --model."),
    ] = None,
) -> None:
    """Pretrain BulkFormer on the training samples of the corpus."""
    settings = read_settings(Training, training, "pretrain.training")
    looks = read_settings(Validation, validation, "pretrain.validation")
    speed = read_settings(Execution, execution, "pretrain.execution")
    shape = read_object(model, "pretrain.model")
    if (start is None) == (graph is None):
        raise InputError("give --graph for a new model, or --start for one to go on from")
    launch(speed.processes)  # comes back in each process of the run
    keep_freed_memory()

    # Classes of torch: options and their mistakes do not wait for it.
    from bulkformer.pretrain.distributed import start_world
    from bulkformer.pretrain.loop import Plan, fit
    from bulkformer.pretrain.network import (
        Origin,
        as_content,
        machine_of,
        make_network,
        protein_table,
        set_execution,
        shape_of,
    )
    from bulkformer.pretrain.record import gene_mean_floor, write_run
    from bulkformer.pretrain.resume import sole_owner, state_folder

    world = start_world(speed.processes)
    origin = Origin.of(start, genes, graph)
    samples = origin.splits(corpus, store, genes)
    proteins = protein_table(origin, shape, gene_table)
    config = shape_of(origin, shape, samples["train"].n_genes, proteins)
    identity = {
        "inputs": origin.sha256()
        | {"corpus": sha256(corpus)}
        | ({"gene_table": sha256(gene_table)} if gene_table else {}),
        "model": as_content(config),
        "training": as_record(settings) | {"seed": seed},
        "validation": as_record(looks),
        "revision": revision,
    }
    # Where a spike of the loss ends a run shapes no result: one that ended so can go on from there.
    shaping = identity | {"training": settings.shaping() | {"seed": seed}}
    plan = Plan(settings, looks, speed, seed, state_folder(state, shaping))
    with sole_owner(plan.state) if world.is_first else nullcontext():
        mean, floors = gene_mean_floor(samples, plan, world)
        before = origin.run.get("training", {})
        prediction_start = before.get("prediction_start", float(mean.mean()))
        network = make_network(
            origin, config, proteins, samples["train"], settings, seed, prediction_start
        )
        network = set_execution(network, speed, world.device)
        if world.is_first:
            announce(network, samples, plan, world)
        machine = machine_of(config, origin, settings, speed, world)
        progress = fit(network, samples, floors, plan, world, machine)
        if world.is_first:
            record = {
                "settings": identity["training"],
                "mode": origin.mode,
                "prediction_start": prediction_start,
                "licence": before.get("licence", "MIT"),
            }
            write_run(folder, network, origin, identity, record, samples, floors, plan, progress)
        world.barrier()
    world.close()


def announce(
    network: torch.nn.Module, samples: dict[str, CorpusSamples], plan: Plan, world: World
) -> None:
    """Say what is about to be trained, on what, and where the state lies."""
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    counts = ", ".join(f"{len(of_split)} {split}" for split, of_split in samples.items())
    size, together = plan.execution.batch_size, plan.training.effective_batch_size
    tf32 = " (TF32 off)" if world.device.type == "cuda" else ""
    print(
        f"{trained:,} parameters, {samples['train'].n_genes} genes, samples: {counts}\n"
        f"{together} samples a step, {size} a forward pass, {world.size} process(es) on "
        f"{world.device.type}, {plan.training.precision}{tf32}; state in {plan.state}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    command(train)
