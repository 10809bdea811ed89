"""The heads: classifiers that are fitted on vectors of training rows, the same for every model.

`fit` is given training rows and nothing else, and returns an object that holds what was learned;
test rows enter only through its `predict`. So a leak cannot be written. Every model meets the same
search: the one tuned head tries the same penalties by the same inner folds, whatever the vectors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bulkformer.errors import InputError
from bulkformer.evaluate.linear import (
    LogisticRegression,
    PrincipalAxes,
    fit_logistic_regression,
    fit_principal_axes,
)


@dataclass(frozen=True)
class TrainingRows:
    """The training rows of one fold.

    Attributes
    ----------
    vectors : float [n, d]
    labels : class codes int [n], below `n_classes`
    groups : codes int [n] of what inner folds must not split
    studies : study of each row, None where unknown
    n_classes : classes of the dataset; a fold may lack some
    """

    vectors: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    studies: np.ndarray
    n_classes: int


class FittedHead(Protocol):
    """What a head learned from training rows."""

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return class probabilities float [m, n_classes] of test rows."""
        ...


@dataclass(frozen=True)
class HeadSettings:
    """`components` of a PCA head, `trees` of a random forest."""

    components: int
    trees: int


NEIGHBOURS = 5
BLOCK = 1024  # training rows whose distances are computed at once, in double precision

Fit = Callable[[TrainingRows, HeadSettings, int], FittedHead]


@dataclass(frozen=True)
class Shares:
    """Class shares of the training rows, overall and by study: what labels alone can tell."""

    overall: np.ndarray
    by_study: Mapping[str, np.ndarray]

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return the shares of a row's study, or the overall ones for a study never seen."""
        return np.stack([self.by_study.get(study, self.overall) for study in studies])


@dataclass(frozen=True)
class RandomForest:
    """A random forest, on the vectors themselves or on their principal components."""

    forest: Any
    axes: PrincipalAxes | None
    n_classes: int

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return the mean class shares of the leaves that each row falls into."""
        inputs = vectors if self.axes is None else self.axes.transform(vectors)
        probabilities = np.zeros((len(vectors), self.n_classes))
        probabilities[:, self.forest.classes_] = self.forest.predict_proba(
            inputs.astype(np.float32)
        )
        return probabilities


@dataclass(frozen=True)
class ProjectedLogisticRegression:
    """Logistic regression on the principal components of the training rows."""

    axes: PrincipalAxes
    regression: LogisticRegression

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return class probabilities."""
        return self.regression.predict(self.axes.transform(vectors), studies)


@dataclass(frozen=True)
class NearestNeighbours:
    """Training rows `vectors` [n, d] and what standardises them, `mean` and `scale` [d]."""

    mean: np.ndarray
    scale: np.ndarray
    vectors: np.ndarray
    labels: np.ndarray
    n_classes: int

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return the class shares of the nearest training rows; of equals the earlier is nearer."""
        own = (vectors - self.mean) / self.scale
        parts = []
        for start in range(0, len(self.vectors), BLOCK):
            block = (self.vectors[start : start + BLOCK] - self.mean) / self.scale
            # Squared distance less the square of the test row, which all training rows share.
            parts.append((block**2).sum(axis=1) - 2 * own @ block.T)
        # Rounding keeps ties free of the last bit, which differs between machines.
        distance = np.round(np.concatenate(parts, axis=1) / len(self.mean), 9)
        nearest = np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]
        return np.stack([_shares(self.labels[rows], self.n_classes) for rows in nearest])


def pca_random_forest(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """The paper's head: principal components of the training rows, then a random forest."""
    axes = fit_principal_axes(rows.vectors, settings.components)
    return RandomForest(
        _forest(axes.transform(rows.vectors), rows.labels, settings.trees, seed),
        axes,
        rows.n_classes,
    )


def random_forest(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """A random forest on the vectors as they are."""
    forest = _forest(rows.vectors, rows.labels, settings.trees, seed)
    return RandomForest(forest, None, rows.n_classes)


def logistic_regression(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Multinomial logistic regression on standardised vectors, penalty tuned in inner folds."""
    return fit_logistic_regression(rows.vectors, rows.labels, rows.groups, rows.n_classes, seed)


def pca_logistic_regression(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Principal components of the training rows, then tuned logistic regression."""
    axes = fit_principal_axes(rows.vectors, settings.components)
    return ProjectedLogisticRegression(
        axes,
        fit_logistic_regression(
            axes.transform(rows.vectors), rows.labels, rows.groups, rows.n_classes, seed
        ),
    )


def nearest_neighbours(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """The labels of the most similar training rows, by distance of standardised vectors."""
    mean = rows.vectors.mean(axis=0, dtype=np.float64)
    scale = rows.vectors.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1
    return NearestNeighbours(mean, scale, rows.vectors, rows.labels, rows.n_classes)


def majority(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Control: the class shares of the training rows, whatever the vector."""
    return Shares(_shares(rows.labels, rows.n_classes), {})


def study_oracle(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Control: the class shares of the training rows of the same study, whatever the vector.

    What it scores is what knowing the study is worth. Rows of a study that training lacked get the
    overall shares.
    """
    by_study = {
        study: _shares(rows.labels[rows.studies == study], rows.n_classes)
        for study in sorted({study for study in rows.studies if study is not None})
    }
    return Shares(_shares(rows.labels, rows.n_classes), by_study)


def permuted_labels(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Control: tuned logistic regression on labels permuted among the training rows."""
    labels = np.random.default_rng(seed).permutation(rows.labels)
    return fit_logistic_regression(rows.vectors, labels, rows.groups, rows.n_classes, seed)


HEADS: dict[str, Fit] = {
    head.__name__: head
    for head in (
        pca_random_forest,
        random_forest,
        logistic_regression,
        pca_logistic_regression,
        nearest_neighbours,
        majority,
        study_oracle,
        permuted_labels,
    )
}


def fit_head(name: str, rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Fit the head `name`; where training rows have one class only, that class is the prediction.

    Raises InputError for a head that does not exist.
    """
    if name not in HEADS:
        raise InputError(
            f"unknown head '{name}'; known are {', '.join(HEADS)}; "
            "correct the column heads of the models table or evaluate.*.strict.heads"
        )
    if len(np.unique(rows.labels)) < 2:
        return majority(rows, settings, seed)
    return HEADS[name](rows, settings, seed)


def _shares(labels: np.ndarray, n_classes: int) -> np.ndarray:
    return np.bincount(labels, minlength=n_classes) / len(labels)


def _forest(inputs: np.ndarray, labels: np.ndarray, trees: int, seed: int) -> Any:
    # Imported here: scikit-learn takes a second to import, which heads without a forest save.
    import sklearn
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        trees, max_features="sqrt", min_samples_leaf=1, random_state=seed
    )
    # Every parameter is set here; checking them anew for each tree takes a quarter of the time.
    with sklearn.config_context(skip_parameter_validation=True):
        return forest.fit(inputs.astype(np.float32), labels)
