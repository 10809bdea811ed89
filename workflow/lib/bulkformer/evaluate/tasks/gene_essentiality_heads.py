"""Heads of gene essentiality on the vectors of cell lines: regressions of all genes, and baselines.

`fit` is given the training lines of a fold and nothing else, and returns what was learned; lines
that are left out enter through `predict`. Every model's vectors meet the same ridge with the same
penalties and inner folds of whole groups.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bulkformer.errors import InputError
from bulkformer.evaluate import per_target
from bulkformer.evaluate.linear import PrincipalAxes, fit_principal_axes
from bulkformer.evaluate.ridge import PENALTIES, MultiOutputRidge, fit_ridge


@dataclass(frozen=True)
class Lines:
    """What is known of cell lines besides their dependencies.

    Attributes
    ----------
    vectors : float [n, d]
    lineage : names [n]
    own : columns of `vectors` that hold the expression of each gene, int [t], -1 for a gene without
        one; None where vectors are no expression
    """

    vectors: np.ndarray
    lineage: np.ndarray
    own: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "Lines":
        """Return the chosen lines."""
        return replace(self, vectors=self.vectors[rows], lineage=self.lineage[rows])

    def expression(self) -> np.ndarray:
        """Return the expression of every gene in every line [n, t]; NaN for a gene without one."""
        if self.own is None:
            raise InputError(
                "own_expression needs vectors that are the expression itself; give its row of the "
                "models table the embedder log_tpm"
            )
        values = self.vectors[:, self.own].astype(np.float64)
        values[:, self.own < 0] = np.nan
        return values


@dataclass(frozen=True)
class TrainingLines:
    """The training lines of one fold: `effects` [n, t] are NaN where unknown, `groups` [n] codes of
    what inner folds must not split."""

    lines: Lines
    effects: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class HeadSettings:
    """`components` of pca_ridge; `trees` of random_forest; `penalties` of every ridge."""

    components: int
    trees: int = 200
    penalties: Sequence[float] = PENALTIES


class FittedHead(Protocol):
    """What a head learned from training lines."""

    def predict(self, lines: Lines) -> np.ndarray:
        """Return the effects of all genes in lines that were left out, float [m, t]."""
        ...


Fit = Callable[[TrainingLines, HeadSettings, int], FittedHead]


@dataclass(frozen=True)
class Regressions:
    """Regressions of genes on the vectors, or on their principal components."""

    regression: MultiOutputRidge | per_target.PerTarget
    axes: PrincipalAxes | None = None

    def predict(self, lines: Lines) -> np.ndarray:
        """Return predictions [m, t]."""
        vectors = lines.vectors if self.axes is None else self.axes.transform(lines.vectors)
        return self.regression.predict(vectors)


@dataclass(frozen=True)
class LineageMeans:
    """Training means [t] of all lines and of each lineage, with which they are told apart."""

    overall: np.ndarray
    by_lineage: Mapping[str, np.ndarray]

    def predict(self, lines: Lines) -> np.ndarray:
        """Return the mean of a line's lineage, or the overall one for a lineage never seen."""
        return np.stack([self.by_lineage.get(name, self.overall) for name in lines.lineage])


@dataclass(frozen=True)
class OwnExpression:
    """One straight line a gene: `slope` and `intercept` [t]."""

    slope: np.ndarray
    intercept: np.ndarray

    def predict(self, lines: Lines) -> np.ndarray:
        """Return predictions [m, t] from each gene's own expression."""
        values = lines.expression()
        return self.intercept + self.slope * np.where(np.isnan(values), 0.0, values)


def ridge(training: TrainingLines, settings: HeadSettings, seed: int) -> FittedHead:
    """Multi-output ridge, one penalty a gene by inner folds of whole groups."""
    vectors = training.lines.vectors
    return Regressions(
        fit_ridge(vectors, training.effects, training.groups, settings.penalties, seed)
    )


def pca_ridge(training: TrainingLines, settings: HeadSettings, seed: int) -> FittedHead:
    """Principal components of the training lines, then the same ridge."""
    axes = fit_principal_axes(training.lines.vectors, settings.components)
    vectors = axes.transform(training.lines.vectors)
    regression = fit_ridge(vectors, training.effects, training.groups, settings.penalties, seed)
    return Regressions(regression, axes)


def permuted_lines(training: TrainingLines, settings: HeadSettings, seed: int) -> FittedHead:
    """Control: the ridge on effects that were dealt to the training lines at random, all genes of a
    line together."""
    order = np.random.default_rng(seed).permutation(len(training.effects))
    return ridge(replace(training, effects=training.effects[order]), settings, seed)


