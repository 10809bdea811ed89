"""The heads of drug response: what predicts pairs of a line and a screen from training pairs.

A head is fitted to training pairs and nothing else; lines and screens of test pairs enter through
`predict` only. Means look at no vector, per-drug ridge at no compound; the heads of both can speak
of compounds never seen. All ridges choose their penalties from one grid by the same inner folds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from bulkformer.errors import InputError
from bulkformer.evaluate.linear import PrincipalAxes, fit_principal_axes
from bulkformer.evaluate.response_pairs import (
    PAIRS,
    SEEN_DRUGS,
    UNSEEN_DRUGS,
    Lines,
    Means,
    Screens,
    TrainingPairs,
    fit_means,
)
from bulkformer.evaluate.ridge import PENALTIES, MultiOutputRidge, fit_ridge


@dataclass(frozen=True)
class HeadSettings:
    """Settings of heads, from the config.

    Attributes
    ----------
    components : principal components of lines and of compounds that the boosted trees see
    trees : of gradient boosting
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
class PerScreenRidge:
    """One ridge regression a screen on the vectors of lines; `place` is {screen: its column}."""

    ridge: MultiOutputRidge
    place: dict[int, int]

    def predict(self, lines: Lines, screens: Screens) -> np.ndarray:
        """Return predictions; only screens that training knew may be asked for."""
        columns = [self.place[code] for code in screens.identity.tolist()]
        return self.ridge.predict(lines.vectors)[:, columns]


def ridge(pairs: TrainingPairs, settings: HeadSettings, seed: int) -> FittedHead:
    """Per-drug ridge on line vectors, one penalty a drug, chosen in inner folds of patients."""
    fitted = fit_ridge(pairs.lines.vectors, pairs.response, pairs.lines.group, PENALTIES, seed)
    codes = pairs.screens.identity.tolist()
    return PerScreenRidge(fitted, {code: place for place, code in enumerate(codes)})


@dataclass(frozen=True)
class TwoStepRidge:
    """Ridge on line vectors whose coefficients are themselves predicted from the compound.

    Attributes
    ----------
    lines : ridge of the training screens; its axes and standardisation are used
    compounds : ridge from fingerprints to those coefficients, the intercept last
    """

    lines: MultiOutputRidge
    compounds: MultiOutputRidge

    def predict(self, lines: Lines, screens: Screens) -> np.ndarray:
        """Return predictions for any screen of which there is a fingerprint."""
        coefficients = self.compounds.predict(screens.fingerprints)
        of_screens = replace(
            self.lines, weights=coefficients[:, :-1].T, intercept=coefficients[:, -1]
        )
        return of_screens.predict(lines.vectors)


def two_step_ridge(pairs: TrainingPairs, settings: HeadSettings, seed: int) -> FittedHead:
    """Per-drug ridge, then ridge from the fingerprint of a drug to its coefficients.

    Both steps choose their penalties in inner folds: of patients, and of scaffolds. This is a
    bilinear model of compound and line, so compounds that are alike respond alike.
    """
    lines = fit_ridge(pairs.lines.vectors, pairs.response, pairs.lines.group, PENALTIES, seed)
    coefficients = np.concatenate([lines.weights, lines.intercept[None]]).T
    screens = pairs.screens
    compounds = fit_ridge(screens.fingerprints, coefficients, screens.scaffold, PENALTIES, seed)
    return TwoStepRidge(lines, compounds)


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
        of_lines = self.line_inputs(lines.vectors)
        of_screens = self.screen_inputs(screens.fingerprints)
        columns = [
            self.model.predict(np.hstack([np.tile(own, (len(of_lines), 1)), of_lines]))
            for own in of_screens
        ]
        return self.level.predict(lines, screens) + self.scale * np.stack(columns, axis=1)


def gradient_boosting(pairs: TrainingPairs, settings: HeadSettings, seed: int) -> FittedHead:
    """Boosted trees on principal components of [compound ; line], of deviations from drug means."""
    # Imported here: scikit-learn takes a second to import, which the other heads save.
    from sklearn.ensemble import HistGradientBoostingRegressor

    line_axes = fit_principal_axes(pairs.lines.vectors, settings.components)
    screen_axes = fit_principal_axes(pairs.screens.fingerprints, settings.components)
    model = HistGradientBoostingRegressor(
        max_iter=settings.trees, early_stopping=False, random_state=seed
    )
    level = fit_means(pairs, ["screen"])
    return _fit_joint(pairs, line_axes.transform, screen_axes.transform, model, level)


def mlp(pairs: TrainingPairs, settings: HeadSettings, seed: int) -> FittedHead:
    """The paper's head: a perceptron on [compound ; line vector], stopped early.

    Which layers, rate and epochs the paper used is not stated; those of the config are assumed.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(
        hidden_layer_sizes=tuple(settings.hidden),
        learning_rate_init=settings.learning_rate,
        batch_size=min(settings.batch_size, int(np.isfinite(pairs.response).sum() * 0.9)),
        max_iter=settings.epochs,
        early_stopping=True,
        random_state=seed,
    )
    used = np.flatnonzero(pairs.screens.fingerprints.any(axis=0))
    with warnings.catch_warnings():
        # The epochs are a limit, as in the paper, and no failure.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _fit_joint(
            pairs,
            fit_spanned(pairs.lines.vectors),
            lambda fingerprints: fingerprints[:, used],
            model,
            fit_means(pairs, []),
        )


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


Fit = Callable[[TrainingPairs, HeadSettings, int], FittedHead]
STRICT = SEEN_DRUGS | UNSEEN_DRUGS


@dataclass(frozen=True)
class Head:
    """How a head is fitted, and where it serves.

    Attributes
    ----------
    regimes : in which it has something to say; a row of the models table may name heads that
        together cover all of them
    shuffles_lines : whether lines exchange their vectors beforehand, so that a vector still names
        a line and no longer describes it
    """

    fit: Fit
    regimes: frozenset[str]
    shuffles_lines: bool = False


def _means(*uses: str) -> Fit:
    return lambda pairs, settings, seed: fit_means(pairs, uses)


HEADS: dict[str, Head] = {
    "global_mean": Head(_means(), PAIRS | STRICT),
    "drug_mean": Head(_means("screen"), PAIRS | STRICT),
    "line_mean": Head(_means("line"), PAIRS | STRICT),
    "drug_line_means": Head(_means("screen", "line"), PAIRS | STRICT),
    "tissue_mean": Head(_means("screen", "tissue"), PAIRS | STRICT),
    "ridge": Head(ridge, SEEN_DRUGS),
    "two_step_ridge": Head(two_step_ridge, UNSEEN_DRUGS),
    "gradient_boosting": Head(gradient_boosting, STRICT),
    "mlp": Head(mlp, PAIRS),
    "shuffled_lines_ridge": Head(ridge, SEEN_DRUGS, shuffles_lines=True),
    "shuffled_lines_mlp": Head(mlp, PAIRS, shuffles_lines=True),
}


def head_named(name: str) -> Head:
    """Return the head of that name; raises InputError if there is none."""
    if name not in HEADS:
        raise InputError(
            f"unknown head '{name}'; known are {', '.join(HEADS)}; correct the column heads of the "
            "models table or evaluate.drug_response.strict.heads"
        )
    return HEADS[name]
