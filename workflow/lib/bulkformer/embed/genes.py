"""Step: the vector of every asked gene in the context of every asked sample.

18,000 genes by 1,100 cell lines by 640 dimensions are 25 GB in half precision. They are written a
batch of samples at a time and read through a memory map, so that neither side holds them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import typer
from tqdm import tqdm

from bulkformer.cli import command
from bulkformer.embed.embed import kept_samples
from bulkformer.embed.interface import Embedder
from bulkformer.embed.registry import load
from bulkformer.embed.settings import as_json
from bulkformer.embed.tokens import create_tokens
from bulkformer.errors import InputError
from bulkformer.expression.store import ExpressionStore
from bulkformer.files import write_json


def genes(
    model: Annotated[str, typer.Option()],
    embedder: Annotated[str, typer.Option()],
    genes: Annotated[Path, typer.Option(help="Vocabulary, genes.parquet.")],
    store: Annotated[Path, typer.Option()],
    samples: Annotated[Path, typer.Option()],
    request: Annotated[Path, typer.Option(help='JSON {"samples": [...], "genes": [...]}.')],
    seed: Annotated[int, typer.Option()],
    batch_size: Annotated[int, typer.Option()],
    output: Annotated[Path, typer.Option(help="Arrow IPC file to write.")],
    description: Annotated[Path, typer.Option()],
    settings: Annotated[str, typer.Option()] = "{}",
    weights: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Write the gene tokens of MODEL for the samples and genes that are asked for."""
    sample_ids, gene_ids = read_request(request)
    expression = ExpressionStore(store)
    table = kept_samples(samples, expression).to_pandas().set_index("sample_id", drop=False)
    ready = load(embedder, settings, weights, genes, seed, batch_size)
    columns = columns_of(gene_ids, genes, request)
    known = ready.knows(columns)
    if not known.any():
        raise InputError(f"{request}: '{model}' knows none of the genes; ask for others")
    rows = expression.rows(sample_ids)

    def blocks() -> Iterator[tuple[list[str], np.ndarray]]:
        for start in tqdm(range(0, len(rows), batch_size), desc=model, mininterval=10):
            now = sample_ids[start : start + batch_size]
            values = expression.read(rows[start : start + batch_size])
            yield now, ready.gene_tokens(values, expression.measured, table.loc[now], columns)

    dimension = create_tokens(output, gene_ids, known, blocks())
    write_json(
        description,
        describe(ready)
        | {"model": model, "embedder": embedder, "n_samples": len(rows), "dimension": dimension}
        | {"n_genes": len(gene_ids), "genes_without_token": int((~known).sum())},
    )


def read_request(path: Path) -> tuple[list[str], list[str]]:
    """Return the samples and genes that are asked for; raises InputError if none or one twice."""
    try:
        content = json.loads(path.read_text())
        asked = content["samples"], content["genes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no request of samples and genes ({error}); make it again") from (
            error
        )
    for name, ids in zip(("samples", "genes"), asked, strict=True):
        if not ids or len(set(ids)) != len(ids):
            raise InputError(f"{path}: no {name}, or one of them twice; name each once")
    return asked


def columns_of(gene_ids: list[str], vocabulary: Path, request: Path) -> np.ndarray:
    """Return the vocabulary column of each gene; raises InputError for one that has none."""
    names = pq.read_table(vocabulary, columns=["gene_id"])["gene_id"].to_pylist()
    column = {gene: place for place, gene in enumerate(names)}
    absent = [gene for gene in gene_ids if gene not in column]
    if absent:
        raise InputError(
            f"{request}: {len(absent)} genes are not in {vocabulary}, first '{absent[0]}'; the two "
            "come from different runs, make the request again"
        )
    return np.array([column[gene] for gene in gene_ids], dtype=np.int64)


def describe(ready: Embedder) -> dict[str, Any]:
    """Return what a reader needs to judge or repeat the tokens; nothing in it tells the time."""
    return {
        "settings": as_json(ready.settings),
        "seed": ready.context.seed,
        "dtype": "float16",
        **{k: v for k, v in dataclasses.asdict(ready.provenance()).items() if k != "dtype"},
    }


if __name__ == "__main__":
    command(genes)
