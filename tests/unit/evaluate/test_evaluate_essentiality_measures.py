"""The measures of dependency equal the reference ones, and their traps are what we say they are."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from bulkformer.evaluate import essentiality_measures as essentiality


def matrices(n=40, t=30, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, t)) + rng.normal(0, 3, t)
    predicted = truth * 0.5 + rng.normal(size=(n, t))
    truth[rng.random((n, t)) < 0.1] = np.nan
    return truth.astype(np.float32), predicted.astype(np.float32)


def test_correlations_of_all_genes_at_once_are_those_of_each(monkeypatch):
    truth, predicted = matrices()
    expected = []
    for t, p in zip(truth.T, predicted.T, strict=True):
        known = ~np.isnan(t)
        expected.append(np.corrcoef(t[known].astype("f8"), p[known].astype("f8"))[0, 1])
    monkeypatch.setattr(essentiality, "BLOCK_GENES", 7)
    np.testing.assert_allclose(essentiality.per_gene_pearson(truth, predicted), expected, atol=1e-6)


def test_a_constant_prediction_correlates_zero_and_a_constant_truth_not_at_all():
    truth, predicted = matrices(t=3)
    predicted[:, 0] = 0.1
    truth[:, 1] = 2.7
    truth[4:, 2] = np.nan  # four values are too few
    r = essentiality.per_gene_pearson(truth, predicted)
    assert r[0] == 0
    assert np.isnan(r[1:]).all()


def test_sums_of_groups_add_up_to_those_of_all():
    truth, predicted = matrices()
    group = np.arange(len(truth)) % 3
    ((_, whole),) = essentiality.sums_by_group(truth, predicted, np.zeros(len(truth), int), 1)
    ((_, parts),) = essentiality.sums_by_group(truth, predicted, group, 3)
    np.testing.assert_allclose(parts.sum(axis=0), whole[0], atol=1e-9)
    only = essentiality.correlation(parts[1] * 2)  # a draw of one group twice
    rows = group == 1
    np.testing.assert_allclose(
        only, essentiality.per_gene_pearson(truth[rows], predicted[rows]), atol=1e-6
    )


def test_areas_are_those_of_scikit_learn_with_ties_and_gaps():
    rng = np.random.default_rng(2)
    score = rng.integers(0, 6, size=(50, 20)).astype(float)
    dependent = (rng.random((50, 20)) < 0.3).astype(np.int8)
    dependent[rng.random(dependent.shape) < 0.1] = -1
    dependent[:, 4] = np.where(dependent[:, 4] > 0, 0, dependent[:, 4])
    auroc, auprc = essentiality.dependency_areas(score, dependent, np.zeros(50, dtype=int))
    for gene in range(20):
        known = dependent[:, gene] >= 0
        own, called = score[known, gene], dependent[known, gene]
        if gene == 4:
            assert np.isnan([auroc[gene], auprc[gene]]).all()
            continue
        assert auroc[gene] == pytest.approx(roc_auc_score(called, own))
        assert auprc[gene] == pytest.approx(average_precision_score(called, own))


def test_lines_of_two_folds_are_never_ranked_together():
    rng = np.random.default_rng(6)
    fold = np.arange(90) % 3
    dependent = (rng.random((90, 1)) < 0.3).astype(np.int8)
    score = rng.normal(size=(90, 1)) + 0.5 * dependent
    auroc, auprc = essentiality.dependency_areas(score + 10 * fold[:, None], dependent, fold)
    areas, pairs, precision, positives = np.array(
        [
            (
                roc_auc_score(called, own),
                called.sum() * (1 - called).sum(),
                average_precision_score(called, own),
                called.sum(),
            )
            for called, own in ((dependent[fold == f, 0], score[fold == f, 0]) for f in range(3))
        ]
    ).T
    assert auroc[0] == pytest.approx(np.average(areas, weights=pairs))
    assert auprc[0] == pytest.approx(np.average(precision, weights=positives))
    # One dependent line: the fit without it says 0 of all, the others raise who resembles it.
    rare = np.zeros((90, 1), dtype=np.int8)
    rare[0] = 1
    resembles = np.where((fold[:, None] > 0) & (rng.random((90, 1)) < 0.2), 0.2, 0.0)
    assert essentiality.dependency_areas(resembles, rare, fold)[0][0] == 0.5


def test_three_ways_to_pool_folds_and_one_of_them_is_fair():
    """Null predictions of held-out folds: raw pooling says less than nothing, subtracting the
    training mean says more for a model that does not know it, centring within folds says zero."""
    rng = np.random.default_rng(4)
    truth = rng.normal(size=(60, 400))
    fold = np.arange(60) % 5
    train_mean = np.stack([truth[fold != own].mean(axis=0) for own in fold])
    knows_the_mean, knows_nothing = train_mean, np.tile(rng.normal(size=400), (60, 1))

    def mean_r(told, shift=0.0):
        return np.nanmean(essentiality.per_gene_pearson(truth - shift, told - shift))

    assert mean_r(knows_the_mean) < -0.2
    assert mean_r(knows_the_mean, train_mean) == 0
    assert mean_r(knows_nothing) == 0
    assert mean_r(knows_nothing, train_mean) > 0.2
    known = np.ones(truth.shape, dtype=bool)
    centred = essentiality.within_cells(truth, known, fold)
    for told in (knows_the_mean, knows_nothing):
        r = essentiality.per_gene_pearson(centred, essentiality.within_cells(told, known, fold))
        assert (r == 0).all()


def test_luck_of_one_fold_is_not_paid_for_by_the_others():
    """A slope fitted to the other folds, on noise: folds pooled say less than nothing, folds
    averaged say zero."""
    rng = np.random.default_rng(6)
    truth, x = rng.normal(size=(60, 4000)), rng.normal(size=(60, 1))
    fold = np.arange(60) % 5
    told = np.empty_like(truth)
    for own in range(5):
        others = fold != own
        slope = np.mean((x[others] - x[others].mean()) * truth[others], axis=0)
        told[~others] = slope * x[~others]
    known = np.ones(truth.shape, dtype=bool)
    truth, told = (essentiality.within_cells(each, known, fold) for each in (truth, told))
    pooled = essentiality.per_gene_pearson(truth, told)
    total = essentiality.FoldMean()
    for own in range(5):
        rows = fold == own
        everyone = np.zeros(rows.sum(), dtype=int)
        for genes, sums in essentiality.sums_by_group(truth[rows], told[rows], everyone, 1):
            total.add(genes, sums[0], 4000)
    averaged = total.mean()
    error = averaged.std() / np.sqrt(4000)
    assert pooled.mean() < -5 * error
    assert abs(averaged.mean()) < 3 * error
    units = (essentiality.unit_length(each, fold) for each in (truth, told))
    assert np.einsum("ij,ij->j", *units) == pytest.approx(averaged, abs=1e-5)


def test_gene_sets_are_told_by_spread_and_by_how_many_lines_need_a_gene():
    truth = np.zeros((20, 3), dtype=np.float32)
    truth[:, 0] = -1.2  # needed by all
    truth[:, 1] = np.linspace(-2, 0.5, 20)
    truth[:3, 0] = np.nan
    sets = essentiality.gene_sets(truth, "effect", 0.3)
    assert sets["selective"].tolist() == [False, True, False]
    assert sets["not_common_essential"].tolist() == [False, True, True]
    sets = essentiality.gene_sets((truth < -0.5).astype("f4"), "probability", 0.3)
    assert sets["selective"].tolist() == [True, True, False]


def test_permuted_lines_stay_in_their_fold():
    fold = np.array([0, 1, 0, 1, 2, 0, 2])
    order = essentiality.permuted_within(fold, np.random.default_rng(0))
    assert sorted(order) == list(range(7))
    assert (fold[order] == fold).all()
