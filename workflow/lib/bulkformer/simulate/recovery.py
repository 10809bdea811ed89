"""Compare a gene graph with the planted one.

Only a simulated universe knows which genes are regulated together. Every graph is judged in the
same way: the score of a gene pair is its weight in the graph, 0 where there is no edge.
"""

from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.store import ExpressionStore
from bulkformer.files import write_json


def recovery(
    graph: Annotated[list[Path], typer.Option(help="edges between vocabulary indices")],
    genes: Annotated[Path, typer.Option(help="the vocabulary, in model order")],
    truth_genes: Annotated[Path, typer.Option(help="program of each gene")],
    truth_edges: Annotated[Path, typer.Option(help="planted edges")],
    corpus: Annotated[Path, typer.Option(help="the corpus with its split")],
    store: Annotated[list[Path], typer.Option(help="ln(TPM + 1) of the corpus cohorts")],
    output: Annotated[list[Path], typer.Option(help="JSON of each graph, same order")],
) -> None:
    """Write how much of the planted graph each gene graph contains, and how much else."""
    if len(graph) != len(output):
        raise InputError(f"{len(graph)} --graph and {len(output)} --output; give as many of each")
    gene_ids = pq.read_table(genes, columns=["gene_id"])["gene_id"].to_pylist()
    planted = planted_pairs(truth_edges, gene_ids)
    program = gene_programs(truth_genes, gene_ids)
    log_tpm, measured = training_values(corpus, store, len(gene_ids))
    # No graph changes what correlations can know, so all are compared in one process.
    possible = correlation_auroc(log_tpm, planted, measured)
    for one, path in zip(graph, output, strict=True):
        write_json(
            path,
            {
                "graph": one.stem,
                **compare(pair_scores(one, len(gene_ids)), planted, program),
                "correlation_auroc": possible,
                "n_training_samples": len(log_tpm),
            },
        )


def compare(scores: np.ndarray, planted: np.ndarray, program: np.ndarray) -> dict[str, object]:
    """Return the agreement of a graph with the planted edges.

    Parameters
    ----------
    scores : float [n_genes, n_genes], symmetric; the weight of an edge, 0 without one
    planted : bool [n_genes, n_genes], symmetric
    program : int [n_genes], -1 for genes outside every program

    Returns
    -------
    dict of numbers over unordered pairs of genes; None where a share has an empty denominator.
    `precision_by_chance` and `within_program_by_chance` are what edges between random genes reach.
    """
    pairs = np.triu_indices(len(scores), k=1)
    score, truth = scores[pairs], planted[pairs]
    same_program = (program[pairs[0]] == program[pairs[1]]) & (program[pairs[0]] >= 0)
    edge = score > 0
    # Pairs without an edge tie: one row for those that are planted and one for the others.
    missed = int(truth[~edge].sum())
    weight = np.concatenate([np.ones(int(edge.sum())), [missed, int((~edge).sum()) - missed]])
    known = np.concatenate([truth[edge], [True, False]])
    ranked = np.concatenate([score[edge], [0, 0]])
    return {
        "n_genes": len(scores),
        "n_pairs": len(truth),
        "n_edges": int(edge.sum()),
        "n_planted": int(truth.sum()),
        "auroc": _auroc(known, ranked, weight),
        "average_precision": _average_precision(known, ranked, weight),
        "precision": _share(truth[edge]),
        "precision_by_chance": _share(truth),
        "recall": _share(edge[truth]),
        "within_program_precision": _share(same_program[edge]),
        "within_program_by_chance": _share(same_program),
    }


def correlation_auroc(
    log_tpm: np.ndarray, planted: np.ndarray, measured: np.ndarray
) -> float | None:
    """Return the AUROC of |Pearson r| for planted pairs: what any co-expression graph can know.

    Parameters
    ----------
    log_tpm : float [n_samples, n_genes]
    measured : bool [n_genes]; pairs with an unmeasured gene are left out. A gene that never
        varies has no correlation and counts as 0.
    """
    values = log_tpm[:, measured].astype(np.float64)
    if len(values) < 2:
        return None
    values -= values.mean(axis=0)
    norm = np.linalg.norm(values, axis=0)
    values /= np.where(norm > 1e-9, norm, np.inf)
    correlation = np.abs(values.T @ values)
    pairs = np.triu_indices(correlation.shape[0], k=1)
    return _auroc(planted[np.ix_(measured, measured)][pairs], correlation[pairs])


