"""The training loop: hide, predict, step; validate on unseen studies; never lose work.

Every random choice is a function of the seed and of the place in the run (or lies in the
checkpoint), so that a run that was killed and resumed ends bit for bit like one that was not.
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from bulkformer.errors import InputError
from bulkformer.pretrain.batches import CorpusSamples, epoch_order, in_order
from bulkformer.pretrain.masking import draw_mask, hide, seeded
from bulkformer.pretrain.resume import (
    load_checkpoint,
    random_states,
    restore_random_states,
    save_checkpoint,
)

TRAINING_MASKS, VALIDATION_MASKS = 1, 2  # keep the two families of mask seeds apart
STOPPED = 75  # exit status after a stop on request: state is saved, try again (EX_TEMPFAIL)


@dataclass(frozen=True)
class Training:
    """The objective and its optimiser; the meaning of each field stands in config/README.md."""

    epochs: int
    batch_size: int
    accumulate: int
    learning_rate: float
    weight_decay: float
    warmup_fraction: float
    schedule: str
    mask_fraction: float
    clip_gradient: float
    checkpoint_minutes: float
    seed: int

    def rate(self, step: int, n_steps: int) -> float:
        """Return the learning rate of one step: linear warm-up, then constant or cosine to 0."""
        warmup = max(1, round(self.warmup_fraction * n_steps))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - warmup) / max(1, n_steps - warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


@dataclass
class Progress:
    """Where the run stands: steps taken, epoch, batches done in it, and what it achieved."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    def record(self, split: str, loss: float, learning_rate: float) -> None:
        """Append one line to the history, which survives restarts with the checkpoint."""
        self.history.append(
            {
                "step": self.step,
                "epoch": self.epoch,
                "split": split,
                "loss": loss,
                "learning_rate": learning_rate,
            }
        )


class StopRequest:
    """Turns SIGTERM, SIGUSR1 and SIGINT into a flag that the loop looks at after each step."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def hidden_error(
    model: torch.nn.Module, values: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the summed squared error over hidden values and their number.

    Parameters
    ----------
    values : float [n_samples, n_genes], NaN where a gene was not measured
    mask : bool [n_samples, n_genes], True where hidden; never at an unmeasured gene
    """
    device = next(model.parameters()).device
    seen, share = hide(values, mask)
    predicted = model(seen.to(device), share.to(device))
    error = predicted - values.nan_to_num(0.0).to(device)
    mask = mask.to(device)
    return error.square().masked_fill(~mask, 0.0).sum(), mask.sum()


