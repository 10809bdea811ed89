"""Heads learn from training rows alone, and agree with plain scikit-learn where they are exact."""

import dataclasses

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from bulkformer.errors import InputError
from bulkformer.evaluate.heads import HEADS, FittedHead, HeadSettings, TrainingRows, fit_head
from bulkformer.evaluate.linear import fit_logistic_regression, fit_principal_axes

SETTINGS = HeadSettings(components=5, trees=10, variable_genes=6)
TUNED = [
    "logistic_regression",
    "linear_svm",
    "pca_logistic_regression",
    "pca_128_logistic_regression",
    "pca_512_logistic_regression",
    "variable_genes_logistic_regression",
    "nearest_neighbours",
    "permuted_labels",
]


def rows(n: int = 60, d: int = 12, signal: float = 2.0, seed: int = 0) -> TrainingRows:
    """Three classes whose vectors differ in three of `d` dimensions; four rows a group."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    vectors = rng.normal(size=(n, d))
    vectors[np.arange(n), labels] += signal
    studies = np.array([f"GSE{i // 4}" for i in range(n)], dtype=object)
    return TrainingRows(vectors.astype(np.float32), labels, np.arange(n) // 4, studies, 4)


def predict(head: FittedHead, of: TrainingRows) -> np.ndarray:
    return head.predict(of.vectors, of.studies)


@pytest.mark.parametrize("name", HEADS)
def test_probabilities_add_up_and_a_class_without_training_rows_has_none(name: str) -> None:
    probabilities = predict(fit_head(name, rows(), SETTINGS, 1), rows(seed=1))
    assert probabilities.shape == (60, 4)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert (probabilities[:, 3] == 0).all()


@pytest.mark.parametrize("name", HEADS)
def test_same_rows_and_seed_give_the_same_head(name: str) -> None:
    first, again = (predict(fit_head(name, rows(), SETTINGS, 1), rows(seed=1)) for _ in range(2))
    assert (first == again).all()


@pytest.mark.parametrize(
    "name",
    [
        "pca_random_forest",
        "random_forest",
        "forest_of_the_authors_2026",
        "logistic_regression",
        "linear_svm",
        "pca_logistic_regression",
        "pca_512_logistic_regression",
        "variable_genes_logistic_regression",
        "nearest_neighbours",
    ],
)
def test_a_planted_signal_is_found(name: str) -> None:
    test = rows(n=300, signal=4.0, seed=1)
    told = predict(fit_head(name, rows(signal=4.0), SETTINGS, 1), test).argmax(axis=1)
    assert (told == test.labels).mean() > 0.9


@pytest.mark.parametrize("copies", [1, 3])
def test_more_genes_than_samples_give_the_same_regression_as_scikit_learn_on_all_genes(
    copies: int,
) -> None:
    training, test = rows(n=40, d=300), rows(n=40, d=300, seed=1)
    training = dataclasses.replace(
        training,
        vectors=np.tile(training.vectors, (copies, 1)),
        labels=np.tile(training.labels, copies),
        groups=np.tile(training.groups, copies),
    )
    found = fit_logistic_regression(training.vectors, training.labels, training.groups, 3, 0)
    scaler = StandardScaler().fit(training.vectors.astype(np.float64))
    narrow = np.sqrt(300)
    plain = LogisticRegression(C=found.penalty, max_iter=5000, tol=1e-8)
    plain.fit(scaler.transform(training.vectors.astype(np.float64)) / narrow, training.labels)
    expected = plain.predict_proba(scaler.transform(test.vectors.astype(np.float64)) / narrow)
    assert found.predict(test.vectors, test.studies) == pytest.approx(expected, abs=5e-3)


def test_two_classes_give_the_same_regression_as_scikit_learn() -> None:
    training = rows()
    two = dataclasses.replace(training, labels=training.labels % 2, n_classes=2)
    found = fit_logistic_regression(two.vectors, two.labels, two.groups, 2, 0)
    inputs = (two.vectors - found.mean) / found.scale
    plain = LogisticRegression(C=found.penalty, max_iter=5000).fit(inputs, two.labels)
    expected = plain.predict_proba(inputs)
    assert found.predict(two.vectors, two.studies) == pytest.approx(expected, abs=1e-6)


def test_all_principal_components_lose_nothing_of_the_vectors() -> None:
    # Vectors of one scale, of which the components are a mere rotation; more genes than samples.
    training, test = rows(n=40, d=300, signal=6.0), rows(n=200, d=300, signal=6.0, seed=1)
    training, test = (
        dataclasses.replace(each, vectors=(each.vectors - centre) / spread)
        for centre, spread in [(training.vectors.mean(axis=0), training.vectors.std(axis=0))]
        for each in (training, test)
    )
    told = [
        predict(fit_head(name, training, SETTINGS, 1), test)
        for name in ("pca_512_logistic_regression", "logistic_regression")
    ]
    assert told[0] == pytest.approx(told[1], abs=0.02)
    assert (told[0].argmax(axis=1) == test.labels).mean() > 0.5  # where one in three is chance


@pytest.mark.parametrize("name", HEADS)
def test_every_tuned_head_tries_as_many_settings_and_the_others_none(name: str) -> None:
    assert fit_head(name, rows(), SETTINGS, 1).trials == (5 if name in TUNED else 0)


def test_without_groups_to_split_nothing_is_tuned() -> None:
    one_group = dataclasses.replace(rows(), groups=np.zeros(60, dtype=int))
    for name in ("logistic_regression", "linear_svm", "nearest_neighbours"):
        head = fit_head(name, one_group, SETTINGS, 1)
        assert head.trials == 0
        assert predict(head, rows(seed=1)).sum(axis=1) == pytest.approx(1)


def test_variable_genes_are_those_of_the_training_rows() -> None:
    training = rows()
    stretched = training.vectors * np.where(np.arange(12) % 2, 1, 5).astype(np.float32)
    head = fit_head(
        "variable_genes_logistic_regression",
        dataclasses.replace(training, vectors=stretched),
        SETTINGS,
        0,
    )
    assert head.chosen.tolist() == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize("d", [12, 300])
def test_principal_components_agree_with_scikit_learn(d: int) -> None:
    vectors = rows(n=50, d=d).vectors.astype(np.float64)
    found = fit_principal_axes(vectors, 5).transform(vectors)
    expected = PCA(5, svd_solver="full").fit_transform(vectors)
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-8)


def test_no_more_components_than_the_rows_span() -> None:
    vectors = np.outer(np.arange(8.0), np.ones(30))
    assert fit_principal_axes(vectors, 5).axes.shape == (30, 1)


def test_noise_is_met_with_a_stronger_penalty_than_signal() -> None:
    strong, noise = rows(signal=6.0), rows(signal=0.0)
    penalties = [
        fit_logistic_regression(one.vectors, one.labels, one.groups, 3, 0).penalty
        for one in (strong, noise)
    ]
    assert penalties[0] > penalties[1]


def test_the_study_oracle_knows_studies_and_falls_back_to_class_shares() -> None:
    training = rows()
    one_class_a_study = dataclasses.replace(training, labels=(np.arange(60) // 4) % 3)
    head = fit_head("study_oracle", one_class_a_study, SETTINGS, 0)
    studies = np.array(["GSE1", "GSE5", "GSE_new", None], dtype=object)
    probabilities = head.predict(np.zeros((4, 12)), studies)
    assert probabilities[0].tolist() == [0, 1, 0, 0]
    assert probabilities[1].tolist() == [0, 0, 1, 0]
    shares = np.bincount(one_class_a_study.labels, minlength=4) / 60
    assert (probabilities[2:] == shares).all()


def test_a_fold_with_one_class_predicts_it() -> None:
    single = dataclasses.replace(rows(), labels=np.full(60, 2))
    assert (predict(fit_head("logistic_regression", single, SETTINGS, 0), rows())[:, 2] == 1).all()


def test_the_forest_of_the_authors_is_the_one_that_they_describe() -> None:
    training, test = rows(n=300, signal=0.0), rows(n=40, seed=1)
    head = fit_head("forest_of_the_authors_2026", training, SETTINGS, 7)
    forest = RandomForestClassifier(
        10, criterion="gini", max_depth=16, max_features="sqrt", min_samples_leaf=2,
        bootstrap=True, random_state=7,
    ).fit(training.vectors, training.labels)  # fmt: skip
    assert (predict(head, test)[:, :3] == forest.predict_proba(test.vectors)).all()


def test_an_unknown_head_is_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown head 'svm'.*majority"):
        fit_head("svm", rows(), SETTINGS, 0)
