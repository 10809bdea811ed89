"""What befalls a run in tests: kills, signals, a full disk, numbers that are not finite.

Each function prepares this process for one fault, at a place that its argument names.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import time
from pathlib import Path


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_around(file: str) -> None:
    """Kill this process right before, or after, a file gets its name: "before/model.safetensors".

    A third part counts: "after/last.pt/3" is the third time.
    """
    when, name, *count = file.split("/")
    left = [int(count[0]) if count else 1]
    replace = os.replace

    def watched(source, target):
        here = Path(target).match(name)
        left[0] -= here
        if here and left[0] == 0 and when == "before":
            killed()
        replace(source, target)
        if here and left[0] == 0 and when == "after":
            killed()

    os.replace = watched


def kill_in_validation(number: str, by: signal.Signals = signal.SIGKILL) -> None:
    """Send this process a signal in the validation of the split of that number (two a time)."""
    from bulkformer.pretrain import loop

    left = [int(number)]
    inner = loop.hidden_losses

    def watched(errors_of, *arguments, **others):
        passes = [0]

        def errors(values, mask):
            passes[0] += 1
            if passes[0] == 3 and left[0] == 0:
                os.kill(os.getpid(), by)
            return errors_of(values, mask)

        left[0] -= 1
        return inner(errors, *arguments, **others)

    loop.hidden_losses = watched


def kill_in_step(number: str) -> None:
    """Kill this process after that many optimiser steps of its own, before they are recorded."""
    in_step(number, killed)


def in_step(number: str, act) -> None:
    """Have `act` done in that optimiser step of this process, before it is recorded."""
    from bulkformer.pretrain import loop

    left = [int(number)]
    inner = loop.check_gradient

    def watched(*arguments):
        left[0] -= 1
        if left[0] == 0:
            act()
        inner(*arguments)

    loop.check_gradient = watched


def wait_in_step(number: str) -> None:
    """Write the file "waiting" in a step, and wait until somebody removes it."""
    file = Path("waiting").absolute()

    def wait() -> None:
        file.touch()
        while file.exists():
            time.sleep(0.002)

    in_step(number, wait)


def full_disk_after_step(number: str) -> None:
    """Let no file grow beyond some bytes from a step on."""

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))

    in_step(number, fill)


def spike_in_step(number: str) -> None:
    """Have the loss of a step look a hundred times as large as it is."""
    from bulkformer.pretrain import loop, objective

    objective.FEWEST_STEPS = 10
    inner = loop.check_loss

    def watched(loss, errors, step, *rest):
        inner(loss * (100 if step.number + 1 == int(number) else 1), errors, step, *rest)

    loop.check_loss = watched


def nan_in_validation(number: str) -> None:
    """Have the validation of a split of that number find a loss that is not finite."""
    from bulkformer.pretrain import loop

    left = [int(number)]
    inner = loop.hidden_losses

    def watched(*arguments, **others):
        left[0] -= 1
        losses = inner(*arguments, **others)
        return dict.fromkeys(losses, math.nan) if left[0] == 0 else losses

    loop.hidden_losses = watched


def impatient(_: str) -> None:
    """Do not wait for another run to be gone."""
    from bulkformer.pretrain import resume

    resume.LOCK_SECONDS = 0.0


def threads(number: str) -> None:
    """Compute with that many threads."""
    import torch

    torch.set_num_threads(int(number))


def signal_in_validation(number: str) -> None:
    """Ask this process to stop in the middle of the validation of a split of that number."""
    kill_in_validation(number, signal.SIGTERM)
