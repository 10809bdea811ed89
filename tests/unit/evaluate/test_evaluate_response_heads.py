"""What heads find in planted pairs, and what they say of lines and compounds never seen."""

from dataclasses import replace

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.evaluate.compounds import morgan
from bulkformer.evaluate.response_heads import HEADS, head_named
from bulkformer.evaluate.response_joint import fit_spanned, validation_pairs
from bulkformer.evaluate.response_pairs import (
    HeadSettings,
    Lines,
    Screens,
    TrainingPairs,
    fit_means,
)

SETTINGS = HeadSettings(
    components=8, trees=40, hidden=[32], epochs=40, learning_rate=0.01, batch_size=32
)
RINGS = ["c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccsc1", "C1CCOCC1", "c1ccc2ccccc2c1"]
TAILS = ["S(=O)(=O)NCC", "CCCCC(=O)OC"]
N_LINES, N_SEEN = 90, 70


@pytest.fixture(scope="module")
def planted():
    """All pairs of 90 lines and 12 compounds; what a compound acts by depends on its tail."""
    rng = np.random.default_rng(5)
    activity = rng.normal(size=(N_LINES, 3))
    vectors = activity @ rng.normal(size=(3, 30)) + rng.normal(0, 0.3, (N_LINES, 30))
    smiles = [ring + tail for ring in RINGS for tail in TAILS]
    tails = np.arange(12) % 2
    response = rng.normal(0, 2, 12) + activity[:, tails] + rng.normal(0, 0.4, (N_LINES, 12))
    lines = Lines(np.arange(N_LINES), vectors, np.arange(N_LINES) // 2, np.arange(N_LINES) // 10)
    return lines, Screens(np.arange(12), morgan(smiles, 512), np.arange(12) // 2), response


def training(planted, rows=slice(None), columns=slice(None)):
    lines, screens, response = planted
    rows, columns = np.arange(N_LINES)[rows], np.arange(12)[columns]
    held_out = "lines" if len(columns) == 12 else "drugs"
    response = response[np.ix_(rows, columns)]
    return TrainingPairs(lines.take(rows), screens.take(columns), response, held_out)


def mean_correlation(truth, told):
    """Mean over drugs of the correlation over lines."""
    pairs = zip(truth.T, told.T, strict=True)
    return np.mean([np.corrcoef(t, p)[0, 1] if np.ptp(p) else 0.0 for t, p in pairs])


def test_of_a_line_never_seen_drug_and_line_know_the_drug_alone(planted):
    lines, screens, _ = planted
    pairs = training(planted, rows=slice(N_SEEN))
    asked = lines.take(np.arange(N_SEEN, N_LINES)), screens
    told = {
        name: fit_means(pairs, uses).predict(*asked)
        for name, uses in [("drug", ["screen"]), ("both", ["screen", "line"]), ("none", [])]
    }
    assert (told["both"] == told["drug"]).all()
    assert told["drug"][0] == pytest.approx(pairs.response.mean(axis=0))
    assert np.ptp(told["none"]) == 0


def test_of_a_drug_never_seen_only_the_line_is_known(planted):
    lines, screens, response = planted
    pairs = training(planted, columns=slice(10))
    told = fit_means(pairs, ["screen", "line"]).predict(lines, screens.take(np.array([10, 11])))
    assert (told[:, 0] == told[:, 1]).all()
    deviation = (response[:, :10] - response[:, :10].mean(axis=0)).mean(axis=1)
    assert told[:, 0] == pytest.approx(response[:, :10].mean() + deviation)


def test_a_tissue_never_seen_adds_nothing(planted):
    lines, screens, _ = planted
    pairs = training(planted, rows=lines.tissue < 8)
    means = fit_means(pairs, ["screen", "tissue"])
    told = means.predict(lines, screens)
    assert (told[lines.tissue == 8] == pairs.response.mean(axis=0)).all()
    own = pairs.response[pairs.lines.tissue == 2].mean(axis=0)
    assert told[lines.tissue == 2][0] == pytest.approx(own)


def test_missing_pairs_teach_nothing(planted):
    lines, screens, response = planted
    with_gaps = response.copy()
    with_gaps[np.random.default_rng(0).random(response.shape) < 0.3] = np.nan
    means = fit_means(TrainingPairs(lines, screens, with_gaps), ["screen"])
    assert means.predict(lines, screens)[0] == pytest.approx(np.nanmean(with_gaps, axis=0))


SINGLE = ["elastic_net", "factorisation"]  # trees of one drug: test_evaluate_per_target
JOINT = ["gradient_boosting", "pair_random_forest"]


@pytest.mark.parametrize("head", ["ridge", *SINGLE, *JOINT])
def test_what_is_planted_is_found_in_lines_never_seen_and_not_in_random_vectors(planted, head):
    lines, screens, response = planted
    rng = np.random.default_rng(8)
    noise = Lines(lines.identity, rng.normal(size=(N_LINES, 30)), lines.group, lines.tissue)
    held = np.arange(N_SEEN, N_LINES)
    found = {}
    for name, shown in [("planted", lines), ("random", noise)]:
        pairs = training((shown, screens, response), rows=slice(N_SEEN))
        told = HEADS[head].fit(pairs, SETTINGS, 0).predict(shown.take(held), screens)
        found[name] = mean_correlation(response[held], told)
    assert found["planted"] > 0.75
    assert abs(found["random"]) < 0.35


@pytest.mark.parametrize("head", ["two_step_ridge", *JOINT])
def test_compounds_that_are_alike_respond_alike(planted, head):
    lines, screens, response = planted
    unseen = np.array([8, 9, 10, 11])  # two rings that training lacks, with tails that it knows
    fitted = HEADS[head].fit(training(planted, columns=slice(8)), SETTINGS, 0)
    told = fitted.predict(lines, screens.take(unseen))
    found = mean_correlation(response[:, unseen], told)
    line_mean = fit_means(training(planted, columns=slice(8)), ["line"])
    alone = mean_correlation(response[:, unseen], line_mean.predict(lines, screens.take(unseen)))
    assert found > alone + 0.05
    assert found > 0.75


@pytest.mark.parametrize("head", ["two_step_ridge", *JOINT])
def test_a_compound_never_seen_is_as_strong_as_those_before_it(planted, head):
    lines, screens, response = planted
    shifted = response - response.mean(axis=0) + 7.0
    pairs = training((lines, screens, shifted), columns=slice(8))
    told = HEADS[head].fit(pairs, SETTINGS, 0).predict(lines, screens.take(np.array([8, 9])))
    assert told.mean(axis=0) == pytest.approx(np.array([7.0, 7.0]), abs=0.3)


def test_drugs_that_share_few_causes_lend_each_other_lines():
    """40 drugs act by two activities, each known in few lines: ridge a drug finds less of it."""
    rng = np.random.default_rng(2)
    activity, vectors = rng.normal(size=(120, 2)), rng.normal(size=(120, 25))
    vectors[:, :2] = activity
    response = activity @ rng.normal(size=(2, 40)) + rng.normal(0, 1.0, (120, 40))
    known = np.where(
        (rng.random((120, 40)) < 0.3) & (np.arange(120) < 80)[:, None], response, np.nan
    )
    n = np.arange(120)
    lines = Lines(n, vectors, n, n)
    screens = Screens(np.arange(40), np.zeros((40, 8), np.float32), np.arange(40))
    pairs = TrainingPairs(lines.take(n[:80]), screens, known[:80])
    found = {
        head: mean_correlation(
            response[80:],
            HEADS[head]
            .fit(pairs, replace(SETTINGS, components=25), 0)
            .predict(lines.take(n[80:]), screens),
        )
        for head in ("ridge", "factorisation")
    }
    assert found["factorisation"] > found["ridge"] + 0.03


@pytest.mark.parametrize("held_out", ["lines", "drugs", "pairs"])
def test_settings_are_chosen_on_what_test_pairs_are_like(planted, held_out):
    lines, screens, response = planted
    pairs = TrainingPairs(lines, screens, response, held_out)
    chosen = validation_pairs(pairs, 0)
    assert 0.25 < chosen.mean() < 0.4
    whole = {"lines": chosen, "drugs": chosen.T}.get(held_out)
    if whole is not None:
        group = lines.group if held_out == "lines" else screens.scaffold
        assert (whole == whole[:, :1]).all()
        for code in np.unique(group):
            assert np.ptp(whole[group == code, 0].astype(int)) == 0
    else:
        assert 0 < chosen[0].sum() < 12
    assert pairs.without(chosen).response.size >= (~chosen).sum()


def test_a_compound_of_unknown_structure_gets_an_answer_all_the_same(planted):
    lines, _, _ = planted
    fitted = HEADS["two_step_ridge"].fit(training(planted), SETTINGS, 0)
    unknown = Screens(np.array([99]), np.zeros((1, 512), dtype=np.float32), np.array([99]))
    assert np.isfinite(fitted.predict(lines, unknown)).all()


def test_the_perceptron_is_repeatable_and_learns_pairs(planted):
    lines, screens, response = planted
    gaps = response.copy()
    gaps[(np.add.outer(np.arange(N_LINES), np.arange(12)) % 5) == 0] = np.nan
    pairs = TrainingPairs(lines, screens, gaps)
    one, other = (HEADS["mlp"].fit(pairs, SETTINGS, 1).predict(lines, screens) for _ in range(2))
    assert (one == other).all()
    tested = np.isnan(gaps)
    assert np.corrcoef(one[tested], response[tested])[0, 1] > 0.85


def test_more_genes_than_lines_are_rotated_without_loss():
    vectors = np.random.default_rng(1).normal(3, 2, (20, 300))
    inputs = fit_spanned(vectors)(vectors)
    assert inputs.shape == (20, 19)
    assert inputs.var() == pytest.approx(1, abs=0.1)
    standard = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    distance = np.linalg.norm(standard[0] - standard[1]) / np.linalg.norm(inputs[0] - inputs[1])
    assert distance == pytest.approx(np.sqrt(300 / 19))


def test_an_unknown_head_is_named_with_those_there_are():
    with pytest.raises(InputError, match=r"unknown head 'lasso'; known are .*ridge"):
        head_named("lasso")
