"""Planted data with a known answer: each model finds what it can find, and no more."""

import numpy as np
import pandas as pd
import pytest
from embed_world import expression, frame
from sklearn.linear_model import Ridge as ReferenceRidge

from bulkformer.errors import InputError


def planted_gene(n_samples: int, seed: int) -> tuple[np.ndarray, float]:
    """Gene 0 is a sum of genes 1 and 2 plus noise; returns values and its analytic correlation."""
    generator = np.random.default_rng(seed)
    values = generator.normal(5, 1, size=(n_samples, 60))
    values[:, 0] = 0.8 * values[:, 1] - 0.6 * values[:, 2] + generator.normal(0, 0.5, n_samples)
    return values.astype(np.float32), float(np.sqrt(1 / 1.25))


def without(values: np.ndarray, gene: int) -> np.ndarray:
    visible = values.copy()
    visible[:, gene] = np.nan
    return visible


def test_ridge_recovers_a_planted_relation_between_genes(fitted):
    training, analytic = planted_gene(400, seed=1)
    test, _ = planted_gene(400, seed=2)
    predicted = fitted("ridge", training).impute(without(test, 0), frame(400))[:, 0]
    assert abs(np.corrcoef(predicted, test[:, 0])[0, 1] - analytic) < 0.05


def test_ridge_is_exact_where_everything_was_measured(fitted):
    training, test = expression(50, 12, seed=1), expression(5, 12, seed=2)
    model = fitted("ridge", training, settings={"predictors": 11, "penalty": 0.3})
    predicted = model.impute(without(test, 4), frame(5))[:, 4]
    others = np.arange(12) != 4
    mean, spread = training.mean(axis=0), training.std(axis=0)
    scores = (training - mean) / spread
    reference = ReferenceRidge(alpha=0.3 * 50, fit_intercept=False)
    reference.fit(scores[:, others], scores[:, 4])
    expected = mean[4] + spread[4] * reference.predict(((test - mean) / spread)[:, others])
    np.testing.assert_allclose(predicted, expected, atol=1e-4)


def test_ridge_takes_the_most_correlated_genes_that_are_visible(fitted):
    training, test = expression(80, 30, seed=1), expression(3, 30, seed=2)
    visible = without(test, 0)
    r = np.corrcoef(training.T)[0]
    best = [gene for gene in np.argsort(-np.abs(r)) if gene != 0]
    visible[:, best[0]] = np.nan
    model = fitted("ridge", training, settings={"predictors": 1, "penalty": 0.1})
    predicted = model.impute(visible, frame(3))[:, 0]
    mean, spread = training.mean(axis=0), training.std(axis=0)
    slope = r[best[1]] / 1.1
    expected = mean[0] + spread[0] * slope * (test[:, best[1]] - mean[best[1]]) / spread[best[1]]
    np.testing.assert_allclose(predicted, expected, atol=1e-4)


def test_ridge_predicts_the_mean_where_no_candidate_is_visible(fitted):
    training = expression(50, 30, seed=1)
    visible = np.full((1, 30), np.nan, dtype=np.float32)
    model = fitted("ridge", training, settings={"predictors": 1})
    unrelated = set(range(30)) - {0, *model.candidates[0].tolist()}
    visible[0, sorted(unrelated)] = 5
    predicted = model.impute(visible, frame(1))
    np.testing.assert_allclose(predicted[0, 0], training[:, 0].mean(), rtol=1e-6)


def test_correlations_of_cohorts_that_measured_different_genes_are_not_diluted(fitted):
    training, analytic = planted_gene(600, seed=1)
    training[:400, 0] = np.nan
    test, _ = planted_gene(300, seed=2)
    predicted = fitted("ridge", training).impute(without(test, 0), frame(300))[:, 0]
    assert abs(np.corrcoef(predicted, test[:, 0])[0, 1] - analytic) < 0.05
    slope = np.polyfit(test[:, 1], predicted, 1)[0]
    assert slope == pytest.approx(0.8, abs=0.12)


def test_principal_components_recover_a_matrix_of_low_rank(fitted):
    generator = np.random.default_rng(0)
    loadings = generator.normal(size=(3, 50))
    training = (4 + generator.normal(size=(80, 3)) @ loadings).astype(np.float32)
    test = (4 + generator.normal(size=(10, 3)) @ loadings).astype(np.float32)
    hidden = generator.random(test.shape) < 0.5
    model = fitted("pca", training, settings={"components": 3})
    predicted = model.impute(np.where(hidden, np.float32(np.nan), test), frame(10))
    np.testing.assert_allclose(predicted, test, atol=2e-3)


