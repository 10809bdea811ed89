"""Trees of drug response that see a pair as [compound ; line].

They can speak of compounds never seen. They choose among as many settings as ridge, on one inner
fold of what test pairs have that training lacks: lines, compounds or pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bulkformer.evaluate.linear import PrincipalAxes, fit_principal_axes
from bulkformer.evaluate.per_target import LEAF_SIZES, TREE_SHARES
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

ROWS_OF_A_TREE = 20_000  # pairs that a tree of the forest sees, of a hundred thousand


@dataclass(frozen=True)
class JointModel:
    """A regression of pairs on [compound ; line], what it adds to `level`, and in which unit.

    Attributes
    ----------
    line_inputs, screen_inputs : how vectors and fingerprints become inputs
    model : scikit-learn's, of deviations from `level` in units of `scale`
    """

    line_inputs: Callable[[np.ndarray], np.ndarray]
    screen_inputs: Callable[[np.ndarray], np.ndarray]
    model: Any
    level: Means
    scale: float

    def predict(self, lines: Lines, screens: Screens) -> np.ndarray:
        """Return predictions, screen by screen."""
        of_lines, of_screens = self.inputs(lines, screens)
        columns = [
            self.model.predict(np.hstack([np.tile(own, (len(of_lines), 1)), of_lines]))
            for own in of_screens
        ]
        return self.level.predict(lines, screens) + self.scale * np.stack(columns, axis=1)

    def inputs(self, lines: Lines, screens: Screens) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs of lines and of screens."""
        return self.line_inputs(lines.vectors), self.screen_inputs(screens.fingerprints)


def gradient_boosting(pairs: TrainingPairs, settings: HeadSettings, seed: int) -> FittedHead:
    """Boosted trees on principal components of [compound ; line], of deviations from drug means.

    How many trees speak is chosen on the inner fold.
    """
    # Imported here: scikit-learn takes a second to import, which the other heads save.
    from sklearn.ensemble import HistGradientBoostingRegressor

    def boosted(shown: TrainingPairs, trees: int) -> JointModel:
        model = HistGradientBoostingRegressor(
            max_iter=trees, early_stopping=False, random_state=seed
        )
        return _on_components(shown, settings, model)

    counts = sorted({max(1, round(share * settings.trees)) for share in TREE_SHARES})
    validation = validation_pairs(pairs, seed)
    fitted = boosted(pairs.without(validation), counts[-1])
    row, column = np.nonzero(validation & np.isfinite(pairs.response))
    level = fitted.level.predict(pairs.lines, pairs.screens)
    truth = (pairs.response - level)[row, column] / fitted.scale
    of_lines, of_screens = fitted.inputs(pairs.lines, pairs.screens)
    stages = fitted.model.staged_predict(np.hstack([of_screens[column], of_lines[row]]))
    errors = [
        _rounded(np.mean((told - truth) ** 2))
        for number, told in enumerate(stages, start=1)
        if number in counts
    ]
    return boosted(pairs, counts[int(np.argmin(errors))])


def pair_random_forest(pairs: TrainingPairs, settings: HeadSettings, seed: int) -> FittedHead:
    """Random forest on principal components of [compound ; line], of deviations from drug means.

    The size of leaves is chosen on the inner fold.
    """
    from sklearn.ensemble import RandomForestRegressor

    def forest(shown: TrainingPairs, leaf: int) -> JointModel:
        n = int(np.isfinite(shown.response).sum())
        model = RandomForestRegressor(
            n_estimators=settings.trees,
            max_features=1 / 3,
            max_samples=min(n, ROWS_OF_A_TREE),
            min_samples_leaf=leaf,
            random_state=seed,
        )
        return _on_components(shown, settings, model)

    validation = validation_pairs(pairs, seed)
    shown = pairs.without(validation)
    errors = [
        _error(pairs, validation, forest(shown, leaf).predict(pairs.lines, pairs.screens))
        for leaf in LEAF_SIZES
    ]
    return forest(pairs, LEAF_SIZES[int(np.argmin(errors))])


def validation_pairs(pairs: TrainingPairs, seed: int) -> np.ndarray:
    """Choose training pairs that only choose a setting, bool [n, t]: about a third.

    They are whole groups of lines, whole scaffolds, or single pairs, as test pairs are. With fewer
    than two groups single pairs serve.
    """
    rng = np.random.default_rng(seed)
    shape = pairs.response.shape
    for asked, groups in (("lines", pairs.lines.group), ("drugs", pairs.screens.scaffold)):
        if pairs.held_out != asked or len(np.unique(groups)) < 2:
            continue
        folds = min(INNER_FOLDS, len(np.unique(groups)))
        held = assign_folds([""] * len(groups), groups.tolist(), folds, rng) == 0
        return np.broadcast_to(held[:, None] if asked == "lines" else held, shape)
    return rng.random(shape) < 1 / INNER_FOLDS


def _error(pairs: TrainingPairs, validation: np.ndarray, told: np.ndarray) -> float:
    """Return the mean squared error of validation pairs."""
    return _rounded(np.nanmean(np.where(validation, told - pairs.response, np.nan) ** 2))


def _rounded(error: float) -> float:
    """Return the error without its last digits, which differ between machines."""
    return float(np.format_float_scientific(error, precision=8))


def fit_spanned(vectors: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return standardised inputs, on the axes that training lines span where those are fewer.

    A matrix of pairs repeats every line for each drug: 20,000 genes would not fit in memory, and
    as many axes as there are lines hold the same.
    """
    mean, scale = vectors.mean(axis=0, dtype=np.float64), vectors.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0
    n, d = vectors.shape
    axes: PrincipalAxes | None = None
    unit = 1.0
    if d > n:
        axes = fit_principal_axes((vectors - mean) / scale, n - 1)
        unit = float(np.sqrt(d / axes.axes.shape[1]))  # so that an input has variance 1 on average

    def transform(rows: np.ndarray) -> np.ndarray:
        standard = (rows - mean) / scale
        return standard if axes is None else axes.transform(standard) / unit

    return transform


def _on_components(pairs: TrainingPairs, settings: HeadSettings, model: Any) -> JointModel:
    line_axes = fit_principal_axes(pairs.lines.vectors, settings.components)
    screen_axes = fit_principal_axes(pairs.screens.fingerprints, settings.components)
    level = fit_means(pairs, ["screen"])
    return _fit_joint(pairs, line_axes.transform, screen_axes.transform, model, level)


def _fit_joint(
    pairs: TrainingPairs,
    line_inputs: Callable[[np.ndarray], np.ndarray],
    screen_inputs: Callable[[np.ndarray], np.ndarray],
    model: Any,
    level: Means,
) -> JointModel:
    """Lay the training pairs out as rows and fit `model` to deviations of variance 1."""
    row, column = np.nonzero(np.isfinite(pairs.response))
    deviation = (pairs.response - level.predict(pairs.lines, pairs.screens))[row, column]
    scale = float(deviation.std()) or 1.0
    of_lines = line_inputs(pairs.lines.vectors).astype(np.float32)
    of_screens = screen_inputs(pairs.screens.fingerprints).astype(np.float32)
    inputs = np.hstack([of_screens[column], of_lines[row]])
    model.fit(inputs, (deviation / scale).astype(np.float32))
    return JointModel(line_inputs, screen_inputs, model, level, scale)
