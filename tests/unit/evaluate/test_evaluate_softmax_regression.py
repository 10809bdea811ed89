"""The bare regression gives the answer of scikit-learn, from wherever its search begins."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from bulkformer.evaluate.softmax_regression import fit_softmax


def rows(n: int, d: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + d)
    labels = np.arange(n) % classes
    inputs = rng.normal(size=(n, d)) / np.sqrt(d)
    inputs[np.arange(n), labels] += 0.3
    return inputs, 2 * labels + 1  # codes with gaps


@pytest.mark.parametrize(("n", "d", "classes"), [(60, 12, 2), (60, 12, 5), (40, 40, 3)])
@pytest.mark.parametrize("penalty", [0.1, 10.0, 1000.0])
def test_weights_and_probabilities_are_those_of_scikit_learn(
    n: int, d: int, classes: int, penalty: float
) -> None:
    inputs, labels = rows(n, d, classes)
    found = fit_softmax(inputs, labels, penalty)
    known = LogisticRegression(C=penalty, max_iter=2000).fit(inputs, labels)
    assert (found.classes == known.classes_).all()
    np.testing.assert_allclose(found.predict(inputs), known.predict_proba(inputs), atol=1e-5)
    if classes == 2:
        assert (found.weights[:, 0] == 0).all()
    # Of two classes scikit-learn keeps the logit of the second alone.
    weights = found.weights[:-1, 1:] if classes == 2 else found.weights[:-1]
    np.testing.assert_allclose(weights.T, known.coef_, atol=1e-4 * penalty)


def test_where_the_search_begins_changes_the_answer_within_its_tolerance_alone() -> None:
    inputs, labels = rows(60, 12, 3)
    far = fit_softmax(inputs, labels, 0.1)
    near = fit_softmax(inputs, labels, 1.0)
    begun = fit_softmax(inputs, labels, 1.0, start=far)
    np.testing.assert_allclose(begun.predict(inputs), near.predict(inputs), atol=1e-3)
    assert np.abs(far.predict(inputs) - near.predict(inputs)).max() > 0.1


def test_certainty_overflows_nothing() -> None:
    inputs = np.array([[-1e4], [1e4], [-2e4], [2e4]])
    told = fit_softmax(inputs, np.array([0, 1, 0, 1]), 1000.0).predict(inputs)
    np.testing.assert_allclose(told, [[1, 0], [0, 1], [1, 0], [0, 1]], atol=1e-6)
