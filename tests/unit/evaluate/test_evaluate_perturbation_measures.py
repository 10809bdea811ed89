"""Measures of predicted changes agree with others' code, and say nothing of what knows nothing."""

import numpy as np
import pytest
from scipy.stats import energy_distance, pearsonr, spearmanr
from sklearn.metrics import average_precision_score

from bulkformer.evaluate import perturbation_measures as measures

K = 7


@pytest.fixture
def rows():
    rng = np.random.default_rng(5)
    truth = rng.normal(size=(6, 90))
    return truth, np.round(truth + rng.normal(0, 2, truth.shape), 0)  # with many equal values


def test_correlations_are_those_of_scipy(rows):
    truth, predicted = rows
    for ours, theirs in [(measures.pearson_rows, pearsonr), (measures.spearman_rows, spearmanr)]:
        expected = [theirs(*pair)[0] for pair in zip(truth, predicted, strict=True)]
        np.testing.assert_allclose(ours(truth, predicted), expected, atol=1e-12)


def test_precision_recall_by_sign_is_that_of_scikit_learn(rows):
    truth, predicted = rows
    expected = []
    for t, p in zip(truth, predicted, strict=True):
        order = np.argsort(-t)
        raised, lowered = (np.isin(np.arange(len(t)), part) for part in (order[:K], order[-K:]))
        areas = average_precision_score(raised, p), average_precision_score(lowered, -p)
        expected.append(np.mean(areas))
    found = measures.signed_average_precision(truth, predicted, K)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_prediction_of_the_wrong_sign_finds_fewer_genes_than_chance(rows):
    truth, _ = rows
    assert (measures.signed_average_precision(truth, -truth, K) < K / truth.shape[1]).all()


def test_what_goes_beyond_the_mean_change_is_the_correlation_of_residuals(rows):
    truth, predicted = rows
    mean = np.random.default_rng(1).normal(size=truth.shape)
    expected = []
    for t, p, m in zip(truth, predicted, mean, strict=True):
        design = np.column_stack([np.ones_like(m), m])
        left = [y - design @ np.linalg.lstsq(design, y, rcond=None)[0] for y in (t, p)]
        expected.append(pearsonr(*left)[0])
    found = measures.partial_pearson_rows(truth, predicted, mean)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("factor", [0.0, 1.0, 0.3, -2.0])
def test_no_multiple_of_the_mean_change_goes_beyond_it(rows, factor):
    truth = rows[0].astype(np.float32)
    mean = np.tile(truth[0] * 1.7 + 0.1, (len(truth), 1))
    found = measures.partial_pearson_rows(truth[1:], (factor * mean)[1:], mean[1:])
    assert (found == 0).all()


def test_a_mean_change_that_does_not_hold_makes_no_change_look_like_skill(rows):
    truth, _ = rows
    mean = np.random.default_rng(2).normal(0, 3, (1, truth.shape[1])).repeat(len(truth), axis=0)
    assert measures.pearson_rows(truth - mean, 0 * truth - mean).mean() > 0.8
    assert (measures.partial_pearson_rows(truth, 0 * truth, mean) == 0).all()


def test_only_the_most_changed_genes_count_among_the_largest(rows):
    truth, predicted = rows
    chosen = np.argsort(-np.abs(truth[0]))[:K]
    expected = pearsonr(truth[0][chosen], predicted[0][chosen])[0]
    assert measures.pearson_of_largest(truth, predicted, K)[0] == pytest.approx(expected)


def test_a_constant_prediction_knows_nothing(rows):
    truth, _ = rows
    nothing = np.full_like(truth, 3.7)
    place, compound = np.zeros(6, int), np.arange(6)
    assert (measures.pearson_rows(truth, nothing) == 0).all()
    chance = measures.chance_precision(90, K)
    assert measures.signed_average_precision(truth, nothing, K) == pytest.approx(chance)
    assert (measures.retrieval(truth, nothing, place, compound) == 0.5).all()
    assert (measures.error_skill(truth, 0 * truth) == 0).all()
    assert (measures.weighted_error_skill(truth, 0 * truth) == 0).all()


def test_a_constant_truth_has_no_correlation(rows):
    assert np.isnan(measures.pearson_rows(np.ones((1, 9)), np.arange(9.0)[None])).all()


def test_the_truth_itself_scores_one(rows):
    truth, _ = rows
    place, compound = np.zeros(6, int), np.arange(6)
    for value in (
        measures.pearson_rows(truth, truth),
        measures.spearman_rows(truth, truth),
        measures.pearson_of_largest(truth, truth, K),
        measures.partial_pearson_rows(truth, truth, truth[::-1]),
        measures.signed_average_precision(truth, truth, K),
        measures.retrieval(truth, truth, place, compound),
        measures.error_skill(truth, truth),
        measures.weighted_error_skill(truth, truth),
    ):
        np.testing.assert_allclose(value, 1, atol=1e-12)


def test_a_profile_is_sought_among_other_compounds_of_its_place_only():
    truth = np.eye(4, 12) + np.array([0, 0, 5, 0])[:, None] * np.eye(4, 12)[0]
    compound = np.array(["x", "x", "y", "z"])
    predicted = truth[[1, 1, 2, 3]]  # the first is taken for its replicate, which is no mistake
    found = measures.retrieval(truth, predicted, np.array([0, 0, 0, 1]), compound)
    assert found[1:3].tolist() == [1, 1]
    assert np.isnan(found[3])


def test_a_prediction_that_resembles_another_compound_more_loses_to_it():
    truth = np.eye(3, 9)
    found = measures.retrieval(truth, truth[[1, 0, 2]], np.zeros(3, int), np.arange(3))
    assert found.tolist() == [0.25, 0.25, 1.0]  # beaten by one, equal with the other


def test_chance_is_what_random_orders_score_on_average():
    rng = np.random.default_rng(1)
    truth, told = rng.normal(size=(2, 4000, 40))
    found = measures.signed_average_precision(truth, told, 5)
    assert found.mean() == pytest.approx(measures.chance_precision(40, 5), abs=0.005)


def test_energy_skill_is_that_of_scipy_in_one_dimension_and_minds_the_spread():
    rng = np.random.default_rng(2)
    truth, told = rng.normal(1, 1, (6, 1)), rng.normal(1, 1, (6, 1))
    codes = np.array([0, 0, 0, 0, 0, 1])  # the last has no replicate
    found = measures.energy_skill(truth, told, codes)
    own, other = truth[:5, 0], told[:5, 0]
    expected = 1 - (energy_distance(own, other) / energy_distance(own, [0])) ** 2
    np.testing.assert_allclose(found[:5], expected)
    assert np.isnan(found[5])
    mean = np.tile(truth[:5].mean(axis=0), (5, 1))
    at_mean = measures.energy_skill(truth[:5], mean, codes[:5])
    assert (at_mean < 1).all()
    np.testing.assert_allclose(measures.energy_skill(truth, truth, codes)[:5], 1)
    np.testing.assert_allclose(measures.energy_skill(truth, 0 * truth, codes)[:5], 0, atol=1e-12)
