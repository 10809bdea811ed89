"""FAVOR+ attention: what performer-pytorch computes, with a gradient that autograd agrees with."""

import warnings

import pytest
import torch

from bulkformer.model.attention import FastAttention, LinearAttention, Portion
from bulkformer.model.attention_features import (
    default_features,
    exponentials,
    half_norm,
    orthogonal_gaussian_projection,
)
from bulkformer.model.performer import Performer

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*distutils", category=DeprecationWarning)
    import performer_pytorch


def test_the_performer_agrees_with_performer_pytorch_in_values_and_gradients(generator):
    torch.manual_seed(0)
    theirs = performer_pytorch.Performer(
        dim=24, depth=2, heads=3, dim_head=8, nb_features=11, qkv_bias=True
    ).eval()
    ours = Performer(24, 2, 3, 11)
    ours.load_state_dict(theirs.state_dict())
    tokens = torch.randn(2, 50, 24, generator=generator)
    results = []
    for performer in (theirs, ours):
        leaf = tokens.clone().requires_grad_()
        output = performer(leaf)
        output.square().sum().backward()
        weight = performer.net.layers[0][0].fn.to_q.weight.grad
        results.append((output.detach(), leaf.grad, weight))
    for their, our in zip(*results, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_attention_is_that_of_its_formula(generator):
    q, k, v = (torch.randn(2, 9, 8, generator=generator).double() for _ in range(3))
    projection = torch.randn(5, 4, generator=generator).double()

    def formula(q, k, v):
        rows = []
        for sample in zip(q, k, v, strict=True):
            query, key, value = (t.unflatten(-1, (2, 4)).transpose(0, 1) for t in sample)
            features = []
            for tokens, dims in ((query, (2,)), (key, (1, 2))):
                projected = tokens @ projection.T * 4**-0.25
                largest = projected.detach().amax(dims, keepdim=True)
                norm = tokens.square().sum(-1, keepdim=True) / 4
                features.append(torch.exp(projected - norm - largest) + 1e-4)
            weights = features[0] @ features[1].mT
            attended = (weights / weights.sum(-1, keepdim=True)) @ value
            rows.append(attended.transpose(0, 1).flatten(1))
        return torch.stack(rows)

    direction = torch.randn(2, 9, 8, generator=generator).double()
    leaves = [t.clone().requires_grad_() for t in (q, k, v)]
    expected = torch.autograd.grad((formula(*leaves) * direction).sum(), leaves)
    for portion in (Portion(2, 9), Portion(2, 4), Portion(1, 9), Portion(1, 1)):
        output = LinearAttention.apply(*leaves, projection, portion)
        torch.testing.assert_close(output, formula(*leaves))
        gradients = torch.autograd.grad((output * direction).sum(), leaves)
        torch.testing.assert_close(gradients, expected)


def test_random_features_estimate_the_softmax_kernel(generator):
    torch.manual_seed(0)
    q, k = 0.7 * torch.randn(2, 1, 6, 8, generator=generator)
    projection = orthogonal_gaussian_projection(200_000, 8)
    phi_q, phi_k = (exponentials(tokens, projection, half_norm(tokens)) for tokens in (q, k))
    estimate = phi_q @ phi_k.mT / len(projection)
    torch.testing.assert_close(estimate, torch.exp(q @ k.mT / 8**0.5), rtol=0.05, atol=0)


def test_directions_are_orthogonal_within_blocks_and_prefer_no_side():
    torch.manual_seed(0)
    many = orthogonal_gaussian_projection(8000, 8)
    assert many.mean(0).abs().max() < 0.05  # standard error 0.011
    assert (many.var(0) - 1).abs().max() < 0.1
    projection = orthogonal_gaussian_projection(20, 8)
    directions = projection / projection.norm(dim=1, keepdim=True)
    for block in directions.split(8):
        torch.testing.assert_close(block @ block.T, torch.eye(len(block)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("head_dim", "features"), [(16, 44), (32, 110), (64, 266), (80, 350)])
def test_the_released_head_widths_have_the_released_number_of_features(head_dim, features):
    assert default_features(head_dim) == features


@pytest.mark.parametrize("chunk", [1, 7, 50, 80])
def test_chunks_of_tokens_change_nothing(generator, chunk):
    torch.manual_seed(0)
    whole = Performer(24, 2, 3, 11)
    chunked = Performer(24, 2, 3, 11, chunk=chunk)
    chunked.load_state_dict(whole.state_dict())
    tokens = torch.randn(2, 50, 24, generator=generator)
    torch.testing.assert_close(chunked(tokens), whole(tokens), rtol=1e-5, atol=1e-5)


def test_a_sample_alone_attends_as_in_a_batch(generator):
    attention = FastAttention(head_dim=8, features=11)
    q, k, v = (torch.randn(3, 20, 16, generator=generator) for _ in range(3))
    k[1] *= 5  # a batch mate with much larger keys
    alone = attention(q[:1], k[:1], v[:1])
    assert torch.equal(attention(q, k, v)[:1], alone)


def test_autocast_does_not_reach_the_sums_over_genes(generator):
    attention = FastAttention(head_dim=8, features=11)
    q, k, v = (torch.randn(1, 40, 16, generator=generator, requires_grad=True) for _ in range(3))
    exact = attention(q, k, v)
    expected = torch.autograd.grad(exact.sum(), (q, k, v))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = attention(q, k, v)
        assert torch.equal(output, exact)
        gradients = torch.autograd.grad(output.sum(), (q, k, v))
    assert all(map(torch.equal, gradients, expected))


def test_projections_change_only_when_a_redraw_is_asked_for(generator):
    performer = Performer(16, 2, 2, 9).train()
    before = [b.clone() for name, b in performer.net.named_buffers()]
    performer(torch.randn(1, 10, 16, generator=generator)).sum().backward()
    assert all(map(torch.equal, before, performer.net.buffers()))
    performer.redraw_projections()
    assert not any(map(torch.equal, before, performer.net.buffers()))
