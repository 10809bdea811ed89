"""Do clusters of genes hold more genes of a set, or more edges of a graph, than chance gives them?

Fractions that a cluster of these sizes would reach with genes drawn at random stand beside every
figure, because sets, clusters and graphs all have sizes that flatter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bulkformer.graph.edges import Edges

SET_SIZES = (5, 500)  # genes; smaller sets are luck, larger ones say nothing in particular
FALSE_DISCOVERY_RATE = 0.05


def set_members(sets: pd.DataFrame, gene_ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Return {set: sorted indices of its genes}, of sets with SET_SIZES genes among `gene_ids`.

    Parameters
    ----------
    sets : columns collection, set_id, gene_id; a set of the same name in two collections is two
    """
    place = {gene: number for number, gene in enumerate(gene_ids)}
    known = sets.assign(place=sets["gene_id"].map(place)).dropna(subset="place")
    found: dict[str, np.ndarray] = {}
    for (collection, name), part in known.groupby(["collection", "set_id"], sort=True):
        genes = np.unique(part["place"].to_numpy(dtype=np.int64))
        if SET_SIZES[0] <= len(genes) <= SET_SIZES[1]:
            found[f"{collection}/{name}" if name in found else name] = genes
    return found


def enrichment(members: Mapping[str, np.ndarray], clusters: np.ndarray) -> pd.DataFrame:
    """Return one row a set and cluster that share a gene, sorted by p.

    The test is hypergeometric, with all clustered genes as the background. `q` is p after
    Benjamini and Hochberg over all pairs of a set and a cluster, also those that share no gene.

    Parameters
    ----------
    members : {set: indices of its genes}
    clusters : int [n_genes], 0 .. n_clusters - 1
    """
    from scipy.stats import hypergeom  # slow to import

    n_genes, n_clusters = len(clusters), int(clusters.max()) + 1
    sizes = np.bincount(clusters, minlength=n_clusters)
    overlaps = overlap_counts(members, clusters)
    set_sizes = np.array([len(genes) for genes in members.values()], dtype=np.int64)
    of_set, of_cluster = np.nonzero(overlaps)
    table = pd.DataFrame(
        {
            "set_id": np.array(list(members), dtype=object)[of_set],
            "cluster": of_cluster,
            "overlap": overlaps[of_set, of_cluster],
            "set_genes": set_sizes[of_set],
            "cluster_genes": sizes[of_cluster],
        }
    )
    table["expected"] = table["set_genes"] * table["cluster_genes"] / n_genes
    p = np.ones(len(table))
    # Only what is above expectation can be enriched, and most pairs are not.
    above = (table["overlap"] > table["expected"]).to_numpy()
    part = table[above]
    p[above] = hypergeom.sf(part["overlap"] - 1, n_genes, part["set_genes"], part["cluster_genes"])
    table["p"] = p
    table["q"] = benjamini_hochberg(p, len(members) * n_clusters)
    return table.sort_values(["p", "set_id", "cluster"], kind="stable", ignore_index=True)


def overlap_counts(members: Mapping[str, np.ndarray], clusters: np.ndarray) -> np.ndarray:
    """Return int64 [n_sets, n_clusters]: genes of each set in each cluster."""
    n_clusters = int(clusters.max()) + 1
    counts = [np.bincount(clusters[genes], minlength=n_clusters) for genes in members.values()]
    return np.array(counts, dtype=np.int64).reshape(-1, n_clusters)


def benjamini_hochberg(p: np.ndarray, n_tests: int) -> np.ndarray:
    """Return p adjusted for `n_tests` tests, of which those not in `p` have a p of 1."""
    order = np.argsort(p, kind="stable")
    scaled = p[order] * n_tests / np.arange(1, len(p) + 1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum.accumulate(np.minimum(scaled, 1.0)[::-1])[::-1]
    return adjusted


def agreement(
    members: Mapping[str, np.ndarray], clusters: np.ndarray, edges: Edges
) -> dict[str, Any]:
    """Return how much clusters agree with gene sets and with the gene graph.

    `sets_enriched` and `clusters_enriched` count those with a q up to FALSE_DISCOVERY_RATE.
    `set_pairs_together` is the share of pairs of genes of one set that lie in one cluster, averaged
    over sets, and `edges_together` the share of edges; `pairs_together` is that share of all pairs
    of genes, hence what chance gives. Clusters of unequal size hold more pairs of any kind, so
    clusterings are compared by `set_pairs_over_chance`, the ratio.

    Parameters
    ----------
    edges : both ends as indices of the clustered genes
    """
    found = enrichment(members, clusters)
    found = found[found["q"] <= FALSE_DISCOVERY_RATE]
    overlaps = overlap_counts(members, clusters)
    within = pairs(overlaps).sum(1) / pairs(overlaps.sum(1))
    together = clusters[edges.source] == clusters[edges.target]
    by_chance = float(pairs(np.bincount(clusters)).sum() / pairs(len(clusters)))
    return {
        "n_clusters": len(np.unique(clusters)),
        "n_sets": len(members),
        "sets_enriched": int(found["set_id"].nunique()),
        "clusters_enriched": int(found["cluster"].nunique()),
        "set_pairs_together": float(within.mean()) if len(within) else None,
        "set_pairs_over_chance": float(within.mean()) / by_chance
        if len(within) and by_chance
        else None,
        "edges_together": float(together.mean()) if len(together) else None,
        "pairs_together": by_chance,
    }


def pairs(n: Any) -> Any:
    """Return how many pairs n things make."""
    return n * (n - 1) / 2
