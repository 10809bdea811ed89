"""Settings are read strictly, and the learning rate follows its schedule."""

import json
from itertools import pairwise

import pytest
from pretrain_world import TRAINING

from bulkformer.errors import InputError
from bulkformer.pretrain.settings import (
    Execution,
    Training,
    Validation,
    as_record,
    read_object,
    read_settings,
)


def training(**changes):
    return read_settings(Training, json.dumps(TRAINING | changes), "pretrain.training")


def test_settings_come_back_from_json_as_they_were():
    settings = training(mask_fraction=[0.05, 0.15], largest_increase=None)
    assert settings.mask_range == (0.05, 0.15)
    assert settings.largest_increase is None
    text = json.dumps(as_record(settings))
    assert read_settings(Training, text, "pretrain.training") == settings
    assert training(weight_decay=0).weight_decay == 0.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learning_rat": 1}, r"pretrain.training.learning_rat: unknown; did you mean 'learning_r"),
        ({"epochs": 2.5}, "pretrain.training.epochs: 2.5 is not a whole number"),
        ({"epochs": True}, "pretrain.training.epochs: true is not a whole number"),
        ({"learning_rate": "1e-4"}, 'learning_rate: "1e-4" is not a number'),
        ({"schedule": "linear"}, 'schedule: "linear" is not one of constant, cosine'),
        ({"mask_fraction": [0.1]}, r"mask_fraction: \[0.1\] is not a number or a list of 2"),
        ({"mask_fraction": 15}, "pretrain.training.mask_fraction: 15.0 is not between 0 and 1"),
        ({"mask_fraction": [0.2, 0.1]}, "pretrain.training.mask_fraction"),
        ({"largest_increase": 1}, "largest_increase: 1.0 is not above 1, or null"),
        ({"effective_batch_size": 0}, "effective_batch_size: 0 is not at least 1"),
        ({"precision": "float16"}, "precision"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(changes, said):
    with pytest.raises(InputError, match=said):
        training(**changes)


def test_a_setting_without_default_is_missed_by_name():
    with pytest.raises(InputError, match=r"pretrain.training.epochs: missing"):
        short = {key: value for key, value in TRAINING.items() if key != "epochs"}
        read_settings(Training, json.dumps(short), "pretrain.training")


def test_what_is_no_json_object_is_refused():
    with pytest.raises(InputError, match=r"pretrain.model: not JSON"):
        read_object("{dim: 3}", "pretrain.model")
    with pytest.raises(InputError, match=r"pretrain.model: a JSON object was expected"):
        read_object("[1]", "pretrain.model")


def test_execution_and_validation_have_bounds():
    with pytest.raises(InputError, match=r"pretrain.execution.processes: 0 is not at least 1"):
        read_settings(Execution, '{"processes": 0}', "pretrain.execution")
    with pytest.raises(InputError, match=r"mask_fractions: \[\] is not shares"):
        read_settings(Validation, '{"mask_fractions": []}', "pretrain.validation")
    with pytest.raises(InputError, match=r"mask_fractions: 0.15 is not a list of numbers"):
        read_settings(Validation, '{"mask_fractions": 0.15}', "pretrain.validation")


def test_the_rate_rises_over_a_twentieth_of_the_steps_and_then_stays():
    settings = training(learning_rate=1e-4, schedule="constant", warmup_fraction=0.05)
    rates = [settings.rate(step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-4 / 50)
    assert rates[24] == pytest.approx(1e-4 / 2)
    assert set(rates[49:]) == {1e-4}


def test_the_cosine_falls_to_zero_after_the_warm_up():
    settings = training(learning_rate=1e-4, schedule="cosine", warmup_fraction=0.05)
    rates = [settings.rate(step, 1000) for step in range(1000)]
    assert rates[49] == pytest.approx(1e-4)
    assert rates[525] == pytest.approx(0.5e-4, rel=1e-2)
    assert all(later < earlier for earlier, later in pairwise(rates[50:]))
    assert rates[-1] < 1e-9


@pytest.mark.parametrize(
    ("hidden", "selects"),
    [(0.15, 0.15), (0.2, 0.15), (0.25, 0.3), ([0.05, 0.15], 0.15), ([0.6, 0.95], 0.7)],
)
def test_the_share_nearest_to_that_of_training_selects_the_weights(hidden, selects):
    assert Validation().selecting_fraction(training(mask_fraction=hidden)) == selects
