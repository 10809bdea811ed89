"""FAVOR+ attention (Performer, Choromanski et al. 2021): attention whose cost is linear in genes.

softmax(q k^T / sqrt(d)) v needs a 20,000 x 20,000 matrix a head; with random features φ it becomes
φ(q) (φ(k)^T v). The features of all genes are larger than anything else in the network, so they are
made chunk by chunk, and made again for the gradient; they never exist as a whole.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bulkformer.errors import InputError
from bulkformer.model.attention_features import (
    FEATURE_FLOOR,
    exponentials,
    gradient_of_tokens,
    half_norm,
    orthogonal_gaussian_projection,
    project,
    with_row_sums,
)
from bulkformer.model.compiling import outside_compilers

CACHED_FEATURES = 2**18  # elements of φ in a chunk on CPU: 1 MB, what the cache holds
STREAMED_FEATURES = 2**26  # on an accelerator: 256 MB, enough to fill it with one matrix product


def with_ones(values: Tensor) -> Tensor:
    """Append a column of ones: where values are summed with weights, it sums the weights."""
    return F.pad(values, (0, 1), value=1.0)


def by_head(tokens: Tensor, heads: int) -> Tensor:
    """View tokens [B, N, heads * d] as [B, heads, N, d]."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def in_full_precision(method: Callable) -> Callable:
    """Keep the autocast of the caller out of a forward or backward pass.

    Where the tensors are halves, a GPU may round the factors of products to TF32: it holds every
    half exactly, rounds features to 10 bits, and sums in float32.
    """

    @functools.wraps(method)
    def run(ctx, first: Tensor, *others):
        precision = torch.get_float32_matmul_precision()
        rounded = first.is_cuda and first.dtype in (torch.bfloat16, torch.float16)
        torch.set_float32_matmul_precision("high" if rounded else precision)
        try:
            with torch.autocast(first.device.type, enabled=False):
                return method(ctx, first, *others)
        finally:
            torch.set_float32_matmul_precision(precision)

    return run


