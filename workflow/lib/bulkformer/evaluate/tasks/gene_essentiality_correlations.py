"""Gene essentiality: correlations of genes across lines, and what they say of single units.

All genes are told by the same lines, so an interval over other genes is no interval over other
lines, and models are compared fold by fold wherever lines are held out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bulkformer.evaluate import essentiality_measures as essentiality
from bulkformer.evaluate import measures
from bulkformer.evaluate.statistics import MIN_GROUPS, Estimate, Resampled, defined
from bulkformer.evaluate.task import Scoring
from bulkformer.evaluate.tasks.gene_essentiality_matrices import Arm
from bulkformer.evaluate.units import FOLD, UnitScores

GENES = "gene"  # group kind of the regime that holds genes out
PER_GENE, WITHIN = "per_gene_pearson", "within_lineage_pearson"


@dataclass(frozen=True)
class Correlations:
    """Correlations of genes over repeats: [t], and in each draw of groups [n_boot, t] or None.

    `of_folds` has a row a repeat: the mean over genes within each fold.
    """

    observed: np.ndarray
    drawn: np.ndarray | None
    n_groups: int
    of_folds: list[np.ndarray]

    def estimate(self, genes: np.ndarray, median: bool = False) -> Estimate:
        """Estimate the mean or median over genes, with an interval over draws of groups."""
        value = middle(self.observed[genes], median)
        if self.drawn is None or np.isnan(value):
            return Estimate(defined(value))
        chosen = genes & ~np.isnan(self.observed)
        known = self.drawn[:, chosen]
        # Lines without spread were drawn. Leaving the gene out would move the interval away from
        # the value, because genes that few lines need are left out most and told worst.
        known = np.where(np.isnan(known), self.observed[chosen].astype(known.dtype), known)
        drawn = (np.median if median else np.mean)(known, axis=1).astype(np.float64)
        return Resampled(self.n_groups, [np.array(value)], [drawn]).estimate(lambda sums: sums)


def correlations(arm: Arm, scoring: Scoring, within: bool) -> Correlations:
    """Correlate each gene across the lines of a fold and average over folds.

    `within` compares lines of one lineage alone: each loses the mean of its lineage in the fold.
    """
    n_groups = len(arm.groups)
    draws = n_groups >= MIN_GROUPS and scoring.bootstrap.n_boot > 0
    weights = scoring.bootstrap.draws(n_groups) if draws else None
    observed, drawn, of_folds = [], [], []
    by_gene = scoring.group_kinds[arm.dataset, arm.regime] == GENES
    for repeat in range(arm.n_repeats):
        fold = arm.fold_of_line(repeat, by_gene)
        truth, predicted = arm.centred(repeat, arm.cells(repeat, by_gene) if within else fold)
        total, resampled = essentiality.FoldMean(), essentiality.FoldMean()
        of_folds.append(np.full(fold.max() + 1, np.nan))
        for code in np.unique(fold):
            rows, alone = fold == code, essentiality.FoldMean()
            present, group = np.unique(arm.group[rows], return_inverse=True)
            for genes, sums in essentiality.sums_by_group(
                truth[rows], predicted[rows], group, len(present)
            ):
                for mean in (total, alone):
                    mean.add(genes, sums.sum(axis=0), len(arm.genes))
                if weights is not None:
                    # Single precision: values are centred, and an interval needs no more.
                    flat = sums.reshape(len(present), -1).astype(np.float32)
                    again = (weights[:, present] @ flat).reshape(-1, *sums.shape[1:])
                    resampled.add(genes, again, len(arm.genes))
            of_folds[-1][code] = middle(alone.mean(), median=False)
        observed.append(total.mean())
        if weights is not None:
            drawn.append(resampled.mean())
    found, resamples = (
        measures.mean_of_defined(np.stack(each), axis=0) if each else None
        for each in (observed, drawn)
    )
    return Correlations(found, resamples, n_groups, of_folds)


def units_of(arm: Arm, scoring: Scoring, found: Mapping[str, Correlations]) -> Iterator[UnitScores]:
    """Yield the mean over genes of each fold, or each gene where genes are held out."""
    about = {"dataset": arm.dataset, "regime": arm.regime, "head": arm.head}
    for metric, each in found.items():
        if scoring.group_kinds[arm.dataset, arm.regime] == GENES:
            yield UnitScores(
                **about, metric=metric, unit_kind=GENES, unit=arm.genes, value=each.observed
            )
            continue
        for repeat, value in enumerate(each.of_folds):
            folds = [str(fold) for fold in range(len(value))]
            yield UnitScores(
                **about, metric=metric, unit_kind=FOLD, unit=folds, value=value, repeat=repeat
            )


def middle(values: np.ndarray, median: bool) -> float:
    """Return the mean or median of what is not NaN; NaN if nothing is left."""
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan")
    return float(np.median(values) if median else values.mean(dtype=np.float64))
