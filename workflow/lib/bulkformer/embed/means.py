"""Floors: what one number a gene predicts, without a look at the sample (or only at its tissue).

Every pooled metric is high for the gene mean, because genes differ far more than samples do; a
model has learned something only by as much as it is better. Genes that no training sample measured
are not predicted, and counted on stderr.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bulkformer.embed.interface import Context, FittedEmbedder, State
from bulkformer.embed.statistics import report_never_measured
from bulkformer.embed.training import TrainingData

GENES_A_BLOCK = 1000  # genes that are sorted at a time for the median


@dataclass(frozen=True)
class NoSettings:
    """The settings of a model that has none."""


@dataclass(frozen=True)
class MedianSettings:
    """`max_samples`: training samples, drawn at random, that are held in memory and sorted."""

    max_samples: int = 20000


class _OneValuePerGene(FittedEmbedder):
    """Predicts the same profile, the tensor "mean" or "median" [G], for every sample."""

    key: str

    def __init__(self, name: str, settings: Any, context: Context) -> None:
        super().__init__(name, settings, context)
        report_never_measured(name, self.state.tensors["count"])

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        return np.broadcast_to(self.state.tensors[self.key], values.shape)


class GeneMean(_OneValuePerGene):
    """Training mean of each gene.

    Its tensors "mean" and "spread" (the standard deviation) [G] are also what the imputation task
    knows of the training samples.
    """

    settings_type = NoSettings
    key = "mean"

    @classmethod
    def fit(cls, settings: NoSettings, training: TrainingData, seed: int) -> State:
        total = np.zeros(training.n_genes, dtype=np.float64)
        squares, count = np.zeros_like(total), np.zeros(training.n_genes, dtype=np.int32)
        for _, values in training.blocks():
            measured = ~np.isnan(values)
            filled = np.where(measured, values, np.float32(0))
            total += filled.sum(axis=0, dtype=np.float64)
            squares += np.einsum("ng,ng->g", filled, filled, dtype=np.float64)
            count += measured.sum(axis=0, dtype=np.int32)
        mean = total / np.maximum(count, 1)
        variance = np.maximum(squares / np.maximum(count, 1) - mean**2, 0)
        tensors = {"mean": mean.astype(np.float32), "spread": np.sqrt(variance).astype(np.float32)}
        return State({**tensors, "count": count})


class VisibleTrainingMean(FittedEmbedder):
    """Predicts, for every gene, the mean of the training means of the genes that are visible.

    It knows which genes a study shows and nothing of their values: whatever it scores above 0 is
    told by the pattern of missing genes. Genes that training never measured do not count, and the
    mean over all others stands in where none is visible.
    """

    settings_type = NoSettings

    @classmethod
    def fit(cls, settings: NoSettings, training: TrainingData, seed: int) -> State:
        return GeneMean.fit(settings, training, seed)

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        learned = self.state.tensors["count"] > 0
        mean = self.state.tensors["mean"][learned].astype(np.float64)
        visible = ~np.isnan(values[:, learned])
        count = visible.sum(axis=1)
        overall = mean.mean() if len(mean) else 0.0
        shown = np.where(count > 0, visible @ mean / np.maximum(count, 1), overall)
        return np.broadcast_to(shown[:, None], values.shape)


class GeneMedian(_OneValuePerGene):
    """Training median of each gene, over the samples that measured it."""

    settings_type = MedianSettings
    key = "median"

    @classmethod
    def fit(cls, settings: MedianSettings, training: TrainingData, seed: int) -> State:
        values = training.matrix(settings.max_samples, seed)
        median = np.zeros(training.n_genes, dtype=np.float32)
        count = (~np.isnan(values)).sum(axis=0, dtype=np.int32)
        for start in range(0, training.n_genes, GENES_A_BLOCK):
            genes = slice(start, start + GENES_A_BLOCK)
            ordered = np.sort(values[:, genes], axis=0)  # NaN go last
            n = np.maximum(count[genes], 1)
            columns = np.arange(ordered.shape[1])
            middle = (ordered[(n - 1) // 2, columns] + ordered[n // 2, columns]) / 2
            median[genes] = np.where(count[genes] > 0, middle, 0)
        return State({"median": median, "count": count})


class TissueMean(FittedEmbedder):
    """Training mean of each gene within the sample's tissue.

    The gene mean stands in for a gene that the tissue's training samples did not measure, and for
    samples whose tissue is unknown or was never seen in training; the latter are counted on stderr.
    """

    settings_type = NoSettings

    def __init__(self, name: str, settings: NoSettings, context: Context) -> None:
        super().__init__(name, settings, context)
        report_never_measured(name, self.state.tensors["count"])
        self.row = {tissue: i for i, tissue in enumerate(self.state.names["tissue"])}

    @classmethod
    def fit(cls, settings: NoSettings, training: TrainingData, seed: int) -> State:
        labels = _tissues(training.samples)
        tissues = sorted(set(labels.dropna()))
        # Samples without a tissue fall into one more group, which only the gene mean sees.
        codes = labels.map({tissue: i for i, tissue in enumerate(tissues)})
        group = codes.fillna(len(tissues)).to_numpy(dtype=np.int64)
        total, count = _sums(training, group, len(tissues) + 1)
        overall = _mean(total.sum(axis=0), count.sum(axis=0, dtype=np.int32))
        within = np.where(count > 0, _mean(total, count), overall)
        tensors = {
            "mean": overall,
            "tissue_mean": within[: len(tissues)],
            "count": count.sum(axis=0, dtype=np.int32),
        }
        return State(tensors, {"tissue": tissues})

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        row = _tissues(samples).map(self.row).fillna(len(self.row)).to_numpy(dtype=np.int64)
        unseen = int((row == len(self.row)).sum())
        if unseen:
            print(
                f"{self.name}: {unseen} of {len(samples)} samples have no tissue that training "
                "had; the gene mean stands in",
                file=sys.stderr,
            )
        profiles = np.vstack([self.state.tensors["tissue_mean"], self.state.tensors["mean"]])
        return profiles[row]


def _tissues(samples: pd.DataFrame) -> pd.Series:
    if "tissue" not in samples:
        return pd.Series(pd.NA, index=samples.index, dtype=object)
    return samples["tissue"].astype(object)


def _sums(
    training: TrainingData, group: np.ndarray, n_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return sums float64 and counts int32 [n_groups, G] of the measured values of each group."""
    total = np.zeros((n_groups, training.n_genes), dtype=np.float64)
    count = np.zeros((n_groups, training.n_genes), dtype=np.int32)
    for rows, values in training.blocks():
        measured = ~np.isnan(values)
        filled = np.where(measured, values, np.float32(0))
        for code in np.unique(group[rows]):
            members = group[rows] == code
            total[code] += filled[members].sum(axis=0, dtype=np.float64)
            count[code] += measured[members].sum(axis=0, dtype=np.int32)
    return total, count


def _mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return (total / np.maximum(count, 1)).astype(np.float32)
