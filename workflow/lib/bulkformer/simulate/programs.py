"""Gene programs and the planted graph: what the pipeline should find again.

A program is a module of genes that share three activities: its own and those of two branches. A
gene answers to them by its loadings; genes with nearly the same direction of loadings are regulated
alike, and the planted edges join exactly those.
"""

from dataclasses import dataclass

import numpy as np

ACTIVITIES = 3  # the program's own activity and its two branches
IN_A_PROGRAM = 0.94  # the other genes vary on their own
REPRESSED = 0.1  # share of program genes that fall when the program rises
BRANCH_SPREAD = 0.7  # how far loadings lean to the branches, relative to the program itself
NEIGHBOURS = 8  # planted edges that each gene proposes; a fifth of a small module at most


@dataclass(frozen=True)
class Programs:
    """Programs over the genes of an annotation.

    Attributes
    ----------
    program : int array [n_genes], -1 for genes outside every program
    loadings : float array [n_genes, ACTIVITIES], natural-log units per unit of activity
    source, target : int arrays [n_edges], rows of the annotation, source < target, no pair twice
    weight : float array [n_edges], |cosine| of the two genes' loadings, in (0, 1]
    """

    program: np.ndarray
    loadings: np.ndarray
    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray


def draw_programs(coding: np.ndarray, n_programs: int, rng: np.random.Generator) -> Programs:
    """Plant `n_programs` connected modules among the genes that `coding` (bool [n_genes]) marks."""
    members = rng.permutation(np.flatnonzero(coding))
    members = members[: int(IN_A_PROGRAM * len(members))]
    # Each program gets 60 % of an equal share for certain, so that none is too small to be seen.
    share = 0.6 / n_programs + 0.4 * rng.dirichlet(np.full(n_programs, 3.0))
    borders = np.round(np.cumsum(share) * len(members)).astype(int)
    program = np.full(len(coding), -1)
    loadings = np.zeros((len(coding), ACTIVITIES))
    edges = []
    for number, genes in enumerate(np.split(members, borders[:-1])):
        genes = np.sort(genes)
        directions = rng.normal(0, BRANCH_SPREAD, size=(len(genes), ACTIVITIES))
        directions[:, 0] = np.where(rng.random(len(genes)) < REPRESSED, -1, 1)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        strength = np.exp(rng.normal(np.log(0.7), 0.25, size=(len(genes), 1)))
        program[genes] = number
        loadings[genes] = strength * directions
        source, target, weight = _nearest_neighbours(directions)
        edges.append((genes[source], genes[target], weight))
    return Programs(program, loadings, *map(np.concatenate, zip(*edges, strict=True)))


def _nearest_neighbours(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the edges (source < target, weight) of one connected module.

    Each gene is joined to the genes of the most similar direction, up to sign. A spanning tree is
    added, because nearest neighbours alone can leave islands.
    """
    similarity = np.abs(directions @ directions.T)
    np.fill_diagonal(similarity, -1)
    n_neighbours = min(NEIGHBOURS, max(1, len(directions) // 5))
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :n_neighbours]
    joined = np.zeros(similarity.shape, dtype=bool)
    np.put_along_axis(joined, nearest, True, axis=1)
    distance = np.where(similarity < 0, 0, 1.001 - similarity)  # zero means no edge to scipy
    from scipy.sparse import csgraph  # slow to import

    tree = csgraph.minimum_spanning_tree(distance).tocoo()
    joined[tree.row, tree.col] = True
    source, target = np.nonzero(np.triu(joined | joined.T, k=1))
    return source, target, np.minimum(similarity[source, target], 1.0)
