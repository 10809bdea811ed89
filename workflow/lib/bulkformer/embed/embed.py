"""Step: turn every kept sample of a cohort into one vector, and say with which weights.

The table carries the labels and groups of each sample along, so that a task needs no other file.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from tqdm import tqdm

from bulkformer.cli import command
from bulkformer.embed.interface import Embedder
from bulkformer.embed.registry import load
from bulkformer.embed.settings import as_json
from bulkformer.errors import InputError
from bulkformer.expression.store import ExpressionStore
from bulkformer.files import write_json, write_table


def embed(
    model: Annotated[str, typer.Option()],
    embedder: Annotated[str, typer.Option()],
    genes: Annotated[Path, typer.Option()],
    store: Annotated[Path, typer.Option()],
    samples: Annotated[Path, typer.Option()],
    seed: Annotated[int, typer.Option()],
    batch_size: Annotated[int, typer.Option()],
    output: Annotated[Path, typer.Option()],
    description: Annotated[Path, typer.Option()],
    settings: Annotated[str, typer.Option()] = "{}",
    weights: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Embed a cohort with MODEL: one row a kept sample, in the order of the store.

    The output has the columns of the samples table and `embedding`; the description says which
    weights, settings and genes were used.
    """
    expression = ExpressionStore(store)
    table = kept_samples(samples, expression)
    ready = load(embedder, settings, weights, genes, seed, batch_size)
    if expression.n_genes != len(ready.context.gene_ids):
        raise InputError(
            f"{store}: {expression.n_genes} genes, but {genes} has {len(ready.context.gene_ids)}; "
            "run the expression stage again"
        )
    vectors = embed_all(ready, expression, table.to_pandas())
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    write_table(output, table.append_column("embedding", column))
    write_json(
        description,
        describe(ready, expression)
        | {"model": model, "embedder": embedder, "n_samples": len(table)}
        | {"dimension": vectors.shape[1]},
    )


def kept_samples(path: Path, store: ExpressionStore) -> pa.Table:
    """Return the kept samples, without their `kept` and `reason`, in the order of the store.

    Raises InputError if the store holds other samples than were kept.
    """
    table = pq.read_table(path).replace_schema_metadata(None)
    table = table.filter(table["kept"]).drop_columns(["kept", "reason"])
    row = {sample_id: i for i, sample_id in enumerate(table["sample_id"].to_pylist())}
    different = sorted(row.keys() ^ set(store.sample_ids))
    if different:
        raise InputError(
            f"{path}: {len(different)} samples are kept but not in {store.path}, or the reverse, "
            f"first '{different[0]}'; the two come from different runs, run the expression stage "
            "again"
        )
    return table.take([row[sample_id] for sample_id in store.sample_ids])


def embed_all(ready: Embedder, store: ExpressionStore, samples: pd.DataFrame) -> np.ndarray:
    """Embed the store, whose rows `samples` describe in order, block by block; float32 [n, d]."""
    vectors: list[np.ndarray] = []
    start = 0
    with tqdm(total=len(samples), desc=f"{ready.name}, samples", mininterval=10) as progress:
        for _, values in store.blocks():
            block = samples.iloc[start : start + len(values)]
            vectors.append(ready.embed(values, store.measured, block))
            start += len(values)
            progress.update(len(values))
    return np.concatenate(vectors)


def describe(ready: Embedder, store: ExpressionStore) -> dict[str, Any]:
    """Return what a reader needs to judge or repeat the vectors; nothing in it tells the time."""
    return {
        "settings": as_json(ready.settings),
        "seed": ready.context.seed,
        "genes_measured": int(store.measured.sum()),
        "n_genes": store.n_genes,
        **dataclasses.asdict(ready.provenance()),
    }


if __name__ == "__main__":
    command(embed)
