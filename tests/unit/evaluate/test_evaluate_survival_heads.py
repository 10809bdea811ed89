"""Survival heads find what is planted, tune what they say, and learn nothing from noise."""

from dataclasses import replace

import numpy as np
import pytest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.nonparametric import kaplan_meier_estimator
from survival_world import SETTINGS, concordance, patients

from bulkformer.errors import InputError
from bulkformer.evaluate import survival_cox
from bulkformer.evaluate.survival_cox import as_outcome, partial_likelihood
from bulkformer.evaluate.survival_heads import HEADS, SurvivalSettings, fit_survival_head
from bulkformer.evaluate.survival_patients import (
    TrainingPatients,
    exchanged,
    fit_inputs,
)


@pytest.fixture(scope="module")
def training():
    return patients(160, seed=1)


@pytest.fixture(scope="module")
def others():
    return patients(200, seed=2)


@pytest.mark.parametrize(
    ("head", "at_least"),
    [
        ("ridge_cox", 0.68),
        ("elastic_net_cox", 0.68),
        ("neural_cox", 0.63),
        ("random_survival_forest", 0.62),
        ("clinical", 0.56),
        ("clinical_and_vectors", 0.69),
    ],
)
def test_a_planted_hazard_is_found_in_patients_never_seen(training, others, head, at_least):
    told = fit_survival_head(head, training, SETTINGS, 0).predict(others.patients)
    assert concordance(told.risk, others) > at_least
    horizons = np.array([1.0, 300.0, 900.0, 5000.0])
    survival = told.curves.at(horizons)
    assert ((survival >= 0) & (survival <= 1)).all()
    assert (np.diff(survival, axis=1) <= 1e-9).all()
    np.testing.assert_allclose(told.curves.own(np.full(200, 300.0)), survival[:, 1])


def test_vectors_are_judged_by_what_they_add_to_the_clinic(training, others):
    told = fit_survival_head("clinical_and_vectors", training, SETTINGS, 0).predict(others.patients)
    alone = fit_survival_head("clinical", training, SETTINGS, 0).predict(others.patients)
    np.testing.assert_array_equal(told.reference, alone.risk)
    assert concordance(told.risk, others) > concordance(told.reference, others) + 0.05


def test_ridge_is_scikit_survivals_at_the_penalty_that_inner_folds_chose(training):
    head = fit_survival_head("ridge_cox", training, SETTINGS, 0)
    assert head.model.penalty in survival_cox.PENALTIES
    inputs = head.inputs.transform(training.patients.vectors)
    theirs = CoxPHSurvivalAnalysis(alpha=head.model.penalty).fit(
        inputs, as_outcome(training.time, training.event)
    )
    np.testing.assert_allclose(head.model.weights, theirs.coef_)
    told = head.predict(training.patients)
    functions = theirs.predict_survival_function(inputs, return_array=True)
    np.testing.assert_allclose(told.curves.survival, functions, atol=1e-9)


def test_partial_likelihood_is_breslows(training):
    rng = np.random.default_rng(4)
    risk, time = rng.normal(size=(30, 2)), np.ceil(training.time[:30] / 300)
    event = training.event[:30]
    expected = [
        sum(one[i] - np.log(np.exp(one[time >= time[i]]).sum()) for i in np.flatnonzero(event))
        for one in risk.T
    ]
    np.testing.assert_allclose(partial_likelihood(risk, time, event), expected)


def test_stronger_penalties_win_where_there_is_nothing_to_find():
    null = patients(120, seed=7, log_hazard=0.0)
    assert fit_survival_head("ridge_cox", null, SETTINGS, 0).model.penalty >= 10
    weights = fit_survival_head("elastic_net_cox", null, SETTINGS, 0).model.weights
    assert (weights != 0).mean() < 0.5