class LinearAttention(torch.autograd.Function):
    """out_i = φ(q_i) · S / (φ(q_i) · s), with S = Σ_j φ(k_j) v_j^T and s = Σ_j φ(k_j).

    With c the mean of the values it is c + φ(q_i) · (S - s c^T) / (φ(q_i) · s), and computed so:
    where genes attend alike, how they differ would else drown in what they have in common.
    `contexts` hold S - s c^T and s side by side [B, heads, features, d + 1]: all that genes learn
    from each other. The gradient needs them once more, and the features are made anew from q and k.
    φ is an exponential and a floor; the floor adds the same to every gene, and so once to a sum.
    Halves are kept as halves, and computed with in the precision of the projection.
    """

    @staticmethod
    @in_full_precision
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, projection: Tensor, portion: Portion):
        """Attend q, k, v [B, N, heads * d] under projection [features, d], portion by portion."""
        features, head_dim = projection.shape
        exact = functools.partial(Tensor.to, dtype=projection.dtype)
        heads = q.shape[-1] // head_dim
        output = torch.empty_like(v)
        centres = by_head(v.mean(1, keepdim=True, dtype=projection.dtype), heads)
        contexts = projection.new_zeros(len(k), heads, features, head_dim + 1)
        offsets = projection.new_empty(2, len(q), heads, q.shape[1], 1)
        for samples in portion.of(len(q)):
            queries, keys, values, outputs = (
                by_head(tokens[samples], heads).split(portion.tokens, dim=2)
                for tokens in (q, k, v, output)
            )
            query_offsets, key_offsets = (
                offset[samples].split(portion.tokens, dim=2) for offset in offsets
            )
            centre, context = centres[samples], contexts[samples]
            largest = projection.new_full((*context.shape[:2], 1, 1), -math.inf)
            for key, value, offset in zip(
                map(exact, keys), map(exact, values), key_offsets, strict=True
            ):
                projected = project(key, projection)
                # What was summed up to here stands under the largest projection up to here.
                before = largest
                largest = torch.maximum(before, projected.amax((-2, -1), keepdim=True))
                context.mul_(before.sub_(largest).exp_())
                offset.copy_(half_norm(key))
                projected.sub_(offset + largest).exp_()
                context += projected.mT @ with_ones(value - centre)
            offsets[1, samples] += largest
            # Values less their mean sum to 0 under any constant, and ones to the number of genes.
            context[..., -1] += FEATURE_FLOOR * k.shape[1]
            floor = FEATURE_FLOOR * context.sum(-2, keepdim=True)
            for query, out, offset in zip(map(exact, queries), outputs, query_offsets, strict=True):
                projected = project(query, projection)
                torch.add(half_norm(query), projected.amax(-1, keepdim=True), out=offset)
                weighted = (projected.sub_(offset).exp_() @ context).add_(floor)
                out.copy_(weighted[..., :-1].div_(weighted[..., -1:]).add_(centre))
        ctx.save_for_backward(q, k, v, projection, offsets, contexts, centres)
        ctx.heads, ctx.portion = heads, portion
        return output

    @staticmethod
    @once_differentiable
    @in_full_precision
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of q, k and v, made of the same pieces as `forward`.

        The output is made anew: rounded to halves, it would be too coarse for the difference that
        the gradient of q is.
        """
        q, k, v, projection, offsets, contexts, centres = ctx.saved_tensors
        exact = functools.partial(Tensor.to, dtype=projection.dtype)
        directions = with_row_sums(projection)
        dq, dk, dv = (torch.empty_like(tokens) for tokens in (q, k, v))
        for samples in ctx.portion.of(len(q)):
            queries, keys, values, gradients, dqueries, dkeys, dvalues = (
                by_head(tokens[samples], ctx.heads).split(ctx.portion.tokens, dim=2)
                for tokens in (q, k, v, gradient, dq, dk, dv)
            )
            query_offsets, key_offsets = (
                offset[samples].split(ctx.portion.tokens, dim=2) for offset in offsets
            )
            centre, context = centres[samples], contexts[samples]
            floor = FEATURE_FLOOR * context.sum(-2, keepdim=True)
            dcontext, dfloor = torch.zeros_like(context), torch.zeros_like(floor)
            for query, offset, out_gradient, dquery in zip(
                map(exact, queries), query_offsets, map(exact, gradients), dqueries, strict=True
            ):
                phi = exponentials(query, projection, offset)
                weighted = (phi @ context).add_(floor)
                dweighted = torch.empty_like(weighted)
                dnumerator, ddenominator = dweighted[..., :-1], dweighted[..., -1:]
                inverse = weighted[..., -1:].reciprocal()
                torch.mul(out_gradient, inverse, out=dnumerator)
                shared = (dnumerator * weighted[..., :-1]).sum(-1, keepdim=True)
                torch.mul(shared, inverse.neg_(), out=ddenominator)
                dcontext += phi.mT @ dweighted
                dfloor += dweighted.sum(-2, keepdim=True)
                dphi = dweighted @ context.mT
                dquery.copy_(gradient_of_tokens(dphi, phi, query, directions))
            dcontext += FEATURE_FLOOR * dfloor
            floor = FEATURE_FLOOR * dcontext[..., :-1].sum(-2, keepdim=True)
            for key, offset, value, dkey, dvalue in zip(
                map(exact, keys), key_offsets, map(exact, values), dkeys, dvalues, strict=True
            ):
                phi = exponentials(key, projection, offset)
                torch.add(phi @ dcontext[..., :-1], floor, out=dvalue)
                dphi = with_ones(value - centre) @ dcontext.mT
                dkey.copy_(gradient_of_tokens(dphi, phi, key, directions))
        return dq, dk, dv, None, None


class Portion(NamedTuple):
    """How much is attended at a time: so many samples, and so many tokens of each."""

    samples: int
    tokens: int

    def of(self, n_samples: int) -> Iterator[slice]:
        """Yield the slices of a batch."""
        for start in range(0, n_samples, self.samples):
            yield slice(start, start + self.samples)

    @classmethod
    def fitting(cls, q: Tensor, projection: Tensor, chunk: int | None) -> Portion:
        """Return what suits the device of q [B, N, heads * d]; `chunk` fixes the tokens.

        A CPU takes one sample and as many tokens as the cache holds the features of. An
        accelerator takes all samples in one product, and as many tokens as memory is lent for.
        """
        features, head_dim = projection.shape
        per_token = features * q.shape[-1] // head_dim
        if q.device.type == "cpu":
            return cls(1, chunk or max(1, CACHED_FEATURES // per_token))
        samples = max(1, len(q))
        return cls(samples, chunk or max(1, STREAMED_FEATURES // (samples * per_token)))


@outside_compilers  # it streams in portions that a compiler would unroll
def fused(q: Tensor, k: Tensor, v: Tensor, projection: Tensor, chunk: int | None) -> Tensor:
    """Attend by features that never exist as a whole, in float32 or float64, on any device."""
    projection = projection.to(torch.promote_types(q.dtype, torch.float32))
    return LinearAttention.apply(q, k, v, projection, Portion.fitting(q, projection, chunk))


def triton(q: Tensor, k: Tensor, v: Tensor, projection: Tensor, chunk: int | None) -> Tensor:
    """Attend by one kernel on a GPU that keeps the features in its registers."""
    from bulkformer.model.attention_triton import linear_attention

    return linear_attention(q, k, v, projection)


@outside_compilers  # einops of another package
def performer_pytorch(
    q: Tensor, k: Tensor, v: Tensor, projection: Tensor, chunk: int | None
) -> Tensor:
    """Attend by the functions of performer-pytorch, the reference, which store all features."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from performer_pytorch.performer_pytorch import linear_attention, softmax_kernel
    except ImportError as error:
        raise InputError(
            f"pretrain.execution.attention: 'performer_pytorch' needs that package ({error}); "
            "pip install performer-pytorch==1.1.4, or say 'fused'"
        ) from error
    heads = q.shape[-1] // projection.shape[-1]
    with torch.autocast(q.device.type, enabled=False):
        query, key, value = (by_head(tokens, heads).to(projection.dtype) for tokens in (q, k, v))
        query = softmax_kernel(query, projection_matrix=projection, is_query=True)
        key = softmax_kernel(key, projection_matrix=projection, is_query=False)
        return linear_attention(query, key, value).transpose(1, 2).flatten(-2).to(q.dtype)


