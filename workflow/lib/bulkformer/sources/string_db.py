"""STRING: associations between proteins, brought to undirected pairs of Ensembl genes.

STRING lists each pair in both directions under protein ids; several proteins can stand for one gene
and one protein for several genes, so pairs are merged by gene and keep their best score.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.text_matrix import UNREADABLE, open_bytes

MAX_SCORE = 1000  # STRING writes its scores as thousandths of a probability
ALIAS_SOURCE = "Ensembl_gene"


def read_links(
    format: str, links: Path, aliases: Path | None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read associations between genes.

    Parameters
    ----------
    format : "string" for protein.links and protein.aliases as STRING publishes them (v12), or
        "edge_table" for one TSV with the columns ensg1, ensg2, combined_score
    links, aliases : plain or gzipped files; `aliases` is None for "edge_table"

    Returns
    -------
    Pairs gene1, gene2 (Ensembl ids without version, gene1 < gene2, each pair once, sorted) with
    combined_score (float, 0..1000), all scores included; and what was counted on the way.

    Raises
    ------
    InputError : absent file or column, scores outside 0..1000 or on a scale of 0..1, no gene found
    """
    if format == "edge_table":
        return _read_edge_table(links)
    if format != "string":
        raise InputError(f"graph.string.format '{format}' is unknown; write string or edge_table")
    if aliases is None:
        raise InputError(
            f"{links}: the format string needs STRING's protein.aliases file; name it in "
            "graph.string.aliases"
        )
    return _read_string(links, aliases)


def _read_string(links: Path, aliases: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read some 14 million rows as integer codes: their protein names would take gigabytes."""
    table = _read(links, ["protein1", "protein2", "combined_score"], " ", "category")
    score = _scores(table["combined_score"], links)
    if table.isna().any(axis=None):
        raise InputError(
            f"{links}: a row names no two proteins; the file is damaged, fetch it again"
        )
    ends = [table["protein1"].cat, table["protein2"].cat]
    proteins = ends[0].categories.union(ends[1].categories)
    protein1, protein2 = (proteins.get_indexer(end.categories)[end.codes] for end in ends)
    genes = _genes_of_proteins(aliases)
    genes = genes[genes["protein"].isin(proteins)]
    if genes.empty:
        raise InputError(
            f"{aliases}: no protein of {links} has an alias of the source {ALIAS_SOURCE}; use "
            "links and aliases of one species and release"
        )
    names, codes = np.unique(genes["gene"].to_numpy(dtype=str), return_inverse=True)
    gene_of = pd.Series(codes, index=proteins.get_indexer(genes["protein"]))
    mapped = np.zeros(len(proteins), dtype=bool)
    mapped[gene_of.index] = True
    both = mapped[protein1] & mapped[protein2]
    edges = pd.DataFrame(
        {"protein1": protein1[both], "protein2": protein2[both], "score": score[both]}
    )
    for end in ["1", "2"]:
        edges = edges.merge(gene_of.rename(f"gene{end}"), left_on=f"protein{end}", right_index=True)
    pairs, counts = _pairs(
        edges["gene1"].to_numpy(), edges["gene2"].to_numpy(), edges["score"].to_numpy(), names
    )
    return pairs, {
        "rows": len(table),
        "proteins": len(proteins),
        "proteins_without_gene": int((~mapped).sum()),
        "proteins_with_several_genes": int((genes["protein"].value_counts() > 1).sum()),
        "rows_without_gene": int((~both).sum()),
        **counts,
    }


def _read_edge_table(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    table = _read(path, ["ensg1", "ensg2", "combined_score"], "\t", str)
    score = _scores(table["combined_score"], path)
    ends = table[["ensg1", "ensg2"]].fillna("").astype(str)
    ends = ends.apply(lambda end: end.str.strip().str.partition(".")[0])
    known = ends.apply(lambda end: end.str.startswith("ENSG")).all(axis=1).to_numpy()
    if not known.any():
        raise InputError(
            f"{path}: no row has Ensembl gene ids (ENSG…) in ensg1 and ensg2; map the genes first"
        )
    names, codes = np.unique(ends[known].to_numpy(dtype=str), return_inverse=True)
    codes = codes.reshape(-1, 2)
    pairs, counts = _pairs(codes[:, 0], codes[:, 1], score[known], names)
    return pairs, {"rows": len(table), "rows_without_gene": int((~known).sum()), **counts}


def _read(path: Path, columns: list[str], separator: str, type_: type | str) -> pd.DataFrame:
    try:
        with open_bytes(path) as handle:
            return pd.read_csv(
                handle,
                sep=separator,
                usecols=columns,
                dtype=dict.fromkeys(columns[:2], type_),
            )
    except (*UNREADABLE, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a table with the columns {', '.join(columns)} ({error}); "
            "fetch it again, or correct graph.string.format"
        ) from error


def _scores(column: pd.Series, path: Path) -> np.ndarray:
    score = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    bad = ~((score >= 0) & (score <= MAX_SCORE))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{path}: combined_score '{column.iloc[row]}' in data row {row + 1} is not a number "
            f"from 0 to {MAX_SCORE}; correct or remove the row"
        )
    if len(score) and 0 < score.max() <= 1:
        raise InputError(
            f"{path}: the highest combined_score is {score.max():g}; STRING's scale is 0 to "
            f"{MAX_SCORE}, multiply by {MAX_SCORE}"
        )
    return score


def _genes_of_proteins(path: Path) -> pd.DataFrame:
    """Return protein, gene for every alias of the source Ensembl_gene; versions are cut off."""
    try:
        with open_bytes(path) as handle:
            # Aliases hold quotation marks as plain characters.
            parts = [
                part.loc[part["source"] == ALIAS_SOURCE, ["#string_protein_id", "alias"]]
                for part in pd.read_csv(
                    handle,
                    sep="\t",
                    dtype=str,
                    quoting=3,
                    keep_default_na=False,
                    usecols=["#string_protein_id", "alias", "source"],
                    chunksize=1_000_000,
                )
            ]
    except (*UNREADABLE, ValueError) as error:
        raise InputError(
            f"{path}: not a protein.aliases file of STRING v12 ({error}); fetch it again"
        ) from error
    genes = pd.concat(parts).set_axis(["protein", "gene"], axis=1)
    genes["gene"] = genes["gene"].str.strip().str.partition(".")[0]
    return genes[genes["gene"].str.startswith("ENSG")].drop_duplicates(ignore_index=True)


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
            "gene1": names[best["low"].to_numpy()],
            "gene2": names[best["high"].to_numpy()],
            "combined_score": best["combined_score"].to_numpy(dtype=float),
        }
    )
    return table, {
        "rows_within_one_gene": len(pairs) - len(distinct),
        "rows_merged": len(distinct) - len(table),
        "pairs": len(table),
        "genes": len(np.union1d(best["low"], best["high"])),
    }
