"""What a head of the perturbation task is asked, what it learns from, and how it is set."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Questions:
    """Profiles whose change is asked for: everything known before the treatment.

    Attributes
    ----------
    compound, cell : names [n]
    fingerprint : float [n, bits], Morgan fingerprint of the compound; no bits for heads that need
        none
    condition : float [n, 2], log10 of the dose and time in hours, 0 where unknown
    control : float [n, g], the level of every gene without treatment
    vector : float [n, d], what the model makes of the control profile; d is 0 for heads that need
        none
    """

    compound: np.ndarray
    cell: np.ndarray
    fingerprint: np.ndarray
    condition: np.ndarray
    control: np.ndarray
    vector: np.ndarray


@dataclass(frozen=True)
class TrainingChanges:
    """The training profiles of one fold: `questions`, their answers, and what binds them.

    Attributes
    ----------
    change : float [n, g], treated less control
    groups : codes int [n] of what inner folds must not split
    """

    questions: Questions
    change: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class ChangeSettings:
    """`components` of control vectors, `neighbours` of a compound; layers and epochs of the MLP."""

    components: int
    neighbours: int
    hidden: tuple[int, ...]
    epochs: int


class FittedChange(Protocol):
    """What a head learned from training profiles."""

    def predict(self, asked: Questions) -> np.ndarray:
        """Return changes float [m, g]."""
        ...
