"""Starts the processes of a training run on one machine, and ends them together.

Workers find in their environment what torchrun would have told them, so a step neither knows nor
cares who started it. torchrun itself ends with status 1 where a run that saved on request says 75,
dies of SIGUSR1, which Slurm sends before the time is up, and kills after 30 seconds, which a step
on CPUs may well take.
"""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import IO

from bulkformer.errors import InputError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
STOPPED = 75  # exit status of a worker that saved its state on request (EX_TEMPFAIL)
SETTLE_SECONDS = 3.0  # for the others to end by themselves, once one has failed
ENDING_SECONDS = 60.0  # for the others to end, once one has ended well: they do so together
LAST_WORDS = 4000  # bytes of what a failed worker wrote
PARENT, STORE = "BULKFORMER_PARENT_FD", "BULKFORMER_STORE_FD"  # files that a worker inherits


def launch(processes: int) -> None:
    """Run this command in `processes` processes and end with their status; return in a worker.

    Returns at once for one process, and where the environment of torchrun (or of this function) is
    present. Else it starts the command line of this process once for each rank, hands SIGTERM,
    SIGINT and SIGUSR1 on to all of them, waits as long as they need, and never returns: the status
    is 0 if all ended well, 75 if they saved on request, and that of the first that failed
    otherwise. To be called before anything is read: what this process holds is held in vain.
    """
    if processes < 1:
        raise InputError(f"pretrain.execution.processes is {processes}; give 1 or more")
    if under_torchrun():
        if PARENT in os.environ:
            # Until the loop can save, a stop signal ends a worker without a word.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    elif processes > 1:
        sys.exit(_Workers(processes).wait())


def under_torchrun() -> bool:
    """Return whether somebody started this process as one of several."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


class _Workers:
    """The processes of one run; when one of them fails, the run has failed."""

    def __init__(self, number: int) -> None:
        # Signals wake the loop through a pipe: none is lost between a look and a wait.
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for which in (*STOP_SIGNALS, signal.SIGCHLD):
            signal.signal(which, lambda number, frame: None)
        # A worker finds this pipe closed when this process is gone, killed too, and ends.
        self._alive, self._held = os.pipe()
        self._asked = False  # to stop
        self._output: list[IO[bytes] | None] = []
        with socket.create_server(("127.0.0.1", 0)) as store:
            self._processes = [self._start(rank, number, store) for rank in range(number)]
        os.close(self._alive)

    def _start(self, rank: int, number: int, store: socket.socket) -> subprocess.Popen:
        environment = os.environ | {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(number),
            "LOCAL_WORLD_SIZE": str(number),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(store.getsockname()[1]),
            "OMP_NUM_THREADS": str(max(1, _threads() // number)),
            PARENT: str(self._alive),
        }
        # Warnings for programmers, such as that no parameter went unused, once for each process.
        environment.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        files = [self._alive]
        if rank == 0:  # it serves the others, on a port that is never free for somebody else
            environment[STORE] = str(store.fileno())
            files.append(store.fileno())
        # The first speaks for all; what another one said is shown when it fails.
        output = tempfile.TemporaryFile() if rank else None  # noqa: SIM115 (read at the end)
        self._output.append(output)
        return subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env=environment,
            pass_fds=files,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

    def wait(self) -> int:
        """Hand signals on until all workers have ended; return the status of the run."""
        deadline = math.inf
        while (rank := self._failed()) is None:
            running = [worker for worker in self._processes if worker.returncode is None]
            if not running:
                return max(worker.returncode for worker in self._processes)
            if len(running) < len(self._processes):
                deadline = min(deadline, time.monotonic() + ENDING_SECONDS)
            if time.monotonic() > deadline:
                running[0].kill()  # it hangs, and will count as one that failed
                running[0].wait()
            self._hand_on()
        failed = self._processes[rank]
        self._end_all()
        if self._asked and -failed.returncode in STOP_SIGNALS:
            return STOPPED  # the signal came before the first step: there was nothing to save
        self._show_last_words(rank)
        return failed.returncode if failed.returncode > 0 else 1

    def _failed(self) -> int | None:
        """Return the rank of a worker that ended neither well nor after it saved."""
        statuses = [worker.poll() for worker in self._processes]
        bad = (rank for rank, status in enumerate(statuses) if status not in (None, 0, STOPPED))
        return next(bad, None)

    def _hand_on(self) -> None:
        """Wait for a signal or for the end of a worker; pass stop signals to all workers."""
        select.select([self._woken], [], [], 1.0)
        try:
            received = self._woken.recv(4096)
        except BlockingIOError:
            return
        for number in received:
            if number in STOP_SIGNALS:
                self._asked = True
                for worker in self._processes:
                    worker.send_signal(number)

    def _end_all(self) -> None:
        """End the others: they may wait for one that will never answer."""
        deadline = time.monotonic() + SETTLE_SECONDS
        for worker in self._processes:
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()

    def _show_last_words(self, rank: int) -> None:
        status, output = self._processes[rank].returncode, self._output[rank]
        if output is not None:
            output.seek(max(0, output.seek(0, os.SEEK_END) - LAST_WORDS))
            for line in output.read().decode(errors="replace").splitlines():
                print(f"[process {rank}] {line}", file=sys.stderr)
        how = f"ended with status {status}"
        if status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
        if status == -signal.SIGKILL:
            how += " (by the system if memory ran out, or because it did not end with the others)"
        print(
            f"error: process {rank} of {len(self._processes)} {how}, and the others were ended. "
            "Where a checkpoint was saved, the same command goes on from it",
            file=sys.stderr,
        )


def _threads() -> int:
    """Return how many threads the workers may have together."""
    if os.environ.get("OMP_NUM_THREADS", "").isdigit():
        return int(os.environ["OMP_NUM_THREADS"])
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
