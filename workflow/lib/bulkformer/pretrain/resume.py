"""Checkpoints: everything that a run needs to go on bit for bit where it stopped.

They lie in a folder that is not an output of the workflow, named by a hash of everything that
shapes the run. So a failed job keeps them, and a changed setting never continues a stale state.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import torch

from bulkformer.errors import InputError
from bulkformer.files import atomic


def state_folder(root: Path, identity: dict[str, Any]) -> Path:
    """Return the folder of the run that `identity` (settings and input hashes) describes."""
    text = json.dumps(identity, sort_keys=True)
    return root / hashlib.sha256(text.encode()).hexdigest()[:16]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) whole or not at all."""
    with atomic(path) as partial:
        torch.save(state, partial)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return the saved state, or None if the run has not been started.

    Raises InputError if the file cannot be read; nothing but plain tensors and containers is ever
    unpickled.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(
            f"{path}: not a readable checkpoint ({error}); delete it to start anew"
        ) from error


def random_states() -> dict[str, torch.Tensor]:
    """Return the states that dropout draws from."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_states(states: dict[str, torch.Tensor]) -> None:
    """Set the states that `random_states` returned."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
