"""Intervals resample the unit of generalisation, and cover what they claim to."""

import numpy as np
import pytest

from bulkformer.evaluate import measures
from bulkformer.evaluate.statistics import Bootstrap


def mean(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    bootstrap = Bootstrap(400, 1)
    covered = []
    for _ in range(300):
        # Groups of five rows share an offset: the groups, not the rows, are independent.
        values = rng.normal(size=(40, 1)) + rng.normal(0, 0.3, (40, 5))
        sums = np.column_stack([values.sum(axis=1), np.full(40, 5.0)])
        estimate = bootstrap.over_groups([sums]).estimate(mean)
        covered.append(estimate.low <= 0 <= estimate.high)
    assert 0.90 <= np.mean(covered) <= 0.98


def test_resampling_rows_of_groups_would_make_the_interval_too_narrow() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(30, 1)) + rng.normal(0, 0.1, (30, 20))
    bootstrap = Bootstrap(400, 1)
    sums = np.column_stack([values.sum(axis=1), np.full(30, 20.0)])
    groups = bootstrap.over_groups([sums]).estimate(mean)
    rows = bootstrap.mean_over_units(values.ravel())
    assert groups.high - groups.low > 3 * (rows.high - rows.low)


def test_sums_of_groups_give_the_same_value_as_the_rows_of_a_draw() -> None:
    rng = np.random.default_rng(2)
    truth, told, group = (rng.integers(k, size=90) for k in (3, 3, 9))
    bootstrap = Bootstrap(50, 3)
    counts = measures.confusion(truth, told, group, 9, 3)
    resampled = bootstrap.over_groups([counts])
    for draw, found in zip(bootstrap.draws(9), resampled.drawn[0], strict=True):
        rows = np.concatenate(
            [np.tile(np.flatnonzero(group == g), int(times)) for g, times in enumerate(draw)]
        )
        index = np.zeros(len(rows), dtype=np.int64)
        assert (measures.confusion(truth[rows], told[rows], index, 1, 3)[0] == found).all()


def test_models_and_runs_meet_the_same_draws_and_another_seed_others() -> None:
    assert (Bootstrap(20, 1).draws(12) == Bootstrap(20, 1).draws(12)).all()
    assert (Bootstrap(20, 1).draws(12) != Bootstrap(20, 2).draws(12)).any()
    assert (Bootstrap(20, 1).draws(12).sum(axis=1) == 12).all()


def test_the_median_of_a_resample_is_that_of_its_units() -> None:
    values = np.sort(np.random.default_rng(4).normal(size=31))
    bootstrap = Bootstrap(60, 5)
    medians = values[bootstrap.middles(31)]
    for draw, median in zip(bootstrap.draws(31), medians, strict=True):
        assert np.median(np.repeat(values, draw.astype(int))) == median
    estimate = bootstrap.median_over_units(np.append(values, np.nan))
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.value == pytest.approx(np.median(values))


def test_four_groups_have_a_value_but_no_interval_and_five_have_both() -> None:
    sums = np.column_stack([[1.0, 3.0, 2.0, 2.0, 2.0], np.ones(5)])
    estimate = Bootstrap(50, 0).over_groups([sums[:4]]).estimate(mean)
    assert (estimate.value, estimate.low, estimate.high) == (2.0, None, None)
    estimate = Bootstrap(50, 0).over_groups([sums]).estimate(mean)
    assert estimate.low < estimate.value < estimate.high
    assert Bootstrap(50, 0).mean_over_units(np.array([np.nan])).value is None
