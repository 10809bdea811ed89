"""STRING: associations between proteins, brought to undirected pairs of Ensembl genes.

STRING lists each pair in both directions under protein ids; several proteins can stand for one gene
and one protein for several genes, so pairs are merged by gene and keep their best score. The human
file has 13.7 million rows: it streams by, and what is too weak is dropped on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.string_links import (
    ALL_CHANNELS,
    CHANNELS,
    check_score,
    check_scores,
    read_aliases,
    read_protein_links,
)
from bulkformer.sources.text_matrix import UNREADABLE, open_bytes

__all__ = ["ALL_CHANNELS", "CHANNELS", "read_links"]


def read_links(
    format: str,
    links: Path,
    aliases: Path | None,
    min_combined_score: int = 0,
    channels: Sequence[str] = (ALL_CHANNELS,),
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read associations between genes.

    Parameters
    ----------
    format : "string" for protein.links and protein.aliases as STRING publishes them (v12), or
        "edge_table" for one TSV with the columns ensg1, ensg2, combined_score
    links, aliases : plain or gzipped files; `aliases` is None for "edge_table"
    min_combined_score : weaker associations, 0..1000, are counted and left out
    channels : "all" for the combined_score of the file, or names of `CHANNELS`, whose scores are
        then combined anew; that takes protein.links.detailed

    Returns
    -------
    Pairs gene1, gene2 (Ensembl ids without version, gene1 < gene2, each pair once, sorted) with
    combined_score (float, 0..1000); and what was counted on the way.

    Raises
    ------
    InputError : absent file or column, scores outside 0..1000 or on a scale of 0..1, no gene found
    """
    if format not in ("string", "edge_table"):
        raise InputError(f"graph.string.format '{format}' is unknown; write string or edge_table")
    if format == "edge_table":
        if list(channels) != [ALL_CHANNELS]:
            raise InputError(
                f"{links}: graph.string.channels needs the format string and STRING's "
                "protein.links.detailed; write all for an edge_table"
            )
        return _read_edge_table(links, min_combined_score)
    if aliases is None:
        raise InputError(
            f"{links}: the format string needs STRING's protein.aliases file; name it in "
            "graph.string.aliases"
        )
    return _read_string(links, aliases, min_combined_score, channels)


def _read_string(
    links: Path, aliases: Path, least: int, channels: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, int]]:
    table = read_protein_links(links, least, channels)
    code_of = {protein: code for code, protein in enumerate(table.proteins)}
    rows = [(code_of[p], gene) for p, gene in read_aliases(aliases) if p in code_of]
    if table.proteins and not rows:
        raise InputError(
            f"{aliases}: no protein of {links} has an alias of the source Ensembl_gene; use "
            "links and aliases of one species and release"
        )
    proteins = np.array([protein for protein, _ in rows], dtype=np.int64)
    names, codes = np.unique(np.array([gene for _, gene in rows], str), return_inverse=True)
    gene_of = pd.Series(codes, index=proteins)
    mapped = np.zeros(len(table.proteins), dtype=bool)
    mapped[proteins] = True
    both = mapped[table.protein1] & mapped[table.protein2]
    edges = pd.DataFrame(
        {
            "protein1": table.protein1[both],
            "protein2": table.protein2[both],
            "score": table.score[both],
        }
    )
    for end in ["1", "2"]:
        edges = edges.merge(gene_of.rename(f"gene{end}"), left_on=f"protein{end}", right_index=True)
    pairs, counts = _pairs(
        edges["gene1"].to_numpy(), edges["gene2"].to_numpy(), edges["score"].to_numpy(), names
    )
    return pairs, {
        "rows": table.rows,
        "rows_below_score": table.rows - len(table.score),
        "proteins": len(table.proteins),
        "proteins_without_gene": int((~mapped).sum()),
        "proteins_with_several_genes": int((np.bincount(proteins) > 1).sum()),
        "rows_without_gene": int((~both).sum()),
        **counts,
    }


def _read_edge_table(path: Path, least: int) -> tuple[pd.DataFrame, dict[str, int]]:
    columns = ["ensg1", "ensg2", "combined_score"]
    try:
        with open_bytes(path) as handle:
            table = pd.read_csv(
                handle, sep="\t", usecols=columns, dtype=dict.fromkeys(columns[:2], str)
            )
    except (*UNREADABLE, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a table with the columns {', '.join(columns)} ({error}); "
            "fetch it again, or correct graph.string.format"
        ) from error
    score = pd.to_numeric(table["combined_score"], errors="coerce").to_numpy(dtype=float)
    check_scores(score, table["combined_score"], path)
    check_score(score.max(initial=0), path)
    strong = score >= max(least, 1)
    ends = table.loc[strong, ["ensg1", "ensg2"]].fillna("").astype(str)
    ends = ends.apply(lambda end: end.str.strip().str.partition(".")[0])
    known = ends.apply(lambda end: end.str.startswith("ENSG")).all(axis=1).to_numpy()
    if strong.any() and not known.any():
        raise InputError(
            f"{path}: no row has Ensembl gene ids (ENSG…) in ensg1 and ensg2; map the genes first"
        )
    names, codes = np.unique(ends[known].to_numpy(dtype=str), return_inverse=True)
    codes = codes.reshape(-1, 2)
    pairs, counts = _pairs(codes[:, 0], codes[:, 1], score[strong][known], names)
    return pairs, {
        "rows": len(table),
        "rows_below_score": int((~strong).sum()),
        "rows_without_gene": int((~known).sum()),
        **counts,
    }


def _pairs(
    gene1: np.ndarray, gene2: np.ndarray, score: np.ndarray, names: np.ndarray
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Merge directed pairs of codes into sorted `names` to undirected ones with the best score."""
    low, high = np.minimum(gene1, gene2), np.maximum(gene1, gene2)
    pairs = pd.DataFrame({"low": low, "high": high, "combined_score": score})
    distinct = pairs[pairs["low"] != pairs["high"]]
    best = distinct.groupby(["low", "high"], sort=True)["combined_score"].max().reset_index()
    names = names.astype(object)
    table = pd.DataFrame(
        {
            "gene1": names[best["low"].to_numpy(dtype=int)],
            "gene2": names[best["high"].to_numpy(dtype=int)],
            "combined_score": best["combined_score"].to_numpy(dtype=float),
        }
    )
    return table, {
        "rows_within_one_gene": len(pairs) - len(distinct),
        "rows_merged": len(distinct) - len(table),
        "pairs": len(table),
        "genes": len(np.union1d(best["low"], best["high"])),
    }
