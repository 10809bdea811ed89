"""Nearest neighbours: a hidden value is what similar training samples have there.

No model of expression at all, only a library of samples; whatever a network adds must beat it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bulkformer.embed.interface import Context, FittedEmbedder, State
from bulkformer.embed.statistics import centre, report_never_measured
from bulkformer.embed.training import TrainingData

SAMPLES_A_BLOCK = 64  # with 10 neighbours and 20,000 genes: 50 MB of neighbour profiles


@dataclass(frozen=True)
class NeighbourSettings:
    """Number of neighbours, and of training samples (drawn at random) among which to look."""

    neighbours: int = 10
    max_samples: int = 5000


class NearestNeighbours(FittedEmbedder):
    """Mean of the training samples with the smallest mean squared difference.

    The difference is over genes visible in both samples. A gene that no neighbour measured, and a
    sample that shares no visible gene with any training sample, get the training mean.
    """

    settings_type = NeighbourSettings

    def __init__(self, name: str, settings: NeighbourSettings, context: Context) -> None:
        super().__init__(name, settings, context)
        report_never_measured(name, self.state.tensors["count"])
        values = self.state.tensors["samples"]
        self.mean = self.state.tensors["mean"]
        self.measured = (~np.isnan(values)).astype(np.float32)
        # Centred values are smaller, which keeps the difference of squares exact in float32.
        self.centred = np.nan_to_num(values - self.mean, nan=0.0)

    @classmethod
    def fit(cls, settings: NeighbourSettings, training: TrainingData, seed: int) -> State:
        values = training.matrix(settings.max_samples, seed)
        _, mean, count = centre(values)
        return State({"samples": values, "mean": mean, "count": count})

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        return np.concatenate(
            [
                self._predict(values[start : start + SAMPLES_A_BLOCK])
                for start in range(0, len(values), SAMPLES_A_BLOCK)
            ]
        )

    def _predict(self, values: np.ndarray) -> np.ndarray:
        distance = self._distances(values)
        n_neighbours = min(self.settings.neighbours, distance.shape[1])
        nearest = np.argsort(distance, axis=1, kind="stable")[:, :n_neighbours]
        comparable = np.isfinite(np.take_along_axis(distance, nearest, axis=1))
        weight = self.measured[nearest] * comparable[:, :, None]
        total = (self.centred[nearest] * weight).sum(axis=1)
        return self.mean + total / np.maximum(weight.sum(axis=1), 1)

    def _distances(self, values: np.ndarray) -> np.ndarray:
        """Return mean squared differences [n, training samples], infinite without shared genes."""
        visible = (~np.isnan(values)).astype(np.float32)
        centred = np.nan_to_num(values - self.mean, nan=0.0)
        squares = (
            (centred**2) @ self.measured.T
            - 2 * centred @ self.centred.T
            + visible @ (self.centred**2).T
        )
        shared = visible @ self.measured.T
        infinite = np.full_like(squares, np.inf)
        return np.divide(squares, shared, out=infinite, where=shared > 0)
