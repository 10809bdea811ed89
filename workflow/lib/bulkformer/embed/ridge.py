"""Ridge regression of each hidden gene on the visible genes with which it correlates most.

The strongest linear baseline for imputation: a regression of its own for every hidden gene and
every set of visible genes; samples that show the same genes, as those of a panel do, share theirs.
All are solved from correlations in the training samples, so that no regression needs another pass
over them.
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
CACHED_NUMBERS = 2**28  # correlations among candidates that are kept for the next mask: 1 GB
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
        n_genes, n_candidates = self.candidates.shape
        self._kept = n_genes * n_candidates**2 <= CACHED_NUMBERS
        self._has_among = np.zeros(n_genes, dtype=bool)
        size = (n_genes, n_candidates, n_candidates) if self._kept else (0, 0, 0)
        self._among_all = np.empty(size, dtype=np.float32)  # takes no memory before it is filled

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
        scores = z_scores(values, self.mean, self.spread)
        predicted = np.tile(self.mean, (len(values), 1))
        shown, members = _patterns(~np.isnan(values))
        hidden_genes = np.flatnonzero(~shown.all(axis=0) & (self.spread > 0))
        n_candidates, n_training = self.candidates.shape[1], self.training_scores.shape[1]
        step = max(1, GATHERED_NUMBERS // (n_candidates * n_training))
        for start in range(0, len(hidden_genes), step):
            genes = hidden_genes[start : start + step]
            among = self._among(genes)
            pattern, position = np.nonzero(~shown[:, genes])
            for first in range(0, len(pattern), SYSTEMS_A_BLOCK):
                rows = pattern[first : first + SYSTEMS_A_BLOCK]
                places = position[first : first + SYSTEMS_A_BLOCK]
                predictors, coefficients = self._regress(rows, genes, places, shown, among)
                gene = genes[places]
                system, sample = _of_members(rows, members)
                for part in range(0, len(system), SYSTEMS_A_BLOCK):
                    own, of = (each[part : part + SYSTEMS_A_BLOCK] for each in (system, sample))
                    score = (coefficients[own] * scores[of[:, None], predictors[own]]).sum(axis=1)
                    predicted[of, gene[own]] += self.spread[gene[own]] * score
        return predicted

    def _among(self, genes: np.ndarray) -> np.ndarray:
        """Return correlations [genes, c, c] among the candidates of each gene, over the training
        samples that measured it."""
        new = genes[~self._has_among[genes]] if self._kept else genes
        vectors = self.training_scores[self.candidates[new]]
        measured = self.measured[new]
        vectors *= np.unpackbits(measured, axis=1, count=vectors.shape[2])[:, None]
        among = vectors @ vectors.transpose(0, 2, 1) / self.count[new, None, None]
        if not self._kept:
            return among
        self._among_all[new] = among
        self._has_among[new] = True
        return self._among_all[genes]

    def _regress(
        self,
        rows: np.ndarray,
        genes: np.ndarray,
        places: np.ndarray,
        shown: np.ndarray,
        among: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return predictors int [m, p] and coefficients of each (shown[rows[i]], genes[places[i]]).

        `shown` bool [patterns, G] are visible genes, `among` [genes, c, c] the correlations among
        the candidates of each gene.
        """
        candidates = self.candidates[genes[places]]
        usable = shown[rows[:, None], candidates]
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
        return predictors, np.linalg.solve(system, target[:, :, None])[:, :, 0]


def _patterns(visible: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the different rows bool [k, G] of visible genes, and the samples that have each."""
    packed = np.packbits(visible, axis=1)
    rows = {}
    for sample, row in enumerate(packed):
        rows.setdefault(row.tobytes(), []).append(sample)
    members = [np.array(own) for own in rows.values()]
    return visible[[own[0] for own in members]], members


def _of_members(rows: np.ndarray, members: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return (place in `rows`, sample) of every sample that has the pattern of each row."""
    sizes = np.array([len(members[row]) for row in rows])
    return np.repeat(np.arange(len(rows)), sizes), np.concatenate([members[row] for row in rows])


def _correlations(scores: np.ndarray, count: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (genes, r [genes, G]) a block at a time, over the samples that measured each gene.

    `scores` [G, n] are z-scores, 0 where not measured; `count` [G] says how many samples did.
    """
    for start in range(0, len(scores), GENES_A_BLOCK):
        genes = slice(start, min(start + GENES_A_BLOCK, len(scores)))
        yield genes, scores[genes] @ scores.T / np.maximum(count[genes, None], 1).astype(np.float32)
