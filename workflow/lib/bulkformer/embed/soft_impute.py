"""Low-rank completion by soft-thresholded singular values (Mazumder, Hastie and Tibshirani 2010).

Like principal components it knows a sample by a few scores, but every axis is shrunk by the same
amount, so that weak ones vanish. How much is chosen on training samples, by hiding values in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bulkformer.embed.interface import Context, FittedEmbedder, State
from bulkformer.embed.statistics import centre, report_never_measured
from bulkformer.embed.training import TrainingData
from bulkformer.errors import InputError

POWER_ITERATIONS = 7  # as for principal components
TOLERANCE = 1e-4  # share by which the completed values still change
# To choose how much to shrink: training samples that are set aside, and values hidden in them.
SET_ASIDE, HIDDEN = 0.1, 0.3


@dataclass(frozen=True)
class SoftImputeSettings:
    """Axes at the most; amounts to shrink by that are tried, as shares of the largest singular
    value; iterations at the most; and training samples (drawn at random) that are completed.
    """

    rank: int = 50
    shrinkages: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    iterations: int = 20
    max_samples: int = 5000


class SoftImpute(FittedEmbedder):
    """Predicts mean + axes @ scores; the scores minimise squared error + shrinkage * |scores|^2.

    With axes V sqrt(D - shrinkage) that is the completion of the training matrix for a row of it,
    and for a new row what it would be if the axes did not move (Hastie and others 2015).
    """

    settings_type = SoftImputeSettings

    def __init__(self, name: str, settings: SoftImputeSettings, context: Context) -> None:
        super().__init__(name, settings, context)
        tensors = self.state.tensors
        report_never_measured(name, tensors["count"])
        self.mean = tensors["mean"]
        self.axes = tensors["axes"].astype(np.float64)
        self.shrinkage = float(tensors["shrinkage"][0])

    @classmethod
    def fit(cls, settings: SoftImputeSettings, training: TrainingData, seed: int) -> State:
        """Choose the shrinkage on samples set aside, then complete all samples with it.

        Tensors: "mean" and "count" [G], "axes" float32 [G, k], "shrinkage" [1].
        """
        values = training.matrix(settings.max_samples, seed)
        if len(values) < 2:
            raise InputError(f"soft_impute: {len(values)} training sample; at least two are needed")
        shares = settings.shrinkages
        n_aside = int(SET_ASIDE * len(values))
        if len(shares) > 1 and n_aside:
            order = np.random.default_rng(seed).permutation(len(values))
            shares = [_best(values[order[n_aside:]], values[order[:n_aside]], settings, seed)]
        centred, mean, count = centre(values)
        ((axes, shrinkage),) = complete(centred, np.isnan(values), shares[:1], settings, seed)
        axes[count == 0] = 0
        return State(
            {
                "mean": mean,
                "count": count,
                "axes": axes.astype(np.float32),
                "shrinkage": np.array([shrinkage], dtype=np.float32),
            }
        )

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        return predict(values, self.mean, self.axes, self.shrinkage)


def complete(
    centred: np.ndarray,
    missing: np.ndarray,
    shares: Sequence[float],
    settings: SoftImputeSettings,
    seed: int,
) -> list[tuple[np.ndarray, float]]:
    """Return (axes [G, k], shrinkage) of each share, in its order.

    `centred` float32 [n, G] is 0 where `missing`. From the largest share to the smallest, each goes
    on from the completion of the one before.
    """
    # Slow to import.
    from sklearn.utils.extmath import randomized_svd

    rank = min(settings.rank, *centred.shape)

    def decompose(matrix: np.ndarray) -> tuple[np.ndarray, ...]:
        return randomized_svd(matrix, rank, n_iter=POWER_ITERATIONS, random_state=seed)

    filled, found = centred.copy(), {}
    left, values, right = decompose(filled)
    largest = float(values[0])
    for share in sorted(set(shares), reverse=True):
        shrinkage = share * largest
        for _ in range(settings.iterations if missing.any() else 0):
            shrunk = np.maximum(values - shrinkage, 0)
            told = ((left * shrunk) @ right)[missing]
            change = np.linalg.norm(told - filled[missing]) / max(np.linalg.norm(told), 1e-12)
            filled[missing] = told
            left, values, right = decompose(filled)
            if change < TOLERANCE:
                break
        shrunk = np.maximum(values - shrinkage, 0)
        kept = shrunk > 0
        found[share] = right[kept].T * np.sqrt(shrunk[kept]), shrinkage
    return [found[share] for share in shares]


def predict(values: np.ndarray, mean: np.ndarray, axes: np.ndarray, shrinkage: float) -> np.ndarray:
    """Return profiles float64 [n, G]; what is NaN in `values` takes no part."""
    predicted = np.tile(mean.astype(np.float64), (len(values), 1))
    penalty = np.diag(np.full(axes.shape[1], shrinkage))
    for row, own in enumerate(values):
        visible = ~np.isnan(own)
        seen = axes[visible]
        scores = np.linalg.solve(seen.T @ seen + penalty, seen.T @ (own - mean)[visible])
        predicted[row] += axes @ scores
    return predicted


def _best(
    training: np.ndarray, aside: np.ndarray, settings: SoftImputeSettings, seed: int
) -> float:
    """Return the share that predicts hidden values of the samples set aside best."""
    centred, mean, count = centre(training)
    hidden = np.random.default_rng([seed, 1]).random(aside.shape) < HIDDEN
    scored = hidden & ~np.isnan(aside) & (count > 0)
    visible = np.where(hidden, np.float32(np.nan), aside)
    fitted = complete(centred, np.isnan(training), settings.shrinkages, settings, seed)
    errors = [
        float(((predict(visible, mean, *each) - aside)[scored] ** 2).sum()) for each in fitted
    ]
    return settings.shrinkages[int(np.argmin(errors))]
