"""The gene_map step: clusters of genes by the vectors of a network, and whether they mean anything.

Clusters come from k-means on the directions of whitened principal components. Whitened, because how
much a gene is expressed dominates every raw vector and hides what genes do together. k-means,
because it puts every gene into one of a fixed number of clusters: the same count for every source
of vectors makes them comparable, where density-based methods call most genes noise and find another
number for each source. The map itself (t-SNE) is for the eye; no figure rests on its distances.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.files import write_json, write_table
from bulkformer.graph.edges import Edges, read_graph
from bulkformer.pretrain.enrichment import (
    FALSE_DISCOVERY_RATE,
    SET_SIZES,
    agreement,
    enrichment,
    set_members,
)

COMPONENTS = 50
STARTS = 4  # of k-means
PERPLEXITY, TURNS = 30, 600  # of t-SNE
PERMUTATIONS = 20
SOURCES = ("contextual", "identity", "start", "untrained", "principal_components")


def gene_map(
    vectors: Annotated[Path, Option(help="gene_vectors.parquet of the assessment.")],
    sets: Annotated[Path, Option(help="gene_sets.parquet.")],
    graph: Annotated[Path, Option(help="graph.parquet of the run.")],
    clusters: Annotated[int, Option(help="Number of clusters.")],
    of: Annotated[
        Literal["contextual", "identity"], Option(help="Vectors of the map: with or without data.")
    ],
    seed: Annotated[int, Option()],
    genes: Annotated[Path, Option(help="Table of genes with place and cluster to write.")],
    enriched: Annotated[Path, Option(help="Table of sets and clusters to write.")],
    named: Annotated[Path, Option(help="Table of clusters with their best set to write.")],
    controls: Annotated[Path, Option(help="Table of the same for other vectors to write.")],
    summary: Annotated[Path, Option(help="JSON to write.")],
) -> None:
    """Cluster genes by what a network learned, and compare with sources that learned nothing."""
    from threadpoolctl import threadpool_limits

    table = pq.read_table(vectors)
    edges = read_graph(graph, table.num_rows)
    sources = {name: matrix(table, name) for name in SOURCES if name in table.column_names}
    shown = np.flatnonzero(np.isfinite(sources[of]).all(1))
    if not 2 <= clusters < len(shown):
        raise InputError(
            f"{vectors}: {len(shown)} genes cannot make {clusters} clusters; change "
            "pretrain.assess.clusters"
        )
    # One thread: the order in which many of them add changes the last digits, and then the map.
    with threadpool_limits(1):
        placed = {name: directions(values[shown]) for name, values in sources.items()}
        labels = {name: cluster(points, clusters, seed) for name, points in placed.items()}
        x, y = flat_map(placed[of], seed).T
    level = table["level"].to_numpy()[shown]
    labels["level"] = equal_bins(level, clusters)

    ids = table["gene_id"].to_pylist()
    members = set_members(pd.read_parquet(sets), [ids[gene] for gene in shown])
    inside = among(edges, shown, len(ids))
    found = enrichment(members, labels[of])
    compared = [
        {"source": name, **agreement(members, each, inside)} for name, each in labels.items()
    ]
    compared.append({"source": "permuted", **permuted(members, labels[of], inside, seed)})
    write_table(
        genes,
        table.select(["gene_id", "symbol"])
        .take(pa.array(shown))
        .append_column("x", pa.array(x, pa.float32()))
        .append_column("y", pa.array(y, pa.float32()))
        .append_column("cluster", pa.array(labels[of], pa.int32()))
        .append_column("level", pa.array(level, pa.float32())),
    )
    write_table(enriched, pa.Table.from_pandas(found, preserve_index=False))
    best = cluster_table(labels[of], x, y, level, found)
    write_table(named, pa.Table.from_pandas(best, preserve_index=False))
    write_table(controls, pa.Table.from_pylist(compared))
    write_json(
        summary,
        {
            "of": of,
            "genes": len(shown),
            "genes_not_measured": len(ids) - len(shown),
            "clusters": clusters,
            "components": COMPONENTS,
            "gene_sets": len(members),
            "set_sizes": list(SET_SIZES),
            "false_discovery_rate": FALSE_DISCOVERY_RATE,
            "permutations": PERMUTATIONS,
            "perplexity": PERPLEXITY,
            "seed": seed,
        },
    )


def matrix(table: pa.Table, name: str) -> np.ndarray:
    """Return the vectors of a source, float64 [n_genes, width]."""
    column = table[name].combine_chunks()
    return column.flatten().to_numpy().astype(np.float64).reshape(len(column), -1)


def directions(vectors: np.ndarray) -> np.ndarray:
    """Return unit vectors [n_genes, <= COMPONENTS] along whitened principal components.

    Components without variance are left out. A gene that is no different from the mean stays 0.
    """
    from sklearn.decomposition import PCA

    usable = min(COMPONENTS, *vectors.shape)
    found = PCA(usable, svd_solver="full").fit(vectors)
    strength = found.explained_variance_
    n = max(1, int((strength > 1e-6 * strength[0]).sum()))
    scores = found.transform(vectors)[:, :n] / np.sqrt(np.maximum(strength[:n], 1e-30))
    # Components have no sign of their own; a fixed one gives the same map on every machine.
    scores *= np.where(np.abs(scores.max(0)) < np.abs(scores.min(0)), -1.0, 1.0)
    return scores / np.maximum(np.linalg.norm(scores, axis=1, keepdims=True), 1e-12)


def cluster(points: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return the cluster of each gene, int64 [n_genes]; cluster 0 is the largest."""
    from sklearn.cluster import KMeans

    labels = KMeans(n, n_init=STARTS, random_state=seed).fit_predict(points)
    order = np.argsort(-np.bincount(labels, minlength=n), kind="stable")
    return np.argsort(order)[labels]


