"""Gene essentiality: what a row of its predictions holds, and what is measured on it.

The primary measure is the correlation across lines within a gene and a fold, averaged over folds:
only lines that one fit predicted are compared. Pooled raw, a model that knows nothing scores below
zero, because a fold's training mean is low where its own lines are high. Less the training mean, a
head that does not know a gene's mean scores above zero, because truth and prediction then share
what was subtracted; that form stands beside it. Pooled correlation, which the paper reports and the
means of genes alone bring to 0.85 and more, is printed last.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate import essentiality_measures as essentiality
from bulkformer.evaluate import measures
from bulkformer.evaluate.statistics import Estimate, defined
from bulkformer.evaluate.task import PROTOCOLS, Score, Scoring, Task
from bulkformer.evaluate.tasks.gene_essentiality_correlations import (
    GENES,
    PER_GENE,
    WITHIN,
    Correlations,
    correlations,
    middle,
    units_of,
)
from bulkformer.evaluate.tasks.gene_essentiality_matrices import Arm, read_arms
from bulkformer.evaluate.units import FOLD, UnitScores

NAME = pa.dictionary(pa.int32(), pa.string())
# One row a tested line, gene, head and repeat; row groups hold one regime, head, repeat and fold.
PREDICTIONS = pa.schema(
    [
        ("task", NAME),
        ("dataset", NAME),
        ("protocol", NAME),
        ("regime", NAME),
        ("model", NAME),
        ("head", NAME),
        ("fold", pa.int32()),
        ("seed", pa.int64()),
        ("repeat", pa.int32()),
        ("sample_id", NAME),
        ("group", NAME),  # patient, or lineage where whole lineages are held out
        ("lineage", NAME),
        ("target_id", NAME),
        ("y_true", pa.float32()),
        ("y_pred", pa.float32()),
        ("train_mean", pa.float32()),  # of the gene in the training lines of the fold
        ("dependent", pa.bool_()),  # probability of dependency above one half; null where unknown
        ("tuning_trials", pa.int32()),  # settings that the head chose among in inner folds
    ]
)
N_GENES = "n_genes"  # in the metadata of the file: genes with known effects
VECTOR_HEAD = "ridge"
TOKEN_HEAD = "token_mlp"
THRESHOLDS = (0.2, 0.4)
PERMUTATIONS = 20


def score(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[Score]:
    """Score each regime and head over all repeats."""
    yield from _found(predictions, scoring)[0]


def units(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[UnitScores]:
    """Yield the mean correlation of genes in every fold, or of each gene where genes are held out.

    Genes of which none was held out are told by the same lines, and a vector that was lucky with
    these is lucky with all genes: compared gene by gene, one random vector would beat another.
    """
    yield from _found(predictions, scoring)[1]


@lru_cache(maxsize=1)  # scores and scores of units come from the same matrices
def _found(predictions: pq.ParquetFile, scoring: Scoring) -> tuple[list[Score], list[UnitScores]]:
    scores: list[Score] = []
    units: list[UnitScores] = []
    for arm in read_arms(predictions):
        found = {
            metric: correlations(arm, scoring, within)
            for metric, within in ((PER_GENE, False), (WITHIN, True))
        }
        scores += _scores(arm, scoring, found)
        units += units_of(arm, scoring, found)
    return scores, units


def _scores(arm: Arm, scoring: Scoring, correlated: Mapping[str, Correlations]) -> Iterator[Score]:
    kind = scoring.group_kinds[arm.dataset, arm.regime]
    by_gene = kind == GENES
    kind = "patient" if by_gene else kind
    settings = scoring.settings
    sets = essentiality.gene_sets(arm.truth, settings["endpoint"], settings["selective_sd"])

    def row(
        metric: str,
        aggregation: str,
        estimate: Estimate,
        n: int,
        n_groups: int,
        unit: str | None,
        genes: str | None = None,
    ) -> Score:
        return Score(
            dataset=arm.dataset,
            regime=arm.regime,
            head=arm.head,
            metric=metric,
            aggregation=aggregation,
            estimate=estimate,
            n=n,
            n_groups=n_groups,
            ci_unit=unit,
            n_seeds=arm.n_repeats,
            gene_coverage=arm.coverage,
            group_kind="genes" if genes else None,
            group=genes,
        )

    for metric, found in correlated.items():
        for name, chosen in {None: np.ones(len(arm.genes), bool), **sets}.items():
            r = found.observed[chosen]
            n = int(np.isfinite(r).sum())
            about = {"n": n, "n_groups": len(arm.groups), "unit": kind, "genes": name}
            yield row(metric, "mean_over_groups", found.estimate(chosen), **about)
            yield row(metric, "median_over_groups", found.estimate(chosen, True), **about)
            about |= {"n_groups": n, "unit": GENES}
            over_genes = scoring.bootstrap.mean_over_units(r)
            yield row(f"{metric}_over_genes", "mean_over_groups", over_genes, **about)
        if metric == PER_GENE:
            r = found.observed
            yield from _above(arm, scoring, r, by_gene, row)
            dropped = int(np.isnan(r).sum())
            estimate = Estimate(float(dropped))
            yield row("genes_without_correlation", "pooled", estimate, dropped, len(r), None)

    for metric, pairs in (("deviation", arm.deviations), ("raw", arm.raw)):
        parts = [essentiality.per_gene_pearson(*pairs(repeat)) for repeat in range(arm.n_repeats)]
        r = measures.mean_of_defined(np.stack(parts), axis=0)
        n = int(np.isfinite(r).sum())
        mean = Estimate(defined(middle(r, False)))
        yield row(f"{PER_GENE}_{metric}", "mean_over_groups", mean, n, n, None)
    trials = Estimate(float(arm.trials))
    yield row("tuning_trials", "fold_mean", trials, len(arm.genes), len(arm.groups), None)
    yield from _areas(arm, scoring, by_gene, row)
    yield from _pooled(arm, scoring, kind, row)


def _above(arm: Arm, scoring: Scoring, r: np.ndarray, by_gene: bool, row: Any) -> Iterator[Score]:
    """Share of genes above a correlation, and the share where lines were permuted within folds.

    The latter is the mean over repeats. Each is permuted by itself, and the correlations of several
    are not averaged: chance would average out, as it does not where the lines are the same ones.
    """
    n = int(np.isfinite(r).sum())
    rng = np.random.default_rng([scoring.bootstrap.seed, *b"permuted lines"])
    null: dict[float, list[float]] = {threshold: [] for threshold in THRESHOLDS}
    for repeat in range(arm.n_repeats if n else 0):
        fold = arm.fold_of_line(repeat, by_gene)
        truth, predicted = arm.centred(repeat, fold)
        truth, predicted = (essentiality.unit_length(each, fold) for each in (truth, predicted))
        for _ in range(PERMUTATIONS):
            order = essentiality.permuted_within(fold, rng)
            found = np.einsum("ij,ij->j", truth[order], predicted)[np.isfinite(r)]
            for threshold in THRESHOLDS:
                null[threshold].append(float((found > threshold).mean()))
    for threshold in THRESHOLDS:
        above = np.where(np.isnan(r), np.nan, r > threshold)
        estimate = scoring.bootstrap.mean_over_units(above)
        metric = f"genes_above_{threshold}"
        yield row(metric, "mean_over_groups", estimate, n, n, GENES)
        chance = Estimate(defined(float(np.mean(null[threshold])) if n else np.nan))
        yield row(f"{metric}_permuted", "mean_over_groups", chance, n, n, None)


def _areas(arm: Arm, scoring: Scoring, by_gene: bool, row: Any) -> Iterator[Score]:
    """AUROC and AUPRC of dependency, gene by gene: a more negative effect is more dependent."""
    if not (arm.dependent >= 0).any():
        return
    sign = -1.0 if scoring.settings["endpoint"] == "effect" else 1.0
    areas = [
        essentiality.dependency_areas(
            sign * arm.predicted[repeat], arm.dependent, arm.fold_of_line(repeat, by_gene)
        )
        for repeat in range(arm.n_repeats)
    ]
    for metric, parts in zip(
        ("dependency_auroc", "dependency_auprc"), zip(*areas, strict=True), strict=True
    ):
        values = measures.mean_of_defined(np.stack(parts), axis=0)
        n = int(np.isfinite(values).sum())
        estimate = scoring.bootstrap.mean_over_units(values)
        yield row(metric, "mean_over_groups", estimate, n, n, GENES)


def _pooled(arm: Arm, scoring: Scoring, kind: str, row: Any) -> Iterator[Score]:
    """Skill over the training mean, and the correlations of all values together."""
    sums, n = [], 0
    n_groups = len(arm.groups)
    for repeat in range(arm.n_repeats):
        line, gene = np.nonzero(~np.isnan(arm.predicted[repeat]) & ~np.isnan(arm.truth))
        truth, predicted, mean = (
            values[line, gene].astype(np.float64)
            for values in (arm.truth, arm.predicted[repeat], arm.train_mean[repeat])
        )
        group, n = arm.group[line], len(line)
        errors = [(predicted - truth) ** 2, (mean - truth) ** 2]
        ranked = [measures.ranks(values) for values in (truth, predicted)]
        sums.append(
            np.column_stack(
                [np.bincount(group, weights=error, minlength=n_groups) for error in errors]
                + [
                    measures.moments(*(v - v.mean() for v in values), group, n_groups)
                    for values in ((truth, predicted), ranked)
                ]
            )
        )
    found = scoring.bootstrap.over_groups(sums)
    for metric, statistic in {
        "mse_skill": lambda sums: measures.mse_skill(sums[..., 0], sums[..., 1]),
        "spearman": lambda sums: measures.pearson(sums[..., 8:14]),
        "pearson": lambda sums: measures.pearson(sums[..., 2:8]),
    }.items():
        yield row(metric, "pooled", found.estimate(statistic), n, n_groups, kind)


def heads(protocol: str, settings: Mapping[str, Any]) -> Sequence[str]:
    """Return the heads of a protocol: one for vectors of lines, one for models with gene tokens."""
    return (VECTOR_HEAD, TOKEN_HEAD)


def heads_of(protocol: str, has_tokens: bool) -> Sequence[str]:
    """Return the heads that are fitted for a model; legacy knows the paper's alone, if it can."""
    if not has_tokens:
        return (VECTOR_HEAD,)
    return (TOKEN_HEAD,) if protocol == "legacy" else (VECTOR_HEAD, TOKEN_HEAD)


TASK = Task(
    name="gene_essentiality",
    unit="cell line",
    target="gene",
    primary={
        "legacy": ("pearson", "pooled"),
        "strict": (PER_GENE, "mean_over_groups"),
    },
    predictions=PREDICTIONS,
    heads=heads,
    score=score,
    units=units,
    paired={"legacy": PER_GENE, "strict": PER_GENE},
    # Genes share the lines that are held out, and so all chance of which these are: folds decide.
    paired_units=dict.fromkeys(["random_folds", "held_out_lines", "held_out_lineages"], (FOLD,)),
    headline={"legacy": {"regime": ["random_folds"]}, "strict": {"regime": ["held_out_lines"]}},
    null="gene_effect_mean",
    null_knows=dict.fromkeys(PROTOCOLS, "knows the mean of each gene and nothing of the line"),
    ranked={"legacy": "random_folds", "strict": "held_out_lines"},
)
