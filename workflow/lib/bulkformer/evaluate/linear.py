"""Principal components and logistic regression, fitted to training rows and kept as plain arrays.

What other tuned heads need to meet the same search stands here too: inner folds and their loss.

Expression has more genes than a study has samples. Both fits therefore work in the space that the
training rows span, which is exact and as fast for 20,000 genes as for one dimension a sample.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bulkformer.evaluate.softmax_regression import fit_softmax
from bulkformer.evaluate.splits import assign_folds

# Inverse L2 penalties that are tried. Vectors are standardised and divided by the square root of
# their length, so that one grid means the same for 32 dimensions and for 20,000.
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
INNER_FOLDS = 3
MAX_TUNING_ROWS = 3000  # the penalty is known well enough from as many; the final fit takes all
JITTER = 1e-9  # of the mean square of rows, added to each; above what rounding takes away
ABSENT = 1e-6  # least probability in a log loss, so that one never seen in a fold is finite


# Training vectors [n, d] -> mean and scale [d].
Scaling = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


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
    trials : settings that inner folds tried
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    penalty: float
    trials: int

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return class probabilities [m, C]; `studies` are not looked at."""
        return softmax((vectors - self.mean) / self.scale @ self.weights + self.intercept)


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
    vectors: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    n_classes: int,
    seed: int,
    scaling: Scaling | None = None,
) -> LogisticRegression:
    """Tune the penalty by log loss in inner folds of whole groups, then fit all rows.

    Parameters
    ----------
    vectors : float [n, d]
    labels, groups : codes int [n]
    n_classes : classes of the dataset; those without a training row get probability 0
    scaling : what brings vectors to one scale, by default `standardisation`
    """
    mean, scale = (scaling or standardisation)(vectors)
    space = span((vectors - mean) / scale)
    inputs = space.rows
    penalty, trials = _tune(inputs, labels, groups, n_classes, seed)
    model = fit_softmax(inputs, labels, penalty)
    coefficients = np.zeros((inputs.shape[1], n_classes))
    intercept = np.full(n_classes, -np.inf)
    coefficients[:, model.classes] = model.weights[:-1]
    intercept[model.classes] = model.weights[-1]
    weights = space.unfold(coefficients)
    return LogisticRegression(mean, scale, weights, intercept, penalty, trials)


def standardisation(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale [d] after which a penalty means the same for any length of vector."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    scale = vectors.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0
    return mean, scale * np.sqrt(vectors.shape[1])


def common_scale(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale [d] that make the variances of all dimensions add up to 1.

    For principal components: standardising them one by one would blow up the smallest, which hold
    noise, until with as many components as rows all training rows were equally far apart. As it is,
    all components of standardised vectors give the same regression as these vectors themselves.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    total = vectors.var(axis=0, dtype=np.float64).sum()
    return mean, np.full(vectors.shape[1], np.sqrt(total) if total > 0 else 1.0)


@dataclass(frozen=True)
class Span:
    """The space that training rows span, which holds every solution with an L2 penalty.

    Attributes
    ----------
    inputs : [n, d], the rows
    rows : [n, k], the same rows in an orthonormal basis of their span; k is d or n, the smaller
    """

    inputs: np.ndarray
    rows: np.ndarray

    def project(self, others: np.ndarray) -> np.ndarray:
        """Return other rows [m, d] in that basis, [m, k]."""
        if self.rows is self.inputs:
            return others
        return self._solve(self.inputs @ others.T, transposed=False).T

    def unfold(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the weights [d, C] of all dimensions that coefficients [k, C] stand for."""
        if self.rows is self.inputs:
            return coefficients
        return self.inputs.T @ self._solve(coefficients, transposed=True)

    def _solve(self, right: np.ndarray, transposed: bool) -> np.ndarray:
        from scipy.linalg import solve_triangular

        return solve_triangular(self.rows, right, lower=True, trans=int(transposed))


def span(inputs: np.ndarray) -> Span:
    """Return the span of rows [n, d]; of no more rows than dimensions the basis is never made.

    The rows in their basis are the Cholesky factor of their products: a basis would be as large as
    the rows themselves, and finding it takes many times as long.
    """
    n, d = inputs.shape
    if d <= n:
        return Span(inputs, inputs)
    from scipy.linalg import cholesky

    products = inputs @ inputs.T
    # Centred rows, and copies of a row, depend on each other; this little makes them independent.
    products[np.diag_indices(n)] += JITTER * max(np.trace(products) / n, 1.0)
    return Span(inputs, cholesky(products, lower=True, overwrite_a=True))


def inner_folds(
    labels: np.ndarray, groups: np.ndarray, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield training and test rows of folds inside the training rows, whole groups each.

    All tuned heads search in these folds. At most MAX_TUNING_ROWS rows take part; folds whose
    training rows have one class only are left out.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(labels))[:MAX_TUNING_ROWS])
    n_folds = min(INNER_FOLDS, len(np.unique(groups[rows])))
    if n_folds < 2:
        return
    fold_of = assign_folds(labels[rows].tolist(), groups[rows].tolist(), n_folds, rng)
    for fold in range(n_folds):
        train, test = rows[fold_of != fold], rows[fold_of == fold]
        if len(np.unique(labels[train])) > 1:
            yield train, test


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the summed log loss of rows; a class that was given no chance costs a finite loss."""
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    return -float(np.log(np.maximum(own, ABSENT)).sum())


def _tune(
    inputs: np.ndarray, labels: np.ndarray, groups: np.ndarray, n_classes: int, seed: int
) -> tuple[float, int]:
    """Return the penalty of the lowest log loss over inner folds, the strongest of equals, and the
    number of penalties that were tried."""
    losses, trials = np.zeros(len(PENALTIES)), 0
    for train, test in inner_folds(labels, groups, seed):
        trials = len(PENALTIES)
        space = span(inputs[train])
        others = space.project(inputs[test])
        model = None
        for i, penalty in enumerate(PENALTIES):
            # Each fit starts from the one before it, which is close.
            model = fit_softmax(space.rows, labels[train], penalty, start=model)
            told = np.zeros((len(test), n_classes))
            told[:, model.classes] = model.predict(others)
            losses[i] += log_loss(told, labels[test])
    return PENALTIES[int(np.argmin(np.round(losses, 9)))] if trials else 1.0, trials


def fit_quietly(model: Any, inputs: np.ndarray, labels: np.ndarray) -> Any:
    """Fit an estimator of scikit-learn whose parameters we set, and rows that are finite."""
    import sklearn

    # Checking both anew for every penalty takes a third of the time of small fits.
    with sklearn.config_context(skip_parameter_validation=True, assume_finite=True):
        return model.fit(inputs, labels)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities [m, C] of logits; minus infinity is no chance at all."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
