"""Measures agree with scikit-learn and SciPy where those have them, and with algebra elsewhere."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from bulkformer.evaluate import measures


def centred_moments(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    index = np.zeros(len(truth), dtype=np.int64)
    return measures.moments(truth - truth.mean(), prediction - prediction.mean(), index, 1)[0]


@pytest.fixture
def labels() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, prediction and probabilities of five unequal classes; class 4 is never true."""
    rng = np.random.default_rng(0)
    truth = rng.choice(4, size=300, p=[0.6, 0.25, 0.1, 0.05])
    probabilities = rng.dirichlet(np.ones(5), size=300)
    probabilities[np.arange(300), truth] += 0.5
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return truth, probabilities.argmax(axis=1), probabilities


def test_correlations_agree_with_scipy() -> None:
    rng = np.random.default_rng(1)
    truth = np.round(rng.normal(size=500), 1)
    prediction = truth + rng.normal(size=500)
    assert measures.pearson(centred_moments(truth, prediction)) == pytest.approx(
        stats.pearsonr(truth, prediction).statistic, abs=1e-12
    )
    ranked = centred_moments(measures.ranks(truth), measures.ranks(prediction))
    assert measures.pearson(ranked) == pytest.approx(
        stats.spearmanr(truth, prediction).statistic, abs=1e-12
    )


def test_correlation_of_a_constant_prediction_is_zero_and_of_a_constant_truth_undefined() -> None:
    index = np.array([0, 0, 0, 1, 1, 1])
    varying = np.array([1.0, 2.0, 4.0] * 2, dtype=np.float32)
    constant = np.full(6, 0.1, dtype=np.float32)
    assert measures.pearson_by_group(varying, constant, index, 2, 3).tolist() == [0.0, 0.0]
    assert np.isnan(measures.pearson_by_group(constant, varying, index, 2, 3)).all()
    assert measures.pearson(centred_moments(varying, constant)) == 0
    assert np.isnan(measures.pearson(centred_moments(constant, varying)))


def test_small_differences_of_a_highly_expressed_gene_are_not_lost() -> None:
    rng = np.random.default_rng(2)
    truth = 12 + rng.normal(0, 1e-3, 50)
    prediction = 12 + (truth - 12) + rng.normal(0, 1e-3, 50)
    index = np.zeros(50, dtype=np.int64)
    expected = stats.pearsonr(truth, prediction).statistic
    found = measures.pearson_by_group(truth, prediction, index, 1, 3)[0]
    assert found == pytest.approx(expected, abs=1e-9)


def test_class_measures_agree_with_scikit_learn(labels: tuple[np.ndarray, ...]) -> None:
    truth, told, probabilities = labels
    counts = measures.confusion(truth, told, np.zeros(300, dtype=np.int64), 1, 5)[0]
    for average, measure in (("macro", measures.macro_f1), ("weighted", measures.weighted_f1)):
        assert measure(counts) == pytest.approx(reference.f1_score(truth, told, average=average))
    assert measures.accuracy(counts) == pytest.approx(reference.accuracy_score(truth, told))
    assert measures.matthews_correlation(counts) == pytest.approx(
        reference.matthews_corrcoef(truth, told)
    )
    recalls = reference.recall_score(truth, told, average=None, labels=range(4))
    assert measures.balanced_accuracy(counts) == pytest.approx(recalls.mean())
    assert measures.top_hits(probabilities, truth, 3).mean() == pytest.approx(
        reference.top_k_accuracy_score(truth, probabilities, k=3, labels=range(5))
    )
    disease = truth > 0
    assert measures.auc(1 - probabilities[:, 0], disease) == pytest.approx(
        reference.roc_auc_score(disease, 1 - probabilities[:, 0])
    )


def test_confusion_counts_of_groups_add_up(labels: tuple[np.ndarray, ...]) -> None:
    truth, told, _ = labels
    group = np.arange(300) % 7
    by_group = measures.confusion(truth, told, group, 7, 5)
    together = measures.confusion(truth, told, np.zeros_like(group), 1, 5)[0]
    assert (by_group.sum(axis=0) == together).all()


def test_calibration_error_is_zero_for_honest_confidence_and_the_gap_for_boasting() -> None:
    confidence, index = np.full(100, 0.8), np.zeros(100, dtype=np.int64)
    for n_right, error in ((80, 0.0), (50, 0.3)):
        sums = measures.calibration_sums(confidence, np.arange(100) < n_right, index, 1)[0]
        assert measures.expected_calibration_error(sums) == pytest.approx(error, abs=1e-12)


def test_equal_probabilities_earn_no_top_hit_and_half_an_auc() -> None:
    assert not measures.top_hits(np.full((4, 5), 0.2), np.arange(4), 3).any()
    assert measures.auc(np.ones(6), np.array([1, 0, 1, 0, 0, 1], dtype=bool)) == 0.5
    assert np.isnan(measures.auc(np.ones(3), np.ones(3, dtype=bool)))


def test_pooled_correlation_of_the_gene_mean_is_the_root_of_the_variance_between_genes() -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, 9, 40) + rng.normal(0, 1, (80, 40))
    mean = np.broadcast_to(truth.mean(axis=0), truth.shape)
    between = ((mean - truth.mean()) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    found = measures.pearson(centred_moments(truth.ravel(), mean.ravel()))
    assert found == pytest.approx(np.sqrt(between), abs=1e-12)
    assert found > 0.9


@pytest.mark.parametrize("per_fold", [1, 25])
def test_out_of_fold_means_anticorrelate_and_the_deviation_form_cures_it(per_fold: int) -> None:
    """The training mean of a fold is high where its held-out values are low: about -1/sqrt(n)."""
    rng = np.random.default_rng(4)
    n_samples, n_genes = 200, 400
    truth = 5 + rng.normal(size=(n_samples, n_genes))
    fold = np.arange(n_samples) // per_fold
    mean = np.stack([truth[fold != f].mean(axis=0) for f in fold])
    gene = np.tile(np.arange(n_genes), n_samples)

    def per_gene(shift: np.ndarray | float) -> np.ndarray:
        return measures.pearson_by_group(
            (truth - shift).ravel(), (mean - shift).ravel(), gene, n_genes, 5
        )

    assert np.median(per_gene(0.0)) == pytest.approx(-1 / np.sqrt(per_fold), abs=0.04)
    assert (per_gene(mean) == 0).all()
