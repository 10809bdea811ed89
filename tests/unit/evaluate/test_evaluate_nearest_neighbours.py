"""Nearest neighbours are scikit-learn's; how many count is learned in training rows."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from bulkformer.evaluate.nearest_neighbours import NEIGHBOURS, fit_nearest_neighbours, shares


def draw(n: int, signal: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [n, 12] of three classes that differ in three dimensions, and the classes [n]."""
    labels = np.arange(n) % 3
    vectors = np.random.default_rng(seed).normal(size=(n, 12))
    vectors[np.arange(n), labels] += signal
    return vectors.astype(np.float32), labels


def test_class_shares_are_those_of_scikit_learn() -> None:
    vectors, labels = draw(80, 2.0, 0)
    test, _ = draw(50, 2.0, 1)
    head = fit_nearest_neighbours(vectors, labels, np.arange(80), 4, 0)
    scaler = StandardScaler().fit(vectors.astype(np.float64))
    plain = KNeighborsClassifier(head.neighbours, algorithm="brute")
    plain.fit(scaler.transform(vectors.astype(np.float64)), labels)
    expected = plain.predict_proba(scaler.transform(test.astype(np.float64)))
    told = head.predict(test, np.full(50, None))
    assert told[:, :3] == pytest.approx(expected)
    assert (told[:, 3] == 0).all()


def test_noise_asks_more_neighbours_than_copies_do() -> None:
    vectors, labels = draw(90, 0.3, 0)
    noisy = fit_nearest_neighbours(vectors, labels, np.arange(90), 3, 0)
    copies = np.repeat(vectors[:30], 3, axis=0)  # each row thrice, in groups that folds can split
    alike = fit_nearest_neighbours(copies, np.repeat(labels[:30], 3), np.arange(90), 3, 0)
    assert alike.neighbours < noisy.neighbours
    assert {alike.neighbours, noisy.neighbours} <= set(NEIGHBOURS)


def test_of_neighbours_at_one_distance_the_earlier_count() -> None:
    labels = np.arange(60) % 3
    head = fit_nearest_neighbours(np.ones((60, 12)), labels, np.arange(60), 4, 0)
    told = head.predict(np.ones((2, 12)), np.full(2, None))
    assert (told == shares(labels[: head.neighbours], 4)).all()
