"""The fit behind multinomial logistic regression: scikit-learn's objective and optimiser, bare.

Tuning fits thousands of small regressions, of which scikit-learn takes three parts of four for what
it checks and wraps around each. A test holds the two to the same answer.
"""

from dataclasses import dataclass

import numpy as np

MAX_ITERATIONS = 2000
SLOPE = 1e-4  # largest slope of the mean loss at which the search ends, as in scikit-learn


@dataclass(frozen=True)
class Softmax:
    """A fitted regression.

    Attributes
    ----------
    classes : the K codes that training rows have, ascending
    weights : [d + 1, K], the last row the intercepts; of two classes the first is 0 throughout, so
        that the penalty is that of one logit
    """

    classes: np.ndarray
    weights: np.ndarray

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Return the probabilities of `classes`, [m, K]."""
        powers = _powers(inputs @ self.weights[:-1] + self.weights[-1])[0]
        return powers / powers.sum(axis=1, keepdims=True)


def fit_softmax(
    inputs: np.ndarray, labels: np.ndarray, penalty: float, start: Softmax | None = None
) -> Softmax:
    """Minimise the log loss of rows [n, d] plus |weights|² / (2 penalty), intercepts unpenalised.

    `start` is a regression of the same rows with another penalty, near which the search begins.
    """
    from scipy.optimize import minimize

    classes, codes = np.unique(labels, return_inverse=True)
    n, d = inputs.shape
    free = slice(1, 2) if len(classes) == 2 else slice(0, len(classes))
    truth = (codes[:, None] == np.arange(len(classes))).astype(np.float64)
    weights = np.zeros((d + 1, len(classes)))
    strength = 1 / (penalty * n)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights[:, free] = flat.reshape(d + 1, -1)
        own = weights[:-1, free]
        powers, logits = _powers(inputs @ weights[:-1] + weights[-1])
        total = powers.sum(axis=1, keepdims=True)
        value = (np.log(total).sum() - (logits * truth).sum()) / n
        error = ((powers / total - truth) / n)[:, free]
        slope = np.concatenate([inputs.T @ error + strength * own, error.sum(axis=0)[None]])
        return value + strength / 2 * (own**2).sum(), slope.ravel()

    found = minimize(
        loss,
        (weights if start is None else start.weights)[:, free].ravel(),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": MAX_ITERATIONS,
            "maxls": 50,
            "gtol": SLOPE,
            "ftol": 64 * np.finfo(float).eps,
        },
    )
    weights[:, free] = found.x.reshape(d + 1, -1)
    return Softmax(classes, weights)


def _powers(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return exp of logits [n, K] less their maximum, and those."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.exp(logits), logits
