"""What holds for every imputer, whatever it has learned."""

import dataclasses
import hashlib

import numpy as np
import pytest
from embed_world import expression, frame

from bulkformer.errors import InputError

IMPUTERS = [
    "autoencoder",
    "gene_mean",
    "gene_median",
    "nearest_neighbours",
    "pca",
    "ridge",
    "soft_impute",
    "summary_scalars",
    "tissue_mean",
    "vae",
    "visible_mean",
    "visible_training_mean",
]
ONE_VALUE_PER_SAMPLE = ("visible_mean", "visible_training_mean")  # whatever the gene
N_GENES = 40


def hide(values: np.ndarray, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    hidden = np.random.default_rng(5).random(values.shape) < share
    return np.where(hidden, np.float32(np.nan), values), hidden


@pytest.fixture(params=IMPUTERS)
def imputer(request, fitted):
    return fitted(request.param, expression(60, N_GENES, seed=1))


def test_hidden_values_never_influence_the_prediction(imputer):
    truth, samples = expression(12, N_GENES, seed=2), frame(12, "t")
    visible, hidden = hide(truth)
    corrupted = np.where(hidden, truth * 7 + 3, truth)
    # Numbers of the samples table were computed from whole profiles, so they change with the truth.
    other = samples.assign(library_size=1.0, n_genes_detected=1, missing_rate=0.99)
    again = np.where(hidden, np.float32(np.nan), corrupted)
    np.testing.assert_array_equal(imputer.impute(visible, samples), imputer.impute(again, other))


def test_nan_for_a_gene_that_the_model_knows_is_an_error(fitted, monkeypatch):
    values = expression(12, N_GENES, seed=2)
    visible, _ = hide(values)
    model = fitted("gene_mean", values)
    known = np.arange(N_GENES) != 3
    told = np.where(known, np.float32(1), np.float32(np.nan)) + np.zeros_like(values)
    monkeypatch.setattr(type(model), "_impute", lambda self, values, samples: told)
    with pytest.raises(InputError, match="12 of 12 samples is not finite"):
        model.impute(visible, frame(12))
    monkeypatch.setattr(type(model), "predicts", lambda self: known)
    result = model.impute(visible, frame(12))
    np.testing.assert_array_equal(np.isnan(result), np.isnan(visible) & ~known)


def test_visible_values_come_back_unchanged(imputer):
    truth = expression(12, N_GENES, seed=2)
    visible, hidden = hide(truth)
    result = imputer.impute(visible, frame(12))
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result[~hidden], truth[~hidden])


def test_predictions_follow_their_samples_when_rows_are_permuted(imputer):
    visible, _ = hide(expression(12, N_GENES, seed=2))
    samples, order = frame(12), np.random.default_rng(0).permutation(12)
    straight = imputer.impute(visible, samples)[order]
    permuted = imputer.impute(visible[order], samples.iloc[order])
    np.testing.assert_allclose(permuted, straight, atol=1e-5)


def test_a_sample_alone_is_predicted_as_in_a_batch(imputer):
    visible, _ = hide(expression(12, N_GENES, seed=2))
    samples = frame(12)
    together = imputer.impute(visible, samples)
    alone = [imputer.impute(visible[i : i + 1], samples.iloc[i : i + 1]) for i in range(12)]
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-5)


def test_samples_that_show_the_same_genes_are_predicted_as_each_alone(imputer):
    visible, samples = expression(12, N_GENES, seed=2), frame(12)
    visible[:8, :25] = np.nan  # a panel
    visible[8:, ::2] = np.nan  # another
    together = imputer.impute(visible, samples)
    alone = [imputer.impute(visible[i : i + 1], samples.iloc[i : i + 1]) for i in range(12)]
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-5)


def test_a_sample_with_nothing_visible_gets_a_finite_prediction(imputer):
    nothing = np.full((2, N_GENES), np.nan, dtype=np.float32)
    assert np.isfinite(imputer.impute(nothing, frame(2))).all()


@pytest.mark.parametrize("name", IMPUTERS)
def test_genes_without_a_training_value_are_not_predicted_and_counted(name, fitted, capsys):
    training = expression(60, N_GENES, seed=1)
    training[:, 3] = np.nan
    model = fitted(name, training)
    visible, _ = hide(expression(12, N_GENES, seed=2))
    visible[:, 3] = np.nan
    result = model.impute(visible, frame(12))
    if name not in ONE_VALUE_PER_SAMPLE:
        assert np.isnan(result).any(axis=0).nonzero()[0].tolist() == [3]
        assert np.isnan(result[:, 3]).all()
        assert "1 of 40 genes were measured in no training sample" in capsys.readouterr().err


@pytest.mark.parametrize("name", [n for n in IMPUTERS if n not in ONE_VALUE_PER_SAMPLE])
def test_genes_measured_in_only_one_cohort_are_learned_from_it(name, fitted):
    training = expression(120, N_GENES, seed=1)
    training[:60, 3] = np.nan
    truth = expression(40, N_GENES, seed=2)
    visible = truth.copy()
    visible[:, 3] = np.nan
    predicted = fitted(name, training, seed=3).impute(visible, frame(40))[:, 3]
    assert abs(predicted.mean() - np.nanmean(training[:, 3])) < 0.6


@pytest.mark.parametrize("name", [n for n in IMPUTERS if n != "visible_mean"])
def test_unmeasured_genes_of_a_cohort_do_not_enter(name, fitted):
    model = fitted(name, expression(60, N_GENES, seed=1))
    truth = expression(6, N_GENES, seed=2)
    truth[:, :10] = np.nan
    visible, hidden = hide(truth)
    result = model.impute(visible, frame(6))
    assert np.isfinite(result).all()
    np.testing.assert_array_equal(result[~np.isnan(visible)], truth[~np.isnan(visible)])
    assert hidden.any()


@pytest.mark.parametrize("name", [n for n in IMPUTERS if n != "visible_mean"])
def test_the_same_seed_gives_the_same_bytes(name, fitted):
    def digest(seed: int) -> str:
        model = fitted(name, expression(60, N_GENES, seed=1), seed=seed)
        return hashlib.sha256(model.context.weights.read_bytes()).hexdigest()

    assert digest(0) == digest(0)


@pytest.mark.parametrize("name", ["pca", "vae", "log_tpm"])
def test_vectors_follow_their_samples_and_ignore_unmeasured_genes(name, fitted):
    model = fitted(name, expression(60, N_GENES, seed=1))
    values, samples = expression(8, N_GENES, seed=2), frame(8)
    measured = np.arange(N_GENES) >= 10
    values[:, ~measured] = np.nan
    vectors = model.embed(values, measured, samples)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    order = np.random.default_rng(0).permutation(8)
    permuted = model.embed(values[order], measured, samples.iloc[order])
    np.testing.assert_allclose(permuted, vectors[order], atol=1e-5)


def test_provenance_names_the_fitted_file(imputer):
    provenance = dataclasses.asdict(imputer.provenance())
    if imputer.name == "visible_mean":
        assert provenance["weights"] == "none"
        assert provenance["weights_sha256"] is None
    else:
        content = imputer.context.weights.read_bytes()
        assert provenance["weights"] == "fitted"
        assert provenance["weights_sha256"] == hashlib.sha256(content).hexdigest()
