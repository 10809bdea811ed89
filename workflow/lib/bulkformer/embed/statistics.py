"""Means and spreads of genes over training samples that measured different genes.

A gene that no training sample measured has mean 0 and spread 0; it is not predicted, and every
fitted model says how many such genes there are.
"""

import sys
from typing import NamedTuple

import numpy as np

# Below this spread of ln(TPM + 1) a gene is constant: what is left is rounding of float32.
SMALLEST_SPREAD = 1e-4


class Standardised(NamedTuple):
    """z-scores float32 [n, G] (0 where not measured), and per gene mean, spread and count."""

    scores: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    count: np.ndarray


def centre(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (values minus gene mean with 0 for NaN, mean, count); all float32 but the count."""
    missing = np.isnan(values)
    count = (~missing).sum(axis=0, dtype=np.int32)
    total = np.where(missing, np.float32(0), values).sum(axis=0, dtype=np.float64)
    mean = (total / np.maximum(count, 1)).astype(np.float32)
    centred = values - mean
    centred[missing] = 0
    return centred, mean, count


def standardise(values: np.ndarray) -> Standardised:
    """z-score each gene over the samples that measured it; a constant gene scores 0."""
    centred, mean, count = centre(values)
    squares = np.einsum("ng,ng->g", centred, centred, dtype=np.float64)
    spread = np.sqrt(squares / np.maximum(count, 1)).astype(np.float32)
    spread[spread < SMALLEST_SPREAD] = 0
    return Standardised(z_scores(values, mean, spread), mean, spread, count)


def z_scores(values: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return (values - mean) / spread, 0 where a value is NaN or the gene is constant."""
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)
    scores = (values - mean) * scale
    scores[np.isnan(scores)] = 0
    return scores


def report_never_measured(name: str, count: np.ndarray) -> None:
    """Say on stderr how many genes the training samples could not teach."""
    never = int((count == 0).sum())
    if never:
        print(
            f"{name}: {never} of {len(count)} genes were measured in no training sample; "
            "they are not predicted",
            file=sys.stderr,
        )
