"""FAVOR+ attention (Performer, Choromanski et al. 2021): attention whose cost is linear in genes.

softmax(q k^T / sqrt(d)) v needs a 20,000 x 20,000 matrix a head. Random positive features φ with
E[φ(q) · φ(k)] ∝ exp(q · k / sqrt(d)) turn it into φ(q) (φ(k)^T v): two thin products. The features
of all genes are larger than anything else in the network, so they are made chunk by chunk, and made
again for the gradient; they never exist as a whole.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FEATURE_FLOOR = 1e-4  # keeps every feature, and so every denominator, away from zero
CACHED_FEATURES = 2**20  # elements of φ in a chunk on CPU: 4 MB, what the cache holds


def default_features(head_dim: int) -> int:
    """Return the number of random features, d ln d rounded down (16 → 44, 80 → 350)."""
    return int(head_dim * math.log(head_dim))


def orthogonal_gaussian_projection(features: int, head_dim: int) -> Tensor:
    """Draw the directions P [features, head_dim]: orthogonal in blocks, with Gaussian lengths.

    Orthogonal directions estimate the softmax kernel with less variance than independent ones.
    """
    n_blocks = math.ceil(features / head_dim)
    q, r = torch.linalg.qr(torch.randn(n_blocks, head_dim, head_dim))
    # QR prefers signs; with those of r undone, every direction is equally likely (Mezzadri 2007).
    directions = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    lengths = torch.randn(features, head_dim).norm(dim=1, keepdim=True)
    return lengths * directions.mT.flatten(0, 1)[:features]


def project(tokens: Tensor, projection: Tensor) -> Tensor:
    """Return d^(-1/4) t P^T [heads, n, features] for tokens t [heads, n, d]."""
    return F.linear(tokens, projection * tokens.shape[-1] ** -0.25)


def key_stabiliser(chunks: tuple[Tensor, ...], projection: Tensor) -> Tensor:
    """Return the largest projection over the keys and features of each head [heads, 1, 1].

    It is taken within one sample, so that no sample depends on its batch.
    """
    largest = [project(keys, projection).amax((1, 2), keepdim=True) for keys in chunks]
    return torch.stack(largest).amax(0)


def softmax_kernel(tokens: Tensor, projection: Tensor, stabiliser: Tensor | None = None) -> Tensor:
    """Return the positive features φ [heads, n, features] of tokens t [heads, n, d].

    φ(t) = exp(d^(-1/4) P t - |t|² / (2 sqrt(d)) - M) + 1e-4. M keeps the exponential in range: it
    is the given `stabiliser` for keys and, without one, each query's own largest projection. The
    factor features^(-1/2) of the paper is left out, because attention divides it away.
    """
    projected = project(tokens, projection)
    if stabiliser is None:
        stabiliser = projected.amax(-1, keepdim=True)
    half_norm = tokens.square().sum(-1, keepdim=True) * (0.5 * tokens.shape[-1] ** -0.5)
    return projected.sub_(half_norm + stabiliser).exp_().add_(FEATURE_FLOOR)


def softmax_kernel_gradient(
    gradient: Tensor, features: Tensor, tokens: Tensor, projection: Tensor
) -> Tensor:
    """Return the gradient of the tokens from that of φ, with M as a constant; overwrites both φ."""
    scale = tokens.shape[-1] ** -0.25
    exponent = gradient.mul_(features.sub_(FEATURE_FLOOR))
    norms = exponent.sum(-1, keepdim=True)
    return (exponent @ (projection * scale)).addcmul_(tokens, norms, value=-(scale**2))


def with_ones(values: Tensor) -> Tensor:
    """Append a column of ones: where values are summed with weights, it sums the weights."""
    return F.pad(values, (0, 1), value=1.0)


def chunks_by_head(tokens: Tensor, heads: int, chunk: int) -> tuple[Tensor, ...]:
    """View one sample [N, heads * d] as pieces [heads, n, d] of at most `chunk` tokens."""
    return tokens.unflatten(-1, (heads, -1)).transpose(0, 1).split(chunk, dim=1)


def in_full_precision(method: Callable) -> Callable:
    """Keep the autocast of the caller out of a forward or backward pass."""

    @functools.wraps(method)
    def run(ctx, first: Tensor, *others):
        with torch.autocast(first.device.type, enabled=False):
            return method(ctx, first, *others)

    return run


class LinearAttention(torch.autograd.Function):
    """out_i = φ(q_i) · S / (φ(q_i) · s), with S = Σ_j φ(k_j) v_j^T and s = Σ_j φ(k_j).

    `context` holds S and s side by side [heads, features, d + 1]: all that genes learn from each
    other. The gradient needs it once more, and the features are made anew from q and k.
    """

    @staticmethod
    @in_full_precision
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, projection: Tensor, chunk: int) -> Tensor:
        """Attend q, k, v [B, N, heads * d] under projection [features, d], by `chunk` tokens."""
        features, head_dim = projection.shape
        heads = q.shape[-1] // head_dim
        output = torch.empty_like(v)
        stabilisers = k.new_empty(len(k), heads, 1, 1)
        contexts = k.new_zeros(len(k), heads, features, head_dim + 1)
        for sample in range(len(q)):
            queries, keys, values, outputs = (
                chunks_by_head(tokens[sample], heads, chunk) for tokens in (q, k, v, output)
            )
            stabiliser, context = stabilisers[sample], contexts[sample]
            stabiliser.copy_(key_stabiliser(keys, projection))
            for key, value in zip(keys, values, strict=True):
                context.baddbmm_(softmax_kernel(key, projection, stabiliser).mT, with_ones(value))
            for query, out in zip(queries, outputs, strict=True):
                weighted = softmax_kernel(query, projection) @ context
                torch.div(weighted[..., :-1], weighted[..., -1:], out=out)
        ctx.save_for_backward(q, k, v, output, projection, stabilisers, contexts)
        ctx.heads, ctx.chunk = heads, chunk
        return output

    @staticmethod
    @once_differentiable
    @in_full_precision
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of q, k and v, made of the same pieces as `forward`."""
        q, k, v, output, projection, stabilisers, contexts = ctx.saved_tensors
        dq, dk, dv = (torch.empty_like(tokens) for tokens in (q, k, v))
        for sample in range(len(q)):
            queries, keys, values, outputs, gradients, dqueries, dkeys, dvalues = (
                chunks_by_head(tokens[sample], ctx.heads, ctx.chunk)
                for tokens in (q, k, v, output, gradient, dq, dk, dv)
            )
            stabiliser, context = stabilisers[sample], contexts[sample]
            dcontext = torch.zeros_like(context)
            for query, out, out_gradient, dquery in zip(
                queries, outputs, gradients, dqueries, strict=True
            ):
                phi = softmax_kernel(query, projection)
                dnumerator = out_gradient / (phi @ context[..., -1:])
                ddenominator = -(dnumerator * out).sum(-1, keepdim=True)
                dweighted = torch.cat([dnumerator, ddenominator], dim=-1)
                dcontext.baddbmm_(phi.mT, dweighted)
                dphi = dweighted @ context.mT
                dquery.copy_(softmax_kernel_gradient(dphi, phi, query, projection))
            for key, value, dkey, dvalue in zip(keys, values, dkeys, dvalues, strict=True):
                phi = softmax_kernel(key, projection, stabiliser)
                torch.matmul(phi, dcontext[..., :-1], out=dvalue)
                dphi = with_ones(value) @ dcontext.mT
                dkey.copy_(softmax_kernel_gradient(dphi, phi, key, projection))
        return dq, dk, dv, None, None


class FastAttention(nn.Module):
    """Linear attention under one stored projection, which is part of what the network learned on.

    `chunk`, the tokens taken at a time, changes memory and speed, and the result only by the order
    of summation. None takes what the cache holds on CPU and whole samples on an accelerator. Half
    precision is computed in float32: a sum over 20,000 genes would lose the small terms.
    """

    def __init__(self, head_dim: int, features: int, chunk: int | None = None):
        super().__init__()
        self.chunk = chunk
        projection = orthogonal_gaussian_projection(features, head_dim)
        self.register_buffer("projection_matrix", projection)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend q, k, v [B, N, heads * head_dim] over the N tokens of each sample."""
        exact = torch.promote_types(q.dtype, torch.float32)
        arguments = (tensor.to(exact) for tensor in (q, k, v, self.projection_matrix))
        output = LinearAttention.apply(*arguments, self.chunk or self._fitting_chunk(q))
        return output.to(q.dtype)

    def _fitting_chunk(self, q: Tensor) -> int:
        if q.device.type != "cpu":
            return q.shape[1]
        features, head_dim = self.projection_matrix.shape
        return max(1, CACHED_FEATURES // (features * q.shape[-1] // head_dim))