def validation_batches(
    samples: CorpusSamples, settings: Training
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (values, mask) of all samples, under masks that are the same in every epoch."""
    for number, indices in enumerate(in_order(len(samples), settings.batch_size)):
        values = samples.read(indices)
        generator = seeded(settings.seed, VALIDATION_MASKS, number)
        yield values, draw_mask(~values.isnan(), settings.mask_fraction, generator)


@torch.inference_mode()
def validation_loss(model: torch.nn.Module, samples: CorpusSamples, settings: Training) -> float:
    """Return the mean squared error over the hidden values of all samples."""
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for values, mask in validation_batches(samples, settings):
        error, hidden = hidden_error(model, values, mask)
        total, count = total + float(error), count + int(hidden)
    model.train(was_training)
    return total / count


def accumulate_gradient(
    model: torch.nn.Module,
    samples: CorpusSamples,
    indices: np.ndarray,
    settings: Training,
    step: int,
) -> float:
    """Add the gradient of one step's batches and return their mean squared error."""
    parts = np.array_split(indices, max(1, math.ceil(len(indices) / settings.batch_size)))
    total, count = 0.0, 0
    for number, part in enumerate(parts):
        values = samples.read(part)
        generator = seeded(settings.seed, TRAINING_MASKS, step, number)
        mask = draw_mask(~values.isnan(), settings.mask_fraction, generator)
        error, hidden = hidden_error(model, values, mask)
        (error / hidden * (len(part) / len(indices))).backward()
        total, count = total + float(error.detach()), count + int(hidden)
    if not math.isfinite(total):
        names = ", ".join(samples.sample_ids[index] for index in indices)
        raise InputError(
            f"the loss is not finite at step {step}; samples {names}: "
            "look at their values, or lower pretrain.training.learning_rate"
        )
    return total / count


def fit(
    model: torch.nn.Module,
    training: CorpusSamples,
    validation: CorpusSamples,
    settings: Training,
    state: Path,
) -> Progress:
    """Train `model` and leave it with the weights of the best validation loss.

    Goes on from the checkpoint in `state` if there is one. Ends the process with status STOPPED
    after saving when a signal asked for it.
    """
    per_step = settings.batch_size * settings.accumulate
    steps_per_epoch = math.ceil(len(training) / per_step)
    n_steps = settings.epochs * steps_per_epoch
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    torch.manual_seed(settings.seed)
    progress = restore(model, optimiser, state)
    stop, saved_at = StopRequest(), time.monotonic()
    model.train()
    # A log file takes no moving bar, only a line now and then.
    pause = 0.5 if sys.stderr.isatty() else 30
    bar = tqdm(total=n_steps, initial=progress.step, unit="step", mininterval=pause, ncols=100)
    while progress.epoch < settings.epochs:
        order = epoch_order(len(training), settings.seed, progress.epoch)
        while progress.batch < steps_per_epoch:
            indices = order[progress.batch * per_step : (progress.batch + 1) * per_step]
            rate = settings.rate(progress.step, n_steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            loss = accumulate_gradient(model, training, indices, settings, progress.step)
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_gradient)
            optimiser.step()
            progress.step, progress.batch = progress.step + 1, progress.batch + 1
            progress.record("train", loss, rate)
            bar.set_postfix(loss=f"{loss:.3f}", lr=f"{rate:.1e}", refresh=False)
            bar.update()
            due = time.monotonic() - saved_at > 60 * settings.checkpoint_minutes
            if stop.asked or due:
                save(model, optimiser, progress, state)
                saved_at = time.monotonic()
            if stop.asked:
                bar.close()
                print(
                    f"stopped on request after step {progress.step}; state is saved",
                    file=sys.stderr,
                )
                sys.exit(STOPPED)
        loss = validation_loss(model, validation, settings)
        progress.record("validation", loss, settings.rate(progress.step - 1, n_steps))
        if loss < progress.best_loss:
            progress.best_loss, progress.best_step = loss, progress.step
            save_checkpoint(state / "best.pt", model.state_dict())
        progress.epoch, progress.batch = progress.epoch + 1, 0
        bar.write(
            f"epoch {progress.epoch} of {settings.epochs}: validation loss {loss:.4f}, "
            f"best {progress.best_loss:.4f} at step {progress.best_step}",
            file=sys.stderr,
        )
    bar.close()
    best = load_checkpoint(state / "best.pt")
    if best is None:
        raise InputError(
            "the validation loss was never finite; look at the history, "
            "or lower pretrain.training.learning_rate"
        )
    model.load_state_dict(best)
    return progress


def save(
    model: torch.nn.Module, optimiser: torch.optim.Optimizer, progress: Progress, state: Path
) -> None:
    """Write the checkpoint that `restore` reads."""
    save_checkpoint(
        state / "last.pt",
        {
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "random": random_states(),
            "progress": vars(progress),
        },
    )


def restore(model: torch.nn.Module, optimiser: torch.optim.Optimizer, state: Path) -> Progress:
    """Bring model, optimiser and random states back, or start at the beginning."""
    saved = load_checkpoint(state / "last.pt")
    if saved is None:
        return Progress()
    model.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    restore_random_states(saved["random"])
    progress = Progress(**saved["progress"])
    print(f"resumed at step {progress.step}, epoch {progress.epoch + 1}", file=sys.stderr)
    return progress
