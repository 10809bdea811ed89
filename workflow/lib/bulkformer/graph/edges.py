"""Edges among genes: the one form of every graph, its file, and what it looks like from afar.

A graph is undirected; its file lists every edge in both directions, sorted, so that equal graphs
are equal bytes and a reader needs no convention to find the neighbours of a gene. Only a graph that
came with published weights is kept as it was published, one-sided edges and self loops included.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.files import write_table

N_GENES, PUBLISHED = b"n_genes", b"published"
DEGREE_QUANTILES = {"min": 0, "q25": 25, "median": 50, "q75": 75, "q95": 95, "max": 100}
WEIGHT_BINS = np.linspace(0, 1, 21)


class Edges(NamedTuple):
    """Edges as vocabulary indices int32 [E] and weights float32 [E]."""

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray


def symmetric(source: np.ndarray, target: np.ndarray, weight: np.ndarray) -> Edges:
    """Return both directions of every edge, each once with its largest weight, sorted.

    Edges may come in one direction or both and more than once; self loops are removed.
    """
    source, target = np.asarray(source), np.asarray(target)
    other = source != target
    low = np.minimum(source, target)[other]
    high = np.maximum(source, target)[other]
    weight = np.asarray(weight, dtype=np.float32)[other]
    order = np.lexsort((-weight, high, low))
    low, high, weight = low[order], high[order], weight[order]
    first = np.ones(len(low), dtype=bool)
    first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    low, high, weight = low[first], high[first], weight[first]
    both = np.concatenate([low, high]), np.concatenate([high, low])
    order = np.lexsort((both[1], both[0]))
    return Edges(
        both[0][order].astype(np.int32),
        both[1][order].astype(np.int32),
        np.concatenate([weight, weight])[order],
    )


def write_graph(path: Path, edges: Edges, n_genes: int) -> None:
    """Write `edges` to Parquet: source int32, target int32, weight float32, sorted.

    The number of genes goes into the metadata, because isolated genes have no row. Raises
    InputError where `read_graph` would.
    """
    check(edges, n_genes, path)
    _write(path, edges, {N_GENES: str(n_genes)})


def write_published_graph(path: Path, edges: Edges, n_genes: int) -> None:
    """Write the graph of published weights, edge by edge as it came, and say so in the metadata.

    Raises InputError for genes out of range and for weights that are not finite.
    """
    check_published(edges, n_genes, path)
    _write(path, edges, {N_GENES: str(n_genes), PUBLISHED: "yes"})


def read_graph(path: Path, n_genes: int) -> Edges:
    """Read a graph over `n_genes` genes.

    Raises InputError if the file is no such table, belongs to another vocabulary, or holds indices
    out of range, self loops, repeated or one-sided edges, or weights that are not above zero. A
    file that says it is the graph of published weights may have all of these but the first, and
    its edges keep their direction and number.
    """
    edges, stored, published = _read(path)
    if stored not in (None, n_genes):
        raise InputError(
            f"{path}: made for {stored} genes, but the vocabulary has {n_genes}; "
            "run the graph stage again"
        )
    (check_published if published else check)(edges, n_genes, path)
    return edges


def read_sized_graph(path: Path) -> tuple[Edges, int]:
    """Read an undirected graph and the number of genes that its file states; raises as above."""
    edges, stored, _ = _read(path)
    if stored is None:
        raise InputError(
            f"{path}: does not say for how many genes it was made; run the graph stage again"
        )
    check(edges, stored, path)
    return edges, stored


def made_from(summary: Path) -> dict[str, Any]:
    """Return what the JSON of a graph says of the samples behind it: origin, samples_sha256.

    The hash is absent for graphs that no samples of the run went into.
    """
    try:
        content = json.loads(summary.read_text())
        return {key: content[key] for key in ["origin", "samples_sha256"] if key in content}
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{summary}: not the JSON of a graph ({error}); run the graph stage again"
        ) from error


def check(edges: Edges, n_genes: int, path: Path) -> None:
    """Raise InputError unless `edges` are a sound undirected graph over `n_genes` genes."""
    remedy = "run the graph stage again on this vocabulary"
    source, target, weight = edges
    if len(source) == 0:
        return
    _check_range(edges, n_genes, path, remedy)
    if (loops := source == target).any():
        raise InputError(f"{path}: gene {source[loops][0]} is its own neighbour; {remedy}")
    if not ((weight > 0) & (weight < np.inf)).all():
        raise InputError(f"{path}: a weight is not a number above zero; {remedy}")
    forward = np.lexsort((target, source))
    backward = np.lexsort((source, target))
    if ((np.diff(source[forward]) == 0) & (np.diff(target[forward]) == 0)).any():
        raise InputError(f"{path}: an edge stands twice; {remedy}")
    mirrored = (
        np.array_equal(source[forward], target[backward])
        and np.array_equal(target[forward], source[backward])
        and np.array_equal(weight[forward], weight[backward])
    )
    if not mirrored:
        raise InputError(f"{path}: not symmetric, an edge lacks its other direction; {remedy}")


def check_published(edges: Edges, n_genes: int, path: Path) -> None:
    """Raise InputError for edges of a published graph between no genes, or of no finite weight."""
    remedy = "take the gene list and the graph that were published with the weights"
    if len(edges.source):
        _check_range(edges, n_genes, path, remedy)
    if not np.isfinite(edges.weight).all():
        raise InputError(f"{path}: a weight is not a finite number; {remedy}")


def statistics(edges: Edges, n_genes: int) -> dict[str, Any]:
    """Return what a graph looks like: edges, degrees, components and weights, ready for JSON.

    `n_edges` counts undirected edges. `degree_histogram` and `weight_histogram` give the `left` and
    `right` bounds of bins and how many `genes` or `edges` are in each; bins of degrees are
    left <= degree < right and double in width, bins of weights close on the right as well.
    """
    degree = np.bincount(edges.source, minlength=n_genes)
    from scipy.sparse import coo_array, csgraph  # slow to import, and most steps only read edges

    adjacency = coo_array((np.ones(len(edges.source)), edges[:2]), shape=(n_genes, n_genes))
    _, component = csgraph.connected_components(adjacency, directed=False)
    once = edges.weight[edges.source < edges.target]
    bounds = [0, 1]
    while bounds[-1] <= degree.max(initial=0):
        bounds.append(bounds[-1] * 2)
    genes, _ = np.histogram(degree, bins=[*bounds[:-1], bounds[-1] - 0.5])
    weights, _ = np.histogram(once, bins=WEIGHT_BINS)
    quantiles = np.percentile(degree, list(DEGREE_QUANTILES.values())) if n_genes else []
    return {
        "n_genes": n_genes,
        "n_edges": len(once),
        "isolated_genes": int((degree == 0).sum()),
        "degree_mean": float(degree.mean()) if n_genes else 0.0,
        "degree_quantiles": {
            name: float(value) for name, value in zip(DEGREE_QUANTILES, quantiles, strict=False)
        },
        "largest_component_share": float(np.bincount(component).max() / n_genes)
        if n_genes
        else 0.0,
        "degree_histogram": {
            "left": bounds[:-1],
            "right": bounds[1:],
            "genes": genes.tolist(),
        },
        "weight_histogram": {
            "left": WEIGHT_BINS[:-1].round(2).tolist(),
            "right": WEIGHT_BINS[1:].round(2).tolist(),
            "edges": weights.tolist(),
        },
    }


def _check_range(edges: Edges, n_genes: int, path: Path, remedy: str) -> None:
    ends = np.concatenate([edges.source, edges.target])
    if ends.min() < 0 or ends.max() >= n_genes:
        stray = ends.min() if ends.min() < 0 else ends.max()
        raise InputError(f"{path}: gene {stray} is outside 0..{n_genes - 1}; {remedy}")


def _write(path: Path, edges: Edges, metadata: dict[bytes, str]) -> None:
    schema = pa.schema(
        [("source", pa.int32()), ("target", pa.int32()), ("weight", pa.float32())],
        metadata=metadata,
    )
    write_table(path, pa.table(list(map(pa.array, edges)), schema=schema))


def _read(path: Path) -> tuple[Edges, int | None, bool]:
    """Return the edges, for how many genes they were made, and whether they are published ones."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: not a readable graph ({error}); run the graph stage again"
        ) from error
    if absent := [name for name in Edges._fields if name not in table.column_names]:
        raise InputError(f"{path}: no column {', '.join(absent)}; give a table of edges")
    metadata = table.schema.metadata or {}
    stored = metadata.get(N_GENES)
    edges = Edges(
        table["source"].to_numpy().astype(np.int32),
        table["target"].to_numpy().astype(np.int32),
        table["weight"].to_numpy().astype(np.float32),
    )
    return edges, None if stored is None else int(stored), PUBLISHED in metadata
