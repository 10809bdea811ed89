"""Both networks: sizes, seeds, independence of samples, and what masked genes mean."""

from dataclasses import replace

import pytest
import torch

from bulkformer.errors import InputError
from bulkformer.model import bulkformer, bulkformer_latest
from bulkformer.model.bulkformer import PRESETS, BulkFormer, BulkFormerConfig, initialise
from bulkformer.model.bulkformer_latest import BulkFormerLatest, BulkFormerLatestConfig
from bulkformer.model.graph_convolution import Graph

NO_EDGES = Graph(torch.zeros(0, dtype=int), torch.zeros(0, dtype=int), torch.zeros(0))


def trainable(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.fixture(params=["paper", "latest"])
def build(request, config, latest_config, graph):
    """Build a network of either variant: build(seed, chunk, graph)."""
    module, shape = {
        "paper": (bulkformer, config),
        "latest": (bulkformer_latest, latest_config),
    }[request.param]

    def build(seed=1, chunk=None, graph=graph):
        return module.initialise(shape, graph, seed, prediction_start=2.0, chunk=chunk).eval()

    return build


@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    [
        ("37M", 13_368_583, 61),
        ("50M", 28_641_031, 96),
        ("93M", 75_920_903, 236),
        ("127M", 112_448_647, 306),
        ("147M", 132_142_727, 446),
    ],
)
def test_presets_have_the_parameters_and_tensors_of_the_release(name, parameters, tensors):
    with torch.device("meta"):
        model = BulkFormer(PRESETS[name], NO_EDGES)
    assert (trainable(model), len(model.state_dict())) == (parameters, tensors)


def test_the_latest_network_has_the_parameters_and_tensors_of_the_release():
    with torch.device("meta"):
        model = BulkFormerLatest(BulkFormerLatestConfig(), NO_EDGES)
    assert (trainable(model), len(model.state_dict())) == (101_323_778, 427)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_callers_generator_alone(build):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = build(seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again, other = build(seed=3).state_dict(), build(seed=4).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@torch.no_grad()
def test_a_sample_alone_gives_the_same_as_in_a_batch(build, x):
    model = build()
    alone = torch.cat([model(row[None]) for row in x])
    torch.testing.assert_close(model(x), alone, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.embed(x)[2:3], model.embed(x[2:3]), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_chunks_of_tokens_change_nothing_in_either_network(build, x):
    torch.testing.assert_close(build(chunk=7)(x), build()(x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_either_network_depends_on_the_direction_of_the_graph(build, graph, x):
    difference = build()(x) - build(graph=graph.transposed())(x)
    assert difference.abs().max() > 1e-5


def test_every_weight_learns(build, x):
    model = build()
    model(x).square().sum().backward()
    still = [n for n, p in model.named_parameters() if p.requires_grad and not p.grad.any()]
    assert still == []


@torch.no_grad()
def test_masked_predictions_are_shifted_by_the_mean_error_at_observed_genes(model, x):
    raw = model.head(model.embed(x)).squeeze(-1)
    for row, before, after in zip(x, raw, model(x), strict=True):
        masked = row == -10
        assert torch.equal(after[~masked], before[~masked])
        shift = before[~masked].mean() - row[~masked].mean()
        torch.testing.assert_close(after[masked], before[masked] - shift)


@torch.no_grad()
def test_an_embedding_ends_in_mask_fraction_observed_mean_and_share_of_nonzero(model, x):
    fractions = torch.linspace(0, 0.4, len(x))
    statistics = model.embed(x, fractions)[..., -3:]
    for row, fraction, columns in zip(x, fractions, statistics, strict=True):
        expected = torch.stack([fraction, row[row != -10].mean(), (row != 0).float().mean()])
        torch.testing.assert_close(columns, expected.expand(30, 3))


@torch.no_grad()
def test_masked_genes_carry_no_value_and_measured_zeros_do(model, x):
    x[0, :2] = torch.tensor([-10.0, 0.0])
    masked, zero = model.expr_emb(x)[0, :2]
    assert not masked.any()
    assert torch.equal(zero, torch.cat([torch.zeros(8), torch.ones(8)]))  # sin 0, cos 0


@torch.no_grad()
def test_a_sample_without_any_observed_gene_gives_finite_numbers(build):
    nothing = torch.full((1, 30), -10.0)
    assert build()(nothing).isfinite().all()


@torch.no_grad()
def test_the_latest_network_lets_fewer_seen_genes_speak_louder(latest_config, graph):
    model = bulkformer_latest.initialise(latest_config, graph, seed=1)
    x = torch.ones(3, 30)
    x[1, :15] = -10
    x[2, :29] = -10
    torch.testing.assert_close(model.visibility_scale(x).flatten(), torch.tensor([0.9, 1.8, 2.0]))
    plain = bulkformer_latest.initialise(
        replace(latest_config, mask_ratio_scaling_enabled=False), graph, seed=1
    )
    assert torch.equal(plain.visibility_scale(x), torch.ones(3, 1, 1))


def test_predictions_start_where_they_are_told(config, graph):
    assert initialise(config, graph, 1, prediction_start=1.5).head[3].bias.item() == 1.5
    plain = initialise(config, graph, 1).state_dict()
    started = initialise(config, graph, 1, prediction_start=1.5).state_dict()
    assert [key for key in plain if not torch.equal(plain[key], started[key])] == ["head.3.bias"]


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(InputError, match="multiple of heads 8"):
        BulkFormerConfig(n_genes=30, dim=20, layers=1)