def test_principal_component_scores_are_those_of_a_full_decomposition(fitted):
    training = expression(80, 50, seed=1)
    model = fitted("pca", training, settings={"components": 3})
    measured = np.ones(50, dtype=bool)
    scores = model.embed(training, measured, frame(80))
    left, singular_values, _ = np.linalg.svd(training - training.mean(axis=0), full_matrices=False)
    expected = left[:, :3] * singular_values[:3]
    np.testing.assert_allclose(np.abs(scores), np.abs(expected), atol=2e-3)


def test_fewer_samples_than_components_give_fewer_components_and_a_word(fitted, capsys):
    model = fitted("pca", expression(5, 30, seed=1), settings={"components": 10})
    assert model.loadings.shape == (30, 4)
    assert "4 components instead of 10" in capsys.readouterr().err
    with pytest.raises(InputError, match="at least two"):
        fitted("pca", expression(1, 30, seed=1))


def test_the_gene_mean_and_median_know_nothing_of_the_sample(fitted):
    training = expression(61, 20, seed=1)
    training[0, 7] = np.nan
    nothing = np.full((4, 20), np.nan, dtype=np.float32)
    for name, expected in [
        ("gene_mean", np.nanmean(training, axis=0)),
        ("gene_median", np.nanmedian(training, axis=0)),
    ]:
        predicted = fitted(name, training).impute(nothing, frame(4))
        np.testing.assert_allclose(predicted, np.tile(expected, (4, 1)), rtol=1e-5)
    model = fitted("gene_mean", training)
    np.testing.assert_allclose(model.state.tensors["mean"], np.nanmean(training, axis=0), rtol=1e-5)


