"""Ridge regression of each hidden gene on the visible genes with which it correlates most.

The strongest linear baseline for imputation: a regression of its own for every pair of sample and
hidden gene, because each sample shows other genes. All are solved from correlations in the training
samples, so that no regression needs another pass over them.
"""

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
# A correlation over fewer shared samples is noise and counts as 0.
FEWEST_SHARED_SAMPLES = 10
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

    Coefficients solve (R + penalty) b = r. R are correlations among predictors with unmeasured
    values at the mean, which keeps R positive semi-definite; r are correlations with the hidden
    gene over the samples that measured both. If all training samples measured all genes, this is
    exactly ridge regression on z-scores. A gene without a visible predictor gets its mean.
    """

    settings_type = RidgeSettings

    def __init__(self, name: str, settings: RidgeSettings, context: Context) -> None:
        super().__init__(name, settings, context)
        tensors = self.state.tensors
        report_never_measured(name, tensors["count"])
        self.mean, self.spread = tensors["mean"], tensors["spread"]
        self.directions = tensors["directions"]
        self.candidates = tensors["candidates"]
        self.correlation = tensors["correlation"]

    @classmethod
    def fit(cls, settings: RidgeSettings, training: TrainingData, seed: int) -> State:
        """Remember, per gene, its z-scores and the genes with which it correlates most.

        Tensors: "directions" float32 [G, n], z-scores scaled to length 1; "candidates" int32 [G, c]
        by falling |r|; "correlation" float32 [G, c], their r.
        """
        values = training.matrix(settings.max_samples, seed)
        scores, mean, spread, count = standardise(values)
        length = np.sqrt(np.maximum(count * (spread > 0), 1)).astype(np.float32)
        directions = np.ascontiguousarray((scores / length).T)
        n_candidates = min(CANDIDATES_PER_PREDICTOR * settings.predictors, training.n_genes - 1)
        candidates = np.empty((training.n_genes, n_candidates), dtype=np.int32)
        correlation = np.empty((training.n_genes, n_candidates), dtype=np.float32)
        for genes, r in _correlations(directions, count, ~np.isnan(values)):
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
            "directions": directions,
            "candidates": candidates,
            "correlation": correlation,
        }
        return State(tensors)

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        visible = ~np.isnan(values)
        scores = z_scores(values, self.mean, self.spread)
        predicted = np.tile(self.mean, (len(values), 1))
        hidden_genes = np.flatnonzero(~visible.all(axis=0) & (self.spread > 0))
        n_candidates, n_training = self.candidates.shape[1], self.directions.shape[1]
        step = max(1, GATHERED_NUMBERS // (n_candidates * n_training))
        for start in range(0, len(hidden_genes), step):
            genes = hidden_genes[start : start + step]
            vectors = self.directions[self.candidates[genes]]
            among = vectors @ vectors.transpose(0, 2, 1)
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


def _correlations(
    directions: np.ndarray, count: np.ndarray, measured: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (genes, r [genes, G]) over the samples that measured both genes of a pair.

    `directions` [G, n] have length 1, `count` [G] says how many samples measured a gene, `measured`
    is bool [n, G].
    """
    packed, n_samples = np.unique(np.packbits(measured, axis=1), axis=0, return_counts=True)
    patterns = np.unpackbits(packed, axis=1, count=len(directions)).astype(np.float32)
    root = np.sqrt(count).astype(np.float32)
    for start in range(0, len(directions), GENES_A_BLOCK):
        genes = slice(start, min(start + GENES_A_BLOCK, len(directions)))
        r = directions[genes] @ directions.T
        if len(patterns) > 1:
            shared = (patterns[:, genes] * n_samples[:, None]).T @ patterns
            few = shared < FEWEST_SHARED_SAMPLES
            r *= root[genes, None] * root / np.where(few, 1, shared)
            r[few] = 0
        yield genes, np.clip(r, -1, 1, out=r)
