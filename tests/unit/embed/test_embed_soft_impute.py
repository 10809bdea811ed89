"""Low-rank completion: a fixed point of soft thresholding, that new samples join."""

import numpy as np
import pytest
from embed_world import expression, frame

from bulkformer.embed.soft_impute import SoftImputeSettings, complete, predict
from bulkformer.embed.statistics import centre

N_GENES = 30
MANY = SoftImputeSettings(rank=N_GENES, iterations=2000)


def thresholded(matrix: np.ndarray, shrinkage: float) -> np.ndarray:
    """Soft-thresholded singular values, as numpy decomposes."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return (left * np.maximum(values - shrinkage, 0)) @ right


@pytest.fixture
def training() -> np.ndarray:
    """Expression with holes at random, and one gene that half of the samples lack."""
    values = expression(80, N_GENES, seed=1)
    values[np.random.default_rng(3).random(values.shape) < 0.1] = np.nan
    values[:40, 4] = np.nan
    return values


def test_the_completion_is_a_fixed_point_of_soft_thresholding(training):
    centred, mean, _ = centre(training)
    missing = np.isnan(training)
    ((axes, shrinkage),) = complete(centred.astype(float), missing, [0.05], MANY, seed=0)
    completed = predict(training, mean, axes, shrinkage) - mean
    # What was measured stays, the rest is the completion itself: thresholding gives it again.
    again = thresholded(np.where(missing, completed, training - mean), shrinkage)
    np.testing.assert_allclose(again, completed, atol=2e-3)


def test_each_share_of_a_path_is_as_if_it_stood_alone(training):
    centred, mean, _ = centre(training)
    missing = np.isnan(training)
    path = complete(centred.astype(float), missing, [0.05, 0.2], MANY, seed=0)
    for share, found in zip([0.05, 0.2], path, strict=True):
        (alone,) = complete(centred.astype(float), missing, [share], MANY, seed=0)
        both = [predict(training, mean, *each) for each in (found, alone)]
        np.testing.assert_allclose(*both, atol=5e-3)
    assert path[1][0].shape[1] < path[0][0].shape[1]  # more shrinkage, fewer axes


def test_hidden_values_of_new_samples_are_told_by_the_programs(fitted):
    model = fitted("soft_impute", expression(200, N_GENES, seed=1), settings={"rank": 10})
    truth = expression(60, N_GENES, seed=2)
    hidden = np.random.default_rng(5).random(truth.shape) < 0.3
    told = model.impute(np.where(hidden, np.float32(np.nan), truth), frame(60, "t"))
    error = ((told - truth)[hidden] ** 2).mean()
    of_mean = ((model.mean - truth)[hidden] ** 2).mean()
    assert 1 - error / of_mean > 0.7


def test_noise_is_shrunk_more_than_programs(fitted):
    """The amount is chosen by what it predicts, not given."""
    rng = np.random.default_rng(0)
    noise = rng.normal(5, 1, (200, N_GENES)).astype(np.float32)
    chosen = {
        name: fitted("soft_impute", values, settings={"rank": 20, "shrinkages": [0.02, 0.9]})
        for name, values in {"noise": noise, "programs": expression(200, N_GENES, seed=1)}.items()
    }
    shares = {name: model.shrinkage for name, model in chosen.items()}
    assert chosen["noise"].axes.shape[1] < chosen["programs"].axes.shape[1]
    assert shares["noise"] > 5