def test_the_tissue_mean_falls_back_to_the_gene_mean_and_says_how_often(fitted, capsys):
    training, samples = expression(30, 20, seed=1), frame(30)
    lung = (samples["tissue"] == "lung").to_numpy()
    training[lung, 5] = np.nan
    model = fitted("tissue_mean", training, samples)
    nothing = np.full((4, 20), np.nan, dtype=np.float32)
    asked = frame(4).assign(tissue=pd.Series(["lung", "liver", "spleen", None]))
    predicted = model.impute(nothing, asked)
    mean = np.nanmean(training, axis=0)
    liver = (samples["tissue"] == "liver").to_numpy()
    np.testing.assert_allclose(predicted[1], training[liver].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(predicted[2:], np.tile(mean, (2, 1)), rtol=1e-5)
    assert predicted[0, 5] == pytest.approx(mean[5], rel=1e-5)
    assert predicted[0, 6] == pytest.approx(training[lung, 6].mean(), rel=1e-5)
    assert "2 of 4 samples have no tissue that training had" in capsys.readouterr().err


def test_without_any_tissue_label_the_tissue_mean_is_the_gene_mean(fitted):
    training = expression(30, 20, seed=1)
    model = fitted("tissue_mean", training, frame(30).drop(columns="tissue"))
    nothing = np.full((2, 20), np.nan, dtype=np.float32)
    np.testing.assert_allclose(model.impute(nothing, frame(2))[0], training.mean(axis=0), rtol=1e-5)


def test_the_nearest_neighbour_of_a_training_sample_is_itself(fitted):
    training = expression(30, 40, seed=1)
    model = fitted("nearest_neighbours", training, settings={"neighbours": 1})
    visible = np.where(np.random.default_rng(3).random((5, 40)) < 0.5, np.nan, training[:5])
    np.testing.assert_allclose(model.impute(visible, frame(5)), training[:5], atol=1e-5)


def test_neighbours_are_averaged_over_those_that_measured_the_gene(fitted):
    training = np.zeros((4, 3), dtype=np.float32)
    training[:, 0] = [1, 2, 3, 50]
    training[:, 2] = [10, 20, np.nan, 99]
    model = fitted("nearest_neighbours", training, settings={"neighbours": 3})
    predicted = model.impute(np.array([[2, 0, np.nan]], dtype=np.float32), frame(1))
    assert predicted[0, 2] == pytest.approx(15)


def test_distance_is_a_mean_over_shared_genes_not_a_sum(fitted):
    training = np.array([[1, 1, 1, 7], [2, np.nan, np.nan, 9]], dtype=np.float32)
    model = fitted("nearest_neighbours", training, settings={"neighbours": 1})
    # 0.8 away in each of three genes against 1.0 away in the single shared one.
    visible = np.array([[1.8, 1.8, 1.8, np.nan], [3.0, 1.8, 1.8, np.nan]], dtype=np.float32)
    assert model.impute(visible, frame(2))[:, 3].tolist() == pytest.approx([9, 9])


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_the_autoencoders_beat_the_gene_mean_on_planted_programs(name, fitted):
    training, test = expression(200, 60, seed=1), expression(40, 60, seed=2)
    model = fitted(name, training, settings={"latent": 8, "hidden": [32], "epochs": 60})
    hidden = np.random.default_rng(0).random(test.shape) < 0.15
    predicted = model.impute(np.where(hidden, np.float32(np.nan), test), frame(40))
    floor = ((training.mean(axis=0) - test)[hidden] ** 2).mean()
    assert ((predicted - test)[hidden] ** 2).mean() < 0.5 * floor
    assert model.embed(test, np.ones(60, dtype=bool), frame(40)).shape == (40, 8)


def test_only_the_code_of_the_variational_autoencoder_is_a_distribution(fitted):
    training = expression(40, 20, seed=1)
    plain, variational = (
        fitted(name, training, settings={"latent": 3, "hidden": [8], "epochs": 1})
        for name in ("autoencoder", "vae")
    )
    names = [set(model.network.state_dict()) for model in (plain, variational)]
    assert names[1] - names[0] == {"log_variance.weight", "log_variance.bias"}
    with pytest.raises(InputError, match="unknown key 'kl_weight'"):
        fitted("autoencoder", training, settings={"kl_weight": 1.0})


def test_the_gene_mean_remembers_how_far_each_gene_spreads(fitted):
    training = np.array([[1, 5, np.nan], [3, 5, np.nan], [8, 5, 2]], dtype=np.float32)
    tensors = fitted("gene_mean", training).state.tensors
    np.testing.assert_allclose(tensors["spread"], [np.std([1, 3, 8]), 0, 0], rtol=1e-6)


def test_the_visible_training_mean_knows_which_genes_are_missing_and_no_value(fitted):
    training = np.array([[1, 3, 8], [3, 5, 8]], dtype=np.float32)
    model = fitted("visible_training_mean", training)
    visible = np.array([[7, 9, np.nan], [0, np.nan, 4], [np.nan] * 3], dtype=np.float32)
    np.testing.assert_allclose(
        model.impute(visible, frame(3)), [[7, 9, 3], [0, 5, 4], [14 / 3] * 3], rtol=1e-6
    )


def test_the_visible_mean_is_that_of_the_sample(fitted):
    visible = np.array([[1, 3, np.nan], [np.nan, np.nan, 4]], dtype=np.float32)
    predicted = fitted("visible_mean", visible).impute(visible, frame(2))
    np.testing.assert_allclose(predicted, [[1, 3, 2], [4, 4, 4]])


def test_summary_scalars_find_a_gene_that_follows_the_mean_of_the_sample(fitted):
    def draw(seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        depth = generator.uniform(1, 3, size=(200, 1))
        values = depth + generator.normal(scale=0.2, size=(200, 300))
        values[:, 0] = 2 * depth[:, 0] + 1
        return values.astype(np.float32)

    test = draw(2)
    predicted = fitted("summary_scalars", draw(1)).impute(without(test, 0), frame(200))[:, 0]
    assert np.corrcoef(predicted, test[:, 0])[0, 1] > 0.99
    assert np.abs(predicted - test[:, 0]).mean() < 0.1


def test_the_library_vector_is_three_numbers_and_zero_where_the_library_is_unknown(fitted):
    samples = frame(3)
    samples.loc[1, "library_size"] = np.nan
    values = expression(3, 20, seed=1)
    model = fitted("library_size", values)
    vectors = model.embed(values, np.ones(20, dtype=bool), samples)
    assert vectors.shape == (3, 3)
    assert vectors[1, 0] == 0
    assert vectors[0, 0] == pytest.approx(np.log1p(samples.loc[0, "library_size"]))
    with pytest.raises(InputError, match="'missing_rate'"):
        model.embed(values, np.ones(20, dtype=bool), samples.drop(columns="missing_rate"))


def test_a_model_refuses_what_it_cannot_do(fitted):
    values = expression(20, 20, seed=1)
    with pytest.raises(InputError, match="'gene_mean' gives no sample vectors"):
        fitted("gene_mean", values).embed(values, np.ones(20, dtype=bool), frame(20))
    with pytest.raises(InputError, match="'log_tpm' cannot impute"):
        fitted("log_tpm", values).impute(values, frame(20))
