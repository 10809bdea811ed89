"""Training in one process or in many that each see their share of every step.

A step is defined for all processes together (which samples, which masks, which loss), and each
process works on its share. So the number of processes changes the time and, beyond the rounding of
sums, nothing else.

Each process holds the whole model, because its weights are not what fills a GPU: the largest preset
has 132 million parameters, which with gradients and two moments take 16 bytes each, 2.1 GB, while
the activations of one sample take 6 GB in bfloat16 (`model.cost`). Sharding parameters (FSDP) over
8 GPUs would spare each 1.8 GB, a third of a sample, and send all parameters in every forward and
backward pass, where gradients, 0.5 GB, travel once a step.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import torch

from bulkformer.errors import InputError
from bulkformer.pretrain.launch import PARENT, STORE, launch, under_torchrun

__all__ = ["World", "launch", "start_world"]

# For whoever waits for another process: the longest thing that one does alone is to write a
# checkpoint or the run folder. A process that died is noticed at once, whatever this says.
TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class World:
    """The processes of a run, as one of them sees it; a single process needs no process group.

    Attributes
    ----------
    rank : number of this process, 0 to size - 1
    size : number of processes
    device : where this process computes
    """

    rank: int
    size: int
    device: torch.device
    _wrapped: list[torch.nn.Module] = field(default_factory=list, repr=False, compare=False)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def share(self, n: int) -> np.ndarray:
        """Return the positions in 0 .. n - 1 that are this process's, int64, a run of neighbours.

        Shares differ by one at most, and those of all processes, in order, are 0 .. n - 1. A share
        is empty where n is smaller than the number of processes; such a process takes part in
        the step with `with world.accumulating(model, last=True): pass`.
        """
        return np.arange(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the sum over processes, float64, the same on all; every process has to call."""
        total = tensor.detach().to(torch.float64, copy=True)
        if self.size > 1:
            torch.distributed.all_reduce(total)
        return total

    def any(self, flag: bool) -> bool:
        """Return whether any process says so, the same on all; every process has to call."""
        if self.size == 1:
            return flag
        # On the CPU: asking never waits for the work that is queued on a GPU.
        said = torch.tensor(float(flag))
        torch.distributed.all_reduce(said)
        return bool(said > 0)

    def barrier(self) -> None:
        """Wait until every process is here."""
        self.any(False)

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return a module called like `model` whose gradients are summed over processes.

        Parameters and buffers start as those of the first process. Summed, not averaged: the loss
        of a share is already divided by the number of hidden values of the whole step. Compile the
        model, or have it recompute activations, before; `model` itself stays what is saved,
        validated and given to the optimiser.
        """
        if self.size == 1:
            return model
        shared = torch.nn.parallel.DistributedDataParallel(
            _with_nothing(model),
            device_ids=[self.device] if self.device.type == "cuda" else None,
            # Buffers are the graph and the random directions of the attention: they never change.
            forward_sync_buffers=False,
            # Spares a copy of all gradients.
            gradient_as_bucket_view=True,
            # Not because some are unused. Without it, the first step after a start sums gradients
            # in one piece and the later ones in several, in another order: a run that was resumed
            # would round differently from one that was not. It costs one walk through the graph.
            find_unused_parameters=True,
        )
        shared.register_comm_hook(None, _sum_bucket)
        self._wrapped.append(shared)
        return shared

    def accumulating(self, model: torch.nn.Module, last: bool) -> AbstractContextManager[None]:
        """Return a context for forward and backward pass of one micro-batch of `wrap(model)`.

        Gradients pass between processes in the last micro-batch of a step only; each process has
        exactly one such, which may be empty.
        """
        if self.size == 1:
            return nullcontext()
        return _last_pass(model) if last else model.no_sync()

    def close(self) -> None:
        """Leave the process group, as the last thing of a run that ended well or was stopped.

        Gradients can no longer be summed. Not after an error: another process may never answer.
        """
        if self.size == 1:
            return
        # A reducer that outlives the group would end it with the interpreter locked, waiting for a
        # thread of gloo that may wait for that very lock (torch 2.13).
        for shared in self._wrapped:
            shared.reducer = shared.logger = None
        torch.distributed.destroy_process_group()


def start_world(processes: int = 1) -> World:
    """Join the processes of this run, as the environment of torchrun or `launch` names them.

    Without that environment the run is this process alone. `processes` is what the settings ask
    for; where torchrun was started by hand, what it says holds. Raises InputError if there are
    fewer GPUs than processes on this machine.
    """
    if not under_torchrun():
        if processes > 1:
            raise InputError(f"{processes} processes are asked for, but only one was started")
        return World(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    _end_with_parent()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = _device(int(os.environ.get("LOCAL_RANK", "0")))
    if size > 1:
        torch.distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            timeout=TIMEOUT,
            store=_store(rank, size),
            rank=rank,
            world_size=size,
            device_id=device if device.type == "cuda" else None,
        )
    return World(rank, size, device)


def _device(local_rank: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if here > torch.cuda.device_count():
        raise InputError(
            f"{here} processes on this machine, but it shows {torch.cuda.device_count()} GPUs; "
            "lower pretrain.execution.processes or ask for more GPUs"
        )
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def _store(rank: int, size: int) -> torch.distributed.Store | None:
    """Return the meeting point of processes that `launch` started; torch knows that of torchrun."""
    if PARENT not in os.environ:
        return None
    listening = os.environ.get(STORE)
    return torch.distributed.TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        size,
        is_master=rank == 0,
        timeout=TIMEOUT,
        master_listen_fd=int(listening) if listening else None,
    )


def _end_with_parent() -> None:
    """Have this process die with the one that launched it: nobody else would end it."""
    alive = os.environ.get(PARENT)
    if alive is None:
        return

    def watch() -> None:
        os.read(int(alive), 1)  # returns when the other end is closed
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _with_nothing(model: torch.nn.Module) -> torch.nn.Module:
    """Return a module that calls `model`, and, called with nothing, has a gradient of 0."""

    class WithNothing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            if inputs:
                return self.model(*inputs)
            trained = (p for p in self.model.parameters() if p.requires_grad)
            return sum(parameter.sum() * 0.0 for parameter in trained)

    return WithNothing()


def _sum_bucket(state, bucket):  # torch refuses the annotations that it cannot evaluate
    work = torch.distributed.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


@contextmanager
def _last_pass(model: torch.nn.Module) -> Iterator[None]:
    """See to it that this process takes part in the sum even if its micro-batch was empty."""
    called = False

    def note(module: torch.nn.Module, inputs: tuple) -> None:
        nonlocal called
        called = True

    handle = model.register_forward_pre_hook(note)
    try:
        yield
    finally:
        handle.remove()
    if not called:
        model().backward()