def test_the_middle_penalty_stands_where_inner_folds_have_nothing_to_try():
    few = patients(30, seed=1)
    few = TrainingPatients(few.patients, few.time, few.event, np.zeros(30, dtype=int))
    assert fit_survival_head("ridge_cox", few, SETTINGS, 0).model.penalty == 1.0
    sparse = fit_survival_head("elastic_net_cox", few, SETTINGS, 0).model
    assert (sparse.weights != 0).any()  # the strongest penalty leaves none


def test_the_elastic_net_chooses_among_the_dimensions_that_vary_most(training):
    settings = replace(SETTINGS, dimensions=3)
    head = fit_survival_head("elastic_net_cox", training, settings, 0)
    spread = training.patients.vectors.var(axis=0)
    assert head.dimensions.tolist() == sorted(np.argsort(-spread)[:3])


def test_a_cancer_says_its_own_course_and_a_new_one_that_of_all(training):
    head = fit_survival_head("cancer_type", training, SETTINGS, 0)
    new = training.patients.take(np.arange(3))
    new.cancer[:] = ["BRCA", "UVM", "THYM"]
    told = head.predict(new)
    for row, own in enumerate([training.patients.cancer == "BRCA", training.time > 0]):
        times, curve = kaplan_meier_estimator(training.event[own], training.time[own])
        np.testing.assert_allclose(told.curves.at(times)[[0, 2][row]], curve)
    assert told.risk[2] == pytest.approx(training.event.sum() / training.time.sum())


def test_outcomes_are_exchanged_within_cancers_alone(training):
    cancer = training.patients.cancer
    rows = exchanged(cancer, 3)
    assert sorted(rows) == list(range(160))
    assert (cancer[rows] == cancer).all()
    assert (rows != np.arange(160)).mean() > 0.9


def test_unknown_covariates_are_a_level_and_unseen_ones_are_none(training, others):
    head = fit_survival_head("clinical", training, SETTINGS, 0)
    strange = others.patients.take(np.arange(4))
    strange.stage[:] = ["IV", "IV", None, None]
    strange.cancer[:] = "THYM"
    strange.age[:] = np.nan
    covariates = head.covariates.transform(strange)
    assert (covariates[:, 0] == 0).all()  # the mean age of training patients
    assert (covariates[:, 1] == 1).all()
    width = len(head.covariates.stages)
    stages = covariates[:, -len(head.covariates.cancers) - width : -len(head.covariates.cancers)]
    assert stages.sum(axis=1).tolist() == [0, 0, 1, 1]
    assert np.isfinite(head.predict(strange).risk).all()


def test_long_vectors_come_down_to_components_and_short_ones_stay(training):
    vectors = training.patients.vectors
    assert fit_inputs(vectors, 5).transform(vectors).shape == (160, 5)
    whole = fit_inputs(vectors, 12).transform(vectors)
    assert whole.shape == vectors.shape
    # All that standardised vectors vary by adds up to one, whatever their length.
    assert whole.var(axis=0).sum() == pytest.approx(1)


def test_the_same_seed_gives_the_same_forest_with_any_threads(training, others):
    one, two = (
        fit_survival_head(
            "random_survival_forest", training, SurvivalSettings(8, 10, threads), 5
        ).predict(others.patients)
        for threads in (1, 2)
    )
    assert one.risk.tobytes() == two.risk.tobytes()


def test_a_head_that_does_not_exist_is_named_with_those_that_do(training):
    with pytest.raises(InputError, match="unknown survival head 'crystal_ball'; known are ridge"):
        fit_survival_head("crystal_ball", training, SETTINGS, 0)
    assert "clinical_and_vectors" in HEADS


def test_without_an_event_there_is_nothing_to_learn(training):
    alive = TrainingPatients(
        training.patients, training.time, np.zeros(160, dtype=bool), training.groups
    )
    with pytest.raises(InputError, match="none of 160 training patients has an event"):
        fit_survival_head("ridge_cox", alive, SETTINGS, 0)
