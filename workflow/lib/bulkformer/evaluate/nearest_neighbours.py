"""The head of nearest neighbours: the labels of the most similar training rows, how many of them is
tuned in the same inner folds as every other tuned head.
"""

from dataclasses import dataclass

import numpy as np

from bulkformer.evaluate.linear import inner_folds, log_loss

NEIGHBOURS = (1, 3, 5, 10, 20)  # numbers that are tried
BLOCK = 1024  # training rows whose distances are computed at once, in double precision


@dataclass(frozen=True)
class NearestNeighbours:
    """Training rows `vectors` [n, d] and what standardises them, `mean` and `scale` [d]."""

    mean: np.ndarray
    scale: np.ndarray
    vectors: np.ndarray
    labels: np.ndarray
    neighbours: int
    n_classes: int
    trials: int

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return the class shares of the nearest training rows, [m, n_classes]."""
        nearest = self._nearest(vectors, self.neighbours)
        return shares(self.labels[nearest], self.n_classes)

    def _nearest(self, vectors: np.ndarray, count: int) -> np.ndarray:
        """Return the `count` nearest training rows, [m, count]; of equals the earlier is nearer."""
        own = (vectors - self.mean) / self.scale
        parts = []
        for start in range(0, len(self.vectors), BLOCK):
            block = (self.vectors[start : start + BLOCK] - self.mean) / self.scale
            # Squared distance less the square of the test row, which all training rows share.
            parts.append((block**2).sum(axis=1) - 2 * own @ block.T)
        # Rounding keeps ties free of the last bit, which differs between machines.
        distance = np.round(np.concatenate(parts, axis=1) / len(self.mean), 9)
        return np.argsort(distance, axis=1, kind="stable")[:, :count]


def fit_nearest_neighbours(
    vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, n_classes: int, seed: int
) -> NearestNeighbours:
    """Choose the number of neighbours by log loss in inner folds of whole groups.

    Parameters
    ----------
    vectors : float [n, d]
    labels, groups : codes int [n]
    n_classes : classes of the dataset; those without a training row get probability 0
    """
    losses, trials = np.zeros(len(NEIGHBOURS)), 0
    for train, test in inner_folds(labels, groups, seed):
        trials = len(NEIGHBOURS)
        inner = _remember(vectors[train], labels[train], n_classes, max(NEIGHBOURS), trials)
        nearest = inner._nearest(vectors[test], max(NEIGHBOURS))
        for number, count in enumerate(NEIGHBOURS):
            told = shares(labels[train][nearest[:, :count]], n_classes)
            losses[number] += log_loss(told, labels[test])
    # Of equals the most neighbours, which are the least sure of themselves.
    best = len(NEIGHBOURS) - 1 - int(np.argmin(np.round(losses[::-1], 9)))
    count = NEIGHBOURS[best] if trials else 5
    return _remember(vectors, labels, n_classes, count, trials)


def shares(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the share of each class among `labels` [..., k], float [..., n_classes]."""
    return (labels[..., None] == np.arange(n_classes)).mean(axis=-2)


def _remember(
    vectors: np.ndarray, labels: np.ndarray, n_classes: int, count: int, trials: int
) -> NearestNeighbours:
    mean = vectors.mean(axis=0, dtype=np.float64)
    scale = vectors.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1
    return NearestNeighbours(mean, scale, vectors, labels, count, n_classes, trials)
