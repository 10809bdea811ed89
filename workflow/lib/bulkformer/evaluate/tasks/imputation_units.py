"""Imputation: the scores of single groups and genes, by which models are compared pair by pair.

Values of one sample, and samples of one study or patient, go up and down together: the unit of a
comparison is the group that was held out. Genes answer another question: whether a model would be
better on other genes of the same samples.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.evaluate import measures
from bulkformer.evaluate.units import UnitScores

if TYPE_CHECKING:
    from bulkformer.evaluate.tasks.imputation_scores import Block

PER_GENE, WITHIN_SAMPLE = "per_gene_pearson_deviation", "centred_per_sample_pearson"
Key = tuple[str, str, str]  # dataset, regime, condition


def units_of_blocks(
    blocks: Mapping[Key, Mapping[int, Block]], group_kinds: Mapping[tuple[str, str], str]
) -> Iterator[UnitScores]:
    """Yield skill and correlation of every group, and correlation of every gene, over repeats."""
    for (dataset, regime, condition), repeats in blocks.items():
        own = list(repeats.values())
        about = {"dataset": dataset, "regime": regime, "condition": condition}
        groups = own[0].groups
        kind = group_kinds[dataset, regime]
        pooled, samples = (
            np.sum([getattr(block, name) for block in own], axis=0)
            for name in ("pooled", "samples")
        )
        skill = measures.mse_skill(pooled[:, 12], pooled[:, 14])
        yield UnitScores(metric="mse_skill", unit_kind=kind, unit=groups, value=skill, **about)
        within = measures.ratio(samples)
        yield UnitScores(metric=WITHIN_SAMPLE, unit_kind=kind, unit=groups, value=within, **about)
        genes, values = mean_over_repeats([block.genes for block in own])
        yield UnitScores(metric=PER_GENE, unit_kind="gene", unit=genes, value=values, **about)


def leave_out_unknown(blocks: Mapping[Key, dict[int, Block]], predictions: pq.ParquetFile) -> None:
    """Remove the repeats in which the model knows no hidden value; log them.

    Raises InputError, naming model and condition, if it knows none in any repeat of a condition.
    """
    for key, repeats in blocks.items():
        for repeat in [number for number, block in repeats.items() if not block.n]:
            model = predictions.read_row_group(0, columns=["model"])["model"][0].as_py()
            about = f"model '{model}' predicts none of the hidden values of {', '.join(key)}"
            if not any(block.n for block in repeats.values()):
                raise InputError(f"{about}; take it off the imputation task")
            print(f"{about}, repeat {repeat}, which is left out", file=sys.stderr)
            del repeats[repeat]


def mean_over_repeats(
    per_gene: Sequence[Mapping[str, float]],
) -> tuple[list[str], np.ndarray]:
    """Return genes, and the mean of each over the repeats in which it has a value; NaN if none."""
    genes = sorted(set().union(*per_gene))
    values = np.array([[repeat.get(gene, np.nan) for gene in genes] for repeat in per_gene])
    return genes, measures.mean_of_defined(values, axis=0)
