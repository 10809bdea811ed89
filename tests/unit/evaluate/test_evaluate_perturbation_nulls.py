"""Where no compound does anything, nobody scores: nulls of every head, measure and regime."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from perturbation_world import SETTINGS, PerturbationWorld, Wells
from scipy.stats import wilcoxon

from bulkformer.evaluate import comparison_pairs
from bulkformer.evaluate.comparison_arms import Arm, Opponent
from bulkformer.evaluate.comparison_pairs import Pairing
from bulkformer.evaluate.paired_tests import PairTester
from bulkformer.evaluate.perturbation_heads import HEADS
from bulkformer.evaluate.perturbation_intervals import Crossed
from bulkformer.evaluate.perturbation_measures import chance_precision
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import Scoring, load_task, open_predictions

WELLS = Wells(specific=0.0, n_cells=6, n_plates=3, n_controls=4, noise=0.5, seed=1)
STRICT_HEADS = [name for name in HEADS if name != "level_network"]
TOP = 5
NULL = {
    "pearson_delta": 0.0,
    "pearson_delta_beyond_mean": 0.0,
    "pearson_delta_deviation": 0.0,
    "pearson_delta_top_genes": 0.0,
    "retrieval": 0.5,
    "signed_de_auprc": chance_precision(WELLS.n_genes, TOP),
}
ERRORS = ["mae_skill", "weighted_mse_skill", "energy_skill"]


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> PerturbationWorld:
    """Six lines on three plates each, matched controls, twelve compounds that do nothing."""
    return PerturbationWorld(tmp_path_factory.mktemp("noise")).ready(WELLS)


@pytest.fixture(scope="module")
def scores(noise) -> pd.DataFrame:
    """The scores of all heads over everything."""
    parts = [noise.score(head).assign(name=head) for head in STRICT_HEADS]
    table = pd.concat(parts, ignore_index=True)
    own = table["group"].isna() & (table["aggregation"] == "mean_over_groups")
    return table[own].reset_index(drop=True)


def test_intervals_hold_the_null_as_often_as_they_say(scores):
    rows = scores[scores["metric"].isin(NULL)]
    assert rows["regime"].nunique() == len(SETTINGS["strict"]["regimes"])
    null = rows["metric"].map(NULL)
    held = (rows["low"] <= null + 1e-9) & (null <= rows["high"] + 1e-9)
    assert held.mean() > 0.9, rows[~held]
    by_head = held.groupby(rows["name"]).mean()
    assert (by_head > 0.7).all(), by_head


def test_no_head_is_far_from_the_null_on_any_measure(scores):
    rows = scores[scores["metric"].isin(NULL)]
    away = (rows["value"] - rows["metric"].map(NULL)).abs()
    # Ten genes, not sixty; a third of the profiles.
    few_genes = rows["metric"] == "pearson_delta_top_genes"
    few_profiles = rows["regime"] == "held_out_compounds_and_cells"
    allowed = 0.07 * np.where(few_genes, 2, 1) * np.where(few_profiles, 2, 1)
    assert (away < allowed).all(), rows[away >= allowed]


def test_errors_are_never_below_those_of_no_change(scores):
    errors = scores[scores["metric"].isin(ERRORS)]
    # Noise as large as the truth's is as far spread as the truth, which energy distance rewards.
    alike = (errors["name"] == "training_profile") & (errors["metric"] == "energy_skill")
    assert errors.loc[alike, "value"].max() > 0.05
    errors = errors[~alike]
    assert errors["value"].max() < 1e-9
    nothing = errors.loc[errors["name"] == "no_change", "value"]
    assert nothing.to_numpy() == pytest.approx(0, abs=1e-9)


def test_intervals_over_compounds_alone_take_the_noise_of_shared_wells_for_skill(noise):
    """The reason why both are drawn: under a cell mean the wells of a plate do all of it."""
    task = load_task("perturbation")
    scoring = Scoring("strict", noise.settings, {}, Bootstrap(200, 1))
    misses, p = [], {"compound": [], "control set": []}
    for seed in range(8):
        root = noise.root.parent / f"noise_{seed}"
        wells = replace(WELLS, wells=[], seed=seed)
        world = PerturbationWorld(root).ready(wells)
        saved = open_predictions(world.predict("cell_mean_delta"), task)
        for each in task.units(saved, scoring):
            wanted = each.regime == "held_out_compounds"
            if wanted and each.metric == "pearson_delta_beyond_mean":
                p[each.unit_kind].append(wilcoxon(each.value).pvalue)
                if each.unit_kind == "compound":
                    estimate = scoring.bootstrap.mean_over_units(each.value)
                    misses.append(not estimate.low <= 0 <= estimate.high)
    assert np.mean(misses) > 0.2
    assert np.mean(np.array(p["compound"]) < 0.05) > 0.2
    over_both = np.maximum(p["compound"], p["control set"])
    assert np.mean(over_both < 0.05) < 0.2


def test_a_compound_drawn_twice_on_a_plate_drawn_twice_counts_four_times():
    """Against a resampling of rows by hand."""
    rng = np.random.default_rng(0)
    unit, other = np.repeat(np.arange(7), 6), np.tile(np.arange(6), 7)
    values = rng.normal(size=42) + unit
    values[3] = np.nan
    bootstrap = Bootstrap(60, 4)
    means, medians, totals = [], [], []
    for of_unit, of_other in zip(bootstrap.draws(7), bootstrap.draws(6)[::-1], strict=True):
        own = []
        for number in range(7):
            rows = (unit == number) & np.isfinite(values)
            each = np.repeat(values[rows], of_other[other[rows]].astype(int))
            own += [each.mean()] * int(of_unit[number])
        means.append(np.mean(own))
        medians.append(np.sort(own)[(len(own) - 1) // 2])
        times = of_unit[unit] * of_other[other]
        totals.append((times[:3].sum() + 2 * times[3:].sum()) / times.sum())
    crossed = Crossed.of(bootstrap, unit, other)
    for found, drawn in ((crossed.mean(values), means), (crossed.median(values), medians)):
        assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist())
    by_unit = [np.nanmean(values[unit == number]) for number in range(7)]
    assert crossed.mean(values).value == pytest.approx(np.mean(by_unit))
    assert crossed.median(values).value == pytest.approx(np.median(by_unit))
    sums = np.column_stack([np.ones(42), np.where(np.arange(42) < 3, 1.0, 2.0)])
    pooled = crossed.pooled(sums, lambda total: total[..., 1] / total[..., 0])
    assert [pooled.low, pooled.high] == pytest.approx(np.quantile(totals, [0.025, 0.975]).tolist())


def test_too_few_of_either_give_no_interval():
    unit, other = np.arange(20), np.arange(20) % 4
    crossed = Crossed.of(Bootstrap(50, 1), unit, other)
    assert crossed.mean(np.arange(20.0)).low is None
    assert crossed.mean(np.full(20, np.nan)).value is None
    assert crossed.mean(np.arange(20.0)).value == 9.5


def test_a_difference_has_to_show_over_every_kind_of_unit():
    rng = np.random.default_rng(3)
    place = {"dataset": "d", "regime": "r", "condition": None, "metric": "m"}
    opponent = Opponent("null", Arm("mean_delta", "mean_delta"), "it knows nothing")

    def pairing(kind: str, differences: np.ndarray, metric: str = "m") -> Pairing:
        n = len(differences)
        pairs = np.column_stack([differences, np.zeros(n)])
        own = place | {"unit_kind": kind, "metric": metric}
        return Pairing(own, Arm("a", "ridge"), opponent, pairs, np.zeros(n, int), (n, n), True)

    clear, nothing, few = rng.normal(2, 1, 12), rng.normal(0, 1, 15), rng.normal(2, 1, 4)
    tester = PairTester(Bootstrap(20, 1), 99)
    alone, other = comparison_pairs.tests_of(
        [pairing("compound", clear), pairing("set", nothing, "other")], tester
    )
    assert alone.p < 0.01 < other.p
    both = comparison_pairs.tests_of([pairing("compound", clear), pairing("set", nothing)], tester)
    assert [test.p for test in both] == [other.p, other.p]
    assert both[0].mean == alone.mean
    left_open = comparison_pairs.tests_of([pairing("compound", clear), pairing("set", few)], tester)
    assert [test.p for test in left_open] == [None, None]
