"""Checkpoints: everything that a run needs to go on bit for bit where it stopped.

They lie in a folder that is not an output of the workflow, named by a hash of everything that
shapes the run. So a failed job keeps them, and a changed setting never continues a stale state.
`last.pt` is the state; it names the file of the best weights so far, so that the two always belong
together, whenever the run was killed. Both stay when the run is done.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import pickle
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from bulkformer.errors import InputError
from bulkformer.files import atomic
from bulkformer.pretrain.progress import Progress

LAST = "last.pt"
LOCK_SECONDS = 10.0  # for a run that was just killed to be gone
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def state_folder(root: Path, identity: dict[str, Any]) -> Path:
    """Return the folder of the run that `identity` (settings and input hashes) describes."""
    text = json.dumps(identity, sort_keys=True)
    return root / hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def sole_owner(folder: Path) -> Iterator[None]:
    """Keep other runs from a state folder: each would remove the best weights of the other.

    The system takes the lock back from a process that ends, however it does. Raises InputError if
    another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_SECONDS
    with (folder / "lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise InputError(
                        f"{folder}: another run is at work on this state; wait for its end, or "
                        "stop it"
                    ) from error
                time.sleep(0.1)
            except OSError as error:
                if error.errno not in WITHOUT_LOCKS:
                    raise
                print(
                    f"{folder}: this file system knows no locks; see to it yourself that no "
                    "second run of the same settings is started",
                    file=sys.stderr,
                )
                break
            else:
                break
        yield


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) whole or not at all.

    The bytes are on the disk before the name points at them, and the name is before this returns:
    neither a killed process nor a machine without power leaves half a checkpoint. Raises InputError
    if the disk does not take it.
    """
    try:
        with atomic(path) as partial:
            torch.save(state, partial)
            _to_disk(partial)
    except (OSError, RuntimeError) as error:  # torch's writer says the second of a full disk
        raise InputError(
            f"{path}: could not be written ({type(error).__name__}: {error}); what it held before "
            "is kept. Look for space on that disk, and start the same command again"
        ) from error
    _to_disk(path.parent)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return the saved state on the CPU, or None if there is no such file.

    Raises InputError if the file cannot be read or is damaged; nothing but plain tensors and
    containers is ever unpickled.
    """
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():  # torch writes check sums and does not look at them
                raise zipfile.BadZipFile(f"{damaged} is damaged")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError, RuntimeError, EOFError, OSError, zipfile.BadZipFile
    ) as error:  # fmt: skip
        raise _unreadable(path, error) from error


def save_state(
    folder: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write the checkpoint that `restore` reads, then remove best weights that it does not name."""
    save_checkpoint(
        folder / LAST,
        {
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "random": random_states(),
            "progress": progress.packed(),
        },
    )
    for other in (*folder.glob("best_*.pt"), *folder.glob(".best_*.pt.*.partial")):
        if other != best_path(folder, progress.best_step):
            other.unlink(missing_ok=True)


def restore(
    folder: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> Progress | None:
    """Bring model, optimiser and random states back; None if the run has not been started.

    Raises InputError if the checkpoint is damaged, or the best weights that it names are.
    """
    saved = load_checkpoint(folder / LAST)
    if saved is None:
        return None
    try:
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        restore_random_states(saved["random"])
        progress = Progress.unpacked(saved["progress"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _unreadable(folder / LAST, error) from error
    if progress.best_step:
        load_best(folder, progress)
    return progress


def best_path(folder: Path, step: int) -> Path:
    """Return where the weights of the best validation loss lie; they are named by their step."""
    return folder / f"best_{step:09d}.pt"


def load_best(folder: Path, progress: Progress) -> dict[str, torch.Tensor]:
    """Return the weights of the best validation loss so far."""
    path = best_path(folder, progress.best_step)
    best = load_checkpoint(path)
    if best is None:
        raise InputError(f"{path}: missing, but {LAST} names it; delete {folder} to start anew")
    return best


def random_states() -> dict[str, torch.Tensor]:
    """Return the states of the generators; each step seeds them anew, so nothing rests on them."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_states(states: dict[str, torch.Tensor]) -> None:
    """Set the states that `random_states` returned."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unreadable(path: Path, error: Exception) -> InputError:
    # Of a file that it does not trust torch says how to open it nevertheless; nobody should.
    kind = type(error).__name__
    what = kind if isinstance(error, pickle.UnpicklingError) else f"{kind}: {error}"
    return InputError(
        f"{path}: not a readable checkpoint ({what}); delete its folder to start anew"
    )
