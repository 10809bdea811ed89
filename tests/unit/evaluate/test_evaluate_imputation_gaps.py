"""Differential expression on counts with gaps: a gene is tested on what is left of it."""

import numpy as np
import pytest

from bulkformer.evaluate.tasks.imputation_counts import differential_expression
from bulkformer.evaluate.tasks.imputation_gaps import enough_samples, filled

GENES = [f"g{i}" for i in range(40)]
SECOND = np.arange(14) >= 7


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Two classes of seven; the first ten genes double in the second."""
    rng = np.random.default_rng(3)
    mean = rng.uniform(50, 500, 40) * np.where(SECOND[:, None] & (np.arange(40) < 10), 2, 1)
    return rng.poisson(rng.gamma(8, mean / 8)).astype(float)


def test_samples_that_no_gene_shows_are_as_if_they_had_not_been_taken(counts: np.ndarray) -> None:
    gaps = counts.copy()
    gaps[[0, 7]] = np.nan
    left = [i for i in range(14) if i not in (0, 7)]
    found = differential_expression(gaps, GENES, SECOND)
    expected = differential_expression(counts[left], GENES, SECOND[left])
    np.testing.assert_allclose(found["log2_fold_change"], expected["log2_fold_change"], atol=0.02)
    np.testing.assert_array_equal(found["padj"] < 0.05, expected["padj"] < 0.05)


def test_a_gene_that_is_hidden_everywhere_is_not_tested_and_disturbs_no_other(
    counts: np.ndarray,
) -> None:
    gaps = counts.copy()
    gaps[:, 1] = np.nan
    found = differential_expression(gaps, GENES, SECOND)
    assert found.iloc[1].isna().all()
    names = [name for name in GENES if name != "g1"]
    expected = differential_expression(np.delete(counts, 1, axis=1), names, SECOND)
    for column in ("log2_fold_change", "base_mean"):
        np.testing.assert_allclose(found.loc[names, column], expected[column], rtol=1e-6)


def test_a_gap_takes_a_sample_from_its_gene_and_holds_no_count(counts: np.ndarray) -> None:
    gaps = counts.copy()
    gaps[:5, 0] = np.nan
    found = differential_expression(gaps, GENES, SECOND).iloc[0]
    known, given = np.log2(counts[5:7, 0].mean()), np.log2(counts[7:, 0].mean())
    assert found["log2_fold_change"] == pytest.approx(given - known, abs=0.25)
    # As if they had been imputed perfectly, by the mean of those left: far too sure.
    invented = np.where(np.isnan(gaps), np.rint(counts[5:7, 0].mean()), gaps)
    sure = differential_expression(invented, GENES, SECOND).iloc[0]
    assert found["p_value"] > 10 * sure["p_value"]


def test_two_samples_of_each_class_must_show_a_gene(counts: np.ndarray) -> None:
    gaps = counts.copy()
    gaps[:5, 0] = gaps[:6, 1] = gaps[8:, 2] = np.nan
    gaps[:, 3] = 0
    assert enough_samples(gaps, SECOND)[:5].tolist() == [True, False, False, False, True]


def test_fills_follow_the_depth_of_the_sample_and_nothing_visible_changes() -> None:
    depth = np.array([1.0, 2.0, 4.0, 1.0])[:, None]
    whole = depth * np.array([100.0, 20.0, 60.0])
    gaps = whole.copy()
    gaps[2, 0] = gaps[0, 1] = np.nan
    np.testing.assert_allclose(filled(gaps), whole)
