"""The paper's head of drug response: a perceptron on [compound ; line], stopped early.

Every pair would carry two thousand numbers. The first layer is a sum of what the compound and what
the line say, so pairs are never laid out: each is computed once for all pairs of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bulkformer.evaluate.response_joint import fit_spanned
from bulkformer.evaluate.response_pairs import (
    FittedHead,
    HeadSettings,
    Lines,
    Means,
    Screens,
    TrainingPairs,
    fit_means,
)

if TYPE_CHECKING:
    import torch

# The defaults of scikit-learn's perceptron, by which no choice is made here.
VALIDATION_SHARE = 0.1
PATIENCE = 10  # epochs without gain that are borne
GAIN = 1e-4  # of R² on validation pairs
DECAY = 1e-4  # of squared weights, divided by the pairs of a batch


@dataclass(frozen=True)
class PairPerceptron:
    """Response = `level` + `scale` * network([compound ; line]).

    Attributes
    ----------
    line_inputs : how vectors become inputs
    used : bits that some training compound has
    weights : of the compound [c, h], of the line [l, h], then of the further layers
    biases : one a layer
    """

    line_inputs: Callable[[np.ndarray], np.ndarray]
    used: np.ndarray
    weights: Sequence[np.ndarray]
    biases: Sequence[np.ndarray]
    level: Means
    scale: float

    def predict(self, lines: Lines, screens: Screens) -> np.ndarray:
        """Return predictions, screen by screen."""
        of_compound, of_line, *further = self.weights
        first = self.line_inputs(lines.vectors).astype(np.float32) @ of_line + self.biases[0]
        columns = []
        for own in screens.fingerprints[:, self.used].astype(np.float32) @ of_compound:
            values = first + own
            for weight, bias in zip(further, self.biases[1:], strict=True):
                values = np.maximum(values, 0) @ weight + bias
            columns.append(values[:, 0].astype(np.float64))
        return self.level.predict(lines, screens) + self.scale * np.stack(columns, axis=1)


def mlp(pairs: TrainingPairs, settings: HeadSettings, seed: int) -> FittedHead:
    """Train on nine tenths of the pairs and keep the epoch that tells the last tenth best.

    Which layers, rate and epochs the paper used is not stated; those of the config are assumed.
    """
    import torch

    line_inputs, level = fit_spanned(pairs.lines.vectors), fit_means(pairs, [])
    used = np.flatnonzero(pairs.screens.fingerprints.any(axis=0))
    row, column = np.nonzero(np.isfinite(pairs.response))
    deviation = (pairs.response - level.predict(pairs.lines, pairs.screens))[row, column]
    scale = float(deviation.std()) or 1.0
    compounds, lines, truth = (
        torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        for values in (
            pairs.screens.fingerprints[:, used],
            line_inputs(pairs.lines.vectors),
            deviation / scale,
        )
    )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(row))
    held, shown = np.split(order, [max(1, round(VALIDATION_SHARE * len(row)))])
    widths = [compounds.shape[1] + lines.shape[1], *settings.hidden, 1]
    weights, biases = _first_guess(widths, compounds.shape[1], rng)
    batch = min(settings.batch_size, len(shown))
    optimiser = torch.optim.Adam(
        [{"params": weights, "weight_decay": DECAY / batch}, {"params": biases}],
        lr=settings.learning_rate,
        fused=True,
    )
    column_of, row_of = torch.from_numpy(column), torch.from_numpy(row)

    def told(which: torch.Tensor) -> torch.Tensor:
        of = column_of[which], row_of[which]
        values = first_layer(compounds, lines, weights[0], weights[1], *of) + biases[0]
        for weight, bias in zip(weights[2:], biases[1:], strict=True):
            values = torch.relu(values) @ weight + bias
        return values[:, 0]

    judged = torch.from_numpy(held)
    spread = float(((truth[judged] - truth[judged].mean()) ** 2).mean()) or 1.0
    best, kept, waited = -np.inf, _copies(weights + biases), 0
    for _ in range(settings.epochs):
        shuffled = torch.from_numpy(rng.permutation(shown))
        for now in shuffled.split(batch):
            loss = ((told(now) - truth[now]) ** 2).mean() / 2
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        with torch.inference_mode():
            reached = 1 - float(((told(judged) - truth[judged]) ** 2).mean()) / spread
        waited = 0 if reached >= best + GAIN else waited + 1
        if reached > best:
            best, kept = reached, _copies(weights + biases)
        if waited > PATIENCE:
            break
    n = len(weights)
    return PairPerceptron(line_inputs, used, kept[:n], kept[n:], level, scale)


def first_layer(
    compounds: torch.Tensor,
    lines: torch.Tensor,
    of_compound: torch.Tensor,
    of_line: torch.Tensor,
    column: torch.Tensor,
    row: torch.Tensor,
) -> torch.Tensor:
    """Return [compound ; line] @ weights of pairs [m, h], from each compound and each line once.

    `column` and `row` int [m] are the compound and the line of each pair.
    """
    told = []
    for inputs, weight, of in ((compounds, of_compound, column), (lines, of_line, row)):
        own, place = of.unique(return_inverse=True)
        told.append((inputs[own] @ weight).index_select(0, place))
    return told[0] + told[1]


def _first_guess(
    widths: Sequence[int], compound_inputs: int, rng: np.random.Generator
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Draw weights and biases (Glorot and Bengio 2010); those of the first layer in two parts."""
    import torch

    weights, biases = [], []
    for inputs, outputs in pairwise(widths):
        bound = np.sqrt(6 / (inputs + outputs))
        weights.append(rng.uniform(-bound, bound, (inputs, outputs)))
        biases.append(rng.uniform(-bound, bound, outputs))
    weights[:1] = np.split(weights[0], [compound_inputs])
    return tuple(
        [torch.from_numpy(each.astype(np.float32)).requires_grad_() for each in values]
        for values in (weights, biases)
    )


def _copies(values: Sequence[torch.Tensor]) -> list[np.ndarray]:
    return [each.detach().numpy().copy() for each in values]
