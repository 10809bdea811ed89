"""The heads of drug response: what predicts pairs of a line and a screen from training pairs.

A head is fitted to training pairs and nothing else; lines and screens of test pairs enter through
`predict` only. Means look at no vector, regressions of single drugs at no compound; the heads of
both can speak of compounds never seen. All that are tuned choose among as many settings as ridge.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bulkformer.errors import InputError
from bulkformer.evaluate import per_target
from bulkformer.evaluate.response_factorisation import factorisation
from bulkformer.evaluate.response_joint import gradient_boosting, pair_random_forest
from bulkformer.evaluate.response_pairs import (
    PAIRS,
    SEEN_DRUGS,
    UNSEEN_DRUGS,
    FittedHead,
    HeadSettings,
    Lines,
    Screens,
    TrainingPairs,
    fit_means,
)
from bulkformer.evaluate.response_perceptron import mlp
from bulkformer.evaluate.ridge import PENALTIES, MultiOutputRidge, fit_ridge

Fit = Callable[[TrainingPairs, HeadSettings, int], FittedHead]


class Regressions(Protocol):
    """One regression a screen."""

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """Return predictions of `vectors` [m, d], float64 [m, t]."""
        ...


@dataclass(frozen=True)
class PerScreen:
    """One regression a screen on the vectors of lines; `place` is {screen: its column}."""

    regressions: Regressions
    place: dict[int, int]

    def predict(self, lines: Lines, screens: Screens) -> np.ndarray:
        """Return predictions; only screens that training knew may be asked for."""
        columns = [self.place[code] for code in screens.identity.tolist()]
        return self.regressions.predict(lines.vectors)[:, columns]


def ridge(pairs: TrainingPairs, settings: HeadSettings, seed: int) -> FittedHead:
    """Per-drug ridge on line vectors, one penalty a drug, chosen in inner folds of whole groups."""
    fitted = fit_ridge(pairs.lines.vectors, pairs.response, pairs.lines.group, PENALTIES, seed)
    return PerScreen(fitted, _places(pairs))


def _per_target(regression: per_target.Regression) -> Fit:
    """Return a head that fits one regression a drug on line vectors."""

    def fit(pairs: TrainingPairs, settings: HeadSettings, seed: int) -> FittedHead:
        fitted = per_target.fit_per_target(
            regression,
            pairs.lines.vectors,
            pairs.response,
            pairs.lines.group,
            settings.trees,
            seed,
        )
        return PerScreen(fitted, _places(pairs))

    return fit


def _places(pairs: TrainingPairs) -> dict[int, int]:
    return {code: place for place, code in enumerate(pairs.screens.identity.tolist())}


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

    Both steps choose their penalties in inner folds: of whole groups of lines, and of scaffolds.
    This is a bilinear model of compound and line, so compounds that are alike respond alike.
    """
    lines = fit_ridge(pairs.lines.vectors, pairs.response, pairs.lines.group, PENALTIES, seed)
    coefficients = np.concatenate([lines.weights, lines.intercept[None]]).T
    screens = pairs.screens
    compounds = fit_ridge(screens.fingerprints, coefficients, screens.scaffold, PENALTIES, seed)
    return TwoStepRidge(lines, compounds)


STRICT = SEEN_DRUGS | UNSEEN_DRUGS


@dataclass(frozen=True)
class Head:
    """How a head is fitted, and where it serves.

    Attributes
    ----------
    regimes : in which it has something to say; a row of the models table may name heads that
        together cover all of them
    trials : settings that it chooses among in inner folds
    shuffles_lines : whether lines exchange their vectors beforehand, so that a vector still names
        a line and no longer describes it
    on_panel : whether it sees the genes of the panel alone
    one_by_one : whether it takes so long a drug that only some drugs are asked
    """

    fit: Fit
    regimes: frozenset[str]
    trials: int = 1
    shuffles_lines: bool = False
    on_panel: bool = False
    one_by_one: bool = False


def _means(*uses: str) -> Head:
    return Head(lambda pairs, settings, seed: fit_means(pairs, uses), PAIRS | STRICT)


def _single(regression: per_target.Regression) -> Head:
    fit = _per_target(regression)
    return Head(fit, PAIRS | SEEN_DRUGS, per_target.TRIALS, one_by_one=True)


TUNED = len(PENALTIES)
HEADS: dict[str, Head] = {
    "global_mean": _means(),
    "drug_mean": _means("screen"),
    "line_mean": _means("line"),
    "drug_line_means": _means("screen", "line"),
    "tissue_mean": _means("screen", "tissue"),
    "ridge": Head(ridge, SEEN_DRUGS, TUNED),
    "panel_ridge": Head(ridge, PAIRS | SEEN_DRUGS, TUNED, on_panel=True),
    "two_step_ridge": Head(two_step_ridge, UNSEEN_DRUGS, 2 * TUNED),
    "elastic_net": _single(per_target.elastic_net),
    "random_forest": _single(per_target.random_forest),
    "per_drug_gradient_boosting": _single(per_target.gradient_boosting),
    "factorisation": Head(factorisation, PAIRS | SEEN_DRUGS, TUNED),
    "gradient_boosting": Head(gradient_boosting, STRICT, TUNED),
    "pair_random_forest": Head(pair_random_forest, PAIRS | STRICT, TUNED),
    "mlp": Head(mlp, PAIRS),
    "shuffled_lines_ridge": Head(ridge, SEEN_DRUGS, TUNED, shuffles_lines=True),
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
