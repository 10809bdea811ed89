"""Measures of survival agree with scikit-survival, and their bootstrap with drawing patients."""

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.metrics import average_precision_score, roc_auc_score
from sksurv.metrics import (
    brier_score,
    concordance_index_censored,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
    integrated_brier_score,
)
from sksurv.nonparametric import kaplan_meier_estimator

from bulkformer.evaluate import survival_measures as measures
from bulkformer.evaluate.survival_cox import as_outcome


@pytest.fixture
def followed():
    """120 training and 80 test patients with ties of time and of risk, in whole weeks."""
    rng = np.random.default_rng(3)
    risk = np.round(rng.normal(size=200), 1)
    died, left = rng.exponential(200 * np.exp(-risk)), rng.uniform(10, 600, 200)
    time = 7 * np.ceil(np.minimum(died, left) / 7)
    return time, died <= left, risk


TRAIN, TEST = np.arange(120), np.arange(120, 200)


def share(pairs):
    earned, comparable = pairs.sums()
    return earned / comparable


def test_harrells_concordance_is_that_of_scikit_survival(followed):
    time, event, risk = followed
    theirs = concordance_index_censored(event[TEST], time[TEST], risk[TEST])[0]
    assert share(measures.event_pairs(TEST, time, event, risk)) == pytest.approx(theirs, abs=1e-9)


def test_unos_concordance_is_that_of_scikit_survival(followed):
    time, event, risk = followed
    censoring = measures.Censoring.of(time[TRAIN], event[TRAIN])
    tau = 300.0
    weight = np.where(time < tau, censoring.inverse(time) ** 2, 0.0)
    pairs = measures.event_pairs(TEST, time, event, risk, weight)
    train, test = as_outcome(time[TRAIN], event[TRAIN]), as_outcome(time[TEST], event[TEST])
    theirs = concordance_index_ipcw(train, test, risk[TEST], tau=tau)[0]
    assert share(pairs) == pytest.approx(theirs, abs=1e-6)


def test_antolinis_concordance_asks_on_the_day_of_each_event_and_is_harrells_without_crossing(
    followed,
):
    time, event, risk = followed
    cases = TEST[event[TEST]]
    rng = np.random.default_rng(6)
    slope = rng.uniform(0.5, 2.0, 200)  # curves that cross
    crossing = np.exp(-np.exp(risk) * (time[cases][:, None] / 200) ** slope)[:, TEST]
    earned = comparable = 0
    for i, case in enumerate(cases):
        own = crossing[i, np.flatnonzero(case == TEST)[0]]
        for j, other in enumerate(TEST):
            if time[case] < time[other] or (time[case] == time[other] and not event[other]):
                comparable += 1
                earned += 1.0 if own < crossing[i, j] else 0.5 * (own == crossing[i, j])
    found = measures.curve_pairs(TEST, time, event, crossing)
    assert found.sums().tolist() == [earned, comparable]
    harrell = measures.event_pairs(TEST, time, event, risk)
    proportional = np.exp(-np.exp(risk[TEST]) * time[cases][:, None] / 200)
    found = measures.curve_pairs(TEST, time, event, proportional)
    assert found.sums().tolist() == harrell.sums().tolist()
    assert share(harrell) != earned / comparable


def log_likelihood(time, event, risk):
    """Breslow's log partial likelihood, term by term."""
    return sum(risk[i] - np.log(np.exp(risk[time >= time[i]]).sum()) for i in np.flatnonzero(event))


def test_risk_sets_sum_to_the_partial_likelihood_whatever_is_added_to_every_risk(followed):
    time, event, risk = followed
    found, n_events = measures.risk_sets(TEST, time, event, risk).sums()
    assert found == pytest.approx(log_likelihood(time[TEST], event[TEST], risk[TEST]))
    assert n_events == event[TEST].sum()
    moved = measures.risk_sets(TEST, time, event, risk + 700.0).sums()
    assert moved[0] == pytest.approx(found)


def test_a_patient_drawn_twice_has_the_event_twice_and_is_twice_at_risk(followed):
    time, event, risk = followed
    rng = np.random.default_rng(5)
    drawn = [rng.choice(TEST, len(TEST)) for _ in range(3)]
    counts = np.stack([np.bincount(rows, minlength=200) for rows in drawn]).astype(np.float32)
    found = measures.risk_sets(TEST, time, event, risk).drawn(counts)
    for rows, (value, n_events) in zip(drawn, found, strict=True):
        assert value == pytest.approx(log_likelihood(time[rows], event[rows], risk[rows]))
        assert n_events == event[rows].sum()


