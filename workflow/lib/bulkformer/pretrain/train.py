"""The pretrain step: from corpus and graph to a run folder that holds all that inference needs."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import pandas as pd
import pyarrow as pa
import torch
from typer import Option

import bulkformer
from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.files import sha256, write_json, write_table
from bulkformer.graph.edges import read_graph
from bulkformer.pretrain.batches import CorpusSamples, gene_mean
from bulkformer.pretrain.resume import state_folder
from bulkformer.pretrain.start import principal_gene_vectors

if TYPE_CHECKING:
    from bulkformer.pretrain.loop import Training

GeneStart = Literal["random", "principal_components"]


def train(
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    corpus: Annotated[Path, Option(help="Split corpus, corpus.parquet.")],
    store: Annotated[list[Path], Option(help="log_tpm.arrow of each corpus cohort.")],
    graph: Annotated[Path, Option(help="Gene graph to convolve over.")],
    dim: Annotated[int, Option()],
    layers: Annotated[int, Option()],
    heads: Annotated[int, Option()],
    dropout: Annotated[float, Option()],
    gene_start: Annotated[GeneStart, Option(help="Start of the gene table.")],
    epochs: Annotated[int, Option()],
    batch_size: Annotated[int, Option()],
    accumulate: Annotated[int, Option()],
    learning_rate: Annotated[float, Option()],
    weight_decay: Annotated[float, Option()],
    warmup_fraction: Annotated[float, Option()],
    schedule: Annotated[str, Option()],
    mask_fraction: Annotated[float, Option()],
    clip_gradient: Annotated[float, Option()],
    checkpoint_minutes: Annotated[float, Option()],
    seed: Annotated[int, Option()],
    revision: Annotated[int, Option()],
    folder: Annotated[Path, Option(help="Run folder to write.")],
    state: Annotated[Path, Option(help="Folder of checkpoints; survives a failed job.")],
) -> None:
    """Pretrain BulkFormer on the training samples of the corpus."""
    # Classes of torch: options and their mistakes do not wait for it.
    from bulkformer.model.bulkformer import BulkFormerConfig, initialise
    from bulkformer.model.checkpoint import save_run
    from bulkformer.pretrain.loop import Training, fit

    settings = Training(
        epochs, batch_size, accumulate, learning_rate, weight_decay, warmup_fraction,
        schedule, mask_fraction, clip_gradient, checkpoint_minutes, seed,
    )  # fmt: skip
    table = pd.read_parquet(corpus)
    training = CorpusSamples(table, store, "train")
    validation = CorpusSamples(table, store, "validation")
    for samples, name in ((training, "train"), (validation, "validation")):
        if not len(samples):
            raise InputError(f"{corpus}: no sample has split '{name}'; lower the other fractions")

    mean = gene_mean(training)
    config = BulkFormerConfig(
        n_genes=training.n_genes, dim=dim, layers=layers, heads=heads, dropout=dropout
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prediction_start = float(mean.mean())
    model = initialise(config, read_graph(graph, training.n_genes), seed, prediction_start)
    if gene_start == "principal_components":
        model.gene_emb_onehot_layer.weight.data = principal_gene_vectors(training, dim)
    model = model.to(device)

    inputs = {"genes": sha256(genes), "corpus": sha256(corpus), "graph": sha256(graph)}
    shape = {"dim": dim, "layers": layers, "heads": heads, "dropout": dropout}
    shaping = {key: value for key, value in vars(settings).items() if key != "checkpoint_minutes"}
    shaping["gene_start"] = gene_start
    identity = {"inputs": inputs, "model": shape, "training": shaping, "revision": revision}
    n_parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(
        f"{n_parameters:,} parameters, {len(training)} training and {len(validation)} validation "
        f"samples, {training.n_genes} genes, on {device}",
        file=sys.stderr,
    )
    progress = fit(model, training, validation, settings, state_folder(state, identity))

    history = pa.Table.from_pylist(progress.history)
    write_table(folder / "history.parquet", history)
    summary = {
        **identity,
        "parameters": n_parameters,
        "training_samples": len(training),
        "validation_samples": len(validation),
        "training_samples_sha256": hashlib.sha256(
            "\n".join(sorted(training.sample_ids)).encode()
        ).hexdigest(),
        "steps": progress.step,
        "best_step": progress.best_step,
        "best_validation_loss": progress.best_loss,
        "gene_mean_validation_loss": gene_mean_loss(validation, mean, settings),
        "device": str(device),
        "graph": graph.stem,
        "versions": {"bulkformer": bulkformer.__version__, "torch": torch.__version__},
    }
    write_json(folder / "provenance.json", summary)
    # Last, because the rule takes the presence of the weights for the end of the run.
    save_run(
        folder,
        model,
        graph,
        genes,
        {"settings": identity["training"], "prediction_start": prediction_start},
    )


def gene_mean_loss(samples: CorpusSamples, mean: torch.Tensor, settings: Training) -> float:
    """Return the error of the training gene mean under the validation masks: the floor to beat."""
    from bulkformer.pretrain.loop import validation_batches

    total, count = 0.0, 0
    for values, mask in validation_batches(samples, settings):
        total += float((values - mean)[mask].square().sum())
        count += int(mask.sum())
    return total / count


if __name__ == "__main__":
    command(train)
