"""The shared network reads gene tokens of training lines and genes, and speaks of new ones."""

import json

import numpy as np
import pytest
from essentiality_world import Lines, read_predictions, value

from bulkformer.embed.tokens import TokenStore, create_tokens
from bulkformer.errors import InputError
from bulkformer.evaluate.tasks import gene_essentiality_tokens as tokens_module
from bulkformer.evaluate.tasks.gene_essentiality_tokens import (
    NetworkSettings,
    TokenNetwork,
    TokenRows,
    fit_token_network,
    held_for_validation,
)

SETTINGS = NetworkSettings((16,), 0.0, 0.02, 15, 4, 64)


def write_tokens(path, n=30, k=20, seed=0):
    """Tokens of which the first number is the cause of the effect, and their effects."""
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(n, k, 4)).astype(np.float16)
    effects = 0.8 * tokens[..., 0].astype(float) + rng.normal(0, 0.1, (n, k)) - 1.0
    samples = [f"s{line}" for line in range(n)]
    parts = [(samples[at : at + 7], tokens[at : at + 7]) for at in range(0, n, 7)]
    create_tokens(path, [f"g{gene}" for gene in range(k)], np.ones(k, bool), parts)
    return TokenStore(path), tokens, effects


def fit(store, effects, lines, genes):
    rows = TokenRows(store, [f"s{line}" for line in lines], genes)
    own = effects[np.ix_(lines, genes)]
    validation = np.tile(held_for_validation(np.arange(len(lines)), 1)[:, None], len(genes))
    return fit_token_network(rows, own, validation, SETTINGS, 1)


def test_what_all_genes_share_is_learned_and_holds_for_new_genes_in_new_lines(tmp_path):
    store, _, effects = write_tokens(tmp_path / "tokens.arrow")
    effects[3, 4] = np.nan
    network = fit(store, effects, np.arange(20), np.arange(12))
    ahead = TokenRows(store, [f"s{line}" for line in (29, 25, 21)], np.arange(12, 20))
    told = network.predict(ahead)
    truth = effects[np.ix_((29, 25, 21), np.arange(12, 20))]
    assert np.corrcoef(told.ravel(), truth.ravel())[0, 1] > 0.95
    assert abs(told.mean() - truth.mean()) < 0.2


def test_tokens_and_effects_of_what_is_held_out_change_no_weight(tmp_path):
    store, tokens, effects = write_tokens(tmp_path / "tokens.arrow")
    lines, genes = np.arange(20), np.arange(12)
    first = fit(store, effects, lines, genes)
    tokens[20:] = 9
    tokens[:, 12:] = -9
    samples = [f"s{line}" for line in range(30)]
    parts = [(samples[at : at + 7], tokens[at : at + 7]) for at in range(0, 30, 7)]
    create_tokens(tmp_path / "other.arrow", store.genes, np.ones(20, bool), parts)
    second = fit(TokenStore(tmp_path / "other.arrow"), effects * np.nan_to_num(1.0), lines, genes)
    for one, other in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert (one == other).all()
    np.testing.assert_array_equal(first.mean, second.mean)


@pytest.mark.parametrize("by_genes", [False, True])
def test_an_epoch_predicts_nothing_but_what_may_stop_it(tmp_path, monkeypatch, by_genes):
    store, _, effects = write_tokens(tmp_path / "tokens.arrow")
    rows = TokenRows(store, [f"s{line}" for line in range(30)], np.arange(20))
    held = held_for_validation(np.arange(20 if by_genes else 30), 1)
    validation = np.tile(held, (30, 1)) if by_genes else np.tile(held[:, None], 20)
    predict, asked = TokenNetwork.predict, []

    def noted(network, of):
        asked.append((of.samples, of.genes.tolist()))
        return predict(network, of)

    monkeypatch.setattr(TokenNetwork, "predict", noted)
    network = fit_token_network(rows, effects, validation, SETTINGS, 1)
    lines, genes = (np.flatnonzero(validation.any(axis=axis)) for axis in (1, 0))
    assert validation.sum() == len(lines) * len(genes) < 70
    assert len(asked) <= SETTINGS.epochs
    assert all(each == ([f"s{line}" for line in lines], genes.tolist()) for each in asked)
    # What is told of a line does not hang on which others are asked, nor on how many at once.
    monkeypatch.setattr(tokens_module, "CELLS_AT_ONCE", 17)
    np.testing.assert_allclose(
        predict(network, rows)[np.ix_(lines, genes)], predict(network, rows.take(lines, genes)),
        atol=1e-6,
    )  # fmt: skip


def test_whole_groups_stop_the_training():
    bound = np.repeat(np.arange(30), 2)
    held = held_for_validation(bound, 3)
    assert held.sum() == 6
    assert all(held[::2] == held[1::2])
    assert held_for_validation(np.array([4, 4, 9]), 0).sum() in (1, 2)


def test_without_a_known_effect_to_stop_it_the_last_epoch_is_kept(tmp_path, capsys):
    store, _, effects = write_tokens(tmp_path / "tokens.arrow")
    rows = TokenRows(store, [f"s{line}" for line in range(30)], np.arange(20))
    validation = np.tile(held_for_validation(np.arange(30), 1)[:, None], 20)
    unknown = np.where(validation, np.nan, effects)
    told = fit_token_network(rows, unknown, validation, SETTINGS, 1).predict(rows)
    assert np.corrcoef(told.ravel(), effects.ravel())[0, 1] > 0.95
    assert "no effect of the validation cells is known; all 15 epochs" in capsys.readouterr().err


def test_the_paper_s_head_runs_in_every_regime_and_finds_its_signal(tmp_path):
    world = Lines(tmp_path, n=60)
    _ = world.split
    request = json.loads((tmp_path / "tokens.json").read_text())
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(60, 50, 3))
    tokens = np.concatenate([world.expression[:, :50, None] - 4, noise], axis=2)
    known = np.arange(50) != 7
    path = tmp_path / "tokens.arrow"
    parts = [(request["samples"][at : at + 16], tokens[at : at + 16]) for at in range(0, 60, 16)]
    create_tokens(path, request["genes"], known, parts)
    world.settings["token_head"] |= {"epochs": 5}
    predictions = world.predict(None, tokens=path)
    rows = read_predictions(predictions)
    heads = rows.groupby("regime")["head"].unique().apply(sorted)
    assert heads["held_out_lines"] == heads["held_out_lineages"] == ["ridge", "token_mlp"]
    assert heads["held_out_genes"] == ["token_mlp"]
    legacy = read_predictions(world.predict(None, "legacy", tokens=path))
    assert legacy["head"].unique().tolist() == ["token_mlp"]  # the paper's way knows no other
    own = rows[rows["head"] == "token_mlp"]
    assert world.genes[7] not in set(own["target_id"])
    table = world.score(predictions)
    found = value(table, "per_gene_pearson", regime="held_out_genes")
    assert found["ci_low"] > 0.03
    by_head = table[(table["metric"] == "per_gene_pearson") & table["group"].isna()]
    coverage = by_head[by_head["regime"] == "held_out_lines"].groupby("head")["gene_coverage"]
    assert coverage.first().to_dict() == {"ridge": 1.0, "token_mlp": 0.98}
    with pytest.raises(InputError, match="token_mlp needs --tokens"):
        world.predict("token_mlp")
