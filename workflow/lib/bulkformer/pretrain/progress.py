"""Where a run stands, and how it says so: state that survives restarts, and the progress line."""

from __future__ import annotations

import math
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm

from bulkformer.pretrain.history import History

LOG_SECONDS = 30.0  # between two lines in a log file, which takes no moving bar


@dataclass
class Progress:
    """What a run has done; saved with every checkpoint.

    Attributes
    ----------
    step : optimiser steps taken; with it the place in the epoch and in the schedule is known
    validated : step of the last validation
    best_loss, best_step : of the validation that selects the weights; step 0 means none yet
    cost : time, speed and memory, one row each time the state is saved
    seconds : time spent so far, that of earlier processes included
    starts : how often the run was started, counting those that saved anything
    """

    step: int = 0
    validated: int = 0
    best_loss: float = math.inf
    best_step: int = 0
    history: History = field(default_factory=History)
    cost: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    starts: int = 0

    def record(
        self, epoch: int, split: str, loss: float, rate: float, mask_fraction: float | None = None
    ) -> None:
        """Append one row to the history."""
        self.history.append(
            step=self.step, epoch=epoch, split=split, mask_fraction=mask_fraction, loss=loss,
            learning_rate=rate,
        )  # fmt: skip

    def packed(self) -> dict[str, Any]:
        """Return it as a checkpoint takes it."""
        return vars(self) | {"history": self.history.packed()}

    @classmethod
    def unpacked(cls, packed: dict[str, Any]) -> Progress:
        """Return the progress that `packed` wrote."""
        return cls(**packed | {"history": History.unpacked(packed["history"])})


@dataclass(frozen=True)
class Machine:
    """What the run computes on, and how much there is to compute.

    Attributes
    ----------
    device : of this process
    processes, batch_size : samples in one forward pass of one process
    flops_per_sample : floating-point operations of forward and backward pass
    matrix_rate : operations a second that one device reaches in matrix products of this precision
    """

    device: torch.device
    processes: int
    batch_size: int
    flops_per_sample: float = math.nan
    matrix_rate: float = math.nan

    def row(self) -> dict[str, Any]:
        """Return what a row of the cost says of it."""
        return {
            "processes": self.processes,
            "batch_size": self.batch_size,
            "device": device_name(self.device),
        }

    def mfu(self, samples_per_second: float) -> float:
        """Return the share of the devices' matrix rate that training uses; NaN if not known."""
        return samples_per_second * self.flops_per_sample / (self.matrix_rate * self.processes)

    def memory_gb(self) -> float:
        """Return the largest memory that this process has held, in 1e9 bytes.

        That of the GPU if it trains on one, else all of the process.
        """
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e9
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


class Reporter:
    """Measures speed, and says where the run stands: a bar on a terminal, lines in a log file."""

    def __init__(self, progress: Progress, n_steps: int, machine: Machine, speaks: bool) -> None:
        self.progress, self.n_steps, self.machine = progress, n_steps, machine
        self.speaks = speaks
        self._seconds_before, self._started = progress.seconds, time.monotonic()
        self._window = _Window()  # since the last line
        self._since_cost = _Window()  # since the last row of the cost
        on_terminal = speaks and sys.stderr.isatty()
        self._bar = tqdm(
            total=n_steps, initial=progress.step, unit="step", mininterval=0.5, ncols=120,
            disable=not on_terminal,
        )  # fmt: skip

    def step(self, loss: float, rate: float, n_samples: int, seconds: float) -> None:
        """Take note of one optimiser step of `n_samples` that took `seconds`."""
        for window in (self._window, self._since_cost):
            window.add(n_samples, seconds)
        if not self._bar.disable:
            self._bar.set_postfix_str(self._figures(loss, rate), refresh=False)
            self._bar.update()
        elif self.speaks and self._window.age > LOG_SECONDS:
            left = (self.n_steps - self.progress.step) * self._window.seconds / self._window.steps
            self.say(
                f"step {self.progress.step} of {self.n_steps}: {self._figures(loss, rate)}, "
                f"{clock(left)} left"
            )
            self._window = _Window()

    def say(self, line: str) -> None:
        """Write one line, above the bar if there is one."""
        if self.speaks:
            self._bar.write(line, file=sys.stderr)
            sys.stderr.flush()

    def note_cost(self) -> None:
        """Bring the time of the run up to date, with a row of the cost if steps were taken."""
        progress = self.progress
        progress.seconds = self._seconds_before + time.monotonic() - self._started
        if self._since_cost.steps:
            speed = self._since_cost.samples / max(self._since_cost.seconds, 1e-9)
            progress.cost.append(
                {
                    "step": progress.step,
                    "start": progress.starts,
                    "samples_per_second": speed,
                    "memory_gb": self.machine.memory_gb(),
                    "mfu": _or_none(self.machine.mfu(speed)),
                    **self.machine.row(),
                }
            )
            self._since_cost = _Window()
        if progress.cost:
            progress.cost[-1]["seconds"] = progress.seconds

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _figures(self, loss: float, rate: float) -> str:
        speed = self._window.samples / max(self._window.seconds, 1e-9)
        mfu = self.machine.mfu(speed)
        share = "" if math.isnan(mfu) else f", MFU {mfu:.0%}"
        return (
            f"loss {loss:.4f}, lr {rate:.1e}, {speed:.1f} samples/s{share}, "
            f"{self.machine.memory_gb():.1f} GB"
        )


class _Window:
    """Steps, samples and time of training since a moment."""

    def __init__(self) -> None:
        self.steps, self.samples, self.seconds = 0, 0, 0.0
        self._since = time.monotonic()

    def add(self, samples: int, seconds: float) -> None:
        self.steps, self.samples = self.steps + 1, self.samples + samples
        self.seconds += seconds

    @property
    def age(self) -> float:
        return time.monotonic() - self._since


def clock(seconds: float) -> str:
    """Return a time span as days and h:mm:ss."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days} d " * bool(days) + f"{hour}:{minute:02d}:{second:02d}"


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or "cpu" with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
