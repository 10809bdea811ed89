"""Regressions of one target at a time find what is planted and choose settings without the test."""

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet

from bulkformer.evaluate import per_target
from bulkformer.evaluate.per_target import fit_per_target
from bulkformer.evaluate.ridge import INNER_FOLDS, PENALTIES
from bulkformer.evaluate.splits import assign_folds

KINDS = [per_target.elastic_net, per_target.random_forest, per_target.gradient_boosting]
TREES = 12


@pytest.fixture(scope="module")
def data():
    """Vectors of 100 lines in 50 patients, two targets with a cause and five of noise."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(2, 3, (100, 15))
    causes = vectors[:, :2] @ np.array([[0.5, -0.4], [0.5, 0.4]])
    caused = causes + rng.normal(0, 0.4, (100, 2))
    targets = np.column_stack([caused, rng.normal(size=(100, 5))])
    return vectors, targets + 5, np.arange(100) // 2


def test_every_kind_chooses_among_as_many_settings_as_ridge():
    for settings in (
        per_target.ELASTIC_NET_PENALTIES,
        per_target.LEAF_SIZES,
        per_target.TREE_SHARES,
    ):
        assert len(settings) == len(PENALTIES) == per_target.TRIALS


@pytest.mark.parametrize("kind", KINDS)
def test_a_cause_is_found_and_noise_is_not(data, kind):
    vectors, targets, groups = data
    fitted = fit_per_target(kind, vectors[:70], targets[:70], groups[:70], TREES, 0)
    told = fitted.predict(vectors[70:])
    r = [
        np.corrcoef(t, p)[0, 1] if np.ptp(p) else 0
        for t, p in zip(targets[70:].T, told.T, strict=True)
    ]
    assert min(r[:2]) > 0.5
    assert abs(np.mean(r[2:])) < 0.25  # five targets of 30 lines: a standard error of 0.08
    again = fit_per_target(kind, vectors[:70], targets[:70], groups[:70], TREES, 0)
    assert (again.predict(vectors[70:]) == told).all()


def test_elastic_net_is_that_of_scikit_learn_with_the_best_penalty_of_inner_folds(data):
    vectors, targets, groups = data
    fitted = fit_per_target(per_target.elastic_net, vectors, targets[:, :1], groups, TREES, 7)
    target = targets[:, 0]
    rng = np.random.default_rng(7)
    fold_of = assign_folds([""] * 100, groups.tolist(), INNER_FOLDS, rng)

    def told(rows, share, asked):
        shown = (vectors - vectors[rows].mean(axis=0)) / vectors[rows].std(axis=0)
        rest = target[rows] - target[rows].mean()
        largest = np.abs(shown[rows].T @ rest).max() / (len(rest) * per_target.L1_SHARE)
        model = ElasticNet(alpha=share * largest, l1_ratio=per_target.L1_SHARE, tol=1e-6)
        return model.fit(shown[rows], target[rows]).predict(shown[asked])

    errors = [
        sum(
            ((told(fold_of != f, share, fold_of == f) - target[fold_of == f]) ** 2).sum()
            for f in range(INNER_FOLDS)
        )
        for share in per_target.ELASTIC_NET_PENALTIES
    ]
    best = per_target.ELASTIC_NET_PENALTIES[int(np.argmin(errors))]
    everyone = np.ones(100, dtype=bool)
    assert fitted.predict(vectors)[:, 0] == pytest.approx(told(everyone, best, everyone), abs=5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_a_value_teach_nothing(data, kind):
    vectors, targets, groups = data
    some = targets[:, :1].copy()
    some[60:] = np.nan
    with_gaps = fit_per_target(kind, vectors, some, groups, 10, 0).predict(vectors)
    elsewhere = np.where(np.isnan(some), 99.0, vectors)  # what such rows hold does not matter
    assert (
        fit_per_target(kind, elsewhere, some, groups, 10, 0).predict(vectors) == with_gaps
    ).all()


def test_a_target_that_no_row_knows_is_the_mean_of_the_others(data):
    vectors, targets, groups = data
    some = np.column_stack([targets[:, 0], np.full(100, np.nan), np.full(100, 3.0)])
    told = fit_per_target(per_target.elastic_net, vectors, some, groups, 10, 0).predict(vectors)
    assert told[:, 1] == pytest.approx((targets[:, 0].mean() + 3) / 2)
    assert (told[:, 2] == 3).all()


def test_with_one_group_nothing_can_be_chosen(data):
    vectors, targets, _ = data
    one = np.zeros(100, dtype=int)
    fitted = fit_per_target(per_target.random_forest, vectors, targets[:, :1], one, 5, 0)
    assert fitted.models[0].min_samples_leaf == per_target.LEAF_SIZES[per_target.TRIALS // 2]
