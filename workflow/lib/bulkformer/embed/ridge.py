"""Ridge regression of each hidden gene on the visible genes with which it correlates most.

The strongest linear baseline for imputation: a regression of its own for every pair of sample and
hidden gene, because each sample shows other genes. All are solved from correlations in the training
samples, so that no regression needs another pass over them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bulkformer.embed.interface import Context, FittedEmbedder, State
from bulkformer.embed.statistics import report_never_measured, standardise, z_scores
from bulkformer.embed.training import TrainingData

# Correlated genes that are remembered for each one that a regression may use: with three quarters
# of all genes hidden, as many as it may use are still visible on average.
CANDIDATES_PER_PREDICTOR = 4
GENES_A_BLOCK = 512  # rows of the gene-by-gene correlations that are held at a time
SYSTEMS_A_BLOCK = 8192  # small linear systems that are solved at a time: 26 MB at 20 predictors
GATHERED_NUMBERS = 2**24  # numbers of candidate genes that are gathered at a time: 64 MB


@dataclass(frozen=True)
class RidgeSettings:
    """Predictors a regression, penalty added to a correlation of 1, training samples at most."""

    predictors: int = 20
    penalty: float = 0.1
    max_samples: int = 5000


class Ridge(FittedEmbedder):
    """Predicts mean + spread * sum of coefficient * z-score over the chosen predictors.

    Coefficients solve (R + penalty) b = r: correlations R among predictors and r with the hidden
    gene, over the training samples that measured the hidden gene, unmeasured predictors at their
    mean. That is exactly ridge regression on z-scores. Both sides must come from the same samples:
    pairwise correlations are no covariance of anything, and systems of them predict far outside the
    data. A gene without a visible predictor gets its mean.
    """

    settings_type = RidgeSettings

    def __init__(self, name: str, settings: RidgeSettings, context: Context) -> None:
        super().__init__(name, settings, context)
        tensors = self.state.tensors
        report_never_measured(name, tensors["count"])
        self.mean, self.spread = tensors["mean"], tensors["spread"]
        self.count, self.training_scores = tensors["count"], tensors["scores"]
        self.measured = tensors["measured"]
        self.candidates = tensors["candidates"]
        self.correlation = tensors["correlation"]

    @classmethod
    def fit(cls, settings: RidgeSettings, training: TrainingData, seed: int) -> State:
        """Remember, per gene, its z-scores and the genes with which it correlates most.

        Tensors: "scores" float32 [G, n], z-scores, 0 where not measured; "measured" uint8
        [G, n / 8], packed bits; "candidates" int32 [G, c] by falling |r|; "correlation" float32
        [G, c], their r.
        """
        values = training.matrix(settings.max_samples, seed)
        scores, mean, spread, count = standardise(values)
        scores = np.ascontiguousarray(scores.T)
        n_candidates = min(CANDIDATES_PER_PREDICTOR * settings.predictors, training.n_genes - 1)
        candidates = np.empty((training.n_genes, n_candidates), dtype=np.int32)
        correlation = np.empty((training.n_genes, n_candidates), dtype=np.float32)
        for genes, r in _correlations(scores, count):
            strength = np.abs(r)
            strength[np.arange(len(r)), np.arange(genes.start, genes.stop)] = -1  # not itself
            strongest = np.argpartition(-strength, n_candidates - 1, axis=1)[:, :n_candidates]
            strongest.sort(axis=1)  # ties go to the gene that comes first in the vocabulary
            order = np.argsort(
                -np.take_along_axis(strength, strongest, axis=1), axis=1, kind="stable"
            )
            candidates[genes] = np.take_along_axis(strongest, order, axis=1)
            correlation[genes] = np.take_along_axis(r, candidates[genes], axis=1)
        tensors = {
            "mean": mean,
            "spread": spread,
            "count": count,
            "scores": scores,
            "measured": np.packbits(~np.isnan(values).T, axis=1),
            "candidates": candidates,
            "correlation": correlation,
        }
        return State(tensors)

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        visible = ~np.isnan(values)
        scores = z_scores(values, self.mean, self.spread)
        predicted = np.tile(self.mean, (len(values), 1))
        hidden_genes = np.flatnonzero(~visible.all(axis=0) & (self.spread > 0))
        n_candidates, n_training = self.candidates.shape[1], self.training_scores.shape[1]
        step = max(1, GATHERED_NUMBERS // (n_candidates * n_training))
        for start in range(0, len(hidden_genes), step):
            genes = hidden_genes[start : start + step]
            vectors = self.training_scores[self.candidates[genes]]
            vectors *= np.unpackbits(self.measured[genes], axis=1, count=n_training)[:, None]
            among = vectors @ vectors.transpose(0, 2, 1) / self.count[genes, None, None]
            sample, position = np.nonzero(~visible[:, genes])
            for first in range(0, len(sample), SYSTEMS_A_BLOCK):
                rows = sample[first : first + SYSTEMS_A_BLOCK]
                places = position[first : first + SYSTEMS_A_BLOCK]
                score = self._regress(rows, genes, places, visible, scores, among)
                gene = genes[places]
                predicted[rows, gene] += self.spread[gene] * score
        return predicted

    def _regress(
        self,
        rows: np.ndarray,
        genes: np.ndarray,
        places: np.ndarray,
        visible: np.ndarray,
        scores: np.ndarray,
        among: np.ndarray,
    ) -> np.ndarray:
        """Return the predicted z-score of each pair (rows[i], genes[places[i]]), float [m].

        `among` [genes, c, c] are the correlations among the candidates of each gene.
        """
        candidates = self.candidates[genes[places]]
        usable = visible[rows[:, None], candidates]
        chosen = np.argsort(~usable, axis=1, kind="stable")[:, : self.settings.predictors]
        usable = np.take_along_axis(usable, chosen, axis=1)
        predictors = np.take_along_axis(candidates, chosen, axis=1)
        system = among[places[:, None, None], chosen[:, :, None], chosen[:, None, :]]
        # A slot without a visible gene becomes an equation of its own, with coefficient 0.
        system = system.astype(np.float64) * (usable[:, :, None] & usable[:, None, :])
        diagonal = np.arange(system.shape[1])
        system[:, diagonal, diagonal] = np.where(
            usable, system[:, diagonal, diagonal] + self.settings.penalty, 1
        )
        target = np.take_along_axis(self.correlation[genes[places]], chosen, axis=1) * usable
        coefficients = np.linalg.solve(system, target[:, :, None])[:, :, 0]
        return (coefficients * scores[rows[:, None], predictors]).sum(axis=1)


def _correlations(scores: np.ndarray, count: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (genes, r [genes, G]) a block at a time, over the samples that measured each gene.

    `scores` [G, n] are z-scores, 0 where not measured; `count` [G] says how many samples did.
    """
    for start in range(0, len(scores), GENES_A_BLOCK):
        genes = slice(start, min(start + GENES_A_BLOCK, len(scores)))
        yield genes, scores[genes] @ scores.T / np.maximum(count[genes, None], 1).astype(np.float32)
