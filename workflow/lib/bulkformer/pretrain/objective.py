"""The objective: predict what is hidden of a sample; mean squared error over hidden values.

A step is defined for all processes together. Its loss is the sum of squared errors over all hidden
values of its samples, divided by their number, however the samples are spread over processes and
forward passes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
import torch

from bulkformer.errors import InputError
from bulkformer.pretrain.batches import CorpusSamples, epoch_order
from bulkformer.pretrain.distributed import World
from bulkformer.pretrain.masking import (
    TRAINING_MASKS,
    draw_mask,
    fractions_to_hide,
    hidden_counts,
    hide,
    seeded,
)
from bulkformer.pretrain.progress import Progress
from bulkformer.pretrain.settings import Training

MEDIAN_STEPS = 100  # of which the median loss says what is usual
FEWEST_STEPS = 20  # a median of fewer says nothing
WORST_SHOWN = 5


@dataclass(frozen=True)
class Step:
    """One step of all processes: which samples, and how many values of each are hidden."""

    number: int
    indices: np.ndarray
    n_hidden: np.ndarray

    def parts(self, world: World, batch_size: int) -> list[Part]:
        """Return what this process works on, one part for each forward pass; none is possible."""
        mine = world.share(len(self.indices))
        if not len(mine):
            return []
        return [Part(self, p) for p in np.array_split(mine, math.ceil(len(mine) / batch_size))]


@dataclass(frozen=True)
class Part:
    """One forward pass of one process: `places` are positions in the step, neighbours in order."""

    step: Step
    places: np.ndarray


class MaskedSamples:
    """Samples of a step with their masks, in the form that `prefetched` reads."""

    def __init__(self, samples: CorpusSamples, seed: int) -> None:
        self.samples, self.seed = samples, seed

    def read(self, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
        """Return values float32 [n, n_genes], NaN where not measured, and mask bool, same shape."""
        step = part.step
        values = self.samples.read(step.indices[part.places])
        generators = [
            seeded(self.seed, TRAINING_MASKS, step.number, int(place)) for place in part.places
        ]
        return values, draw_mask(~values.isnan(), step.n_hidden[part.places], generators)


def planned_step(samples: CorpusSamples, training: Training, seed: int, number: int) -> Step:
    """Return step `number` of the run; the last step of an epoch may be smaller."""
    size = training.effective_batch_size
    epoch, place = divmod(number, math.ceil(len(samples) / size))
    indices = _order(len(samples), seed, epoch)[place * size : (place + 1) * size]
    fractions = fractions_to_hide(training.mask_range, seed, number, len(indices))
    return Step(number, indices, hidden_counts(samples.measured_counts[indices], fractions))


@lru_cache(maxsize=2)  # the epoch of the step and the one that is read ahead
def _order(n_samples: int, seed: int, epoch: int) -> np.ndarray:
    return epoch_order(n_samples, seed, epoch)


def precision_of(training: Training, device: torch.device) -> AbstractContextManager:
    """Return the context of a forward pass: matrix products in bfloat16, or all in float32."""
    return torch.autocast(
        device.type, torch.bfloat16, enabled=training.precision == "bfloat16", cache_enabled=True
    )


def squared_errors(
    model: torch.nn.Module,
    values: torch.Tensor,
    mask: torch.Tensor,
    precision: AbstractContextManager,
) -> torch.Tensor:
    """Return the sum of squared errors over the hidden values of each sample, float32 [n_samples].

    Parameters
    ----------
    values : float [n_samples, n_genes], NaN where a gene was not measured
    mask : bool [n_samples, n_genes], True where hidden; never at an unmeasured gene
    """
    seen, share = hide(values, mask)
    with precision:
        predicted = model(seen, share)
    error = predicted.float() - values.nan_to_num(0.0)
    return error.masked_fill(~mask, 0.0).square().sum(1)


def accumulate_gradient(
    model: torch.nn.Module,
    step: Step,
    n_parts: int,
    batches: Iterator[tuple[Part, tuple[torch.Tensor, torch.Tensor]]],
    training: Training,
    world: World,
) -> np.ndarray:
    """Add the gradient of one step and return the squared error of each of its samples.

    Parameters
    ----------
    model : what `world.wrap` returned
    batches : yields the `n_parts` parts of this process with their values and masks

    Returns
    -------
    float64 [n_samples of all processes], sums over the hidden values
    """
    total_hidden = int(step.n_hidden.sum())
    errors = torch.zeros(len(step.indices), dtype=torch.float64, device=world.device)
    precision = precision_of(training, world.device)
    if not n_parts:  # fewer samples than processes: this one only takes part in summing gradients
        with world.accumulating(model, last=True):
            pass
    for number, (part, (values, mask)) in enumerate(islice(batches, n_parts), start=1):
        values = values.to(world.device, non_blocking=True)  # pinned: the copy does not wait
        mask = mask.to(world.device, non_blocking=True)
        with world.accumulating(model, last=number == n_parts):
            of_samples = squared_errors(model, values, mask, precision)
            (of_samples.sum() / total_hidden).backward()
        # A slice: places as a tensor would have the GPU finish before each next pass is queued.
        errors[part.places[0] : part.places[-1] + 1] = of_samples.detach().double()
    return world.sum(errors).cpu().numpy()


def check_loss(
    loss: float, errors: np.ndarray, step: Step, training: Training, n_steps: int,
    progress: Progress, sample_ids: Sequence[str],
) -> None:  # fmt: skip
    """Raise InputError if the loss of `step` is not finite, or far above that of recent steps."""
    if not math.isfinite(loss):
        raise InputError(_stopped("the loss is not finite", step, errors, sample_ids))
    limit = training.largest_increase
    recent = progress.history.recent_losses(MEDIAN_STEPS)
    if limit is None or step.number < training.warmup_steps(n_steps) or len(recent) < FEWEST_STEPS:
        return
    usual = statistics.median(recent)
    if loss > limit * usual:
        problem = f"the loss is {loss:.4g}, {loss / usual:.3g} times the recent median {usual:.4g},"
        raise InputError(
            _stopped(problem, step, errors, sample_ids)
            + ", or raise pretrain.training.largest_increase (null: no limit): with that change "
            "alone, the same command goes on from the checkpoint"
        )


def check_gradient(norm: float, errors: np.ndarray, step: Step, sample_ids: Sequence[str]) -> None:
    """Raise InputError if the norm of the gradient of `step` is not finite."""
    if not math.isfinite(norm):
        raise InputError(_stopped("the gradient is not finite", step, errors, sample_ids))


def _stopped(problem: str, step: Step, errors: np.ndarray, sample_ids: Sequence[str]) -> str:
    """Say where it happened, with the samples of the step, and what to try."""
    losses = errors / np.maximum(step.n_hidden, 1)
    worst_first = np.argsort(-np.where(np.isfinite(losses), losses, np.inf), kind="stable")
    ids = [sample_ids[index] for index in step.indices]
    worst = ", ".join(f"{ids[place]} ({losses[place]:.4g})" for place in worst_first[:WORST_SHOWN])
    return (
        f"{problem} at step {step.number + 1}; samples {', '.join(sorted(ids))}; "
        f"largest losses: {worst}. The last checkpoint is kept. Look at the values of these "
        "samples, or lower pretrain.training.learning_rate or clip_gradient"
    )
