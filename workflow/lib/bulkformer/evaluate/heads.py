"""The heads: classifiers that are fitted on vectors of training rows, the same for every model.

`fit` is given training rows and nothing else, and returns an object that holds what was learned;
test rows enter only through its `predict`. So a leak cannot be written. Every model meets the same
search: each tuned head tries five settings by the same inner folds, whatever the vectors, and says
so in its `trials`; the others have nothing to tune.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bulkformer.errors import InputError
from bulkformer.evaluate.linear import (
    LogisticRegression,
    PrincipalAxes,
    common_scale,
    fit_logistic_regression,
    fit_principal_axes,
    fit_quietly,
)
from bulkformer.evaluate.linear_svm import fit_linear_svm
from bulkformer.evaluate.nearest_neighbours import fit_nearest_neighbours, shares


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
    """What a head learned from training rows; `trials` settings were tried in inner folds."""

    @property
    def trials(self) -> int: ...

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return class probabilities float [m, n_classes] of test rows."""
        ...


@dataclass(frozen=True)
class HeadSettings:
    """`components` of a PCA head, `trees` of a forest, `variable_genes` that a head keeps."""

    components: int
    trees: int
    variable_genes: int = 2000


Fit = Callable[[TrainingRows, HeadSettings, int], FittedHead]


@dataclass(frozen=True)
class Shares:
    """Class shares of the training rows, overall and by study: what labels alone can tell."""

    overall: np.ndarray
    by_study: Mapping[str, np.ndarray]
    trials: int = 0

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return the shares of a row's study, or the overall ones for a study never seen."""
        return np.stack([self.by_study.get(study, self.overall) for study in studies])


@dataclass(frozen=True)
class RandomForest:
    """A random forest, on the vectors themselves or on their principal components."""

    forest: Any
    axes: PrincipalAxes | None
    n_classes: int
    trials: int = 0

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

    @property
    def trials(self) -> int:
        """Return the penalties that were tried; the number of components is fixed."""
        return self.regression.trials

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return class probabilities."""
        return self.regression.predict(self.axes.transform(vectors), studies)


@dataclass(frozen=True)
class SelectedLogisticRegression:
    """Logistic regression on the dimensions `chosen` [k], those that vary most in training rows."""

    chosen: np.ndarray
    regression: LogisticRegression

    @property
    def trials(self) -> int:
        """Return the penalties that were tried; the number of dimensions is fixed."""
        return self.regression.trials

    def predict(self, vectors: np.ndarray, studies: np.ndarray) -> np.ndarray:
        """Return class probabilities."""
        return self.regression.predict(vectors[:, self.chosen], studies)


def pca_random_forest(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """The paper's head: principal components of the training rows, then a random forest."""
    axes = fit_principal_axes(rows.vectors, settings.components)
    forest = _forest(axes.transform(rows.vectors), rows.labels, settings.trees, seed)
    return RandomForest(forest, axes, rows.n_classes)


def random_forest(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """A random forest on the vectors as they are."""
    forest = _forest(rows.vectors, rows.labels, settings.trees, seed)
    return RandomForest(forest, None, rows.n_classes)


def forest_of_the_authors_2026(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """The head of the authors' evaluation of October 2026: a flat forest, without components."""
    forest = _forest(
        rows.vectors, rows.labels, settings.trees, seed, max_depth=16, min_samples_leaf=2
    )
    return RandomForest(forest, None, rows.n_classes)


def logistic_regression(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Multinomial logistic regression on standardised vectors, penalty tuned in inner folds."""
    return fit_logistic_regression(rows.vectors, rows.labels, rows.groups, rows.n_classes, seed)


def linear_svm(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Linear support vector machine on standardised vectors, penalty tuned in inner folds."""
    return fit_linear_svm(rows.vectors, rows.labels, rows.groups, rows.n_classes, seed)


def pca_logistic_regression(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Principal components of the training rows, then tuned logistic regression."""
    return _after_principal_components(rows, settings.components, seed)


def pca_128_logistic_regression(
    rows: TrainingRows, settings: HeadSettings, seed: int
) -> FittedHead:
    """As `pca_logistic_regression`, on 128 components."""
    return _after_principal_components(rows, 128, seed)


def pca_512_logistic_regression(
    rows: TrainingRows, settings: HeadSettings, seed: int
) -> FittedHead:
    """As `pca_logistic_regression`, on 512 components."""
    return _after_principal_components(rows, 512, seed)


def variable_genes_logistic_regression(
    rows: TrainingRows, settings: HeadSettings, seed: int
) -> FittedHead:
    """Tuned logistic regression on the dimensions of highest variance among the training rows."""
    # Rounding keeps the order free of the last bit; of equals the earlier dimension stays.
    variance = np.round(rows.vectors.var(axis=0, dtype=np.float64), 9)
    chosen = np.sort(np.argsort(-variance, kind="stable")[: settings.variable_genes])
    return SelectedLogisticRegression(
        chosen,
        fit_logistic_regression(
            rows.vectors[:, chosen], rows.labels, rows.groups, rows.n_classes, seed
        ),
    )


def nearest_neighbours(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """The labels of the most similar training rows, by distance of standardised vectors."""
    return fit_nearest_neighbours(rows.vectors, rows.labels, rows.groups, rows.n_classes, seed)


def majority(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Control: the class shares of the training rows, whatever the vector."""
    return Shares(shares(rows.labels, rows.n_classes), {})


def study_oracle(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Control: the class shares of the training rows of the same study, whatever the vector.

    What it scores is what knowing the study is worth. Rows of a study that training lacked get the
    overall shares.
    """
    by_study = {
        study: shares(rows.labels[rows.studies == study], rows.n_classes)
        for study in sorted({study for study in rows.studies if study is not None})
    }
    return Shares(shares(rows.labels, rows.n_classes), by_study)


def permuted_labels(rows: TrainingRows, settings: HeadSettings, seed: int) -> FittedHead:
    """Control: tuned logistic regression, for labels that the task permuted in all rows.

    Test rows are permuted too: were it training rows alone, a study rich in one class would still
    teach that class, and the head would find it again in studies that kept their labels.
    """
    return logistic_regression(rows, settings, seed)


HEADS: dict[str, Fit] = {
    head.__name__: head
    for head in (
        pca_random_forest,
        random_forest,
        forest_of_the_authors_2026,
        logistic_regression,
        linear_svm,
        pca_logistic_regression,
        pca_128_logistic_regression,
        pca_512_logistic_regression,
        variable_genes_logistic_regression,
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
            "correct the column heads of the models table or evaluate.disease_annotation"
        )
    if len(np.unique(rows.labels)) < 2:
        return majority(rows, settings, seed)
    return HEADS[name](rows, settings, seed)


def _after_principal_components(rows: TrainingRows, components: int, seed: int) -> FittedHead:
    axes = fit_principal_axes(rows.vectors, components)
    inputs = axes.transform(rows.vectors)
    return ProjectedLogisticRegression(
        axes,
        fit_logistic_regression(
            inputs, rows.labels, rows.groups, rows.n_classes, seed, scaling=common_scale
        ),
    )


def _forest(
    inputs: np.ndarray,
    labels: np.ndarray,
    trees: int,
    seed: int,
    max_depth: int | None = None,
    min_samples_leaf: int = 1,
) -> Any:
    # Imported here: scikit-learn takes a second to import, which heads without a forest save.
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        trees,
        max_features="sqrt",
        max_depth=max_depth,
        min_samples_leaf=min_samples_leaf,
        random_state=seed,
    )
    return fit_quietly(forest, inputs.astype(np.float32), labels)
