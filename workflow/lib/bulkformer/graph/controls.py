"""Control graphs: what a model gains from any graph, and from the degrees of its graph alone.

`random` has as many edges as the graph that it controls, between genes drawn uniformly;
`degree_matched` leaves every gene its number of neighbours and exchanges who they are. Both keep
the weights, shuffled, and with them the origin of their graph; `none` keeps not one edge. If a
model does as well with a control, then the graph's knowledge of genes did not help it.
"""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.files import sha256, write_json
from bulkformer.graph.edges import (
    made_from,
    read_sized_graph,
    statistics,
    symmetric,
    write_graph,
)

RANDOM, DEGREE_MATCHED, NONE = "random", "degree_matched", "none"
# What a control still knows of its graph.
KNOWS = {
    RANDOM: "the number of edges of {} and their weights",
    DEGREE_MATCHED: "the degrees of {} and the weights of its edges",
    NONE: "nothing",
}
# Ten exchanges an edge are taken to be enough to forget the start: Milo et al. 2003,
# "On the uniform generation of random graphs with prescribed degree sequences".
SWAPS_PER_EDGE = 10
MAX_ROUNDS = 20 * SWAPS_PER_EDGE


def control(
    kind: Annotated[str, Option(help="random, degree_matched or none.")],
    of: Annotated[Path, Option(help="The graph to control.")],
    of_summary: Annotated[Path, Option(help="Its JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option(help="Graph to write.")],
    summary: Annotated[Path, Option(help="Its JSON.")],
) -> None:
    """Write a graph that shares only the number of edges, the degrees, or nothing with another."""
    if kind not in KNOWS:
        raise InputError(f"'{kind}' is no control; known are {', '.join(KNOWS)}")
    edges, n_genes = read_sized_graph(of)
    # No sample can shape a graph without edges.
    origin = {"origin": "external"} if kind == NONE else made_from(of_summary)
    rng = np.random.default_rng([seed, *kind.encode()])
    once = edges.source < edges.target
    pairs = np.stack([edges.source[once], edges.target[once]], axis=1).astype(np.int64)
    swaps = 0
    if kind == NONE:
        drawn, once = pairs[:0], np.zeros_like(once)
    elif kind == RANDOM:
        drawn = random_pairs(n_genes, len(pairs), rng)
    else:
        drawn, swaps = exchanged(pairs, n_genes, rng)
    made = symmetric(drawn[:, 0], drawn[:, 1], rng.permutation(edges.weight[once]))
    write_graph(output, made, n_genes)
    shared = len(np.intersect1d(_keys(pairs, n_genes), _keys(drawn, n_genes)))
    write_json(
        summary,
        {
            "graph": output.stem,
            "kind": kind,
            "weight": f"weights of {of.stem}, shuffled",
            "of": of.stem,
            "of_sha256": sha256(of),
            "seed": seed,
            "edges_shared": shared,
            "edges_shared_share": shared / len(pairs) if len(pairs) else 0.0,
            **({"swaps": swaps} if kind == DEGREE_MATCHED else {}),
            **origin,
            "knows": KNOWS[kind].format(of.stem),
            **statistics(made, n_genes),
        },
    )
    print(f"{output}: {len(pairs)} edges, {shared} of them in {of.stem}", file=sys.stderr)
    if kind == DEGREE_MATCHED and swaps < SWAPS_PER_EDGE * len(pairs):
        print(
            f"warning: {swaps} exchanges were possible, {SWAPS_PER_EDGE} an edge were wanted: the "
            f"degrees of {of.stem} leave little to chance",
            file=sys.stderr,
        )


def random_pairs(n_genes: int, n_pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Return int64 [n_pairs, 2], low before high, uniform over all pairs, none twice."""
    every = n_genes * (n_genes - 1) // 2
    number = rng.choice(every, size=n_pairs, replace=False)
    # Pairs are numbered row by row of the lower triangle: row r starts at r * (r - 1) / 2.
    high = ((1 + np.sqrt(1 + 8 * number.astype(np.float64))) / 2).astype(np.int64)
    high -= high * (high - 1) // 2 > number  # the root may round up ...
    high += (high + 1) * high // 2 <= number  # ... or down
    return np.stack([number - high * (high - 1) // 2, high], axis=1)


def exchanged(pairs: np.ndarray, n_genes: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Return int64 [n, 2], low before high, with every degree of `pairs`, and the exchanges made.

    Edges a-b and c-d become a-d and c-b (Maslov and Sneppen 2002, Science 296:910) unless that
    makes a loop or an edge that is there already. All edges pair up at random and exchange at once,
    in rounds, until there were `SWAPS_PER_EDGE` exchanges an edge or the rounds are used up, as in
    a star, where nothing can be exchanged.
    """
    ends = np.sort(pairs, axis=1)
    wanted, swaps = SWAPS_PER_EDGE * len(ends), 0
    for _ in range(MAX_ROUNDS):
        if swaps >= wanted:
            break
        order = rng.permutation(len(ends))
        half = len(ends) // 2
        one, two = ends[order[:half]], ends[order[half : 2 * half]]
        turned = rng.random(half) < 0.5
        two[turned] = two[turned, ::-1]
        new_one = np.stack([one[:, 0], two[:, 1]], axis=1)
        new_two = np.stack([two[:, 0], one[:, 1]], axis=1)
        proposed = np.concatenate([_keys(new_one, n_genes), _keys(new_two, n_genes)])
        # An edge that two proposals would make is refused to both.
        _, place, times = np.unique(proposed, return_inverse=True, return_counts=True)
        sound = (times[place] == 1) & ~np.isin(proposed, _keys(ends, n_genes))
        loops = np.concatenate([new_one[:, 0] == new_one[:, 1], new_two[:, 0] == new_two[:, 1]])
        sound &= ~loops
        accepted = sound[:half] & sound[half:]
        ends[order[:half][accepted]] = np.sort(new_one[accepted], axis=1)
        ends[order[half : 2 * half][accepted]] = np.sort(new_two[accepted], axis=1)
        swaps += int(accepted.sum())
    return ends, swaps


def _keys(pairs: np.ndarray, n_genes: int) -> np.ndarray:
    """Return one integer a pair, the same for both of its directions."""
    return pairs.min(axis=1) * n_genes + pairs.max(axis=1)


if __name__ == "__main__":
    command(control)
