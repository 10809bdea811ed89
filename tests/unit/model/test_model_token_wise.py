"""Work within tokens by chunks: the same numbers and gradients, without the wide layer."""

import pytest
import torch
import torch.nn.functional as F

from bulkformer.model.token_wise import GELU, RELU, Projection, TwoLayers, two_layers


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return torch.nn.Linear(6, 10).double(), torch.nn.Linear(10, 4).double()


def plain(tokens, layers, activation):
    return layers[1](activation.value(layers[0](tokens)))


def same_gradients(ours, expected, direction, leaves):
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(
        torch.autograd.grad((ours * direction).sum(), leaves),
        torch.autograd.grad((expected * direction).sum(), leaves),
    )


@pytest.mark.parametrize("activation", [RELU, GELU])
@pytest.mark.parametrize("chunk", [1, 5, 22])
def test_chunks_change_neither_values_nor_gradients(layers, activation, chunk, generator):
    tokens = torch.randn(2, 11, 6, generator=generator).double().requires_grad_()
    direction = torch.randn(2, 11, 4, generator=generator).double()
    weights = [*layers[0].parameters(), *layers[1].parameters()]
    expected = plain(tokens, layers, activation)
    ours = TwoLayers.apply(tokens, None, None, *weights, activation, 0.0, chunk)
    same_gradients(ours, expected, direction, [tokens, *weights])


@pytest.mark.parametrize("chunk", [1, 5, 22])
def test_what_samples_or_genes_share_gets_the_gradient_of_their_sum(layers, chunk, generator):
    tokens, shared, common, direction = (
        torch.randn(*shape, generator=generator).double()
        for shape in [(3, 11, 6), (11, 6), (3, 6), (3, 11, 4)]
    )
    leaves = [shared.requires_grad_(), common.requires_grad_()]
    leaves += [*layers[0].parameters(), *layers[1].parameters()]
    expected = plain(tokens + shared + common.unsqueeze(1), layers, RELU)
    ours = two_layers(tokens, layers[0], RELU, layers[1], 0.0, chunk, shared, common)
    same_gradients(ours, expected, direction, leaves)


def test_the_wide_layer_is_not_kept_for_the_gradient(layers):
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.shape) or tensor, lambda tensor: tensor
    ):
        two_layers(torch.randn(1, 500, 6).double(), layers[0], GELU, layers[1], chunk=50)
    assert torch.Size([1, 500, 6]) in kept
    assert torch.Size([1, 500, 10]) not in kept


def test_the_gradient_sees_the_same_units_dropped_as_the_prediction(layers):
    """f(t + s d) - f(t) = s f'(t) d holds for one and the same choice of units only."""
    torch.manual_seed(0)
    tokens = torch.randn(1, 40, 6).double().requires_grad_()
    step = 1e-6 * torch.randn(1, 40, 6).double()

    def output(tokens):
        torch.manual_seed(7)
        return two_layers(tokens, layers[0], GELU, layers[1], dropout=0.5, chunk=7).sum()

    value = output(tokens)
    torch.rand(3)  # whatever is drawn in between does not matter, and is not disturbed
    state = torch.get_rng_state()
    (gradient,) = torch.autograd.grad(value, tokens)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(
        output(tokens + step) - value, (gradient * step).sum(), rtol=1e-3, atol=0
    )


def test_dropout_keeps_the_mean_of_what_it_drops(layers, generator):
    tokens = torch.randn(20_000, 6, generator=generator).double()[:1].expand(20_000, 6)
    with_dropout = two_layers(tokens, layers[0], RELU, layers[1], dropout=0.3, chunk=512).mean(0)
    expected = plain(tokens[:1], layers, RELU)[0]
    torch.testing.assert_close(with_dropout, expected, rtol=0, atol=0.02)


def test_half_precision_by_chunks_is_near_the_exact_result(generator):
    torch.manual_seed(0)
    layer = Projection(16, 8, chunk=10)
    tokens = torch.randn(2, 100, 16, generator=generator)
    exact = layer(tokens)
    exact.square().sum().backward()
    gradients = [weight.grad.clone() for weight in layer.parameters()]
    layer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = layer(tokens)
    assert half.dtype == torch.bfloat16
    half.float().square().sum().backward()
    torch.testing.assert_close(half.float(), exact, rtol=0, atol=0.02)
    for weight, expected in zip(layer.parameters(), gradients, strict=True):
        assert weight.grad.dtype == torch.float32
        assert F.cosine_similarity(weight.grad.flatten(), expected.flatten(), dim=0) > 0.999
