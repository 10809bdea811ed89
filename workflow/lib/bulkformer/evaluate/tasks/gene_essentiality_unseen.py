"""Predicting genes whose effect no line ever told: only what all genes share can be learned.

`fit` is given the effects of training genes and nothing of the others. A gene that was left out
enters through `predict` with what expression says of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bulkformer.errors import InputError


class FittedOnGenes(Protocol):
    """What was learned from training genes."""

    def predict(self, expression: np.ndarray) -> np.ndarray:
        """Return effects of genes that were left out, [n, m], from their expression [n, m]."""
        ...


@dataclass(frozen=True)
class SharedLine:
    """Effect = intercept + mean_slope * (mean expression of the gene) + slope * (deviation)."""

    intercept: float
    mean_slope: float
    slope: float

    def predict(self, expression: np.ndarray) -> np.ndarray:
        """Return effects [n, m]; a gene without expression counts as not expressed."""
        level, deviation = _level_and_deviation(expression)
        return self.intercept + self.mean_slope * level + self.slope * deviation


def gene_effect_mean(effects: np.ndarray, expression: np.ndarray) -> FittedOnGenes:
    """The mean effect of the training genes, whatever the gene: nothing is known of a new one."""
    return SharedLine(float(np.nanmean(effects, dtype=np.float64)), 0.0, 0.0)


def own_expression(effects: np.ndarray, expression: np.ndarray) -> FittedOnGenes:
    """One least-squares line of all training genes on their own expression: its mean over lines,
    and how a line departs from that."""
    level, deviation = _level_and_deviation(expression)
    known = ~np.isnan(effects)
    columns = [np.ones(known.sum()), np.broadcast_to(level, effects.shape)[known], deviation[known]]
    terms = np.stack(columns, axis=1)
    products = terms.T @ effects[known].astype(np.float64)
    intercept, mean_slope, slope = np.linalg.lstsq(terms.T @ terms, products, rcond=1e-10)[0]
    return SharedLine(float(intercept), float(mean_slope), float(slope))


HEADS: dict[str, Callable[[np.ndarray, np.ndarray], FittedOnGenes]] = {
    head.__name__: head for head in (gene_effect_mean, own_expression)
}


def fit_unseen(name: str, effects: np.ndarray, expression: np.ndarray | None) -> FittedOnGenes:
    """Fit the head `name` on training genes: `effects` [n, t] with NaN, `expression` [n, t].

    Raises InputError if the head needs expression and there is none.
    """
    if expression is None:
        if name == "own_expression":
            raise InputError(
                "own_expression needs vectors that are the expression itself; give its row of the "
                "models table the embedder log_tpm"
            )
        expression = np.zeros(effects.shape)
    return HEADS[name](effects, expression)


def _level_and_deviation(expression: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = np.nan_to_num(expression.astype(np.float64))
    level = values.mean(axis=0)
    return level, values - level
