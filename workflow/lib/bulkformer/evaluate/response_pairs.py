"""Training pairs of a line and a screen, and their means: what the drug or the line alone tells.

What every head is given and must return stands here too.
Every number of drug response is read against these means. They need no vectors, so whatever a model
earns with expression has to come on top of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Regimes by what training has seen of a test pair: line and drug, the drug, the lines.
PAIRS = frozenset({"random_pairs"})
SEEN_DRUGS = frozenset({"held_out_lines", "held_out_tissues"})
UNSEEN_DRUGS = frozenset({"held_out_scaffolds"})


@dataclass(frozen=True)
class Lines:
    """Cell lines: `identity` codes [n], `vectors` [n, d], codes of `group` and `tissue` [n].

    Inner folds do not split a group; tissue -1 is unknown.
    """

    identity: np.ndarray
    vectors: np.ndarray
    group: np.ndarray
    tissue: np.ndarray

    def take(self, rows: np.ndarray) -> "Lines":
        """Return the chosen rows."""
        return Lines(*(values[rows] for values in vars(self).values()))


@dataclass(frozen=True)
class Screens:
    """Screens: `identity` codes [t], `fingerprints` [t, bits], codes of the scaffold [t]."""

    identity: np.ndarray
    fingerprints: np.ndarray
    scaffold: np.ndarray

    def take(self, rows: np.ndarray) -> "Screens":
        """Return the chosen rows."""
        return Screens(*(values[rows] for values in vars(self).values()))


@dataclass(frozen=True)
class TrainingPairs:
    """What a head may learn from: response float64 [n, t], NaN where a pair is not for training.

    Every line and every screen has a pair. `held_out` says what test pairs have that training
    lacks, "lines", "drugs" or "pairs", so that inner folds can be made alike.
    """

    lines: Lines
    screens: Screens
    response: np.ndarray
    held_out: str = "lines"

    def without(self, pairs: np.ndarray) -> "TrainingPairs":
        """Return what is left without `pairs`, bool [n, t]."""
        response = np.where(pairs, np.nan, self.response)
        rows, columns = (np.flatnonzero(np.isfinite(response).any(axis=axis)) for axis in (1, 0))
        response = response[np.ix_(rows, columns)]
        return TrainingPairs(
            self.lines.take(rows), self.screens.take(columns), response, self.held_out
        )


@dataclass(frozen=True)
class HeadSettings:
    """Settings of heads, from the config.

    Attributes
    ----------
    components : principal components of lines and of compounds that trees on pairs see
    trees : of forests and of gradient boosting
    hidden, epochs, learning_rate, batch_size : of the perceptron
    """

    components: int
    trees: int
    hidden: Sequence[int]
    epochs: int
    learning_rate: float
    batch_size: int


class FittedHead(Protocol):
    """What a head learned from training pairs."""

    def predict(self, lines: Lines, screens: Screens) -> np.ndarray:
        """Return the response of every line to every screen, float64 [n, t]."""
        ...


@dataclass(frozen=True)
class Means:
    """Training means: `overall`, by screen, and by how much a line or tissue deviates from them.

    Attributes
    ----------
    of_screen : {screen: mean}
    of_line : {line: mean deviation from the screens' means}
    of_tissue : {(tissue, screen): mean deviation}, and {(tissue, None): over all screens}
    uses : which of "screen", "line", "tissue" the prediction is made of
    """

    overall: float
    of_screen: dict[int, float]
    of_line: dict[int, float]
    of_tissue: dict[tuple[int, int | None], float]
    uses: frozenset[str]

    def predict(self, lines: Lines, screens: Screens) -> np.ndarray:
        """Return sums of means; what training did not meet deviates by 0."""
        level = np.full((len(lines.identity), len(screens.identity)), self.overall)
        if "screen" in self.uses:
            level[:] = [self.of_screen.get(code, self.overall) for code in screens.identity]
        if "line" in self.uses:
            level += np.array([[self.of_line.get(code, 0.0)] for code in lines.identity])
        if "tissue" in self.uses:
            level += np.array([self._of_tissue(tissue, screens) for tissue in lines.tissue])
        return level

    def _of_tissue(self, tissue: int, screens: Screens) -> list[float]:
        of_any = self.of_tissue.get((tissue, None), 0.0)
        return [
            self.of_tissue.get((tissue, code), 0.0 if code in self.of_screen else of_any)
            for code in screens.identity
        ]


def fit_means(pairs: TrainingPairs, uses: Sequence[str]) -> Means:
    """Average training pairs: first each screen, then what is left of each line or tissue.

    A screen weighs as much as any other in the overall mean. For a line never seen, "screen" and
    "line" together are the screen's mean, to the last bit.
    """
    of_screen = np.nanmean(pairs.response, axis=0)
    deviation = pairs.response - of_screen
    of_tissue: dict[tuple[int, int | None], float] = {}
    for tissue in np.unique(pairs.lines.tissue[pairs.lines.tissue >= 0]):
        own = deviation[pairs.lines.tissue == tissue]
        of_tissue[int(tissue), None] = float(np.nanmean(own))
        for column in np.flatnonzero(np.isfinite(own).any(axis=0)):
            code = int(pairs.screens.identity[column])
            of_tissue[int(tissue), code] = float(np.nanmean(own[:, column]))
    return Means(
        overall=float(of_screen.mean()),
        of_screen=dict(zip(pairs.screens.identity.tolist(), of_screen.tolist(), strict=True)),
        of_line=dict(
            zip(pairs.lines.identity.tolist(), np.nanmean(deviation, axis=1).tolist(), strict=True)
        ),
        of_tissue=of_tissue,
        uses=frozenset(uses),
    )