def gene_effect_mean(training: TrainingLines, settings: HeadSettings, seed: int) -> FittedHead:
    """The training mean of each gene, whatever the line: the floor of every pooled metric."""
    return LineageMeans(means(training.effects), {})


def lineage_mean(training: TrainingLines, settings: HeadSettings, seed: int) -> FittedHead:
    """The training mean of each gene within the line's lineage; overall where it has none."""
    overall, lineage = means(training.effects), training.lines.lineage
    by_lineage = {
        name: means(training.effects[lineage == name], overall)
        for name in sorted(set(lineage.tolist()))
    }
    return LineageMeans(overall, by_lineage)


def own_expression(training: TrainingLines, settings: HeadSettings, seed: int) -> FittedHead:
    """Least squares of each gene's effect on its own expression; the mean where that is constant
    or not measured."""
    values, effects = training.lines.expression(), training.effects.astype(np.float64)
    overall = means(effects)
    both = ~np.isnan(values) & ~np.isnan(effects)
    n = np.maximum(both.sum(axis=0), 1)
    x, y = np.where(both, values, 0.0), np.where(both, effects, 0.0)
    mean_x, mean_y = x.sum(axis=0) / n, y.sum(axis=0) / n
    x, y = np.where(both, x - mean_x, 0.0), np.where(both, y - mean_y, 0.0)
    spread = (x**2).sum(axis=0)
    useful = spread > 1e-9 * n
    slope = np.where(useful, (x * y).sum(axis=0) / np.where(useful, spread, 1.0), 0.0)
    return OwnExpression(slope, np.where(useful, mean_y - slope * mean_x, overall))


def elastic_net(training: TrainingLines, settings: HeadSettings, seed: int) -> FittedHead:
    """Elastic net, one gene after the other, with as many settings as ridge has penalties."""
    return _one_by_one(per_target.elastic_net, training, settings, seed)


def random_forest(training: TrainingLines, settings: HeadSettings, seed: int) -> FittedHead:
    """Random forest, one gene after the other, with as many settings as ridge has penalties."""
    return _one_by_one(per_target.random_forest, training, settings, seed)


def _one_by_one(
    regression: per_target.Regression, training: TrainingLines, settings: HeadSettings, seed: int
) -> FittedHead:
    vectors, groups = training.lines.vectors, training.groups
    fitted = per_target.fit_per_target(
        regression, vectors, training.effects, groups, settings.trees, seed
    )
    return Regressions(fitted)


HEADS: dict[str, Fit] = {
    head.__name__: head
    for head in (
        ridge,
        pca_ridge,
        permuted_lines,
        gene_effect_mean,
        lineage_mean,
        own_expression,
        elastic_net,
        random_forest,
    )
}
# They take so long a gene that only the most selective genes are asked.
ONE_BY_ONE = ("elastic_net", "random_forest")


def trials(name: str) -> int:
    """Return how many settings a head chooses among in inner folds."""
    if name in ONE_BY_ONE:
        return per_target.TRIALS
    return len(PENALTIES) if name in ("ridge", "pca_ridge", "permuted_lines") else 1


def most_selective(effects: np.ndarray, at_most: int | None) -> np.ndarray:
    """Return the genes that differ most between training lines [n, t], sorted places; None: all.

    The lines that are held out take no part in the choice.
    """
    if at_most is None or at_most >= effects.shape[1]:
        return np.arange(effects.shape[1])
    rest = np.nan_to_num(effects - means(effects))
    n = np.maximum((~np.isnan(effects)).sum(axis=0), 1)
    spread = np.round((rest.astype(np.float64) ** 2).sum(axis=0) / n, 9)
    return np.sort(np.argsort(-spread, kind="stable")[:at_most])


def means(effects: np.ndarray, otherwise: np.ndarray | None = None) -> np.ndarray:
    """Return the mean of what is known of each gene, float64 [t].

    Of a gene that no line knows it is that of `otherwise` [t], or the mean of the other genes.
    """
    known = ~np.isnan(effects)
    n = known.sum(axis=0)
    total = np.where(known, effects, 0.0).sum(axis=0, dtype=np.float64)
    found = total / np.maximum(n, 1)
    rest = found[n > 0].mean() if otherwise is None and n.any() else otherwise
    return np.where(n > 0, found, 0.0 if rest is None else rest)


def fit_head(name: str, training: TrainingLines, settings: HeadSettings, seed: int) -> FittedHead:
    """Fit the head `name`; raises InputError for one that does not exist."""
    if name not in HEADS:
        raise InputError(
            f"unknown head '{name}'; known are {', '.join(HEADS)}; correct the column heads of the "
            "models table"
        )
    return HEADS[name](training, settings, seed)
