"""The network of the Cox head knows what Cox regression knows, and what is not a line besides."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from survival_world import SETTINGS, concordance, patients

from bulkformer.evaluate.survival_cox import partial_likelihood
from bulkformer.evaluate.survival_heads import fit_survival_head
from bulkformer.evaluate.survival_neural import (
    DECAYS,
    MIN_EVENTS,
    Strata,
    StratifiedLikelihood,
)
from bulkformer.evaluate.survival_patients import TrainingPatients


def fitted(rows, seed=0):
    return fit_survival_head("neural_cox", rows, SETTINGS, seed)


@pytest.fixture(scope="module")
def training():
    return patients(160, seed=1)


@pytest.fixture(scope="module")
def head(training):
    return fitted(training)


def test_the_likelihood_is_the_sum_of_those_of_the_strata(training):
    risk = np.random.default_rng(4).normal(size=(160, 3))
    time = np.ceil(training.time / 300)  # many events a day
    cancer = training.patients.cancer
    expected = sum(
        partial_likelihood(risk[own], time[own], training.event[own])
        for own in (cancer == "BRCA", cancer == "UVM")
    )
    likelihood = StratifiedLikelihood(time, training.event, cancer == "UVM")
    np.testing.assert_allclose(likelihood(torch.from_numpy(risk.T)), expected)
    moved = risk + np.where(cancer == "UVM", 500.0, 0.0)[:, None]
    np.testing.assert_allclose(likelihood(torch.from_numpy(moved.T)), expected)


def test_a_hazard_that_rises_on_both_sides_is_found_where_a_line_finds_nothing():
    def rises_on_both_sides(n, seed):
        rows = patients(n, seed, dimensions=3)
        rng = np.random.default_rng([seed, 1])
        rate = np.exp(1.5 * (np.abs(rows.patients.vectors[:, 0]) - 1.6)) / 900
        died, left = rng.exponential(1 / rate), rng.uniform(200, 3000, n)
        return replace(rows, time=np.ceil(np.minimum(died, left)), event=died <= left)

    learned, others = rises_on_both_sides(200, 1), rises_on_both_sides(300, 2)
    line = fit_survival_head("ridge_cox", learned, SETTINGS, 0).predict(others.patients)
    network = fitted(learned).predict(others.patients)
    assert concordance(line.risk, others) < 0.56
    assert concordance(network.risk, others) > 0.65


def test_where_there_is_nothing_to_find_training_stops_at_once():
    model = fitted(patients(120, seed=7, log_hazard=0.0)).model
    assert model.decay in DECAYS
    assert model.epochs < 10


def test_each_cancer_has_a_baseline_by_breslow(head, training):
    ratio = head.model.log_ratio(head.inputs.transform(training.patients.vectors))
    curves = head.predict(training.patients).curves
    for cancer in ("BRCA", "UVM"):
        own = np.flatnonzero(training.patients.cancer == cancer)
        time, event = training.time[own], training.event[own]
        hazard = sum(1 / np.exp(ratio[own][time >= day]).sum() for day in time[event] if day <= 900)
        told = curves.at(np.array([900.0]))[own, 0]
        np.testing.assert_allclose(told, np.exp(-np.exp(ratio[own]) * hazard))


def test_cancers_with_few_events_share_a_stratum_with_cancers_never_seen(training):
    cancer = training.patients.cancer.copy()
    cancer[np.flatnonzero(training.event)[: MIN_EVENTS - 1]] = "UCS"
    strata = Strata.of(cancer, training.event)
    assert strata.names == ["BRCA", "UVM"]
    codes = strata.codes(np.array(["UVM", "UCS", "THYM"]))
    assert codes.tolist() == [1, 2, 2]
    rows = TrainingPatients(
        replace(training.patients, cancer=cancer), training.time, training.event, training.groups
    )
    shown = rows.patients.take(np.arange(3))
    shown.cancer[:] = ["BRCA", "UCS", "THYM"]
    shown.vectors[:] = shown.vectors[0]
    told = fitted(rows).predict(shown)
    assert told.risk[1] == told.risk[2] > told.risk[0]  # all of them died
    np.testing.assert_array_equal(told.curves.survival[1], told.curves.survival[2])


def test_a_cancer_that_fares_worse_is_at_higher_risk(training):
    slow = training.patients.cancer == "UVM"
    rows = replace(training, time=np.where(slow, training.time * 9, training.time))
    told = fitted(rows).predict(training.patients)
    assert told.risk[slow].mean() < told.risk[~slow].mean() - 1


def test_the_same_seed_gives_the_same_bytes_with_any_threads(head, training):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = fitted(training)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert again.model.first.tobytes() == head.model.first.tobytes()
    assert fitted(training, seed=1).model.first.tobytes() != head.model.first.tobytes()
