"""Which values are hidden: by kind of mask, the same for every model, whoever else is tested.

Values missing at random are the paper's question. Real studies lack whole genes, show only the
genes of a panel, or lose what is weakly expressed; each of these is a kind of mask of its own. A
larger share hides what a smaller one hides, and more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from bulkformer.errors import InputError

RANDOM, WHOLE_GENE, LOW_EXPRESSION, PANEL = "random", "whole_gene", "low_expression", "panel"
KINDS = (RANDOM, WHOLE_GENE, LOW_EXPRESSION, PANEL)
PAPER_SHARE = 0.15  # that BulkFormer's training and its published imputation hide
LANDMARK_COLUMN = "pr_is_lm"  # marks gene_info of L1000, which lists further genes


@dataclass(frozen=True)
class TrainingGenes:
    """What training knows of each gene [G]: its mean and spread, and whether it was measured."""

    mean: np.ndarray
    spread: np.ndarray
    ever_measured: np.ndarray


@dataclass(frozen=True)
class Mask:
    """One condition of the task.

    Attributes
    ----------
    kind : one of KINDS
    amount : the share that is hidden; for a panel the number of genes that stay visible
    repeats : how many masks of this condition are drawn
    """

    kind: str
    amount: float
    repeats: int

    @property
    def condition(self) -> str:
        """The name in every table: "random 15%", "whole gene 15%", "panel 978 genes"."""
        kind = self.kind.replace("_", " ")
        return f"{kind} {self.amount} genes" if kind == PANEL else f"{kind} {100 * self.amount:g}%"


def plan(
    kinds: Sequence[str],
    fractions: Sequence[float],
    repeats: int,
    panel: np.ndarray | None,
    further_repeats: int | None = None,
) -> list[Mask]:
    """Return the conditions, random ones first.

    Random masks of the share that the paper hides are drawn `repeats` times, those of other shares
    `further_repeats` times at the most: each repeat saves every hidden value again. The other kinds
    get one mask: where whole genes or weak values are hidden, thousands of genes stand in for
    further draws, and a panel leaves no choice.
    Raises InputError for an unknown kind and for an unknown panel.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise InputError(
            f"evaluate.imputation.mask_kinds: '{unknown[0]}' is unknown; "
            f"known are {', '.join(KINDS)}"
        )
    if PANEL in kinds and panel is None:
        raise InputError("mask kind 'panel': no panel is given; name one, or how many genes it has")
    masks = []
    for kind in (kind for kind in KINDS if kind in kinds):
        if kind == PANEL:
            masks.append(Mask(kind, int(panel.sum()), 1))
        else:
            further = repeats if further_repeats is None else min(repeats, further_repeats)
            for fraction in fractions:
                own = repeats if fraction == PAPER_SHARE else further
                masks.append(Mask(kind, fraction, own if kind == RANDOM else 1))
    return masks


def hidden_values(
    mask: Mask,
    repeat: int,
    seed: int,
    rows: pd.DataFrame,
    may_hide: np.ndarray,
    training: TrainingGenes,
    panel: np.ndarray | None = None,
) -> np.ndarray:
    """Return bool [n, G]: what this mask hides of each sample.

    Parameters
    ----------
    rows : the samples' rows of the manifest (unit, group, group_kind, cohort)
    may_hide : bool [n, G], positions that may be hidden and scored
    panel : bool [G], the genes that a panel measures
    """
    if mask.kind == PANEL:
        return may_hide & ~panel
    n_genes = may_hide.shape[1]
    if mask.kind == WHOLE_GENE:
        names = [f"{WHOLE_GENE}|{study}" for study in studies(rows)]
    elif mask.kind == LOW_EXPRESSION:
        names = [f"{LOW_EXPRESSION}|{unit}" for unit in rows["unit"]]
    else:
        names = rows["unit"].tolist()
    orders = {name: hiding_order(name, repeat, seed, n_genes) for name in dict.fromkeys(names)}
    scores = np.stack([orders[name] for name in names])
    if mask.kind == LOW_EXPRESSION:
        # Weighted draws without replacement (Efraimidis and Spirakis 2006): exponential waiting
        # times whose rates are the weights.
        scores = -np.log1p(-scores) / dropout_weights(training)
    return hide(scores, may_hide, mask.amount)


def studies(rows: pd.DataFrame) -> list[str]:
    """Return the study of each row of a manifest: its group if groups are studies, else its cohort.

    Patients and donors of a cohort were measured together, and lack the same genes.
    """
    of_study = rows["group_kind"] == "study"
    return [str(name) for name in rows["group"].where(of_study, rows["cohort"])]


