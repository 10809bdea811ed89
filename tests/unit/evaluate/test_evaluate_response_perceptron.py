"""The perceptron on [compound ; line] is the network that would see every pair laid out."""

import numpy as np
import pytest
import torch

from bulkformer.evaluate import response_perceptron
from bulkformer.evaluate.response_pairs import HeadSettings, Lines, Screens, TrainingPairs
from bulkformer.evaluate.response_perceptron import first_layer, mlp

N_LINES, N_SCREENS, BITS, WIDTH = 30, 12, 40, 6


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(N_LINES, WIDTH))
    prints = (rng.random((N_SCREENS, BITS)) < 0.2).astype(np.float32)
    response = rng.normal(0, 2, N_SCREENS) + vectors[:, :1] + rng.normal(0, 0.1, (N_LINES, 1))
    response[rng.random(response.shape) < 0.2] = np.nan
    code = np.arange(N_LINES)
    lines = Lines(code, vectors, code, np.zeros(N_LINES, dtype=int))
    screens = Screens(np.arange(N_SCREENS), prints, np.arange(N_SCREENS))
    return TrainingPairs(lines, screens, response, "pairs")


def settings(epochs=60):
    return HeadSettings(5, 10, [16, 8], epochs, 0.01, 32)


def test_the_first_layer_and_its_gradients_are_those_of_pairs_laid_out():
    rng = np.random.default_rng(1)
    shapes = [(N_SCREENS, BITS), (N_LINES, WIDTH), (BITS, 16), (WIDTH, 16)]
    compounds, lines, *weights = (torch.from_numpy(rng.normal(size=shape)) for shape in shapes)
    for weight in weights:
        weight.requires_grad_()
    column, row = (torch.from_numpy(rng.integers(n, size=50)) for n in (N_SCREENS, N_LINES))
    once = first_layer(compounds, lines, *weights, column, row)
    laid_out = torch.hstack([compounds[column], lines[row]]) @ torch.vstack(weights)
    torch.testing.assert_close(once, laid_out)
    gradients = [torch.autograd.grad((each**2).sum(), weights) for each in (once, laid_out)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_training_computes_each_compound_and_line_of_a_batch_once(pairs, monkeypatch):
    """Laid out as rows the same numbers come out, to rounding."""
    once = mlp(pairs, settings(5), 1).predict(pairs.lines, pairs.screens)

    def laid_out(compounds, lines, of_compound, of_line, column, row):
        return torch.hstack([compounds[column], lines[row]]) @ torch.vstack([of_compound, of_line])

    monkeypatch.setattr(response_perceptron, "first_layer", laid_out)
    told = mlp(pairs, settings(5), 1).predict(pairs.lines, pairs.screens)
    np.testing.assert_allclose(once, told, atol=1e-4)


def test_predictions_are_those_of_the_network_on_every_pair(pairs):
    fitted = mlp(pairs, settings(), 1)
    told = fitted.predict(pairs.lines, pairs.screens)
    line, screen = 7, 3
    values = np.concatenate(
        [pairs.screens.fingerprints[screen, fitted.used],
         fitted.line_inputs(pairs.lines.vectors)[line]]
    )  # fmt: skip
    layers = [np.vstack(fitted.weights[:2]), *fitted.weights[2:]]
    for number, (weight, bias) in enumerate(zip(layers, fitted.biases, strict=True)):
        values = (np.maximum(values, 0) if number else values) @ weight + bias
    level = fitted.level.predict(pairs.lines, pairs.screens)[line, screen]
    assert told[line, screen] == pytest.approx(level + fitted.scale * values[0], abs=1e-4)


def test_pairs_that_were_not_shown_are_told_and_without_an_epoch_nothing_is(pairs):
    truth = np.nanmean(pairs.response, axis=0) + pairs.lines.vectors[:, :1]
    hidden = np.isnan(pairs.response)
    told = mlp(pairs, settings(), 1).predict(pairs.lines, pairs.screens)
    assert np.corrcoef(told[hidden], truth[hidden])[0, 1] > 0.8
    untrained = mlp(pairs, settings(0), 1).predict(pairs.lines, pairs.screens)
    assert np.corrcoef(untrained[hidden], truth[hidden])[0, 1] < 0.6
    assert (told == mlp(pairs, settings(), 1).predict(pairs.lines, pairs.screens)).all()
