"""Values that a provider logged become linear again, or are refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.reader import open_cohort
from bulkformer.sources.transform import undo

COUNTS = np.array([[0, 1, 2, 1000], [5.5, 0, 3, 2**31]])
LOGGED = {
    "log2(x+1)": np.log2(COUNTS + 1),
    "log2(x+0.001)": np.log2(COUNTS + 0.001),
    "ln(x+1)": np.log1p(COUNTS),
}


def cohort(tmp_path, values, transform):
    path = tmp_path / "m.tsv"
    frame = pd.DataFrame(np.asarray(values).T, index=list("abcd"), columns=["s1", "s2"])
    frame.to_csv(path, sep="\t", float_format="%.10f")
    return open_cohort("matrix", path, None, transform=transform)


def read(tmp_path, values, transform):
    return np.concatenate([block for _, block in cohort(tmp_path, values, transform).blocks(1)])


@pytest.mark.parametrize("transform", LOGGED)
def test_linear_values_come_back(tmp_path, transform):
    values = read(tmp_path, LOGGED[transform], transform)
    np.testing.assert_allclose(values, COUNTS, rtol=1e-7, atol=1e-7)
    assert values.min() >= 0


@pytest.mark.parametrize("digits", range(4, 11))
def test_no_expression_is_exactly_zero_however_it_was_rounded(tmp_path, digits):
    # log2(0.001) is -9.96578428…: with 5 digits the file says a little more, with 4 a little less.
    logged = np.round(LOGGED["log2(x+0.001)"], digits)
    values = read(tmp_path, logged, "log2(x+0.001)")
    np.testing.assert_array_equal(values == 0, COUNTS == 0)
    assert values.min() == 0


def test_single_precision_does_not_make_expression_of_none(tmp_path):
    logged = np.log2(np.float32(0.001)) + np.float32([-1e-6, 0, 1e-6, 2e-6])
    values = read(tmp_path, np.stack([logged, [1, 2, 3, 4]]), "log2(x+0.001)")
    assert values[0].tolist() == [0, 0, 0, 0]
    assert read(tmp_path, np.full((2, 4), -9.97), "log2(x+0.001)").max() == 0


def test_linear_values_pass_as_they_are(tmp_path):
    np.testing.assert_array_equal(read(tmp_path, COUNTS, ""), COUNTS)


@pytest.mark.parametrize(
    ("written", "said"), [("log2(x+0.001)", "log2(x+1)"), ("log2(x+0.001)", "ln(x+1)")]
)
def test_a_negative_logarithm_is_refused_where_one_is_added(tmp_path, written, said):
    with pytest.raises(InputError, match=r"gene 'a' in sample 's1' is -9\.9.*-9\.97"):
        read(tmp_path, LOGGED[written], said)


def test_an_offset_of_one_is_refused_where_a_thousandth_is_said(tmp_path):
    with pytest.raises(InputError, match=r"no value .* is below 0 and some are 0, as of log2\(x"):
        read(tmp_path, LOGGED["log2(x+1)"], "log2(x+0.001)")


@pytest.mark.parametrize("transform", LOGGED)
def test_counts_that_were_never_logged_are_refused(tmp_path, transform):
    with pytest.raises(InputError, match=r"'d' in sample 's1' is 1000.*leave transform empty"):
        read(tmp_path, COUNTS, transform)


def test_a_missing_logarithm_is_refused(tmp_path):
    values = LOGGED["log2(x+1)"].copy()
    values[1, 2] = np.nan
    with pytest.raises(InputError, match="'c' in sample 's2' is missing"):
        read(tmp_path, values, "log2(x+1)")


def test_an_unknown_transform_is_refused_before_values_are_read(tmp_path):
    with pytest.raises(InputError, match=r"known are log2\(x\+1\)"):
        cohort(tmp_path, COUNTS, "log10")


@pytest.mark.parametrize("digits", [4, 6, 15])
def test_counts_come_back_whole_from_logarithms_with_few_digits(digits):
    counts = np.array([[0, 1, 251, 3_000], [7, 12, 1_000_000, 83_000_001]], dtype=float)
    logged = np.round(np.log2(counts + 1), digits)
    restored = undo(logged, "log2(x+1)", ["a", "b"], list("wxyz"), Path("m.tsv"))
    assert (restored == np.rint(restored)).all()
    np.testing.assert_allclose(restored, counts, rtol=4e-5)


def test_expected_counts_keep_their_fractions():
    counts = np.array([[0.5, 1.25, 1000.0]])
    restored = undo(np.log2(counts + 1), "log2(x+1)", ["a"], list("xyz"), Path("m.tsv"))
    np.testing.assert_allclose(restored, counts, rtol=1e-12)
