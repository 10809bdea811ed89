"""Spread of correlations over genes: quartiles and expression deciles, recomputed by hand."""

import numpy as np
import pytest

from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.tasks.imputation_genes import deciles, quartiles


def test_quartiles_are_those_of_numpy_and_lie_in_their_intervals() -> None:
    rng = np.random.default_rng(0)
    values = np.append(rng.normal(size=301), np.nan)
    found = quartiles(values, Bootstrap(200, 1))
    for name, share in {"lower": 0.25, "upper": 0.75}.items():
        estimate = found[f"{name}_quartile_over_groups"]
        expected = np.quantile(values[:-1], share, method="inverted_cdf")
        assert estimate.value == pytest.approx(expected)
        # 95 % of normal quartiles of 301 values lie within 0.16 of the true one.
        assert expected - 0.3 < estimate.low < expected < estimate.high < expected + 0.3


def test_quartiles_of_the_resamples_are_the_same_rule_on_repeated_values() -> None:
    values = np.random.default_rng(1).normal(size=20)
    bootstrap = Bootstrap(40, 3)
    drawn = [
        np.quantile(np.repeat(np.sort(values), times.astype(int)), 0.25, method="inverted_cdf")
        for times in bootstrap.draws(20)
    ]
    found = quartiles(values, bootstrap)["lower_quartile_over_groups"]
    assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist())


def test_too_few_genes_have_no_interval_and_none_no_value() -> None:
    bootstrap = Bootstrap(100, 1)
    few = quartiles(np.array([1.0, 2, 3]), bootstrap)["upper_quartile_over_groups"]
    assert (few.value, few.low) == (3, None)
    assert quartiles(np.array([np.nan]), bootstrap)["lower_quartile_over_groups"].value is None


def test_deciles_go_from_silent_to_strongly_expressed_genes() -> None:
    mean = np.random.default_rng(2).permutation(100).astype(float)
    values = mean / 100
    values[mean == 99] = np.nan
    parts = deciles(values, mean)
    assert list(parts) == [f"{i:02d}" for i in range(1, 11)]
    assert [len(part) for part in parts.values()] == [10] * 9 + [9]
    assert np.allclose(np.concatenate(list(parts.values())), np.arange(99) / 100)