def flat_map(points: np.ndarray, seed: int) -> np.ndarray:
    """Return places in the plane [n_genes, 2] by t-SNE, which begins with two components."""
    from sklearn.manifold import TSNE

    first = points[:, :2] if points.shape[1] > 1 else np.repeat(points, 2, axis=1)
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    start = 1e-4 * first / max(first[:, 0].std(), 1e-12)
    model = TSNE(
        init=start.astype(np.float32), perplexity=perplexity, max_iter=TURNS, random_state=seed,
        n_jobs=1,
    )  # fmt: skip
    return model.fit_transform(points)


def equal_bins(value: np.ndarray, n: int) -> np.ndarray:
    """Return `n` clusters of equal size by ascending value: what the value alone can tell."""
    order = np.argsort(np.argsort(value, kind="stable"))
    return order * n // len(value)


def among(edges: Edges, shown: np.ndarray, n_genes: int) -> Edges:
    """Return each edge among the genes `shown` once, its ends as places in `shown`.

    Graphs of published weights may hold edges in one direction alone, and genes that are their own
    neighbours.
    """
    place = np.full(n_genes, -1)
    place[shown] = np.arange(len(shown))
    ends = np.sort(np.stack([place[edges.source], place[edges.target]]), axis=0)
    ends = np.unique(ends[:, (ends[0] >= 0) & (ends[0] < ends[1])], axis=1)
    return Edges(ends[0], ends[1], np.ones(ends.shape[1], dtype=np.float32))


def cluster_table(
    labels: np.ndarray, x: np.ndarray, y: np.ndarray, level: np.ndarray, found: pd.DataFrame
) -> pd.DataFrame:
    """Return one row a cluster: its genes, where to name it, their mean level, and its best set.

    The place is that of the gene nearest to the middle of the cluster, so that it lies inside. The
    best set is the one with the smallest p; null where none has a q up to FALSE_DISCOVERY_RATE.

    Parameters
    ----------
    found : what `enrichment` returned for these clusters
    """
    rows = []
    for number in np.unique(labels):
        genes = np.flatnonzero(labels == number)
        apart = np.hypot(x[genes] - np.median(x[genes]), y[genes] - np.median(y[genes]))
        middle = genes[np.argmin(apart)]
        rows.append(
            {
                "cluster": int(number),
                "n_genes": len(genes),
                "x": float(x[middle]),
                "y": float(y[middle]),
                "level": float(level[genes].mean()),
            }
        )
    best = found[found["q"] <= FALSE_DISCOVERY_RATE].drop_duplicates("cluster")
    counted = found[found["q"] <= FALSE_DISCOVERY_RATE].groupby("cluster").size()
    table = pd.DataFrame(rows).merge(
        best[["cluster", "set_id", "overlap", "set_genes", "expected", "q"]], "left", "cluster"
    )
    return table.assign(sets_enriched=table["cluster"].map(counted).fillna(0).astype(np.int64))


def permuted(
    members: dict[str, np.ndarray], labels: np.ndarray, edges: Edges, seed: int
) -> dict[str, Any]:
    """Return the mean of every figure over clusters whose genes were exchanged at random."""
    rng = np.random.default_rng(seed)
    found = [agreement(members, rng.permutation(labels), edges) for _ in range(PERMUTATIONS)]
    means = pd.DataFrame(found).astype(float).mean()
    return {name: None if np.isnan(value) else float(value) for name, value in means.items()}


if __name__ == "__main__":
    command(gene_map)
