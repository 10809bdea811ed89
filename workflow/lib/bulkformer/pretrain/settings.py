"""What a run is told to do: the slices of the config that the training step receives as JSON.

A slice is read strictly, because a setting that is misspelt and therefore ignored would only be
noticed weeks later, in the result.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bulkformer.errors import InputError

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Training:
    """The objective and its optimiser; the meaning of each field stands in config/README.md."""

    gene_start: Literal["random", "principal_components"]
    epochs: int
    effective_batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_fraction: float
    schedule: Literal["constant", "cosine"]
    mask_fraction: float | tuple[float, float]
    clip_gradient: float
    precision: Literal["float32", "bfloat16"] = "float32"
    largest_increase: float | None = 10.0

    def __post_init__(self) -> None:
        low, high = self.mask_range
        _require(low <= high, "mask_fraction", self.mask_fraction, "the lower share first")
        _require(0 < low <= high < 1, "mask_fraction", self.mask_fraction, "between 0 and 1")
        _require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        size = self.effective_batch_size
        _require(size >= 1, "effective_batch_size", size, "at least 1")
        _require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        _require(self.clip_gradient > 0, "clip_gradient", self.clip_gradient, "above 0")
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        warmup = self.warmup_fraction
        _require(0 <= warmup <= 1, "warmup_fraction", warmup, "between 0 and 1")
        increase = self.largest_increase
        _require(increase is None or increase > 1, "largest_increase", increase, "above 1, or null")

    @property
    def mask_range(self) -> tuple[float, float]:
        """Return the lowest and highest share of measured genes that is hidden in a sample."""
        if isinstance(self.mask_fraction, tuple):
            return self.mask_fraction
        return self.mask_fraction, self.mask_fraction

    def shaping(self) -> dict[str, Any]:
        """Return the settings on which the result rests, for the identity of its state.

        All but the limit at which a run stops: one that stopped goes on under another limit.
        """
        return {key: value for key, value in as_record(self).items() if key != "largest_increase"}

    def warmup_steps(self, n_steps: int) -> int:
        """Return over how many of the first steps the learning rate rises."""
        return max(1, round(self.warmup_fraction * n_steps))

    def rate(self, step: int, n_steps: int) -> float:
        """Return the learning rate of one step: linear warm-up, then constant or cosine to 0."""
        warmup = self.warmup_steps(n_steps)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - warmup) / max(1, n_steps - warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Validation:
    """How the model is looked at while it learns."""

    mask_fractions: tuple[float, ...] = (0.05, 0.15, 0.3, 0.5, 0.7, 0.9)
    every_steps: int | None = None
    max_samples: int = 1000

    def __post_init__(self) -> None:
        shares = self.mask_fractions
        fit = len(shares) > 0 and all(0 < share < 1 for share in shares)
        _require(fit, "mask_fractions", list(shares), "shares between 0 and 1, at least one")
        every = self.every_steps
        _require(every is None or every >= 1, "every_steps", every, "at least 1, or null")
        _require(self.max_samples >= 1, "max_samples", self.max_samples, "at least 1")

    def selecting_fraction(self, training: Training) -> float:
        """Return the share hidden at which the loss selects the weights."""
        return nearest_share(self.mask_fractions, training.mask_range)


def nearest_share(shares: Sequence[float], trained_with: Sequence[float]) -> float:
    """Return the share nearest to the one hidden in training, or to the middle of its range.

    Of two that are as near, it is the larger, which is the harder task.
    """
    middle = (min(trained_with) + max(trained_with)) / 2
    return min(shares, key=lambda share: (round(abs(share - middle), 9), -share))


@dataclass(frozen=True)
class Execution:
    """What changes the speed of a run and, up to rounding and dropout, not its result."""

    processes: int = 1
    batch_size: int = 4
    attention: Literal["fused", "triton", "performer_pytorch"] = "fused"
    compile: bool = False
    activation_checkpointing: bool = False
    checkpoint_minutes: float = 30.0

    def __post_init__(self) -> None:
        _require(self.processes >= 1, "processes", self.processes, "at least 1")
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        _require(self.checkpoint_minutes > 0, "checkpoint_minutes", self.checkpoint_minutes, "> 0")


def read_settings(kind: type[Settings], text: str, place: str) -> Settings:
    """Read a slice of the config from JSON.

    Parameters
    ----------
    kind : a dataclass
    place : where the user wrote the slice, such as "pretrain.training"; said in errors

    Raises InputError if `text` is no JSON object, or if a key is unknown, missing, or of the wrong
    type; an unknown key is answered with the one that was probably meant.
    """
    content = read_object(text, place)
    wanted = {each.name: each for each in fields(kind)}
    hints = get_type_hints(kind)
    for key in content:
        if key not in wanted:
            meant = get_close_matches(key, wanted, n=1)
            hint = f"did you mean '{meant[0]}'?" if meant else f"known are {', '.join(wanted)}"
            raise InputError(f"{place}.{key}: unknown; {hint}")
    for key, each in wanted.items():
        if key not in content and each.default is MISSING:
            raise InputError(f"{place}.{key}: missing; see config/README.md")
    try:
        values = {
            key: _checked(value, hints[key], f"{place}.{key}") for key, value in content.items()
        }
        return kind(**values)
    except ValueError as error:
        raise InputError(f"{place}.{error}") from error


def read_object(text: str, place: str) -> dict[str, Any]:
    """Read a JSON object; InputError naming `place` if `text` is something else."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{place}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f'{place}: a JSON object was expected, such as {{"key": 1}}')
    return content


def as_record(settings: Any) -> dict[str, Any]:
    """Return the settings as JSON content, for the identity and the provenance of a run."""
    return json.loads(json.dumps(asdict(settings)))


def _checked(value: Any, hint: Any, place: str) -> Any:
    """Return `value` in the form of the type `hint`, or raise InputError naming `place`."""
    for kind in get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,):
        try:
            return _converted(value, kind)
        except TypeError:
            continue
    raise InputError(f"{place}: {json.dumps(value)} is not {_spelt(hint)}")


def _converted(value: Any, kind: Any) -> Any:
    """Return `value` as `kind`; TypeError if it is not of that kind. A truth value is no number."""
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
    elif get_origin(kind) is tuple:
        if isinstance(value, list):
            items = get_args(kind)
            items = items[:1] * len(value) if items[-1] is Ellipsis else items
            if len(items) == len(value):
                return tuple(map(_converted, value, items))
    elif kind is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif kind is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(value, kind):
        return value
    raise TypeError


def _spelt(hint: Any) -> str:
    """Say in words what a setting may be."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(map(_spelt, get_args(hint)))
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    if get_origin(hint) is tuple:
        items: Sequence[Any] = get_args(hint)
        return "a list of numbers" if items[-1] is Ellipsis else f"a list of {len(items)} numbers"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return words.get(hint, "null")


def _require(holds: bool, key: str, value: Any, wanted: str) -> None:
    """Raise ValueError, which `read_settings` completes with the place, unless `holds`."""
    if not holds:
        raise ValueError(f"{key}: {json.dumps(value)} is not {wanted}")
