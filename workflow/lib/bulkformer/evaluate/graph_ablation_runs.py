"""Whether runs of a graph ablation differ in nothing but the graph, by what each wrote of itself.

The order of samples, what is hidden of them and the first weights all come from the seed. Equal
settings, samples, seed and number of steps therefore are an equal training.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bulkformer.errors import InputError

EQUAL = (
    "mode",
    "model",
    "parameters",
    "revision",
    "steps",
    "training_samples_sha256",
    "validation",
)


def check_alike(graph: Sequence[str], provenance: Sequence[Path]) -> None:
    """Raise InputError, naming run and key, if two runs differ in more than graph and repeat.

    `provenance` are the provenance.json of the runs in the order of `graph`. The first run of every
    graph has the seed of the first run of every other, and so on.
    """
    first: tuple[Path, dict[str, Any]] | None = None
    repeats = dict.fromkeys(graph, 0)
    by_repeat: dict[int, tuple[Path, dict[str, Any]]] = {}
    for name, path in zip(graph, provenance, strict=True):
        shared, seed = _read(path)
        first = first or (path, shared)
        _compare(path, shared, *first)
        other, expected = by_repeat.setdefault(repeats[name], (path, seed))
        _compare(path, seed, other, expected)
        repeats[name] += 1


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what all runs share, and what those of one repeat do."""
    try:
        found = json.loads(path.read_text())
        inputs = {key: value for key, value in found["inputs"].items() if key != "graph"}
        training = dict(found["training"])
        seed = {"seed": training.pop("seed")}
        return {key: found[key] for key in EQUAL} | {"inputs": inputs, "training": training}, seed
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: no provenance of a training ({error!r}); train again") from error


def _compare(path: Path, found: dict[str, Any], other: Path, expected: dict[str, Any]) -> None:
    for key, value in found.items():
        if value != expected[key]:
            raise InputError(
                f"{path}: {key} is not that of {other} ({value} and {expected[key]}), but only the "
                "graph may differ; train both again with the same settings"
            )
