"""Work within each token: two linear maps with a wide layer between them, by chunks of tokens.

The wide layer is four times the tokens, so that its memory would be most of the network's. On CPU
it is therefore made by chunks that the cache holds, and made again for the gradient; it never
exists as a whole, and the matrix products run at the speed of the cache. Accelerators, whose
memory is fast, keep it: they gain nothing from work done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CACHED_HIDDEN = 2**20  # elements of the wide layer in a chunk on CPU: 4 MB, what the cache holds


class Activation(NamedTuple):
    """A function of single numbers, and its gradient from (gradient of the value, argument)."""

    value: Callable[[Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], Tensor]


RELU = Activation(F.relu, lambda gradient, z: torch.ops.aten.threshold_backward(gradient, z, 0))
GELU = Activation(F.gelu, torch.ops.aten.gelu_backward)


class Projection(nn.Sequential):
    """Linear, ReLU, Linear with a hidden width of 4 `width_out`; keys `0.` and `2.`."""

    def __init__(self, width_in: int, width_out: int, chunk: int | None = None):
        super().__init__(
            nn.Linear(width_in, 4 * width_out),
            nn.ReLU(),
            nn.Linear(4 * width_out, width_out),
        )
        self.chunk = chunk

    def forward(self, tokens: Tensor) -> Tensor:
        return two_layers(tokens, self[0], RELU, self[2], chunk=self.chunk)


class FullPrecisionLinear(nn.Linear):
    """A linear map that autocast leaves alone: a prediction in halves would have three digits."""

    def forward(self, tokens: Tensor) -> Tensor:
        with torch.autocast(tokens.device.type, enabled=False):
            return super().forward(tokens.to(self.weight.dtype))


def two_layers(
    tokens: Tensor,
    first: nn.Linear,
    activation: Activation,
    second: nn.Linear,
    dropout: float = 0.0,
    chunk: int | None = None,
) -> Tensor:
    """Return second(dropout(activation(first(t)))) for tokens t [..., width].

    `chunk` is the number of tokens at a time; None means what the cache holds on CPU and all of
    them on an accelerator. `dropout` is 0 outside training.
    """
    n_tokens = tokens.shape[:-1].numel()
    if chunk is None and tokens.device.type == "cpu":
        chunk = max(1, CACHED_HIDDEN // first.out_features)
    if chunk is None or n_tokens <= chunk or torch.compiler.is_compiling():
        return second(F.dropout(activation.value(first(tokens)), dropout))
    arguments = (tokens, first.weight, first.bias, second.weight, second.bias)
    if torch.is_autocast_enabled(tokens.device.type):
        half = torch.get_autocast_dtype(tokens.device.type)
        arguments = tuple(tensor.to(half) for tensor in arguments)
    with torch.autocast(tokens.device.type, enabled=False):
        return TwoLayers.apply(*arguments, activation, dropout, chunk)


class TwoLayers(torch.autograd.Function):
    """W2 a(W1 t + b1) + b2 of which only t is kept: the wide layer is made again for the gradient.

    Dropout draws its numbers in the order of the chunks, from a state of the generator that the
    gradient goes back to.
    """

    @staticmethod
    def forward(
        ctx,
        tokens: Tensor,
        w1: Tensor,
        b1: Tensor,
        w2: Tensor,
        b2: Tensor,
        activation: Activation,
        dropout: float,
        chunk: int,
    ) -> Tensor:
        """Map tokens [..., width] by `chunk` tokens at a time."""
        ctx.save_for_backward(tokens, w1, b1, w2)
        ctx.activation, ctx.dropout, ctx.chunk = activation, dropout, chunk
        ctx.random_state = generator_state(tokens.device) if dropout else None
        output = tokens.new_empty(*tokens.shape[:-1], len(w2))
        for t, out in zip(chunks(tokens, chunk), chunks(output, chunk), strict=True):
            hidden = activation.value(torch.addmm(b1, t, w1.T))
            if dropout:
                hidden.mul_(kept_units(hidden, dropout))
            torch.addmm(b2, hidden, w2.T, out=out)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of tokens, weights and biases."""
        tokens, w1, b1, w2 = ctx.saved_tensors
        dtokens = torch.empty_like(tokens)
        dw1, db1, dw2 = (torch.zeros_like(w, dtype=_exact(w)) for w in (w1, b1, w2))
        with replayed(ctx.random_state, tokens.device):
            for t, g, dt in zip(
                *(chunks(x, ctx.chunk) for x in (tokens, gradient, dtokens)), strict=True
            ):
                z = torch.addmm(b1, t, w1.T)
                hidden, dhidden = ctx.activation.value(z), g @ w2
                if ctx.dropout:
                    kept = kept_units(hidden, ctx.dropout)
                    hidden.mul_(kept)
                    dhidden.mul_(kept)
                add_product(dw2, g.T, hidden)
                dz = ctx.activation.gradient(dhidden, z)
                add_product(dw1, dz.T, t)
                db1 += dz.sum(0)
                torch.mm(dz, w1, out=dt)
        db2 = gradient.flatten(0, -2).sum(0)
        return dtokens, dw1.to(w1), db1.to(b1), dw2.to(w2), db2, None, None, None


def chunks(tokens: Tensor, size: int) -> tuple[Tensor, ...]:
    """View tokens [..., width] as pieces [n, width] of at most `size` tokens."""
    return tokens.flatten(0, -2).split(size)


def kept_units(hidden: Tensor, dropout: float) -> Tensor:
    """Draw what dropout multiplies with: 0, or 1 / (1 - dropout)."""
    return F.dropout(torch.ones_like(hidden), dropout)


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left @ right to `total`, which is float32 where the factors are halves."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def generator_state(device: torch.device) -> Tensor:
    """Return where the generator of a device stands."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


@contextmanager
def replayed(state: Tensor | None, device: torch.device) -> Iterator[None]:
    """Draw once more from `state` on within the block; afterwards all is as before."""
    if state is None:
        yield
        return
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        torch.cuda.set_rng_state(state, device) if on_cuda else torch.set_rng_state(state)
        yield


def _exact(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
