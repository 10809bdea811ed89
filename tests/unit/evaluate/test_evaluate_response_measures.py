"""Once the mean of each drug is taken away, knowing nothing scores 0, and ranks are ranks."""

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata
from sklearn.metrics import ndcg_score

from bulkformer.evaluate.measures import pearson_over_folds
from bulkformer.evaluate.response_measures import (
    deviations,
    fold_moments,
    interactions,
    mean_within,
    ndcg_by_line,
    pearson_by_target,
    ranks_by_group,
    rmse_by_target,
    without_mean,
)


@pytest.fixture
def held_out():
    """60 drugs on 50 lines in 10 folds of lines: target, fold, truth and training mean by pair."""
    rng = np.random.default_rng(0)
    n_drugs, n_lines, n_folds = 60, 50, 10
    truth = rng.normal(rng.normal(0, 3, (n_drugs, 1)), 1, (n_drugs, n_lines))
    fold_of_line = np.arange(n_lines) % n_folds
    mean = np.empty_like(truth)
    for fold in range(n_folds):
        held = fold_of_line == fold
        mean[:, held] = truth[:, ~held].mean(axis=1, keepdims=True)
    target = np.repeat(np.arange(n_drugs), n_lines)
    fold = np.tile(fold_of_line, n_drugs)
    return target, fold, truth.ravel(), mean.ravel().astype(np.float32)


def test_pooled_folds_make_a_mean_look_worse_than_nothing(held_out):
    target, fold, truth, mean = held_out
    naive = pearson_by_target(truth, mean.astype(float), target, 60)
    # With 5 lines a fold the training mean falls by a tenth of what the fold's mean rises.
    assert naive.mean() == pytest.approx(-1 / np.sqrt(5), abs=0.06)
    t, p = deviations(truth, mean, mean, target * 10 + fold)
    assert (pearson_by_target(t, p, target, 60) == 0).all()
    within = fold_moments(truth, mean, (fold, target), (10, 60))
    assert (pearson_over_folds(within, 3) == 0).all()


def test_any_constant_of_a_fold_knows_nothing(held_out):
    target, fold, truth, mean = held_out
    overall = np.full(len(truth), 1.5, dtype=np.float32) + 0.1 * fold
    _, p = deviations(truth, overall, mean, target * 10 + fold)
    assert (p == 0).all()


def test_what_is_added_to_the_training_mean_is_scored_alone(held_out):
    target, fold, truth, mean = held_out
    signal = np.random.default_rng(1).normal(size=len(truth))
    t, p = deviations(truth, mean + signal, mean, target * 10 + fold)
    own = target == 7
    expected = pearsonr(truth[own] - mean[own], signal[own])[0]
    assert pearson_by_target(t, p, target, 60)[7] == pytest.approx(expected, abs=1e-5)


def test_ranks_are_taken_within_groups_and_ties_share():
    rng = np.random.default_rng(2)
    values, index = rng.integers(0, 5, 200).astype(float), rng.integers(0, 6, 200)
    found = ranks_by_group(values, index)
    for group in range(6):
        assert (found[index == group] == rankdata(values[index == group]) - 1).all()


def test_folds_are_correlated_one_by_one_and_weigh_as_many_lines_as_they_have():
    rng = np.random.default_rng(4)
    fold, target = rng.choice(3, 300, p=[0.6, 0.3, 0.1]), rng.integers(0, 4, 300)
    truth = rng.normal(size=300)
    told = truth + rng.normal(size=300) + 100 * fold  # what differs between folds does not count
    found = pearson_over_folds(fold_moments(truth, told, (fold, target), (3, 4)), 3)
    own = target == 2
    parts = [
        pearsonr(truth[own & (fold == code)], told[own & (fold == code)])[0] for code in range(3)
    ]
    weights = [(own & (fold == code)).sum() for code in range(3)]
    assert found[2] == pytest.approx(np.average(parts, weights=weights))
    few = fold_moments(truth[:2], told[:2], (fold[:2], target[:2]), (3, 4))
    assert np.isnan(pearson_over_folds(few, 3)).all()


@pytest.mark.parametrize("missing", [0.0, 0.6])
def test_what_drugs_and_lines_add_up_to_is_no_interaction(missing):
    rng = np.random.default_rng(5)
    target, line = (each.ravel() for each in np.indices((12, 30)))
    kept = rng.random(360) >= missing
    target, line = target[kept], line[kept]
    sums = (rng.normal(0, 3, 12)[target] + rng.normal(size=30)[line]).astype(np.float32)
    assert (interactions(sums, target, line, 10.0) == 0).all()
    rest = interactions(rng.normal(size=len(target)), target, line, 10.0)
    for index in (target, line):
        assert np.bincount(index, weights=rest) == pytest.approx(0, abs=1e-6)
    assert interactions(sums + rest, target, line, 10.0) == pytest.approx(rest, abs=1e-5)


def test_a_constant_truth_is_no_drug_to_be_scored_on():
    target = np.repeat([0, 1], 5)
    truth = np.array([1.0] * 5 + [1, 2, 3, 4, 5])
    found = pearson_by_target(truth, np.tile(np.arange(5.0), 2), target, 3)
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == pytest.approx(1)


@pytest.mark.parametrize("k", [3, 10, 100])
def test_the_best_drugs_of_a_line_first_as_scikit_learn_counts(k):
    rng = np.random.default_rng(3)
    truth, told = rng.normal(size=(8, 12)), rng.integers(-3, 3, (8, 12)).astype(float)
    line = np.repeat(np.arange(8), 12)
    found = ndcg_by_line(truth.ravel(), told.ravel(), line, 8, k)
    expected = [
        ndcg_score([np.maximum(-t, 0)], [-p], k=k) for t, p in zip(truth, told, strict=True)
    ]
    assert found == pytest.approx(np.array(expected))


def test_the_lower_the_deviation_the_earlier_the_drug():
    truth = np.array([-3.0, -1.0, 0.5, 2.0])
    line = np.zeros(4, dtype=int)
    assert ndcg_by_line(truth, truth, line, 1, 2)[0] == 1
    assert ndcg_by_line(truth, -truth, line, 1, 2)[0] == 0
    assert np.isnan(ndcg_by_line(np.abs(truth), truth, line, 2, 2)).all()


def test_errors_and_means_are_of_their_own_group():
    target = np.array([0, 0, 1])
    assert rmse_by_target(np.zeros(3), np.array([3.0, 4.0, 2.0]), target, 2) == pytest.approx(
        [np.sqrt(12.5), 2]
    )
    means = mean_within(np.array([1.0, np.nan, 3.0, np.nan]), np.array([0, 0, 0, 1]), 2)
    assert means[0] == 2
    assert np.isnan(means[1])
    line = np.array([0, 0, 1])
    assert without_mean(np.array([1.0, 3.0, 5.0]), line, 4.0).tolist() == [-1, 1, 0]
    assert without_mean(np.array([1.0, 1.0000002, 5.0]), line, 4.0).tolist() == [0, 0, 0]


def test_one_pair_in_a_block_is_no_constant():
    ones = np.ones(2, dtype=np.float32)
    assert deviations(ones, 3 * ones, ones, np.array([0, 1]))[1].tolist() == [2, 2]
    assert deviations(ones, 3 * ones, ones, np.array([0, 0]))[1].tolist() == [0, 0]
