"""The assess step: what a finished run knows of samples that its training kept apart.

Two kinds of samples: `validation`, whole studies that were kept apart (out of distribution), and
`validation_samples`, from studies that the run did train on (in distribution). The first chose the
weights of the run, so that its figures flatter a little. The held-out splits are not touched: they
belong to the benchmarks, and a report that is looked at while settings are still chosen must not
spend them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.files import write_json, write_table

SPLITS = ("validation", "validation_samples")


def assess(
    run: Annotated[Path, Option(help="Folder of the run.")],
    genes: Annotated[Path, Option(help="Vocabulary of the stores, genes.parquet.")],
    corpus: Annotated[Path, Option(help="Split corpus, corpus.parquet.")],
    store: Annotated[list[Path], Option(help="log_tpm.arrow of each corpus cohort.")],
    hidden: Annotated[list[float], Option(help="Shares of measured genes to hide.")],
    trained_with: Annotated[list[float], Option(help="Share that training hides, or its range.")],
    repeats: Annotated[int, Option(help="How often each gene of each sample is hidden.")],
    max_samples: Annotated[int, Option(help="Of each split.")],
    batch_size: Annotated[int, Option()],
    seed: Annotated[int, Option()],
    folder: Annotated[Path, Option(help="Folder to write.")],
) -> None:
    """Write how well a run predicts hidden values, gene by gene, and what it made of each gene."""
    # Classes of torch: options and their mistakes do not wait for it.
    from bulkformer.graph.edges import read_graph
    from bulkformer.model.checkpoint import load_run, read_json
    from bulkformer.model.cost import training_flops
    from bulkformer.pretrain.accuracy import deciles, gene_moments
    from bulkformer.pretrain.batches import CorpusSamples
    from bulkformer.pretrain.gene_vectors import gene_vectors
    from bulkformer.pretrain.learning_curve import learning_curve
    from bulkformer.pretrain.run_cost import run_cost
    from bulkformer.pretrain.settings import Validation, nearest_share
    from bulkformer.pretrain.validation import looked_at

    model, known, config = load_run(run)
    provenance = read_json(run / "provenance.json")
    kept = run / "cost.parquet"  # weights that came from elsewhere have none
    cost = pd.read_parquet(kept) if kept.exists() else pd.DataFrame()
    history = pd.read_parquet(run / "history.parquet")
    table = pd.read_parquet(corpus)
    vocabulary = pd.read_parquet(genes, columns=["gene_id"])["gene_id"].tolist()
    ids = known["gene_id"].tolist()
    training, *held_out = (
        CorpusSamples(table, store, split, ids, vocabulary) for split in ("train", *SPLITS)
    )
    for samples, split in ((training, "train"), (held_out[0], SPLITS[0])):
        if not len(samples):
            raise InputError(f"{corpus}: no sample has split '{split}'; lower the other fractions")
    main = nearest_share(hidden, trained_with)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device)
    edges = read_graph(run / "graph.parquet", len(ids))

    mean, sd = gene_moments(training)
    described = known.reindex(columns=["gene_id", "symbol"]).assign(
        mean=mean,
        sd=sd,
        expression_decile=deciles(np.where(np.isnan(sd), np.nan, mean)),
        variance_decile=deciles(sd),
    )
    group_of = table.set_index("sample_id")["group"]
    results = []
    for split, samples in zip(SPLITS, held_out, strict=True):
        if len(samples):
            indices = looked_at(samples, Validation(max_samples=max_samples), seed)
            groups = group_of.loc[samples.sample_ids].tolist()
            about = {"repeats": repeats, "seed": seed, "batch_size": batch_size}
            found = assess_split(model, samples, indices, groups, described, hidden, main, about)
            results.append((split, found, {"samples": len(indices), "of": len(samples)}))
            said = found[0].set_index("mask_fraction").loc[main]
            print(
                f"{split}: {len(indices)} of {len(samples)} samples, mean squared error "
                f"{said['mse']:.4f}, gene mean {said['gene_mean_mse']:.4f}",
                file=sys.stderr,
            )
    shown = looked_at(held_out[0], Validation(max_samples=max_samples), seed)
    mode = config["training"].get("mode", "train")
    start = config["training"]["settings"]["gene_start"] if mode == "train" else None
    vectors = gene_vectors(model, edges, training, held_out[0], shown, start, seed, batch_size)

    for number, name in enumerate(("accuracy", "genes", "deciles")):
        rows = [found[number].assign(split=split) for split, found, _ in results]
        joined = pd.concat(rows, ignore_index=True)
        write_table(folder / f"{name}.parquet", pa.Table.from_pandas(joined, preserve_index=False))
    curve = pa.Table.from_pandas(learning_curve(history), preserve_index=False)
    write_table(folder / "learning.parquet", curve)
    write_table(folder / "gene_vectors.parquet", vector_table(described, vectors))
    write_json(
        folder / "assessment.json",
        {
            "run": run.name,
            "variant": config["variant"],
            "model": config["model"],
            "mode": mode,
            "licence": config["training"].get("licence"),
            "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "genes": len(ids),
            "genes_measured": int((~np.isnan(sd)).sum()),
            "edges": len({(min(ends), max(ends)) for ends in zip(*edges[:2], strict=True)}),
            "training_samples": len(training),
            "splits": {split: size for split, _, size in results},
            "pearson": {split: found[3] for split, found, _ in results},
            "main_fraction": main,
            "repeats": repeats,
            "seed": seed,
            "cost": run_cost(cost, provenance, training_flops(model.config, len(edges.source))),
        },
    )


def assess_split(
    model: torch.nn.Module,
    samples: Any,
    indices: np.ndarray,
    groups: list[str],
    described: pd.DataFrame,
    hidden: list[float],
    main: float,
    about: dict[str, int],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return figures by share hidden, by gene and by decile, and the spread over genes.

    Parameters
    ----------
    samples : CorpusSamples of the split; `indices` are looked at, `groups` is for all
    described : one row a gene, with mean and deviation in the training samples
    main : the share at which every gene of every sample is hidden
    about : repeats, seed, batch_size
    """
    from bulkformer.pretrain.accuracy import decile_table, gene_scores, measure, overall, spread

    rows, of_genes = [], pd.DataFrame()
    for fraction in sorted({*hidden, main}):
        sums = measure(
            model, samples, indices, groups, described["mean"].to_numpy(), fraction,
            covering=fraction == main, **about,
        )  # fmt: skip
        table = gene_scores(sums)
        rows.append(
            {
                "mask_fraction": fraction,
                "every_gene_hidden": fraction == main,
                "n_samples": len(indices),
                **overall(sums, table, about["seed"]),
            }
        )
        if fraction == main:
            of_genes = pd.concat([described, table], axis=1)
    tenths = [
        decile_table(of_genes, by, value)
        for by, value in (("expression", "mean"), ("variance", "sd"))
    ]
    return (
        pd.DataFrame(rows),
        of_genes,
        pd.concat(tenths, ignore_index=True),
        spread(of_genes, len(indices)),
    )


def vector_table(described: pd.DataFrame, vectors: dict[str, np.ndarray]) -> pa.Table:
    """Return one row a gene: who it is, its level, and its vector from every source."""
    columns: dict[str, Any] = {
        "gene_id": pa.array(described["gene_id"], pa.string()),
        "symbol": pa.array(described["symbol"], pa.string(), from_pandas=True),
        "level": pa.array(described["mean"], pa.float32()),
    }
    for name, values in vectors.items():
        flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(columns)


if __name__ == "__main__":
    command(assess)
