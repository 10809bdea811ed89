"""The union step: two genes are neighbours if any of several graphs says so.

Weights of different graphs are on one scale from 0 to 1 but do not mean the same; the larger one
stands for an edge that several graphs have.
"""

import sys
from functools import reduce
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


def union(
    graph: Annotated[list[Path], Option(help="Graphs to join.")],
    graph_summary: Annotated[list[Path], Option(help="JSON of each, in the same order.")],
    output: Annotated[Path, Option(help="Graph to write.")],
    summary: Annotated[Path, Option(help="Its JSON.")],
) -> None:
    """Write the union of graphs over one vocabulary, with the largest weight of each edge."""
    origins = [made_from(path) for path in graph_summary]
    samples = sorted({made["samples_sha256"] for made in origins if "samples_sha256" in made})
    parts, sizes = zip(*(read_sized_graph(path) for path in graph), strict=True)
    for path, size in zip(graph, sizes, strict=True):
        if size != sizes[0]:
            raise InputError(
                f"{path}: made for {size} genes, {graph[0]} for {sizes[0]}; run the graph stage "
                "again, so that both are on one vocabulary"
            )
    edges = symmetric(*map(np.concatenate, zip(*parts, strict=True)))
    write_graph(output, edges, sizes[0])
    pairs = [part.source.astype(np.int64) * sizes[0] + part.target for part in parts]
    write_json(
        summary,
        {
            "graph": output.stem,
            "kind": "union",
            "origin": {
                path.stem: made.get("origin") for path, made in zip(graph, origins, strict=True)
            },
            # Two graphs of one run were made from the same samples.
            **({"samples_sha256": samples[0]} if len(samples) == 1 else {}),
            "weight": "largest weight in any of the graphs",
            "graphs_sha256": {path.stem: sha256(path) for path in graph},
            "edges_in_all": len(reduce(np.intersect1d, pairs)) // 2,
            "edges_in_each": {
                path.stem: len(part.source) // 2 for path, part in zip(graph, parts, strict=True)
            },
            **statistics(edges, sizes[0]),
        },
    )
    print(f"{output}: {len(edges.source) // 2} edges", file=sys.stderr)


if __name__ == "__main__":
    command(union)
