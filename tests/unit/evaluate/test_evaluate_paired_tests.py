"""Paired tests agree with scipy and with formulas done by hand; told nothing, they know nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bulkformer.evaluate.paired_tests import (
    MIN_UNITS,
    PairTester,
    benjamini_hochberg,
    corrected_t,
    holm,
    wilcoxon,
    win_rate,
)
from bulkformer.evaluate.statistics import Bootstrap

TESTER = PairTester(Bootstrap(400, 7), 4999)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def differences(n: int, mean: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, n)


def test_sign_flips_of_few_units_are_all_tried_and_agree_with_scipy() -> None:
    for seed in range(5):
        values = differences(9, 0.6, seed)
        expected = stats.permutation_test(
            (values,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert TESTER.sign_flip(values[None]) == pytest.approx(expected)


def test_sign_flips_of_many_units_come_near_the_t_test_and_are_never_zero() -> None:
    near = differences(300, 0.1, 3)
    p = TESTER.sign_flip(np.stack([near, differences(300, 5)]))
    assert p[0] == pytest.approx(stats.ttest_1samp(near, 0).pvalue, abs=0.03)
    assert p[1] == 1 / 5000


def test_the_signed_rank_test_is_that_of_scipy_and_no_difference_at_all_has_p_1() -> None:
    values = differences(25, 0.4)
    assert wilcoxon(np.stack([values, np.zeros(25)])) == pytest.approx(
        [stats.wilcoxon(values).pvalue, 1.0]
    )


@pytest.mark.parametrize("n", [6, 30, 60])
def test_a_row_is_tested_as_scipy_tests_it_alone_whatever_ties_are_in_others(n: int) -> None:
    clean = np.stack([differences(n, 0.3, seed) for seed in range(3)])
    tied, with_zeros = np.round(clean, 1), np.where(clean > 0.5, 0, clean)
    tied[:, 1] = tied[:, 0]
    rows = np.concatenate([clean, tied, with_zeros])
    alone = [stats.wilcoxon(row, zero_method="zsplit").pvalue for row in rows]
    np.testing.assert_allclose(wilcoxon(rows), alone)


def test_a_test_does_not_depend_on_those_that_are_made_with_it() -> None:
    values = [differences(n, 0.2, n + k) for k in range(4) for n in (4, 8, 40)]
    for alone, together in zip(values, TESTER.each_over_units(values), strict=True):
        expected, found = TESTER.over_units(alone), together
        assert found.p_wilcoxon == expected.p_wilcoxon
        assert found.p_sign_flip == expected.p_sign_flip
        assert found.median == expected.median
        assert found.mean.value == expected.mean.value
        if expected.mean.low is not None:
            assert found.mean.low == pytest.approx(expected.mean.low, rel=1e-5)


def test_folds_are_tested_with_the_corrected_variance_and_not_as_if_independent() -> None:
    values, repeat = differences(15, 0.5), np.repeat([0, 1, 2], 5)
    mean, p = corrected_t(values, repeat)
    error = np.sqrt(values.var(ddof=1) * (1 / 15 + 1 / 4))
    assert p == pytest.approx(2 * stats.t.sf(abs(values.mean()) / error, 14))
    half = stats.t.ppf(0.975, 14) * error
    assert (mean.low, mean.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert p > stats.ttest_1samp(values, 0).pvalue
    found = TESTER.over_folds(values, repeat)
    assert found.p == p
    assert found.p_wilcoxon is None


def test_folds_that_all_differ_by_the_same_or_not_at_all() -> None:
    assert corrected_t(np.zeros(5), [0] * 5)[1] == 1.0
    assert corrected_t(np.full(5, 0.25), [0] * 5)[1] == 0.0
    assert corrected_t(np.array([0.3]), [0])[1] is None


def test_too_few_units_decide_nothing_however_far_apart_the_models_are() -> None:
    few = TESTER.over_units(np.full(MIN_UNITS - 1, 9.0))
    assert few.p is None
    assert few.decided_by is None
    assert few.mean.value == 9.0
    assert TESTER.over_units(np.full(MIN_UNITS, 9.0)).p == pytest.approx(2 / 2**MIN_UNITS)


def test_a_false_alarm_is_as_rare_as_announced_where_nothing_differs() -> None:
    alarms = [TESTER.over_units(differences(40, 0, seed)).p_sign_flip < 0.05 for seed in range(300)]
    assert 0.01 < np.mean(alarms) < 0.10


def test_units_all_point_one_way_only_if_no_p_could_be_less() -> None:
    apart = np.arange(1, 9) / 10
    assert TESTER.over_units(apart).all_one_way
    assert not TESTER.over_units(np.append(apart[:-1], -0.9)).all_one_way
    assert not TESTER.over_units(apart[:4]).all_one_way
    # More units than a double has powers of two.
    assert not TESTER.over_units(differences(1500, 0.01)).all_one_way


def test_a_tie_is_half_a_win() -> None:
    assert win_rate(np.array([1.0, -1.0, 0.0, 2.0])) == 0.625
    assert win_rate(np.array([])) is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(P_VALUES)
def test_holm_rejects_what_stepping_down_by_hand_rejects(p: list[float]) -> None:
    adjusted = holm(p)
    rejected = set()
    for step, index in enumerate(np.argsort(p, kind="stable")):
        if p[index] * (len(p) - step) > 0.05:
            break
        rejected.add(int(index))
    assert {i for i, value in enumerate(adjusted) if value <= 0.05} == rejected
    assert (adjusted >= np.asarray(p)).all()
    assert adjusted.max() <= 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(P_VALUES)
def test_benjamini_hochberg_agrees_with_scipy(p: list[float]) -> None:
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))