@pytest.mark.parametrize("horizon", [50.0, 100.0, 250.0])
def test_auc_at_a_time_is_that_of_scikit_survival(followed, horizon):
    time, event, risk = followed
    inside = TEST[time[TEST] < 590]
    weight = measures.Censoring.of(time[TRAIN], event[TRAIN]).inverse(time)
    pairs = measures.horizon_pairs(inside, time, event, risk, weight, horizon)
    train, test = as_outcome(time[TRAIN], event[TRAIN]), as_outcome(time[inside], event[inside])
    theirs = cumulative_dynamic_auc(train, test, risk[inside], [horizon])[0][0]
    assert share(pairs) == pytest.approx(theirs, abs=1e-6)


def test_brier_scores_of_kaplan_meier_are_those_of_scikit_survival(followed):
    time, event, _ = followed
    horizons = np.array([21.0, 70.0, 140.0, 210.0, 300.0])
    curve = measures.step_at(*measures.survival_curve(time[TRAIN], event[TRAIN]), horizons)
    told = np.broadcast_to(curve, (len(TEST), len(horizons)))
    censoring = measures.Censoring.of(time[TRAIN], event[TRAIN])
    terms = measures.brier_terms(time[TEST], event[TEST], told, horizons, censoring)
    train, test = as_outcome(time[TRAIN], event[TRAIN]), as_outcome(time[TEST], event[TEST])
    theirs = brier_score(train, test, told, horizons)[1]
    np.testing.assert_allclose(terms.mean(axis=0), theirs, atol=1e-6)
    ours = measures.mean_over_time(terms, horizons).mean()
    assert ours == pytest.approx(integrated_brier_score(train, test, told, horizons), abs=1e-6)


def test_curves_of_death_and_of_censoring_are_those_of_kaplan_and_meier(followed):
    time, event, _ = followed
    for ours, reverse in ((measures.survival_curve, False), (measures.censoring_curve, True)):
        times, values = ours(time, event)
        their_times, theirs = kaplan_meier_estimator(event, time, reverse=reverse)
        np.testing.assert_array_equal(times, their_times)
        np.testing.assert_allclose(values, theirs, atol=1e-12)


def test_a_draw_of_patients_counts_pairs_as_if_they_stood_there(followed):
    time, event, risk = followed
    pairs = measures.event_pairs(TEST, time, event, risk)
    rng = np.random.default_rng(0)
    for _ in range(5):
        chosen = rng.choice(TEST, len(TEST))
        counts = np.bincount(chosen, minlength=200)[None].astype(np.float32)
        theirs = concordance_index_censored(event[chosen], time[chosen], risk[chosen])[0]
        earned, comparable = pairs.drawn(counts)[0]
        assert earned / comparable == pytest.approx(theirs, abs=1e-6)


def test_equal_risks_earn_exactly_one_half_and_a_shift_of_all_changes_nothing(followed):
    time, event, risk = followed
    assert share(measures.event_pairs(TEST, time, event, np.full(200, 0.3))) == 0.5
    one = measures.event_pairs(TEST, time, event, risk).sums()
    np.testing.assert_array_equal(measures.event_pairs(TEST, time, event, risk + 8).sums(), one)


def test_labels_are_ranked_as_scikit_learn_ranks_them(followed):
    _, event, risk = followed
    area = share(measures.label_pairs(TEST, event, risk))
    assert area == pytest.approx(roc_auc_score(event[TEST], risk[TEST]))
    counts = np.random.default_rng(1).integers(0, 4, (3, len(TEST)))
    ours = measures.average_precision(risk[TEST], event[TEST], counts)
    for value, drawn in zip(ours, counts, strict=True):
        theirs = average_precision_score(event[TEST], risk[TEST], sample_weight=drawn)
        assert value == pytest.approx(theirs)


def test_true_curves_are_calibrated_and_those_of_others_are_not():
    rng = np.random.default_rng(5)
    rate = np.exp(rng.normal(size=3000))
    died, left = rng.exponential(1 / rate), rng.exponential(2, 3000)
    time, event = np.minimum(died, left), died <= left
    true = measures.calibration_bins(np.exp(-rate * time), event)
    assert true.sum() == pytest.approx(3000)
    assert measures.calibration_p_value(true) > 0.01
    assert measures.calibration_p_value(true) == pytest.approx(chisquare(true).pvalue)
    assert measures.calibration_error(true) < 0.01
    wrong = measures.calibration_bins(np.exp(-2 * rate * time), event)
    assert measures.calibration_p_value(wrong) < 1e-6


def test_a_censored_patient_is_spread_over_what_may_still_come():
    def bins(survival, event):
        return measures.calibration_bins(np.array([survival]), np.array([event]))

    np.testing.assert_allclose(bins(0.25, True), np.eye(10)[2])
    np.testing.assert_allclose(bins(0.25, False), [0.4, 0.4, 0.2, *[0] * 7])
    np.testing.assert_allclose(bins(1.0, False), np.full(10, 0.1))