KERNELS = {"fused": fused, "triton": triton, "performer_pytorch": performer_pytorch}


class FastAttention(nn.Module):
    """Linear attention under one stored projection, which is part of what the network learned on.

    `kernel` says who computes it: `fused` (here), `triton` or `performer_pytorch`, which agree.
    `chunk`, the tokens that `fused` takes at a time, changes memory and speed, and the result only
    by the order of summation. Half precision is computed in float32: a sum over 20,000 genes would
    lose the small terms.
    """

    def __init__(self, head_dim: int, features: int, chunk: int | None = None):
        super().__init__()
        self.chunk = chunk
        self.kernel = "fused"
        projection = orthogonal_gaussian_projection(features, head_dim)
        self.register_buffer("projection_matrix", projection)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend q, k, v [B, N, heads * head_dim] over the N tokens of each sample."""
        return KERNELS[self.kernel](q, k, v, self.projection_matrix, self.chunk)


def set_attention(model: nn.Module, kernel: str) -> None:
    """Let `kernel` compute every attention of a model; InputError if there is none of that name."""
    if kernel not in KERNELS:
        raise InputError(
            f"pretrain.execution.attention: {kernel!r} is none of {', '.join(KERNELS)}"
        )
    for module in model.modules():
        if isinstance(module, FastAttention):
            module.kernel = kernel