def planted_pairs(truth_edges: Path, gene_ids: list[str]) -> np.ndarray:
    """Return bool [n_genes, n_genes], symmetric; edges outside the vocabulary are left out."""
    index = {gene_id: row for row, gene_id in enumerate(gene_ids)}
    table = pq.read_table(truth_edges, columns=["source", "target"])
    planted = np.zeros((len(gene_ids), len(gene_ids)), dtype=bool)
    ends = zip(table["source"].to_pylist(), table["target"].to_pylist(), strict=True)
    for source, target in ends:
        if source in index and target in index:
            planted[index[source], index[target]] = planted[index[target], index[source]] = True
    return planted


def gene_programs(truth_genes: Path, gene_ids: list[str]) -> np.ndarray:
    """Return the program of each vocabulary gene, -1 outside every program.

    Raises InputError for a gene that the universe does not know.
    """
    table = pq.read_table(truth_genes, columns=["gene_id", "program"])
    known = dict(zip(table["gene_id"].to_pylist(), table["program"].to_pylist(), strict=True))
    for gene_id in gene_ids:
        if gene_id not in known:
            raise InputError(
                f"{truth_genes}: no gene '{gene_id}', which the vocabulary has; the vocabulary "
                "comes from another universe, run the expression stage again"
            )
    return np.array([-1 if known[gene] is None else known[gene] for gene in gene_ids])


def pair_scores(graph: Path, n_genes: int) -> np.ndarray:
    """Return |weight| [n_genes, n_genes], made symmetric; raises InputError for a stray index."""
    table = pq.read_table(graph, columns=["source", "target", "weight"])
    source, target = (table[name].to_numpy() for name in ("source", "target"))
    ends = np.concatenate([source, target])
    if ends.size and (ends.min() < 0 or ends.max() >= n_genes):
        raise InputError(
            f"{graph}: an edge leads outside the {n_genes} genes of the vocabulary; "
            "graph and vocabulary come from different runs, run the graph stage again"
        )
    if np.any(source == target):
        loop = int(source[source == target][0])
        raise InputError(f"{graph}: gene {loop} is its own neighbour; remove self loops")
    scores = np.zeros((n_genes, n_genes))
    np.maximum.at(scores, (source, target), np.abs(table["weight"].to_numpy()))
    return np.maximum(scores, scores.T)


def training_values(
    corpus: Path, stores: list[Path], n_genes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return ln(TPM + 1) of the training samples [n_samples, n_genes] and what all stores measured.

    Raises InputError where a training sample is in no store or in several.
    """
    table = pq.read_table(corpus, columns=["sample_id", "split"])
    wanted = set(table.filter(pc.equal(table["split"], "train"))["sample_id"].to_pylist())
    opened = [ExpressionStore(path) for path in stores]
    chosen = [[name for name in each.sample_ids if name in wanted] for each in opened]
    for (one, names), (other, more) in combinations(zip(stores, chosen, strict=True), 2):
        if common := set(names) & set(more):
            raise InputError(f"{one} and {other}: both hold sample '{min(common)}'; keep one")
    if absent := wanted.difference(*chosen):
        raise InputError(
            f"{corpus}: training sample '{min(absent)}' is in no store of {stores}; "
            "run the expression stage again"
        )
    values = [each.read(each.rows(names)) for each, names in zip(opened, chosen, strict=True)]
    measured = np.logical_and.reduce([each.measured for each in opened])
    return np.concatenate([np.empty((0, n_genes), np.float32), *values]), measured


def _auroc(truth: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float | None:
    """Return the AUROC; None without pairs of both kinds."""
    from sklearn.metrics import roc_auc_score  # slow to import

    weight = np.ones(len(truth)) if weight is None else weight
    if not weight[truth].any() or not weight[~truth].any():
        return None
    return float(roc_auc_score(truth, score, sample_weight=weight))


def _average_precision(truth: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float | None:
    from sklearn.metrics import average_precision_score  # slow to import

    if not weight[truth].any():
        return None
    return float(average_precision_score(truth, score, sample_weight=weight))


def _share(flags: np.ndarray) -> float | None:
    return float(flags.mean()) if flags.size else None


if __name__ == "__main__":
    command(recovery)
