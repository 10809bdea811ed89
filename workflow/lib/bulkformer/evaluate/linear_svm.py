"""A linear support vector machine whose decision values are turned into probabilities.

A support vector machine has no probabilities of its own. Here they are the softmax of its decision
values times one number, which is chosen on the decision values of inner test rows: rows on which a
machine was trained lie further from its margin than new ones do. One number cannot change the order
of classes, so the label that is told is the machine's own.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bulkformer.evaluate.linear import (
    PENALTIES,
    fit_quietly,
    inner_folds,
    log_loss,
    softmax,
    span,
    standardisation,
)

MAX_ITERATIONS = 5000
SHARPNESS = (1e-2, 1e3)  # range of the number that decision values are multiplied by
ABSENT = -np.inf  # decision value of a class that training rows lacked


@dataclass(frozen=True)
class LinearSvm:
    """A fitted one-against-rest machine.

    Attributes
    ----------
    mean, scale : [d], the standardisation, from training rows
    weights, intercept : [d, C] and [C]; minus infinity for a class that training rows lacked
    penalty : inverse L2 penalty that inner folds chose
    sharpness : what decision values are multiplied by before the softmax
    trials : settings that inner folds tried
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    penalty: float
    sharpness: float
    trials: int

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return calibrated class probabilities [m, C]; `studies` are not looked at."""
        decision = (vectors - self.mean) / self.scale @ self.weights + self.intercept
        return softmax(self.sharpness * decision)


def fit_linear_svm(
    vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, n_classes: int, seed: int
) -> LinearSvm:
    """Tune the penalty by log loss of calibrated inner predictions, then fit all rows.

    Parameters
    ----------
    vectors : float [n, d]
    labels, groups : codes int [n]
    n_classes : classes of the dataset; those without a training row get probability 0
    """
    mean, scale = standardisation(vectors)
    space = span((vectors - mean) / scale)
    inputs = space.rows
    folds = list(inner_folds(labels, groups, seed))
    penalty, sharpness, trials = 1.0, 1.0, 0
    if folds:
        trials = len(PENALTIES)
        found = [_inner_loss(inputs, labels, n_classes, folds, each, seed) for each in PENALTIES]
        best = int(np.argmin([round(loss, 9) for loss, _ in found]))
        penalty, sharpness = PENALTIES[best], found[best][1]
    weights, intercept = _fit(inputs, labels, n_classes, penalty, seed)
    return LinearSvm(mean, scale, space.unfold(weights), intercept, penalty, sharpness, trials)


def _inner_loss(
    inputs: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    folds: list[tuple[np.ndarray, np.ndarray]],
    penalty: float,
    seed: int,
) -> tuple[float, float]:
    """Return the log loss of inner test rows at the best sharpness, and that sharpness."""
    from scipy.optimize import minimize_scalar

    decisions, truth = [], []
    for train, test in folds:
        weights, intercept = _fit(inputs[train], labels[train], n_classes, penalty, seed)
        decisions.append(inputs[test] @ weights + intercept)
        truth.append(labels[test])
    decision, known = np.concatenate(decisions), np.concatenate(truth)
    found = minimize_scalar(
        lambda power: log_loss(softmax(np.exp(power) * decision), known),
        bounds=np.log(SHARPNESS),
        method="bounded",
    )
    # Rounded, so that the last bit of a search does not reach the saved probabilities.
    return float(found.fun), float(np.round(np.exp(found.x), 6))


def _fit(
    inputs: np.ndarray, labels: np.ndarray, n_classes: int, penalty: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [k, C] and intercept [C] of a machine for each class against the rest."""
    # The dual problem is the smaller one, also for rows in their span, which is as wide as long.
    dual = inputs.shape[1] >= inputs.shape[0]
    model = fit_quietly(_solver(penalty, dual, seed), inputs, labels)
    weights, intercept = np.zeros((inputs.shape[1], n_classes)), np.full(n_classes, ABSENT)
    if len(model.classes_) == 2:  # one machine, whose other side is the first class
        weights[:, model.classes_] = np.stack([-model.coef_[0], model.coef_[0]], axis=1)
        intercept[model.classes_] = -model.intercept_[0], model.intercept_[0]
    else:
        weights[:, model.classes_] = model.coef_.T
        intercept[model.classes_] = model.intercept_
    return weights, intercept


def _solver(penalty: float, dual: bool, seed: int) -> Any:
    # Imported here: scikit-learn takes a second to import, which heads without it save.
    from sklearn.svm import LinearSVC

    return LinearSVC(C=penalty, dual=dual, max_iter=MAX_ITERATIONS, random_state=seed)
