"""The ridge of many targets is the ridge of each target, tuned without its test rows."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from bulkformer.errors import InputError
from bulkformer.evaluate.ridge import INNER_FOLDS, PENALTIES, fit_ridge
from bulkformer.evaluate.splits import assign_folds


def rows_with_signal(n, d, t, missing=0.0, seed=0):
    """Vectors, targets (noise grows with their number, from NaN-free to NaN) and group codes."""
    rng = np.random.default_rng(seed)
    vectors = (rng.normal(size=(n, d)) * rng.uniform(0.1, 30, d) + rng.normal(size=d)).astype("f4")
    weights = rng.normal(size=(d, t)) / vectors.std(axis=0)[:, None] / np.sqrt(d)
    targets = vectors @ weights + rng.normal(size=(n, t)) * np.linspace(0.05, 8, t) + 3.0
    targets[rng.random((n, t)) < missing * np.linspace(0, 1, t)] = np.nan
    return vectors, targets, np.repeat(np.arange(n // 2 + 1), 2)[:n]


def standardised(vectors, of=None):
    of = vectors if of is None else of
    scale, varies = of.std(axis=0, dtype="f8"), of.max(axis=0) > of.min(axis=0)
    inputs = (vectors - of.mean(axis=0, dtype="f8"))[:, varies] / scale[varies]
    return inputs / np.sqrt(varies.sum())


def by_the_book(vectors, targets, groups, seed, ahead):
    """One scikit-learn ridge a target on the rows that know it, tuned in the same inner folds."""
    inputs, ahead = standardised(vectors), standardised(ahead, vectors)
    rng = np.random.default_rng(seed)
    fold_of = assign_folds([""] * len(groups), groups.tolist(), INNER_FOLDS, rng)
    told, chosen = [], []
    for y in targets.T:
        known = np.isfinite(y)
        errors = []
        for penalty in PENALTIES:
            error = 0.0
            for fold in range(INNER_FOLDS):
                train, test = known & (fold_of != fold), known & (fold_of == fold)
                model = Ridge(penalty).fit(inputs[train], y[train])
                error += ((model.predict(inputs[test]) - y[test]) ** 2).sum()
            errors.append(error)
        chosen.append(PENALTIES[int(np.argmin(errors))])
        told.append(Ridge(chosen[-1]).fit(inputs[known], y[known]).predict(ahead))
    return np.stack(told, axis=1), np.array(chosen)


@pytest.mark.parametrize(("n", "d"), [(60, 9), (40, 300)], ids=["more_rows", "more_dimensions"])
@pytest.mark.parametrize("missing", [0.0, 0.8], ids=["complete", "missing_values"])
def test_every_target_has_the_ridge_of_scikit_learn(n, d, missing):
    vectors, targets, groups = rows_with_signal(n + 10, d, 24, missing)
    vectors = np.concatenate([vectors, np.full((n + 10, 3), 2.0, "f4")], axis=1)  # unmeasured genes
    train, ahead = slice(0, n), vectors[n:]
    expected, chosen = by_the_book(vectors[train], targets[train], groups[train], 5, ahead)
    fitted = fit_ridge(vectors[train], targets[train], groups[train], PENALTIES, 5)
    np.testing.assert_array_equal(fitted.penalty, chosen)
    np.testing.assert_allclose(fitted.predict(ahead), expected, rtol=0, atol=1e-6)
    assert len(set(chosen)) > 2  # the targets differ in what is best for them


def test_blocks_of_targets_change_nothing(monkeypatch):
    vectors, targets, groups = rows_with_signal(30, 50, 11, 0.3)
    whole = fit_ridge(vectors, targets, groups).predict(vectors)
    monkeypatch.setattr("bulkformer.evaluate.ridge.BLOCK_TARGETS", 3)
    monkeypatch.setattr("bulkformer.evaluate.ridge.BLOCK_COLUMNS", 7)
    parts = fit_ridge(vectors, targets, groups).predict(vectors)
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-9)


def test_inner_folds_never_part_a_group():
    """Rows of one group are copies: where the penalty is chosen on parted copies, none is best."""
    rng = np.random.default_rng(3)
    vectors = np.repeat(rng.normal(size=(15, 200)), 4, axis=0)
    targets = np.repeat(rng.normal(size=(15, 8)), 4, axis=0)  # pure noise, by group
    groups = np.repeat(np.arange(15), 4)
    honest = fit_ridge(vectors, targets, groups).penalty
    parted = fit_ridge(vectors, targets, np.arange(60)).penalty
    assert (honest == max(PENALTIES)).mean() > 0.6
    assert (parted == min(PENALTIES)).all()


def test_a_target_without_values_is_the_mean_of_the_others_means():
    vectors, targets, groups = rows_with_signal(20, 5, 3)
    targets[:, 1] = np.nan
    told = fit_ridge(vectors, targets, groups).predict(vectors)
    np.testing.assert_allclose(told[:, 1], targets[:, [0, 2]].mean(axis=0).mean())
    with pytest.raises(InputError, match="no target has a training value"):
        fit_ridge(vectors, np.full((20, 2), np.nan), groups)


def test_vectors_that_tell_nothing_give_the_mean():
    _, targets, groups = rows_with_signal(20, 5, 3, 0.5)
    told = fit_ridge(np.full((20, 4), 0.1), targets, groups).predict(np.full((2, 4), 0.1))
    np.testing.assert_allclose(told, np.tile(np.nanmean(targets, axis=0), (2, 1)))


def test_few_groups_leave_the_middle_of_the_grid():
    vectors, targets, groups = rows_with_signal(20, 5, 3)
    assert set(fit_ridge(vectors, targets, np.zeros(20, int), (4, 2, 1)).penalty) == {2}
    with pytest.raises(InputError, match="above zero"):
        fit_ridge(vectors, targets, groups, (1.0, 0.0))
