"""Imputation: what a row of its predictions holds, and what is measured on it.

Pooled correlation is high for the gene mean, since genes differ far more than samples do. What a
model knows of a *sample* shows within a gene across samples, within a sample after the training
mean of each gene was subtracted, and as squared error saved over that mean.

A model is scored on the genes that it knows; the column gene_coverage is their share of the genes
that were hidden, and n counts what was scored. So the rows of two models with other coverage are
not about the same genes, and no more are their skills by group; only comparisons gene by gene are,
which take the genes that both know.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate import measures
from bulkformer.evaluate.statistics import Estimate
from bulkformer.evaluate.task import PROTOCOLS, Score, Scoring, Task
from bulkformer.evaluate.tasks.imputation_genes import (
    EXPRESSION_DECILE,
    VARIANCE_DECILE,
    deciles,
    quartiles,
    read_spreads,
)
from bulkformer.evaluate.tasks.imputation_units import (
    PER_GENE,
    WITHIN_SAMPLE,
    leave_out_unknown,
    mean_over_repeats,
    units_of_blocks,
)
from bulkformer.evaluate.units import UnitScores

NAME = pa.dictionary(pa.int32(), pa.string())
# One row a hidden value; one Parquet row group a dataset, regime, condition and repeat.
PREDICTIONS = pa.schema(
    [
        ("task", NAME),
        ("dataset", NAME),
        ("protocol", NAME),
        ("regime", NAME),
        ("condition", NAME),
        ("model", NAME),
        ("fold", pa.int32()),
        ("seed", pa.int64()),
        ("repeat", pa.int32()),
        ("sample_id", NAME),
        ("group", NAME),
        ("target_id", NAME),
        ("y_true", pa.float32()),
        ("y_pred", pa.float32()),
        ("y_reference", pa.float32()),
    ]
)
BLOCK_KEYS = ("dataset", "regime", "condition", "repeat")
USED_COLUMNS = [*BLOCK_KEYS, "sample_id", "group", "target_id", "y_true", "y_pred", "y_reference"]
MIN_VALUES = 5  # a gene hidden in fewer samples has no correlation worth the name


@dataclass(frozen=True)
class Block:
    """The sums of one repeat of one condition, by which everything is scored.

    `groups` are all whose values were hidden, known to the model or not: all models share their
    draws. `pooled` [n_groups, 6 + 6 + 3]: moments of values, of ranks, and the sums of squared
    error, absolute error and squared error of the training mean. `samples` [n_groups, 2]: sum and
    count of the correlations within samples. `genes`: {gene: correlation}, which is that of
    deviations from the training mean too. `training_mean`: {gene: mean in training}. `coverage`:
    share of the hidden genes that the model predicts.
    """

    groups: tuple[str, ...]
    n: int
    coverage: float
    pooled: np.ndarray
    samples: np.ndarray
    genes: dict[str, float]
    training_mean: dict[str, float]


@lru_cache(maxsize=1)  # scores and scores of units come from the same sums
def read_blocks(predictions: pq.ParquetFile) -> dict[tuple[str, str, str], dict[int, Block]]:
    """Reduce saved predictions to {(dataset, regime, condition): {repeat: sums}}."""
    blocks: dict[tuple[str, str, str], dict[int, Block]] = {}
    for number in range(predictions.num_row_groups):
        # Constant columns of millions of rows would double the memory.
        table = predictions.read_row_group(number, columns=USED_COLUMNS).unify_dictionaries()
        dataset, regime, condition, repeat = (_only(table, key) for key in BLOCK_KEYS)
        repeats = blocks.setdefault((dataset, regime, condition), {})
        if repeat in repeats:
            raise ValueError(f"{dataset}, {regime}, {condition}: repeat {repeat} in two row groups")
        repeats[repeat] = summarise(table)
    leave_out_unknown(blocks, predictions)
    return blocks


def score(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[Score]:
    """Score each condition over all repeats, and each repeat if there are several."""
    blocks, spread = read_blocks(predictions), read_spreads(predictions)
    for (dataset, regime, condition), repeats in blocks.items():
        about = {
            "dataset": dataset,
            "regime": regime,
            "condition": condition,
            "kind": scoring.group_kinds[dataset, regime],
            "spread": spread,
        }
        yield from _scores(list(repeats.values()), scoring, repeat=None, **about)
        if len(repeats) > 1:
            for repeat, block in repeats.items():
                yield from _scores([block], scoring, repeat=repeat, **about)


def units(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[UnitScores]:
    """Yield the scores of single groups and genes."""
    return units_of_blocks(read_blocks(predictions), scoring.group_kinds)


def summarise(table: pa.Table) -> Block:
    """Reduce the rows of one repeat to sums; values that a model could not predict are left out."""
    truth, predicted, reference = (
        table[name].to_numpy() for name in ("y_true", "y_pred", "y_reference")
    )
    known = np.isfinite(predicted)
    every = np.ones_like(known)
    n_hidden = len(_codes(table, "target_id", every)[1])
    sample, samples = _codes(table, "sample_id", known)
    gene, genes = _codes(table, "target_id", known)
    group, groups = _codes(table, "group", every)
    truth, predicted, reference = (
        values[known].astype(np.float64) for values in (truth, predicted, reference)
    )
    # Groups are sorted by name, so that a draw of groups means the same in every repeat and model.
    order = np.argsort(np.asarray(groups, dtype=str), kind="stable")
    group = np.argsort(order, kind="stable")[group][known]
    n_groups = len(groups)

    def within(index: np.ndarray, n: int, at_least: int, shift: np.ndarray) -> np.ndarray:
        return measures.pearson_by_group(truth - shift, predicted - shift, index, n, at_least)

    error = predicted - truth
    ranked = [measures.ranks(values) for values in (truth, predicted)]
    centre = truth.mean() if len(truth) else 0.0
    pooled = np.column_stack(
        [
            measures.moments(truth - centre, predicted - centre, group, n_groups),
            measures.moments(
                *(values - (len(truth) - 1) / 2 for values in ranked), group, n_groups
            ),
            *(
                np.bincount(group, weights=term, minlength=n_groups)
                for term in (error**2, np.abs(error), (reference - truth) ** 2)
            ),
        ]
    )
    by_sample = within(sample, len(samples), 3, reference)
    group_of_sample = np.zeros(len(samples), dtype=np.int64)
    group_of_sample[sample] = group
    mean_of_gene = np.zeros(len(genes))
    mean_of_gene[gene] = reference
    scored = np.isfinite(by_sample)
    sample_sums = np.column_stack(
        [
            np.bincount(group_of_sample[scored], weights=term, minlength=n_groups)
            for term in (by_sample[scored], None)
        ]
    )
    return Block(
        groups=tuple(sorted(groups)),
        n=len(truth),
        coverage=len(genes) / n_hidden,
        pooled=pooled,
        samples=sample_sums,
        genes=dict(zip(genes, within(gene, len(genes), MIN_VALUES, reference), strict=True)),
        training_mean=dict(zip(genes, mean_of_gene, strict=True)),
    )


def _scores(
    blocks: Sequence[Block],
    scoring: Scoring,
    *,
    dataset: str,
    regime: str,
    condition: str,
    kind: str,
    repeat: int | None,
    spread: Mapping[str, float],
) -> Iterator[Score]:
    """Score repeats together: the mean over repeats, genes first averaged over repeats."""
    if len({block.groups for block in blocks}) > 1:
        raise ValueError(f"{dataset}, {regime}, {condition}: the repeats hold different groups")
    bootstrap = scoring.bootstrap
    # A group of which the model knows no value is drawn with the others and adds nothing.
    n, n_groups = blocks[0].n, int((blocks[0].pooled[:, 0] > 0).sum())

    def row(
        metric: str,
        aggregation: str,
        estimate: Estimate,
        n: int,
        n_groups: int,
        unit: str | None,
        decile: tuple[str | None, str | None] = (None, None),
    ) -> Score:
        return Score(
            dataset=dataset,
            regime=regime,
            condition=condition,
            metric=metric,
            aggregation=aggregation,
            estimate=estimate,
            n=n,
            n_groups=n_groups,
            ci_unit=unit,
            repeat=repeat,
            n_seeds=len(blocks),
            group_kind=decile[0],
            group=decile[1],
            gene_coverage=float(np.mean([block.coverage for block in blocks])),
        )

    genes, values = mean_over_repeats([block.genes for block in blocks])
    n_genes = int(np.isfinite(values).sum())
    mean, median = bootstrap.mean_over_units(values), bootstrap.median_over_units(values)
    yield row(PER_GENE, "mean_over_groups", mean, n_genes, n_genes, "gene")
    yield row(PER_GENE, "median_over_groups", median, n_genes, n_genes, "gene")
    if repeat is None:
        for aggregation, estimate in quartiles(values, bootstrap).items():
            yield row(PER_GENE, aggregation, estimate, n_genes, n_genes, "gene")
        _, means = mean_over_repeats([block.training_mean for block in blocks])
        spreads = np.array([spread[gene] for gene in genes])
        for decile_of, level in ((EXPRESSION_DECILE, means), (VARIANCE_DECILE, spreads)):
            for decile, chosen in deciles(values, level).items():
                mean, size = bootstrap.mean_over_units(chosen), len(chosen)
                about = decile_of, decile
                yield row(PER_GENE, "mean_over_groups", mean, size, size, "gene", about)
    dropped = len(genes) - n_genes
    yield row("genes_without_correlation", "pooled", Estimate(dropped), dropped, len(genes), None)

    samples = [block.samples for block in blocks]
    estimate = bootstrap.over_groups(samples).estimate(measures.ratio)
    n_samples = int(samples[0][:, 1].sum())
    yield row(WITHIN_SAMPLE, "mean_over_groups", estimate, n_samples, n_groups, kind)

    pooled = bootstrap.over_groups([block.pooled for block in blocks])
    for metric, statistic in {
        "mse_skill": lambda sums: measures.mse_skill(sums[..., 12], sums[..., 14]),
        "mse": lambda sums: sums[..., 12] / sums[..., 0],
        "mae": lambda sums: sums[..., 13] / sums[..., 0],
        "pearson": lambda sums: measures.pearson(sums[..., :6]),
        "spearman": lambda sums: measures.pearson(sums[..., 6:12]),
    }.items():
        yield row(metric, "pooled", pooled.estimate(statistic), n, n_groups, kind)


def _codes(table: pa.Table, name: str, known: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return codes [n] of the rows that are `known`, and the names that the codes stand for."""
    column = table[name].combine_chunks()
    used, codes = np.unique(column.indices.to_numpy()[known], return_inverse=True)
    return codes, column.dictionary.take(pa.array(used)).to_pylist()


def _only(table: pa.Table, name: str) -> Any:
    values = table[name].unique().to_pylist()
    if len(values) != 1:
        raise ValueError(f"a row group of the predictions holds several values of '{name}'")
    return values[0]


TASK = Task(
    name="imputation",
    unit="sample",
    target="gene",
    primary={
        "legacy": ("pearson", "pooled"),
        # Its interval resamples held-out groups; that of a correlation per gene only the genes.
        "strict": ("mse_skill", "pooled"),
    },
    predictions=PREDICTIONS,
    heads=lambda protocol, settings: (),
    score=score,
    units=units,
    paired={"legacy": "mse_skill", "strict": "mse_skill"},
    # What the paper hides; external cohorts, which have no such regime, are asked the same.
    headline={
        "legacy": {"regime": ["held_out_samples"], "condition": ["random 15%"]},
        "strict": {"regime": ["held_out_groups"], "condition": ["random 15%"]},
    },
    null="gene_mean",
    null_knows=dict.fromkeys(PROTOCOLS, "knows the mean of each gene and nothing of the sample"),
)
