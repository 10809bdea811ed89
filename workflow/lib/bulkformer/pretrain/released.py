"""The step that makes a run folder of weights that exist already: the authors', or another run's.

Every file is opened as plain tensors, checked against the network key by key, and named by its
hash; afterwards the model is one like any other, and training can go on from it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from typer import Option

import bulkformer
from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.lengths import GENE_LIST, PAPER, PAPER_DEFAULT, PAPER_DEFAULT_BP
from bulkformer.expression.vocabulary import SCHEMA
from bulkformer.files import sha256, write_json, write_table
from bulkformer.graph.edges import Edges, write_published_graph
from bulkformer.pretrain.releases import PUBLISHED, exposure_of_folder
from bulkformer.sources.gene_lists import read_gene_list, read_lengths

if TYPE_CHECKING:
    from bulkformer.model.checkpoint import Model

Format = Literal["paper", "latest", "run"]


class Release(NamedTuple):
    """A model with its genes and its graph, the files they came from, and what is known of them.

    `genes` and `edges` are those of the model, in its order; `training` goes to config.json;
    `tables` are the files of graph and genes where both exist in our form already.
    """

    model: Model
    genes: pa.Table
    edges: Edges
    files: list[Path]
    licence: str
    exposure: Mapping[str, Any]
    training: Mapping[str, Any]
    tables: tuple[Path, Path] | None = None


def released(
    format: Annotated[Format, Option(help="paper, latest or run.")],
    folder: Annotated[Path, Option(help="Run folder to write.")],
    weights: Annotated[Path | None, Option(help="paper: .pt or .safetensors.")] = None,
    genes: Annotated[Path | None, Option(help="paper: gene list in the weights' order.")] = None,
    edge_index: Annotated[Path | None, Option(help="paper: edges of its graph.")] = None,
    edge_weight: Annotated[Path | None, Option(help="paper: their weights.")] = None,
    lengths: Annotated[Path | None, Option(help="paper: table of gene lengths.")] = None,
    genes_format: Annotated[str, Option(help="paper: bulkformer or table.")] = "bulkformer",
    sha256: Annotated[str, Option(help="paper: what the weights must hash to.")] = "",
    source: Annotated[Path | None, Option(help="latest, run: folder of the files.")] = None,
    licence: Annotated[str, Option(help="Terms of the weights.")] = "not stated",
) -> None:
    """Write FOLDER from published weights, or stop and name what does not fit."""
    if format == "paper":
        named = {"weights": weights, "genes": genes, "edge-index": edge_index}
        named["edge-weight"] = edge_weight
        if absent := [f"--{name}" for name, path in named.items() if path is None]:
            raise InputError(f"format paper needs {', '.join(absent)}")
        check_files([*named.values(), lengths])
        check_hash(weights, sha256)
        graph = (edge_index, edge_weight)
        release = of_paper(weights, graph, read_gene_list(genes_format, genes), genes, lengths)
        release = release._replace(licence=licence)
    elif source is None:
        raise InputError(f"format {format} needs --source, the folder of its files")
    else:
        release = of_latest(source, licence) if format == "latest" else of_run(source)
    write(folder, format, release)


def check_files(paths: list[Path | None]) -> None:
    """Raise InputError for the first file that is not there."""
    for path in filter(None, paths):
        if not path.is_file():
            raise InputError(f"{path}: no such file; correct pretrain.released, or fetch the file")


def check_hash(path: Path, wanted: str) -> None:
    """Raise InputError if `path` hashes to anything but `wanted`; an empty one allows all."""
    if wanted and (found := sha256(path)) != wanted:
        raise InputError(
            f"{path}: SHA-256 {found} instead of {wanted}; fetch the file again, or correct "
            "pretrain.released.sha256"
        )


def of_paper(
    weights: Path, graph: tuple[Path, Path], listed: pd.DataFrame, genes: Path, lengths: Path | None
) -> Release:
    """Read a checkpoint of the paper, its graph (index, weight) and the genes in its order."""
    from bulkformer.model.released import load_paper_checkpoint, read_released_graph

    edges = read_released_graph(*graph)
    model = load_paper_checkpoint(weights, edges)
    if model.config.n_genes != len(listed):
        raise InputError(
            f"{genes}: {len(listed):,} genes, but {weights} has {model.config.n_genes:,}; take the "
            "gene list that was published with the weights"
        )
    if lengths:
        known = listed["gene_id"].map(read_lengths(lengths))
        listed = listed.assign(
            length_bp=known.fillna(PAPER_DEFAULT_BP),
            length_source=known.notna().map({True: PAPER, False: PAPER_DEFAULT}),
        )
    files = [weights, genes, *graph, *([lengths] if lengths else [])]
    table = vocabulary_rows(
        listed, ", ".join(path.name for path in files if path in (genes, lengths))
    )
    return Release(model, table, as_edges(edges), files, "not stated", PUBLISHED["paper"], {})


def of_latest(source: Path, licence: str) -> Release:
    """Read the six files of a bulkformer-latest bundle."""
    from bulkformer.model.released import LATEST_FILES, load_latest_bundle, read_released_graph

    model, listed = load_latest_bundle(source)
    edges = read_released_graph(source / "edge_index.pt", source / "edge_weight.pt")
    files = [source / name for name in (*LATEST_FILES, "manifest.json")]
    table = vocabulary_rows(listed, "gene_vocab.csv")
    return Release(model, table, as_edges(edges), files, licence, PUBLISHED["latest"], {})


def of_run(source: Path) -> Release:
    """Read a run folder of this workflow, which says itself what it is."""
    from bulkformer.graph.edges import read_graph
    from bulkformer.model.checkpoint import GENES, GRAPH, WEIGHTS, load_run

    model, _, config = load_run(source)
    edges = read_graph(source / GRAPH, model.config.n_genes)
    exposure = exposure_of_folder(source)
    files = [source / name for name in (WEIGHTS, "config.json", GENES, GRAPH, "provenance.json")]
    training = config["training"]
    licence = training.get("licence", "not stated")
    tables = source / GRAPH, source / GENES
    genes = pq.read_table(source / GENES)
    return Release(model, genes, edges, files, licence, exposure, training, tables)


def as_edges(graph: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> Edges:
    """Return a graph of tensors as arrays, edge by edge."""
    source, target, weight = (column.numpy() for column in graph)
    return Edges(source.astype("int32"), target.astype("int32"), weight)


def vocabulary_rows(listed: pd.DataFrame, source: str) -> pa.Table:
    """Return the vocabulary of a published model, with the columns of every vocabulary.

    Parameters
    ----------
    listed : gene_id, symbol, length_bp and, if known, length_source, in the order of the weights
    source : the files it was read from

    A symbol that two genes bear is ambiguous, so that no file is read by it. What the list does not
    say (Entrez ids, aliases, biotype, chromosome) stays unknown.
    """
    symbols = [
        gene_id if pd.isna(symbol) else str(symbol)
        for gene_id, symbol in zip(listed["gene_id"], listed["symbol"], strict=True)
    ]
    repeated = {name for name, times in pd.Series(symbols).value_counts().items() if times > 1}
    origin = listed["length_source"] if "length_source" in listed else [GENE_LIST] * len(listed)
    rows = []
    for gene_id, symbol, length, by in zip(
        listed["gene_id"], symbols, listed["length_bp"], origin, strict=True
    ):
        known = not math.isnan(length)
        rows.append(
            {
                "gene_id": gene_id,
                "symbol": symbol,
                "length_bp": round(length) if known else None,
                "length_source": by if known else None,
                "aliases": [],
                "other_entrez": [],
                "ambiguous": [symbol] if symbol in repeated else [],
                "source": source,
            }
        )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def write(folder: Path, format: str, release: Release) -> None:
    """Write all files of a run folder; the weights and config.json come last."""
    from bulkformer.model.checkpoint import GENES, GRAPH, save_run
    from bulkformer.pretrain.record import COST, HISTORY

    model, n_genes = release.model, len(release.genes)
    tables = release.tables
    if tables is None:
        tables = folder / GRAPH, folder / GENES
        write_published_graph(tables[0], release.edges, n_genes)
        write_table(tables[1], release.genes)
    # What training writes at every step; nothing was trained here, so they have no rows.
    write_table(folder / "history.parquet", HISTORY.empty_table())
    write_table(folder / "cost.parquet", COST.empty_table())
    n_parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    tensors = len(model.state_dict())
    loops = int((release.edges.source == release.edges.target).sum())
    provenance = {
        "mode": "released",
        "format": format,
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in release.files
        },
        "licence": release.licence,
        "exposure": dict(release.exposure),
        "model": asdict(model.config),
        "parameters": n_parameters,
        "tensors_loaded": tensors,
        "genes": n_genes,
        "edges": len(release.edges.source),
        "self_loops": loops,
        "graph": "released with the weights",
        "versions": {"bulkformer": bulkformer.__version__, "torch": torch.__version__},
    }
    write_json(folder / "provenance.json", provenance)
    training = {**release.training, "mode": "released", "licence": release.licence}
    save_run(folder, model, *tables, training)
    print(
        f"{folder}: {n_parameters:,} parameters in {tensors} tensors, {n_genes:,} genes, "
        f"{len(release.edges.source):,} edges, {loops:,} of them self loops",
        file=sys.stderr,
    )


if __name__ == "__main__":
    command(released)
