"""The support vector machine is scikit-learn's, and its probabilities mean what they say."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from bulkformer.evaluate.linear_svm import LinearSvm, fit_linear_svm
from bulkformer.evaluate.measures import calibration_sums, expected_calibration_error


def draw(n: int, d: int, classes: int, seed: int, signal: float) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [n, d] whose first dimensions are raised by class, and the classes [n]."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    vectors = rng.normal(size=(n, d))
    vectors[np.arange(n), labels] += signal
    return vectors.astype(np.float32), labels


def fit(vectors: np.ndarray, labels: np.ndarray) -> LinearSvm:
    return fit_linear_svm(vectors, labels, np.arange(len(labels)) // 2, labels.max() + 1, 0)


@pytest.mark.parametrize(("d", "classes"), [(8, 3), (8, 2), (150, 3)])
def test_labels_are_those_of_scikit_learn_on_all_dimensions(d: int, classes: int) -> None:
    vectors, labels = draw(60, d, classes, 0, 2.0)
    test, _ = draw(40, d, classes, 1, 2.0)
    found = fit(vectors, labels)
    scaler = StandardScaler().fit(vectors.astype(np.float64))
    narrow = np.sqrt(d)
    plain = LinearSVC(C=found.penalty, dual="auto", max_iter=50_000, random_state=0)
    plain.fit(scaler.transform(vectors.astype(np.float64)) / narrow, labels)
    expected = plain.predict(scaler.transform(test.astype(np.float64)) / narrow)
    told = found.predict(test, np.full(40, None)).argmax(axis=1)
    assert (told == expected).mean() > 0.97


def test_probabilities_are_calibrated_on_rows_it_never_saw() -> None:
    vectors, labels = draw(600, 8, 3, 0, 1.5)
    test, truth = draw(3000, 8, 3, 1, 1.5)
    told = fit(vectors, labels).predict(test, np.full(3000, None))
    sums = calibration_sums(
        told.max(axis=1), told.argmax(axis=1) == truth, np.zeros(3000, dtype=int), 1
    )
    assert expected_calibration_error(sums)[0] < 0.06
    # A plain softmax of margins, in contrast, hardly ever sounds sure.
    assert told.max(axis=1).mean() == pytest.approx((told.argmax(axis=1) == truth).mean(), abs=0.06)


def test_labels_without_a_signal_get_probabilities_near_their_shares() -> None:
    vectors, labels = draw(300, 8, 3, 0, 0.0)
    test, _ = draw(100, 8, 3, 1, 0.0)
    told = fit(vectors, labels).predict(test, np.full(100, None))
    assert told == pytest.approx(np.full((100, 3), 1 / 3), abs=0.15)
