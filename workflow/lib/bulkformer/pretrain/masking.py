"""Which values are hidden from the model.

Only measured positions are ever hidden: a gene that a cohort did not measure has no truth to learn
from, while a measured zero is a value like any other.
"""

from __future__ import annotations

import torch

MASKED = -10.0  # the released models' code for "hidden or absent"; ln(TPM + 1) is never negative


def seeded(*numbers: int) -> torch.Generator:
    """Return a generator that depends on nothing but `numbers` (seed, epoch, batch …).

    Masks and shuffles are functions of their place in the run, so that a resumed run needs no
    generator state to go on exactly where it stopped.
    """
    mixed = 0x9E3779B97F4A7C15
    for number in numbers:
        mixed = ((mixed ^ number) * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**64
        mixed ^= mixed >> 31
    return torch.Generator().manual_seed(mixed % 2**63)


def draw_mask(measured: torch.Tensor, fraction: float, generator: torch.Generator) -> torch.Tensor:
    """Choose `fraction` of each sample's measured genes, at least one, uniformly at random.

    Parameters
    ----------
    measured : bool [n_samples, n_genes]

    Returns
    -------
    bool [n_samples, n_genes], True where the value is to be hidden
    """
    scores = torch.rand(measured.shape, generator=generator, dtype=torch.float64)
    scores[~measured] = 2.0  # behind every measured gene
    n_hidden = (measured.sum(1) * fraction).round().clamp(min=1).long()
    threshold = scores.sort(dim=1).values.gather(1, (n_hidden - 1).unsqueeze(1))
    return (scores <= threshold) & measured


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
