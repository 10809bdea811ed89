"""Principal components and logistic regression, fitted to training rows and kept as plain arrays.

Expression has more genes than a study has samples. Both fits therefore work in the space that the
training rows span, which is exact and as fast for 20,000 genes as for one dimension a sample.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bulkformer.evaluate.splits import assign_folds

# Inverse L2 penalties that are tried. Vectors are standardised and divided by the square root of
# their length, so that one grid means the same for 32 dimensions and for 20,000.
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
INNER_FOLDS = 3
MAX_TUNING_ROWS = 3000  # the penalty is known well enough from as many; the final fit takes all
MAX_ITERATIONS = 2000
ABSENT = 1e-6  # probability of a class that an inner fold never saw, so that its loss is finite


@dataclass(frozen=True)
class PrincipalAxes:
    """`mean` [d] and orthonormal `axes` [d, k] of training rows."""

    mean: np.ndarray
    axes: np.ndarray

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Return principal components [m, k]."""
        return (vectors - self.mean) @ self.axes


@dataclass(frozen=True)
class LogisticRegression:
    """A fitted multinomial logistic regression.

    Attributes
    ----------
    mean, scale : [d], the standardisation, from training rows
    weights, intercept : [d, C] and [C]; minus infinity for a class that training rows lacked
    penalty : inverse L2 penalty that inner folds chose
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    penalty: float

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return class probabilities [m, C]; `studies` are not looked at."""
        return _softmax((vectors - self.mean) / self.scale @ self.weights + self.intercept)


def fit_principal_axes(vectors: np.ndarray, components: int) -> PrincipalAxes:
    """Return the leading axes of `vectors` [n, d]; fewer than asked for where rank has no more.

    Each axis points to where its largest loading is positive, so that its sign is not left to the
    linear algebra library.
    """
    from scipy.linalg import eigh

    mean = vectors.mean(axis=0, dtype=np.float64)
    centred = vectors - mean
    n, d = centred.shape
    gram = centred.T @ centred if d <= n else centred @ centred.T
    k = min(components, n - 1, d)
    variances, directions = eigh(gram, subset_by_index=[len(gram) - k, len(gram) - 1])
    kept = variances > variances[-1] * 1e-10
    variances, directions = variances[kept][::-1], directions[:, kept][:, ::-1]
    axes = directions if d <= n else centred.T @ (directions / np.sqrt(variances))
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
    return PrincipalAxes(mean, axes * np.where(largest < 0, -1.0, 1.0))


def fit_logistic_regression(
    vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, n_classes: int, seed: int
) -> LogisticRegression:
    """Tune the penalty by log loss in inner folds of whole groups, then fit all rows.

    Parameters
    ----------
    vectors : float [n, d]
    labels, groups : codes int [n]
    n_classes : classes of the dataset; those without a training row get probability 0
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    scale = vectors.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0
    scale *= np.sqrt(vectors.shape[1])
    inputs = (vectors - mean) / scale
    basis = None
    if inputs.shape[1] > inputs.shape[0]:
        # A ridge solution lies in the span of the rows: rotating onto it changes nothing else.
        basis, triangle = np.linalg.qr(inputs.T)
        inputs = triangle.T
    penalty = _tune(inputs, labels, groups, np.random.default_rng(seed))
    model = _solver(penalty).fit(inputs, labels)
    coefficients = np.zeros((inputs.shape[1], n_classes))
    intercept = np.full(n_classes, -np.inf)
    if len(model.classes_) == 2:  # scikit-learn keeps the second class's logit only
        intercept[model.classes_] = [0.0, model.intercept_[0]]
        coefficients[:, model.classes_[1]] = model.coef_[0]
    else:
        intercept[model.classes_] = model.intercept_
        coefficients[:, model.classes_] = model.coef_.T
    weights = coefficients if basis is None else basis @ coefficients
    return LogisticRegression(mean, scale, weights, intercept, penalty)


def _tune(
    inputs: np.ndarray, labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator
) -> float:
    """Return the penalty of the lowest log loss over inner folds, the strongest of equals."""
    rows = np.sort(rng.permutation(len(labels))[:MAX_TUNING_ROWS])
    inputs, labels, groups = inputs[rows], labels[rows], groups[rows]
    n_folds = min(INNER_FOLDS, len(np.unique(groups)))
    if n_folds < 2:
        return 1.0
    fold_of = assign_folds(labels.tolist(), groups.tolist(), n_folds, rng)
    losses = np.zeros(len(PENALTIES))
    for fold in range(n_folds):
        train, test = fold_of != fold, fold_of == fold
        if len(np.unique(labels[train])) < 2:
            continue
        model = _solver(PENALTIES[0])
        for i, penalty in enumerate(PENALTIES):
            # Each fit starts from the one before it, which is close.
            model.set_params(C=penalty).fit(inputs[train], labels[train])
            losses[i] += _log_loss(model, inputs[test], labels[test])
    return PENALTIES[int(np.argmin(np.round(losses, 9)))]


def _log_loss(model: Any, inputs: np.ndarray, labels: np.ndarray) -> float:
    """Return the summed log loss of rows, also of classes that `model` has never seen."""
    column = {label: i for i, label in enumerate(model.classes_.tolist())}
    told = model.predict_proba(inputs)
    own = [
        told[row, column[label]] if label in column else ABSENT
        for row, label in enumerate(labels.tolist())
    ]
    return -float(np.log(np.maximum(own, ABSENT)).sum())


def _solver(penalty: float) -> Any:
    # Imported here: scikit-learn takes a second to import, which heads without it save.
    from sklearn.linear_model import LogisticRegression as Solver

    return Solver(C=penalty, max_iter=MAX_ITERATIONS, warm_start=True)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
