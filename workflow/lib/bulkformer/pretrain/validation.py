"""Validation: the loss on samples that are never learned from, at several shares of hidden values.

`validation` holds whole studies (out of distribution; it selects the weights),
`validation_samples` samples of studies that are also trained on (in distribution). The masks of a
sample are the same whenever and by however many processes it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from bulkformer.pretrain.batches import CorpusSamples, prefetched
from bulkformer.pretrain.distributed import World
from bulkformer.pretrain.masking import (
    SUBSET,
    VALIDATION_MASKS,
    draw_mask,
    hidden_counts,
    seeded,
)
from bulkformer.pretrain.settings import Validation

SELECTING, IN_DISTRIBUTION = "validation", "validation_samples"

# (values, mask) -> sum of squared errors over the hidden values of each sample
Errors = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Stopped(Exception):
    """A signal asked for an end; what was under way is done again after the restart."""


def looked_at(samples: CorpusSamples, validation: Validation, seed: int) -> np.ndarray:
    """Return the indices of at most `max_samples` samples, the same for the same seed."""
    order = torch.randperm(len(samples), generator=seeded(seed, SUBSET)).numpy()
    return np.sort(order[: validation.max_samples])


@torch.inference_mode()
def hidden_losses(
    errors_of: Errors,
    samples: CorpusSamples,
    validation: Validation,
    seed: int,
    world: World,
    batch_size: int,
    stop_asked: Callable[[], bool] = lambda: False,
) -> dict[float, float]:
    """Return the mean squared error over hidden values by the share that is hidden.

    The masks of a sample are nested: what is hidden at one share is hidden at every larger one.
    Raises Stopped, in all processes, as soon as one of them is asked to stop.
    """
    chosen = looked_at(samples, validation, seed)
    measured = samples.measured_counts[chosen]
    n_hidden = {share: hidden_counts(measured, share) for share in validation.mask_fractions}
    sums = torch.zeros(len(n_hidden), len(chosen), dtype=torch.float64, device=world.device)
    size = batch_size * world.size
    starts = range(0, len(chosen), size)
    parts = [start + world.share(min(size, len(chosen) - start)) for start in starts]

    def prepare(indices: np.ndarray, values: torch.Tensor) -> tuple[torch.Tensor, list]:
        rows = np.searchsorted(chosen, indices)
        masks = [
            draw_mask(
                ~values.isnan(),
                counts[rows],
                [seeded(seed, VALIDATION_MASKS, int(index)) for index in indices],
            )
            for counts in n_hidden.values()
        ]
        return values, masks

    planned = (chosen[part] for part in parts if len(part))
    batches = prefetched(samples, planned, prepare, pinned=world.device.type == "cuda")
    for part in parts:
        if world.any(stop_asked()):
            raise Stopped
        if not len(part):
            continue
        values, masks = next(batches)
        values = values.to(world.device, non_blocking=True)
        for row, mask in enumerate(masks):
            errors = errors_of(values, mask.to(world.device, non_blocking=True))
            sums[row, part[0] : part[-1] + 1] = errors.double()  # a share is a run of neighbours
    # The sum over samples comes last, so that it does not depend on who computed them.
    totals = world.sum(sums).sum(1).tolist()
    return {
        share: total / max(1, int(counts.sum()))
        for (share, counts), total in zip(n_hidden.items(), totals, strict=True)
    }


def gene_mean_errors(mean: torch.Tensor) -> Errors:
    """Return the errors of predicting each gene's mean (float [n_genes]): the floor to beat."""

    def errors(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        error = values.nan_to_num(0.0) - mean.to(values.device)
        return error.masked_fill(~mask, 0.0).square().sum(1)

    return errors
