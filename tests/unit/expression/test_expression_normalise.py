"""TPM: its definition, its denominator, and what cannot be ln(TPM + 1)."""

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.expression.normalise import check_log_tpm, log_tpm, tpm

LENGTHS = np.array([1000.0, 2000.0, 500.0, 4000.0])
ALL = np.ones(4, dtype=bool)
COUNTS = np.array([[10.0, 40.0, 0.0, 80.0], [1.0, 0.0, 3.0, 0.0]])


def test_tpm_is_the_share_of_the_count_per_base_in_a_million():
    expected = np.array([10 / 1000, 40 / 2000, 0, 80 / 4000])
    np.testing.assert_allclose(tpm(COUNTS, LENGTHS, ALL)[0], expected / expected.sum() * 1e6)


def test_tpm_sums_to_a_million_over_the_measured_vocabulary_genes():
    measured = np.array([True, True, False, True])
    counts = np.where(measured, COUNTS, np.nan)
    values = tpm(counts, LENGTHS, measured)
    np.testing.assert_allclose(values[:, measured].sum(axis=1), 1e6, rtol=1e-12)
    assert np.isnan(values[:, ~measured]).all()


def test_another_denominator_changes_tpm_by_one_factor_a_sample():
    measured = np.array([True, True, False, True])
    counts = np.array([[10.0, 40.0, 0.0, 80.0], [1.0, 2.0, 3.0, 4.0]])
    some, every = tpm(counts, LENGTHS, measured), tpm(counts, LENGTHS, ALL)
    ratio = some[:, measured] / every[:, measured]
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(3))
    assert ratio[0, 0] == 1  # nothing was counted in the gene that is left out
    assert ratio[1, 0] > 1


def test_a_constant_factor_on_the_counts_of_a_sample_cancels():
    np.testing.assert_allclose(
        tpm(COUNTS * np.array([[3.7], [0.01]]), LENGTHS, ALL), tpm(COUNTS, LENGTHS, ALL)
    )


def test_the_logarithm_is_natural():
    values = log_tpm(COUNTS, LENGTHS, ALL)
    assert values.dtype == np.float32
    log2 = np.log2(tpm(COUNTS, LENGTHS, ALL) + 1)
    np.testing.assert_allclose(values, log2 * 0.6931471805599453, atol=1e-6)


def test_a_sample_gets_the_same_bits_alone_and_in_a_block():
    rng = np.random.default_rng(0)
    counts, lengths = rng.poisson(40, (33, 3000)).astype(float), rng.uniform(300, 9000, 3000)
    measured = rng.random(3000) > 0.2
    block = tpm(counts, lengths, measured)
    for row in [0, 7, 32]:
        alone = tpm(counts[row : row + 1], lengths, measured)
        np.testing.assert_array_equal(alone[0], block[row])


def test_a_sample_without_counts_has_no_tpm_and_no_nan_is_made_of_it():
    with pytest.raises(ValueError, match="no counts"):
        tpm(np.zeros((1, 4)), LENGTHS, ALL)


@pytest.mark.parametrize("length", [0.0, np.nan])
def test_a_gene_without_length_is_refused(length):
    with pytest.raises(ValueError, match="length"):
        tpm(COUNTS, np.array([1000.0, length, 500.0, 4000.0]), ALL)


def test_a_missing_length_of_an_unmeasured_gene_does_no_harm():
    measured = np.array([True, False, True, True])
    lengths = np.array([1000.0, np.nan, 500.0, 4000.0])
    assert not np.isnan(tpm(COUNTS, lengths, measured)[:, measured]).any()


def test_natural_logarithms_of_tpm_pass_the_range_check():
    one_gene_has_all = np.array([[0.0, 1.0, 0.0, 0.0]])
    check_log_tpm(log_tpm(one_gene_has_all, LENGTHS, ALL), "here")
    check_log_tpm(np.array([[np.nan, 0.0]]), "here")
    check_log_tpm(np.full((1, 2), np.nan), "here")


@pytest.mark.parametrize("wrong", [np.log2(1e6 + 1), np.log2(0.001), 50_000.0, -10.0])
def test_log2_logs_of_tpm_plus_little_and_linear_values_fail_the_range_check(wrong):
    with pytest.raises(InputError, match=r"here.*13\.82.*ln 2"):
        check_log_tpm(np.array([[0.0, wrong]]), "here")
