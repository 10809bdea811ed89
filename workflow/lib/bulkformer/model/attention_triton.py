"""FAVOR+ attention on a GPU, in Triton: what `attention` computes, without ever storing φ.

φ of all genes is larger than anything else in the network (8 x 20,000 x 350 numbers a sample), and
to write and read it is most of what plain attention does. The kernels make it tile by tile and use
it where it is. Triton comes with the CUDA wheels of torch and is imported on first use.
"""

from __future__ import annotations

import math
import os
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bulkformer.errors import InputError
from bulkformer.model.attention_features import FEATURE_FLOOR


def linear_attention(q: Tensor, k: Tensor, v: Tensor, projection: Tensor) -> Tensor:
    """Attend q, k, v [B, N, heads * d] under projection [features, d]; [B, N, heads * d].

    All of one type, float32 or bfloat16, which is also that of the result; sums, stabilisers and
    exponentials are float32. The projection is no parameter and gets no gradient. The same input
    gives the same bits on the same kind of GPU. Raises InputError where Triton cannot run (see
    `check_available`), and TypeError for other types.
    """
    if q.dtype not in TILING or not q.dtype == k.dtype == v.dtype:
        raise TypeError(f"q, k, v must all be float32 or bfloat16: {q.dtype}, {k.dtype}, {v.dtype}")
    head_dim = projection.shape[1]
    width = sum(column_pieces(head_dim))
    if width == head_dim:
        return torch.ops.bulkformer.linear_attention(q, k, v, projection)[0]
    # A width that no preset has. Columns of zeros change neither products nor norms.
    filling = (0, width - head_dim)
    q, k, v = (F.pad(t.unflatten(-1, (-1, head_dim)), filling).flatten(-2) for t in (q, k, v))
    out = torch.ops.bulkformer.linear_attention(q, k, v, projection)[0]
    return out.unflatten(-1, (-1, width))[..., :head_dim].flatten(-2)


def check_available(device: torch.device) -> None:
    """Raise InputError, with the key to change, if the kernels cannot run on a device."""
    problem, remedy = "pretrain.execution.attention is 'triton', but", "set it to 'fused'"
    try:
        import triton  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"{problem} Triton is not installed: {remedy}, which computes the same, or install a "
            "CUDA build of PyTorch, which brings Triton along"
        ) from error
    if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        raise InputError(
            f"{problem} the model is on the CPU: {remedy}, which computes the same, or run on a GPU"
        )


def column_pieces(head_dim: int) -> tuple[int, ...]:
    """Return one or two powers of two, from 16 on, whose sum holds d columns most closely."""
    first = max(16, 2 ** int(math.log2(head_dim)))
    if head_dim <= first:
        return (first,)
    second = max(16, 2 ** math.ceil(math.log2(head_dim - first)))
    return (2 * first,) if second == first else (first, second)


class Tiling(NamedTuple):
    """Features a tile; genes at a time, and warps, of sums over genes and of blocks of genes."""

    features: int
    genes_of_sum: int
    warps_of_sum: int
    genes_of_block: int
    warps_of_block: int


# Fixed, not tuned on the machine: other tiles sum in another order, and a run could not be repeated
# bit by bit. Nor does a split depend on the batch, so that a sample alone attends as in a batch.
# The largest head in bfloat16: 64 rows of 80 columns are 10 KB. A gradient of a block holds its two
# tokens, and P, its rest and the context in two stages, so 8 x 10 KB; two such programs share the
# 228 KB of an H100, one multiplying while the other takes exponentials, and one fits any GPU from
# Ampere on (99 KB). Sums take less: 5 to 6 x 10 KB. In float32 there are no tensor cores to feed,
# and smaller tiles keep all sums in registers.
GENES_IN_A_SPLIT = 2048
TILING = {
    torch.bfloat16: Tiling(64, 64, 4, 64, 4),
    torch.float32: Tiling(32, 32, 4, 32, 8),
}


