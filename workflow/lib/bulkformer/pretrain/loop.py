"""The training loop: hide, predict, step; validate on unseen studies; never lose work.

Every random choice is a function of the seed and of the place in the run, and the place is one
number, the step. So a run that was killed and resumed ends bit for bit like one that was not.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

from bulkformer.errors import InputError
from bulkformer.pretrain.batches import CorpusSamples, prefetched
from bulkformer.pretrain.distributed import World
from bulkformer.pretrain.masking import DROPOUT, mixed
from bulkformer.pretrain.objective import (
    MaskedSamples,
    Step,
    accumulate_gradient,
    check_gradient,
    check_loss,
    planned_step,
    precision_of,
    squared_errors,
)
from bulkformer.pretrain.progress import Machine, Progress, Reporter
from bulkformer.pretrain.resume import best_path, load_best, restore, save_checkpoint, save_state
from bulkformer.pretrain.settings import Execution, Training, Validation
from bulkformer.pretrain.validation import SELECTING, Stopped, hidden_losses

STOPPED = 75  # exit status after a stop on request: state is saved, try again (EX_TEMPFAIL)

Losses = dict[str, dict[float, float]]  # {split: {share hidden: mean squared error}}


@dataclass(frozen=True)
class Plan:
    """What a run is to do, and where its state lies."""

    training: Training
    validation: Validation
    execution: Execution
    seed: int
    state: Path


class StopRequest:
    """Turns SIGTERM, SIGUSR1 and SIGINT into a flag that the loop looks at after each step."""

    def __init__(self, speaks: bool) -> None:
        self.asked = False
        self._speaks = speaks
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._speaks and not self.asked:
            # A step may take minutes, and who hears nothing might kill. `print` may not interrupt
            # itself.
            name = signal.Signals(number).name
            os.write(2, f"{name}: ending after this step, with the state saved\n".encode())
        self.asked = True


def fit(
    model: torch.nn.Module,
    samples: dict[str, CorpusSamples],
    floors: Losses,
    plan: Plan,
    world: World,
    machine: Machine,
) -> Progress:
    """Train `model` and leave it, in the first process, with the weights of the best validation.

    Goes on from the checkpoint in the state folder if there is one. Ends the process with status
    STOPPED after saving when a signal asked for it, in any of the processes.

    Parameters
    ----------
    model : on the device of `world`
    samples : by split: "train", "validation" and maybe "validation_samples"
    floors : losses of the gene mean, said beside those of the model
    """
    # Plain AdamW on all parameters alike: the paper names no exceptions. The fused kernel rounds
    # differently from the loop over tensors but, on a CPU, is the same bits on every run.
    optimiser = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=plan.training.learning_rate,
        weight_decay=plan.training.weight_decay,
        fused=True,
    )
    progress = restore(plan.state, model, optimiser)
    if progress is None:
        progress = Progress()
    elif world.is_first:
        print(f"resumed at step {progress.step}{other_machine(progress, machine)}", file=sys.stderr)
    # Of all processes, so that nobody writes the state while another reads it, either.
    steps = world.sum(torch.tensor(progress.step))
    if steps != progress.step * world.size:
        raise InputError(
            f"{plan.state}: process {world.rank} read the state of step {progress.step}, others "
            "that of another step; let all machines see the same files, and start again"
        )
    progress.starts += 1
    Run(model, optimiser, samples, floors, plan, world, machine, progress).to_the_end()
    if world.is_first:  # who writes the run folder
        model.load_state_dict(load_best(plan.state, progress))
    return progress


def other_machine(progress: Progress, machine: Machine) -> str:
    """Say whether the steps before were computed otherwise, so that bits may differ; "" if not."""
    if not progress.cost:
        return ""
    now, before = machine.row(), progress.cost[-1]
    others = [f"{key} {now[key]}, before {before[key]}" for key in now if now[key] != before[key]]
    return f" ({'; '.join(others)}: bits may differ from here on)" if others else ""


class Run:
    """A run under way: the network, its optimiser, and how far they are."""

    def __init__(
        self,
        model: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        samples: dict[str, CorpusSamples],
        floors: Losses,
        plan: Plan,
        world: World,
        machine: Machine,
        progress: Progress,
    ) -> None:
        self.model, self.optimiser, self.progress = model, optimiser, progress
        self.samples, self.floors, self.plan, self.world = samples, floors, plan, world
        self.train = samples["train"]
        per_epoch = math.ceil(len(self.train) / plan.training.effective_batch_size)
        self.steps_per_epoch, self.n_steps = per_epoch, plan.training.epochs * per_epoch
        self.selecting = plan.validation.selecting_fraction(plan.training)
        self.stop = StopRequest(world.is_first)
        self.saved_at = time.monotonic()
        self.report = Reporter(progress, self.n_steps, machine, world.is_first)

    def to_the_end(self) -> None:
        """Take all steps that are left, validating and saving on the way."""
        self.model.train()
        shared = self.world.wrap(self.model)
        masked = MaskedSamples(self.train, self.plan.seed)
        size = self.plan.execution.batch_size
        ahead = (
            part
            for number in range(self.progress.step, self.n_steps)
            for part in self.step(number).parts(self.world, size)
        )
        with closing(prefetched(masked, ahead, pinned=self.world.device.type == "cuda")) as batches:
            while True:
                if self.validation_is_due():
                    self.save()  # before: validation takes long, and a signal may not wait for it
                    self.validate()
                    self.save()
                    if self.world.any(self.stop.asked):
                        self.end_on_request()
                if self.progress.step == self.n_steps:
                    break
                self.take_step(shared, batches)
                if self.world.any(self.stop.asked):
                    self.save()
                    self.end_on_request()
                if self.save_is_due() and not self.validation_is_due():
                    self.save()
        self.report.close()

    def step(self, number: int) -> Step:
        """Return which samples a step is made of."""
        return planned_step(self.train, self.plan.training, self.plan.seed, number)

    def take_step(self, shared: torch.nn.Module, batches) -> None:
        """Take one optimiser step and record its loss; raises InputError if it makes no sense."""
        started = time.monotonic()
        plan, progress, ids = self.plan, self.progress, self.train.sample_ids
        step = self.step(progress.step)
        rate = plan.training.rate(step.number, self.n_steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # Dropout is a function of the place in the run, too.
        torch.manual_seed(mixed(plan.seed, DROPOUT, step.number, self.world.rank))
        self.optimiser.zero_grad(set_to_none=True)
        n_parts = len(step.parts(self.world, plan.execution.batch_size))
        errors = accumulate_gradient(shared, step, n_parts, batches, plan.training, self.world)
        loss = float(errors.sum()) / max(1, int(step.n_hidden.sum()))
        check_loss(loss, errors, step, plan.training, self.n_steps, progress, ids)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), plan.training.clip_gradient)
        check_gradient(float(norm), errors, step, ids)
        self.optimiser.step()
        progress.step += 1
        progress.record(step.number // self.steps_per_epoch, "train", loss, rate)
        self.report.step(loss, rate, len(step.indices), time.monotonic() - started)

    def save_is_due(self) -> bool:
        """Return whether an epoch is over, or the time between checkpoints."""
        minutes = (time.monotonic() - self.saved_at) / 60
        epoch_is_over = self.progress.step % self.steps_per_epoch == 0
        return epoch_is_over or minutes > self.plan.execution.checkpoint_minutes

    def validation_is_due(self) -> bool:
        """Return whether the weights as they are now are to be validated."""
        step = self.progress.step
        every = self.plan.validation.every_steps or self.steps_per_epoch
        return self.progress.validated < step and (step % every == 0 or step == self.n_steps)

    def validate(self) -> None:
        """Record the losses on samples that are never learned from, and keep the best weights."""
        plan, progress = self.plan, self.progress
        precision = precision_of(plan.training, self.world.device)

        def errors(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return squared_errors(self.model, values, mask, precision)

        self.model.eval()
        losses: Losses = {}
        try:
            for split in self.floors:
                losses[split] = hidden_losses(
                    errors, self.samples[split], plan.validation, plan.seed, self.world,
                    plan.execution.batch_size, lambda: self.stop.asked,
                )  # fmt: skip
        except Stopped:
            self.end_on_request()  # the state before the validation is saved
        self.model.train()
        epoch = (progress.step - 1) // self.steps_per_epoch
        rate = plan.training.rate(progress.step - 1, self.n_steps)
        for split, of_split in losses.items():
            for share, loss in of_split.items():
                progress.record(epoch, split, loss, rate, share)
        for split, of_split in losses.items():
            if not all(map(math.isfinite, of_split.values())):
                raise InputError(
                    f"the validation loss on '{split}' is not finite after step {progress.step}, "
                    "though that of training is. The last checkpoint is kept. Look at the values "
                    "of these samples, or lower pretrain.training.learning_rate"
                )
        progress.validated = progress.step
        selecting = losses[SELECTING][self.selecting]
        if selecting < progress.best_loss:
            progress.best_loss, progress.best_step = selecting, progress.step
            if self.world.is_first:
                path = best_path(plan.state, progress.step)
                save_checkpoint(path, self.model.state_dict())
        self.say(epoch, losses)

    def say(self, epoch: int, losses: Losses) -> None:
        """Write what the validation found, beside what the gene mean reaches."""
        progress = self.progress
        loss, floor = losses[SELECTING][self.selecting], self.floors[SELECTING][self.selecting]
        self.report.say(
            f"epoch {epoch + 1} of {self.plan.training.epochs}, step {progress.step}: validation "
            f"loss {loss:.4f} (gene mean {floor:.4f}) at {self.selecting:.0%} hidden, "
            f"best {progress.best_loss:.4f} at step {progress.best_step}"
        )
        for split, of_split in losses.items():
            figures = (
                f"{share:.0%}: {loss:.4f} ({self.floors[split][share]:.4f})"
                for share, loss in of_split.items()
            )
            self.report.say(f"  {split}, by share hidden: {', '.join(figures)}")

    def save(self) -> None:
        """Write the checkpoint from which `fit` goes on; only the first process does."""
        self.saved_at = time.monotonic()
        self.report.note_cost()
        if self.world.is_first:
            save_state(self.plan.state, self.model, self.optimiser, self.progress)

    def end_on_request(self) -> None:
        """End the process with a status that says: saved, start me again."""
        self.report.close()
        self.world.barrier()  # the first process may still be writing
        if self.world.is_first:
            print(
                f"stopped on request after step {self.progress.step}; state is saved",
                file=sys.stderr,
            )
        self.world.close()
        sys.exit(STOPPED)
