"""A factorisation of drug response: a drug is a few numbers, and so is a line, by its vector.

This is a factorisation machine of which drug a pair has and of the line's vector, fitted by ridge
in turns. A drug knows of the others only through what they share about lines, and a drug never seen
has no numbers.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from bulkformer.evaluate.linear import PrincipalAxes, fit_principal_axes
from bulkformer.evaluate.response_pairs import (
    FittedHead,
    HeadSettings,
    Lines,
    Means,
    Screens,
    TrainingPairs,
    fit_means,
)
from bulkformer.evaluate.ridge import INNER_FOLDS
from bulkformer.evaluate.splits import assign_folds

# As many settings together as ridge has penalties; the most cautious first.
RANKS = (2, 5, 10)
STRENGTHS = (10.0, 1.0)
ROUNDS = 15


@dataclass(frozen=True)
class Factorisation:
    """Response = mean of the screen + (inputs of the line @ `of_lines`) @ `of_screens`.

    Attributes
    ----------
    axes, scale : principal components of training lines, and their length
    of_lines : [p, rank]
    of_screens : [rank, t], columns as `place` says: {screen: its column}
    level : means of screens
    """

    axes: PrincipalAxes
    scale: float
    of_lines: np.ndarray
    of_screens: np.ndarray
    place: dict[int, int]
    level: Means

    def predict(self, lines: Lines, screens: Screens) -> np.ndarray:
        """Return predictions; only screens that training knew may be asked for."""
        columns = [self.place[code] for code in screens.identity.tolist()]
        inputs = self.axes.transform(lines.vectors) / self.scale
        told = inputs @ self.of_lines @ self.of_screens[:, columns]
        return self.level.predict(lines, screens) + told


def factorisation(pairs: TrainingPairs, settings: HeadSettings, seed: int) -> FittedHead:
    """Choose rank and penalty by squared error in inner folds of whole groups; fit all pairs."""
    choices = list(product(RANKS, STRENGTHS))
    groups = pairs.lines.group
    n_folds = min(INNER_FOLDS, len(np.unique(groups)))
    errors = np.zeros(len(choices))
    if n_folds > 1:
        rng = np.random.default_rng(seed)
        fold_of = assign_folds([""] * len(groups), groups.tolist(), n_folds, rng)
        for fold in range(n_folds):
            held = np.broadcast_to((fold_of == fold)[:, None], pairs.response.shape)
            shown = pairs.without(held)
            known = np.isin(pairs.screens.identity, shown.screens.identity)
            asked = pairs.screens.take(np.flatnonzero(known))
            for number, choice in enumerate(choices):
                told = _fit(shown, settings.components, *choice).predict(pairs.lines, asked)
                errors[number] += np.nansum(
                    ((told - pairs.response[:, known]) ** 2)[held[:, known]]
                )
    best = int(np.round(errors / (errors.min() or 1.0), 9).argmin())
    return _fit(pairs, settings.components, *choices[best])


def _fit(pairs: TrainingPairs, components: int, rank: int, strength: float) -> Factorisation:
    """Fit lines and screens by turns, each by ridge given the other."""
    axes = fit_principal_axes(pairs.lines.vectors, components)
    inputs = axes.transform(pairs.lines.vectors)
    scale = float(np.sqrt((inputs**2).sum(axis=1).mean())) or 1.0
    inputs = inputs / scale
    level = fit_means(pairs, ["screen"])
    known = np.isfinite(pairs.response)
    rest = np.where(known, pairs.response - level.predict(pairs.lines, pairs.screens), 0.0)
    p = inputs.shape[1]
    rank = min(rank, p, rest.shape[1])
    # From the leading directions of ridge regressions of all screens with one penalty.
    weights = np.linalg.solve(inputs.T @ inputs + strength * np.eye(p), inputs.T @ rest)
    left, size, _ = np.linalg.svd(weights, full_matrices=False)
    of_lines = left[:, :rank] * np.sqrt(size[:rank])
    products = (inputs[:, :, None] * inputs[:, None, :]).reshape(len(inputs), -1)
    weight = known.astype(np.float64)
    of_screens = np.zeros((rank, rest.shape[1]))
    for _ in range(ROUNDS):
        lines = inputs @ of_lines
        squares = (lines[:, :, None] * lines[:, None, :]).reshape(len(lines), -1)
        gram = (weight.T @ squares).reshape(-1, rank, rank) + strength * np.eye(rank)
        of_screens = np.linalg.solve(gram, (rest.T @ lines)[..., None])[..., 0].T
        squares = (of_screens.T[:, :, None] * of_screens.T[:, None, :]).reshape(-1, rank * rank)
        # [p, p, rank, rank] to [p * rank, p * rank]
        gram = (products.T @ (weight @ squares)).reshape(p, p, rank, rank)
        gram = gram.transpose(0, 2, 1, 3).reshape(p * rank, p * rank)
        aim = inputs.T @ (rest @ of_screens.T)
        found = np.linalg.solve(gram + strength * np.eye(p * rank), aim.ravel())
        of_lines = found.reshape(p, rank)
    codes = pairs.screens.identity.tolist()
    place = {code: column for column, code in enumerate(codes)}
    return Factorisation(axes, scale, of_lines, of_screens, place, level)
