"""Principal components of the training samples: the linear model of expression programs.

Hidden values are predicted by probabilistic PCA (Tipping and Bishop 1999): the scores that are most
likely given the visible genes, times the loadings.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bulkformer.embed.interface import Context, FittedEmbedder, State
from bulkformer.embed.statistics import centre, report_never_measured
from bulkformer.embed.training import TrainingData
from bulkformer.errors import InputError

# Subspace iterations of the randomised decomposition: 50 components then hold 99.98 % of
# the variance that the exact ones hold, even if singular values fall as slowly as 1 / sqrt(rank).
POWER_ITERATIONS = 7
# Noise is at least this share of the variance of the first component, so that data of exactly low
# rank still give systems that can be solved.
SMALLEST_NOISE = 1e-9


@dataclass(frozen=True)
class ComponentSettings:
    """Number of components, and of training samples (drawn at random) that are decomposed."""

    components: int = 50
    max_samples: int = 20000


class PrincipalComponents(FittedEmbedder):
    """Vectors are scores: centred expression, with 0 for genes not measured, times the loadings."""

    settings_type = ComponentSettings

    def __init__(self, name: str, settings: ComponentSettings, context: Context) -> None:
        super().__init__(name, settings, context)
        tensors = self.state.tensors
        report_never_measured(name, tensors["count"])
        self.mean = tensors["mean"]
        self.loadings = tensors["loadings"].astype(np.float64)
        variance = tensors["variance"].astype(np.float64)
        floor = SMALLEST_NOISE * variance.max()
        noise = np.maximum(tensors["noise"].astype(np.float64), floor)
        self.penalty = noise / np.maximum(variance, floor)

    @classmethod
    def fit(cls, settings: ComponentSettings, training: TrainingData, seed: int) -> State:
        """Decompose the mean-filled samples; fewer components if there are too few samples."""
        # Slow to import, and needed here only.
        from sklearn.utils.extmath import randomized_svd

        centred, mean, count = centre(training.matrix(settings.max_samples, seed))
        n_samples, n_genes = centred.shape
        if n_samples < 2:
            raise InputError(f"pca: {n_samples} training sample; at least two are needed")
        components = min(settings.components, n_samples - 1, n_genes)
        if components < settings.components:
            print(
                f"pca: {components} components instead of {settings.components}, "
                f"from {n_samples} training samples and {n_genes} genes",
                file=sys.stderr,
            )
        _, singular_values, rows = randomized_svd(
            centred, components, n_iter=POWER_ITERATIONS, random_state=seed
        )
        variance = singular_values.astype(np.float64) ** 2 / (n_samples - 1)
        total = np.einsum("ng,ng->", centred, centred, dtype=np.float64) / (n_samples - 1)
        noise = max(total - variance.sum(), 0) / max(n_genes - components, 1)
        rows[:, count == 0] = 0  # otherwise rounding: about 1e-10
        tensors = {
            "mean": mean,
            "count": count,
            "loadings": rows.T.astype(np.float32),
            "variance": variance.astype(np.float32),
            "noise": np.array([noise], dtype=np.float32),
        }
        return State(tensors)

    def _embed(
        self, log_tpm: np.ndarray, measured: np.ndarray, samples: pd.DataFrame
    ) -> np.ndarray:
        return np.nan_to_num(log_tpm - self.mean, nan=0.0) @ self.loadings

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        return np.stack([self.mean + self.loadings @ self._scores(row) for row in values])

    def _scores(self, row: np.ndarray) -> np.ndarray:
        """Return the most likely scores [components] given the visible genes of one sample."""
        visible = ~np.isnan(row)
        loadings = self.loadings[visible]
        system = loadings.T @ loadings + np.diag(self.penalty)
        return np.linalg.solve(system, loadings.T @ (row[visible] - self.mean[visible]))
