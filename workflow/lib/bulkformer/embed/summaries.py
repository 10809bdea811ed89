"""Controls that know a sample only by a few numbers, and the expression itself.

If a model is no better than three numbers about sequencing depth, it has learned depth. BulkFormer
appends such numbers to its sample vector, so these controls show what they alone are worth.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from bulkformer.embed.interface import Context, Embedder, FittedEmbedder, State
from bulkformer.embed.means import NoSettings
from bulkformer.embed.statistics import report_never_measured
from bulkformer.embed.training import TrainingData
from bulkformer.errors import InputError

LIBRARY_COLUMNS = ["library_size", "n_genes_detected", "missing_rate"]
LARGEST_HIDDEN_SHARE = 0.9  # the range of masks that the imputation task applies


class LogTpm(Embedder):
    """The profile itself as the vector; genes that the cohort did not measure are 0."""

    settings_type = NoSettings

    def _embed(
        self, log_tpm: np.ndarray, measured: np.ndarray, samples: pd.DataFrame
    ) -> np.ndarray:
        return np.where(measured & ~np.isnan(log_tpm), log_tpm, np.float32(0))


class LibrarySize(Embedder):
    """Three numbers: ln(library size + 1), detected genes, missing rate.

    The library size is 0 where it is unknown, as for expression that came without counts.
    """

    settings_type = NoSettings

    def _embed(
        self, log_tpm: np.ndarray, measured: np.ndarray, samples: pd.DataFrame
    ) -> np.ndarray:
        for column in LIBRARY_COLUMNS:
            if column not in samples:
                raise InputError(f"the samples table has no column '{column}'; make it again")
        numbers = samples[LIBRARY_COLUMNS].astype(float).to_numpy()
        numbers[:, 0] = np.log1p(np.nan_to_num(numbers[:, 0], nan=0.0))
        return numbers


class LeftOut(Embedder):
    """Predicts no gene: hidden values stay gaps, as for somebody who does not impute."""

    settings_type = NoSettings

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        return values

    def predicts(self) -> np.ndarray:
        return np.zeros(len(self.context.gene_ids), dtype=bool)


class VisibleMean(Embedder):
    """Predicts, for every gene, the mean of the sample's own visible genes; 0 if none is."""

    settings_type = NoSettings

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        return np.broadcast_to(_scalars(values)[:, 1:2], values.shape)


class SummaryScalars(FittedEmbedder):
    """Linear regression of each gene on three numbers of the sample's visible part.

    They are the share of genes that are missing, the mean over visible genes, and the share of
    visible genes that are not zero. In fitting, a random share of up to 90 % of every training
    sample is hidden before the numbers are taken, as it will be when the model is used.
    """

    settings_type = NoSettings

    def __init__(self, name: str, settings: NoSettings, context: Context) -> None:
        super().__init__(name, settings, context)
        report_never_measured(name, self.state.tensors["count"])

    @classmethod
    def fit(cls, settings: NoSettings, training: TrainingData, seed: int) -> State:
        moments = np.zeros((training.n_genes, 16))
        products = np.zeros((training.n_genes, 4))
        for rows, values in training.blocks():
            hidden = _random_masks(range(rows.start, rows.stop), training.n_genes, seed)
            terms = _with_intercept(_scalars(np.where(hidden, np.float32(np.nan), values)))
            measured = ~np.isnan(values)
            squares = (terms[:, :, None] * terms[:, None, :]).reshape(-1, 16)
            moments += measured.T.astype(np.float64) @ squares
            products += np.where(measured, values, 0).T.astype(np.float64) @ terms
        # Least squares of smallest norm: a gene that was never measured gets coefficients of 0.
        inverse = np.linalg.pinv(moments.reshape(-1, 4, 4), rcond=1e-10, hermitian=True)
        coefficients = np.einsum("gij,gj->gi", inverse, products)
        count = np.rint(moments[:, 0]).astype(np.int32)
        return State({"coefficients": coefficients.astype(np.float32), "count": count})

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        return _with_intercept(_scalars(values)) @ self.state.tensors["coefficients"].T


def _random_masks(rows: range, n_genes: int, seed: int) -> np.ndarray:
    """Draw bool [n, G], True with one random probability a row; a row's mask needs no other row."""
    masks = np.empty((len(rows), n_genes), dtype=bool)
    for mask, row in zip(masks, rows, strict=True):
        generator = np.random.default_rng([seed, row])
        share = generator.uniform(0, LARGEST_HIDDEN_SHARE)
        mask[:] = generator.random(n_genes, dtype=np.float32) < share
    return masks


def _scalars(values: np.ndarray) -> np.ndarray:
    """Return missing rate, visible mean, non-zero share of the visible [n, 3]; 0 if none is."""
    visible = ~np.isnan(values)
    count = np.maximum(visible.sum(axis=1), 1)
    total = np.where(visible, values, 0).sum(axis=1, dtype=np.float64)
    expressed = (visible & (values != 0)).sum(axis=1)
    return np.column_stack([1 - visible.mean(axis=1), total / count, expressed / count])


def _with_intercept(scalars: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(scalars)), scalars])