class Shape(NamedTuple):
    """What a kernel is compiled for.

    Attributes
    ----------
    heads, width : heads, and the columns of each
    widths : one or two powers of two that make up `width`
    root, floor : d^(-1/2), and what φ adds to its exponential
    features, padded : random features m, and m filled up to whole tiles
    tile, genes : features and genes that are worked on at a time
    split : genes that one program sums over, a multiple of `genes`
    """

    heads: int
    width: int
    widths: tuple[int, ...]
    root: float
    floor: float
    features: int
    padded: int
    tile: int
    split: int
    genes: int = 0

    @classmethod
    def of(cls, tokens: Tensor, projection: Tensor) -> Shape:
        """Return the shape for tokens [B, N, heads * width] and a projection [features, d]."""
        features, head_dim = projection.shape
        widths, tile = column_pieces(head_dim), TILING[tokens.dtype].features
        return cls(
            heads=tokens.shape[2] // sum(widths),
            width=sum(widths),
            widths=widths,
            root=head_dim**-0.5,
            floor=FEATURE_FLOOR,
            features=features,
            padded=math.ceil(features / tile) * tile,
            tile=tile,
            split=GENES_IN_A_SPLIT,
        )


class _Run:
    """The kernels and what all of them take, for the tokens of one call."""

    def __init__(self, tokens: Tensor, projection: Tensor):
        check_available(tokens.device)
        from bulkformer.model import attention_triton_kernels  # imports Triton

        self.kernels = attention_triton_kernels
        self.tokens, self.n_genes = tokens, tokens.shape[1]
        self.shape, self.tiling = Shape.of(tokens, projection), TILING[tokens.dtype]
        self.pairs = len(tokens) * self.shape.heads  # of sample and head
        self.splits = math.ceil(self.n_genes / self.shape.split)
        self.filling = slice(self.shape.features, None)  # features that only fill the last tile
        self.directions = self._directions(projection)

    def _directions(self, projection: Tensor) -> Tensor:
        """Return d^(-1/4) P in the type of the tokens, then what rounding left [2, padded, width].

        The kernels say why both are wanted.
        """
        features, head_dim = projection.shape
        filling = (0, self.shape.width - head_dim, 0, self.shape.padded - features)
        exact = F.pad(projection.float() * head_dim**-0.25, filling)
        rounded = exact.to(self.tokens.dtype)
        return torch.stack([rounded, (exact - rounded).to(rounded.dtype)])

    def per_split(self, *width: int) -> Tensor:
        """Return room for sums over the genes of each split [pairs, splits, padded, width]."""
        size = (self.pairs, self.splits, self.shape.padded, *width)
        return self.tokens.new_empty(size, dtype=torch.float32)

    def per_gene(self) -> Tensor:
        """Return room for one number a head and gene [pairs, N]."""
        return self.tokens.new_empty(self.pairs, self.n_genes, dtype=torch.float32)

    def over_splits(self, kernel: str, *tensors: Tensor) -> None:
        """Launch a kernel that sums over genes; tiles of one split are neighbours in the cache."""
        grid = (self.shape.padded // self.shape.tile, self.splits, self.pairs)
        self._launch(kernel, grid, tensors, self.tiling.genes_of_sum, self.tiling.warps_of_sum)

    def over_blocks(self, kernel: str, *tensors: Tensor) -> None:
        """Launch a kernel that takes a block of genes through all features."""
        genes = self.tiling.genes_of_block
        grid = (math.ceil(self.n_genes / genes), self.pairs)
        self._launch(kernel, grid, tensors, genes, self.tiling.warps_of_block)

    def _launch(self, kernel: str, grid: tuple[int, ...], tensors, genes: int, warps: int) -> None:
        shape = self.shape._replace(genes=genes)
        with torch.cuda.device_of(self.tokens):
            getattr(self.kernels, kernel)[grid](
                *tensors, self.n_genes, shape, num_warps=warps, num_stages=2, enable_fp_fusion=True
            )


@torch.library.custom_op("bulkformer::linear_attention", mutates_args=())
def _forward(
    q: Tensor, k: Tensor, v: Tensor, projection: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the output and what its gradient needs: two numbers a gene, and the context.

    With S_f = Σ_j φ_f(k_j) v_j and s_f = Σ_j φ_f(k_j), out_i = φ(q_i) S / φ(q_i) s. With c the mean
    of the values, it is c + φ(q_i) (S - s c) / φ(q_i) s, and the context holds S - s c: rounding S
    to bfloat16 for the product would drown how genes differ in what they have in common. The floor
    of φ(k) adds as much to S as to s c, so the context does not see it.
    """
    run = _Run(q, projection)
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    peaks, sums, weights = run.per_split(), run.per_split(run.shape.width), run.per_split()
    run.over_splits("sum_over_keys", k, v, run.directions, peaks, sums, weights)

    peaks[..., run.filling] = -math.inf
    stabilisers = peaks.amax((1, 2))
    shrink = peaks.sub_(stabilisers[:, None, None]).exp_()
    context = sums.mul_(shrink[..., None]).sum(1)
    weights = weights.mul_(shrink).sum(1)
    centre = v.unflatten(-1, (run.shape.heads, -1)).mean(1, dtype=torch.float32).flatten(0, 1)
    context -= weights[..., None] * centre[:, None]
    weights[:, : run.shape.features] += FEATURE_FLOOR * run.n_genes
    floors_of_queries = (FEATURE_FLOOR * context.sum(1), FEATURE_FLOOR * weights.sum(1))

    context = context.to(q.dtype)
    out, offsets, floors = q.new_empty(q.shape), run.per_gene(), run.per_gene()
    sources = (q, run.directions, context, weights, centre, *floors_of_queries)
    run.over_blocks("attend", *sources, out, offsets, floors)
    return out, offsets, floors, stabilisers, context, weights, centre


@torch.library.custom_op("bulkformer::linear_attention_backward", mutates_args=())
def _backward(
    gradient: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    projection: Tensor,
    offsets: Tensor,
    floors: Tensor,
    stabilisers: Tensor,
    context: Tensor,
    weights: Tensor,
    centre: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of q, k and v; stabilisers count as constants, as in `attention`.

    With the context centred on c, v_j and out_i enter as differences from c. That out itself is not
    needed saves memory.
    """
    run = _Run(q, projection)
    gradient, q, k, v = (tensor.contiguous() for tensor in (gradient, q, k, v))
    dq, dk, dv, deltas = *(q.new_empty(q.shape) for _ in range(3)), run.per_gene()
    sources = (q, gradient, run.directions, context, weights, offsets, floors)
    run.over_blocks("query_gradient", *sources, dq, deltas)

    dsums, dweights = run.per_split(run.shape.width), run.per_split()
    sources = (q, gradient, run.directions, offsets, floors, deltas)
    run.over_splits("context_gradient", *sources, dsums, dweights)
    dcontext, dweights = dsums.sum(1), dweights.sum(1)
    dcontext[:, run.filling], dweights[:, run.filling] = 0, 0

    sources = (k, v, run.directions, stabilisers, centre, dcontext.to(q.dtype), dweights)
    run.over_blocks("key_value_gradient", *sources, dk, dv)
    return dq, dk, dv


@_forward.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, projection: Tensor) -> tuple[Tensor, ...]:
    shape, per_gene = Shape.of(q, projection), (q.shape[1],)
    sizes = [per_gene, per_gene, (), (shape.padded, shape.width), (shape.padded,), (shape.width,)]
    kept = [q.new_empty(len(q) * shape.heads, *size, dtype=torch.float32) for size in sizes]
    kept[3] = kept[3].to(q.dtype)
    return q.new_empty(q.shape), *kept


@_backward.register_fake
def _(gradient: Tensor, q: Tensor, *_others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), q.new_empty(q.shape), q.new_empty(q.shape)


def _keep(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs, *output[1:])


def _differentiate(ctx, gradient: Tensor, *_of_kept: Tensor) -> tuple[Tensor | None, ...]:
    return *torch.ops.bulkformer.linear_attention_backward(gradient, *ctx.saved_tensors), None


_forward.register_autograd(_differentiate, setup_context=_keep)
