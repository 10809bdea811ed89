"""Which values are hidden from the model.

Only measured positions are ever hidden: a gene that a cohort did not measure has no truth to learn
from, while a measured zero is a value like any other. A mask is a function of the seed and of the
place of its sample in the run, never of the process or the forward pass that it falls into.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

MASKED = -10.0  # the released models' code for "hidden or absent"; ln(TPM + 1) is never negative

# Purposes: the first number of each family of random choices keeps the families apart.
TRAINING_MASKS, VALIDATION_MASKS, ASSESSMENT_MASKS = 1, 2, 3
FRACTIONS, DROPOUT, SUBSET = 11, 12, 13


def mixed(*numbers: int) -> int:
    """Return a seed below 2**63 that depends on nothing but `numbers` (seed, purpose, step …)."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = ((state ^ number) * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**64
        state ^= state >> 31
    return state % 2**63


def seeded(*numbers: int) -> torch.Generator:
    """Return a generator that depends on nothing but `numbers` (seed, purpose, step …).

    Masks and shuffles are functions of their place in the run, so that a resumed run needs no
    generator state to go on exactly where it stopped.
    """
    return torch.Generator().manual_seed(mixed(*numbers))


def fractions_to_hide(
    fraction_range: tuple[float, float], seed: int, step: int, n_samples: int
) -> np.ndarray:
    """Return the share of measured genes to hide in each sample of one step, float64 [n_samples].

    Drawn for each sample uniformly from the range; the same number for all if its ends are equal.
    """
    low, high = fraction_range
    if low == high:
        return np.full(n_samples, low)
    # One generator a step: all processes draw for the whole step and use their part.
    generator = seeded(seed, FRACTIONS, step)
    drawn = torch.rand(n_samples, generator=generator, dtype=torch.float64)
    return low + (high - low) * drawn.numpy()


def hidden_counts(measured_counts: np.ndarray, fractions: np.ndarray | float) -> np.ndarray:
    """Return how many values to hide in each sample, int64 [n]: the share asked, at least one.

    It takes the numbers of measured genes and no values, so that every process knows the number
    of hidden values of a whole step without reading the samples of the others.
    """
    measured_counts = np.asarray(measured_counts, dtype=np.int64)
    wanted = np.rint(measured_counts * fractions).astype(np.int64)
    return np.minimum(np.maximum(wanted, 1), measured_counts)


def draw_mask(
    measured: torch.Tensor, n_hidden: np.ndarray, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    """Choose `n_hidden` of each sample's measured genes, uniformly at random.

    Parameters
    ----------
    measured : bool [n_samples, n_genes]
    n_hidden : int [n_samples]
    generators : one for each sample. From equal generators, more hidden genes contain the fewer:
        masks of one sample at several shares are nested.

    Returns
    -------
    bool [n_samples, n_genes], True where the value is to be hidden
    """
    mask = torch.zeros_like(measured)
    for row, number, generator in zip(range(len(measured)), n_hidden, generators, strict=True):
        genes = measured[row].nonzero().squeeze(1)
        order = torch.randperm(len(genes), generator=generator)
        mask[row, genes[order[: int(number)]]] = True
    return mask


def hide(values: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the model's input and the share of each row that it cannot see.

    Parameters
    ----------
    values : float [n_samples, n_genes], NaN where a gene was not measured
    mask : bool [n_samples, n_genes]

    Returns
    -------
    (input [n_samples, n_genes] with MASKED at hidden and absent genes, share hidden [n_samples])
    """
    unseen = mask | values.isnan()
    return values.masked_fill(unseen, MASKED), unseen.float().mean(1)
