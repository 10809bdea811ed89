"""The string step: connects genes whose proteins interact, by STRING's combined score.

This graph owes nothing to the expression data of the run. STRING itself has seen public expression
data (its channel coexpression) and papers on them (textmining): a graph that must not have seen
them is made from the other channels.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.identifiers import ensembl_id
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.files import write_json
from bulkformer.graph.edges import Edges, statistics, symmetric, write_graph
from bulkformer.sources.string_db import ALL_CHANNELS, read_links

FULL_SCORE = 1000  # STRING writes probabilities in thousandths


def string(
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    links: Annotated[Path, Option(help="STRING's links, or a table of gene pairs.")],
    format: Annotated[str, Option(help="string or edge_table.")],
    min_combined_score: Annotated[int, Option(help="Least combined score, 0 to 1000.")],
    output: Annotated[Path, Option(help="Graph to write.")],
    summary: Annotated[Path, Option(help="Its JSON.")],
    aliases: Annotated[Path | None, Option(help="STRING's names of proteins.")] = None,
    channels: Annotated[
        list[str] | None, Option(help="Channels to combine; all takes the score of the file.")
    ] = None,
) -> None:
    """Write the graph of protein interactions among vocabulary genes."""
    vocabulary = Vocabulary.load(genes)
    channels = channels or [ALL_CHANNELS]
    pairs, reading = read_links(format, links, aliases, min_combined_score, channels)
    edges, counts = string_edges(pairs, vocabulary)
    if len(edges.source) == 0:
        raise InputError(
            f"{links}: none of {reading['rows']} rows joins two vocabulary genes with a "
            f"combined_score >= {min_combined_score}; lower graph.string.min_combined_score, or "
            "check that links, aliases and annotation are human"
        )
    write_graph(output, edges, len(vocabulary))
    write_json(
        summary,
        {
            "graph": output.stem,
            "kind": "string",
            "origin": "external",
            "weight": "combined_score / 1000",
            "channels": channels,
            "min_combined_score": min_combined_score,
            "files": [path.name for path in [links, aliases] if path],
            "reading": reading,
            **counts,
            **statistics(edges, len(vocabulary)),
        },
    )
    print(f"{output}: {len(edges.source) // 2} edges", file=sys.stderr)


def string_edges(pairs: pd.DataFrame, vocabulary: Vocabulary) -> tuple[Edges, dict[str, int]]:
    """Return the edges among vocabulary genes and how many pairs were left out.

    Parameters
    ----------
    pairs : gene1, gene2 (Ensembl ids), combined_score (0 to 1000)
    """
    index, _ = vocabulary.names("ensembl")
    codes, names = pd.factorize(pairs[["gene1", "gene2"]].to_numpy().ravel())
    place = np.array([index.get(ensembl_id(gene) or "", -1) for gene in names], dtype=np.int64)
    ends = place[codes].reshape(-1, 2)
    inside = (ends >= 0).all(axis=1)
    edges = symmetric(
        ends[inside, 0],
        ends[inside, 1],
        pairs["combined_score"].to_numpy()[inside] / FULL_SCORE,
    )
    return edges, {"pairs_outside_vocabulary": int((~inside).sum())}


if __name__ == "__main__":
    command(string)
