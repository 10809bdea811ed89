"""What a protein language model reads at once: windows of residues, in batches of similar length.

ESM2 learned from stretches of 1,022 residues between a start and an end token. A longer protein is
cut there, as usual and as the published embeddings are understood to be, or read window by window.
The plan depends on the sequences alone, so that a run that was killed makes the same batches again
and goes on among them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

WINDOW = 1022  # residues; with start and end token 1,024, the length that ESM2 was trained with
SPECIAL_TOKENS = 2  # start and end

Windows = Literal["first", "all"]


@dataclass(frozen=True)
class ReadingPlan:
    """Windows and how they are grouped.

    Attributes
    ----------
    windows : distinct windows, the longest first: what does not fit into memory fails at once
    batches : (start, stop) among the windows, one after another
    """

    windows: list[str]
    batches: list[tuple[int, int]]


def windows_of(sequence: str, windows: Windows) -> list[str]:
    """Cut a protein into windows of 1,022 residues and a rest, or return the first of them."""
    last = len(sequence) if windows == "all" else 1
    return [sequence[start : start + WINDOW] for start in range(0, last, WINDOW)]


def plan_reading(windows: Iterable[str], batch_residues: int) -> ReadingPlan:
    """Group distinct windows such that no batch has more than `batch_residues` tokens.

    Padding and special tokens count; a window that is longer alone is a batch of its own.
    """
    ordered = sorted(set(windows), key=lambda window: (-len(window), window))
    batches, start = [], 0
    while start < len(ordered):
        size = max(1, batch_residues // (len(ordered[start]) + SPECIAL_TOKENS))
        stop = min(start + size, len(ordered))
        batches.append((start, stop))
        start = stop
    return ReadingPlan(ordered, batches)