def dropout_weights(training: TrainingGenes) -> np.ndarray:
    """Return how readily a gene is lost, float64 [G] in (0, 1]: K / (K + S).

    S is the training mean as TPM and K its median over genes: the Michaelis-Menten form of dropout
    (Andrews and Hemberg 2019), in which the median gene is lost half as readily as an absent one.
    """
    tpm = np.expm1(np.maximum(training.mean.astype(np.float64), 0))
    half = np.median(tpm[training.ever_measured]) if training.ever_measured.any() else 1.0
    half = max(half, 1e-3)  # a corpus in which most genes are silent
    return half / (half + tpm)


def hiding_order(name: str, repeat: int, seed: int, n_genes: int) -> np.ndarray:
    """Return random numbers [n_genes]; the genes with the lowest ones are hidden first.

    The generator is seeded with a hash of the words, so that a sample (or study) `name` keeps its
    masks in any order and any company.
    """
    words = f"{seed}|{repeat}|{name}".encode()
    digest = hashlib.blake2b(words, digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little")).random(n_genes)


def hide(scores: np.ndarray, may_hide: np.ndarray, fraction: float) -> np.ndarray:
    """Return bool [n, G]: in each sample the share `fraction` of what may be hidden, at least one.

    `scores` [n, G] come from `hiding_order`.
    """
    ordered = np.sort(np.where(may_hide, scores, np.inf), axis=1)
    count = np.maximum(np.rint(fraction * may_hide.sum(axis=1)).astype(np.int64), 1)
    threshold = np.take_along_axis(ordered, count[:, None] - 1, axis=1)
    return may_hide & (scores <= threshold)


def read_training_genes(path: Path, n_genes: int) -> TrainingGenes:
    """Read mean, spread and count of each gene from the fit of `gene_mean`."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable fit ({error}); fit gene_mean again") from error
    if not {"mean", "spread", "count"} <= tensors.keys() or len(tensors["mean"]) != n_genes:
        raise InputError(
            f"{path}: no means, spreads and counts of {n_genes} genes; fit gene_mean again"
        )
    mean, spread = (tensors[name].astype(np.float32) for name in ("mean", "spread"))
    return TrainingGenes(mean, spread, tensors["count"] > 0)


def most_variable(training: TrainingGenes, n_genes: int) -> np.ndarray:
    """Return bool [G]: the `n_genes` with the largest spread in training, ties in gene order."""
    order = np.argsort(-np.where(training.ever_measured, training.spread, -1), kind="stable")
    panel = np.zeros(len(training.mean), dtype=bool)
    panel[order[:n_genes]] = True
    return panel & training.ever_measured


def read_panel(path: Path, genes: Path) -> np.ndarray:
    """Return bool [G]: the genes that a panel lists.

    Parameters
    ----------
    path : one gene a line, plain or gzipped: Ensembl id or symbol in the first column, other
        columns and a header are passed over; or gene_info of L1000, of which only the landmark
        genes count
    genes : the vocabulary, genes.parquet

    Raises InputError if the file cannot be read or fewer than half of its genes are known.
    """
    from bulkformer.expression.identifiers import map_genes
    from bulkformer.expression.vocabulary import Vocabulary

    vocabulary = Vocabulary.load(genes)
    names, system = _names_of_panel(path)
    columns = map_genes(names, system, vocabulary).column
    known = int((columns >= 0).sum())
    if known < len(names) / 2 or known == 0:
        raise InputError(
            f"{path}: {known} of {len(names)} genes are in the vocabulary; a panel lists one gene "
            "a line, by Ensembl id or symbol"
        )
    panel = np.zeros(len(vocabulary), dtype=bool)
    panel[columns[columns >= 0]] = True
    return panel


def _names_of_panel(path: Path) -> tuple[list[str], str]:
    """Return the names of a panel and their identifier system."""
    from bulkformer.sources.l1000 import read_landmarks
    from bulkformer.sources.text_matrix import UNREADABLE, open_bytes

    try:
        with open_bytes(path) as file:
            lines = file.read().decode().splitlines()
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable list of genes ({error})") from error
    if lines and LANDMARK_COLUMN in lines[0]:
        return read_landmarks(path)["entrez"].tolist(), "entrez"
    first = [line.replace(",", "\t").split("\t")[0].strip().strip('"') for line in lines]
    names = list(dict.fromkeys(name for name in first if name and not name.startswith("#")))
    ensembl = sum(name.startswith("ENSG") for name in names)
    if ensembl * 2 > len(names):
        return [name for name in names if name.startswith("ENSG")], "ensembl"
    return names, "symbol"
