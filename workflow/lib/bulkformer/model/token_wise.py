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

CACHED_HIDDEN = 2**19  # elements of the wide layer in a chunk on CPU: 2 MB, what the cache holds


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

    def forward(
        self, tokens: Tensor, shared: Tensor | None = None, common: Tensor | None = None
    ) -> Tensor:
        """Project tokens [..., width_in]; `shared` and `common` as in `two_layers`."""
        return two_layers(
            tokens, self[0], RELU, self[2], chunk=self.chunk, shared=shared, common=common
        )


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
    shared: Tensor | None = None,
    common: Tensor | None = None,
) -> Tensor:
    """Return second(dropout(activation(first(t)))) for tokens t [..., width].

    `chunk` is the number of tokens at a time; None means what the cache holds on CPU and all of
    them on an accelerator. `dropout` is 0 outside training. With `shared` [N, width] and `common`
    [B, width] the tokens [B, N, width] get both added; they are then data, without a gradient.
    """
    n_tokens = tokens.shape[:-1].numel()
    if chunk is None and tokens.device.type == "cpu":
        chunk = max(1, CACHED_HIDDEN // first.out_features)
    if chunk is None or n_tokens <= chunk or torch.compiler.is_compiling():
        if shared is not None:
            tokens = tokens + shared + common.unsqueeze(1)
        return second(F.dropout(activation.value(first(tokens)), dropout))
    arguments = (tokens, shared, common, first.weight, first.bias, second.weight, second.bias)
    if torch.is_autocast_enabled(tokens.device.type):
        half = torch.get_autocast_dtype(tokens.device.type)
        arguments = tuple(tensor if tensor is None else tensor.to(half) for tensor in arguments)
    with torch.autocast(tokens.device.type, enabled=False):
        return TwoLayers.apply(*arguments, activation, dropout, chunk)


class TwoLayers(torch.autograd.Function):
    """W2 a(W1 t + b1) + b2 by chunks, for tokens t or sums t = tokens + shared + common.

    The wide layer is made again for the gradient: keeping it saved 4 % of the time of a step on CPU
    and cost a fifth more memory. Dropout draws its numbers in the order of the chunks, from a state
    of the generator that the gradient goes back to.
    """

    @staticmethod
    def forward(
        ctx,
        tokens: Tensor,
        shared: Tensor | None,
        common: Tensor | None,
        w1: Tensor,
        b1: Tensor,
        w2: Tensor,
        b2: Tensor,
        activation: Activation,
        dropout: float,
        chunk: int,
    ) -> Tensor:
        """Map tokens [..., width] by `chunk` tokens at a time.

        Of a sum, tokens [B, N, width] are data without a gradient, `shared` [N, width] is the same
        for all samples, and `common` [B, width] for all tokens of a sample.
        """
        ctx.is_sum = shared is not None
        if ctx.is_sum:
            samples = (tokens + shared).add_(common.unsqueeze(1))
        else:
            samples = tokens.flatten(0, -2).unsqueeze(0)
        output = samples.new_empty(*tokens.shape[:-1], len(w2))
        outputs = output.view(*samples.shape[:2], len(w2))
        ctx.activation, ctx.dropout, ctx.chunk = activation, dropout, chunk
        ctx.random_state = generator_state(tokens.device) if dropout else None
        for part in parts(samples, chunk):
            hidden = activation.value(torch.addmm(b1, samples[part], w1.T))
            if dropout:
                hidden.mul_(kept_units(hidden, dropout))
            torch.addmm(b2, hidden, w2.T, out=outputs[part])
        ctx.save_for_backward(samples, w1, b1, w2)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of tokens, or of `shared` and `common`, and of weights and biases.

        Those of `shared` and `common` are sums over samples and over tokens, which are taken before
        the product with W1: one product serves all samples.
        """
        samples, w1, b1, w2 = ctx.saved_tensors
        n_samples, n_tokens, width = samples.shape
        gradients = gradient.reshape(n_samples, n_tokens, len(w2))
        dtokens = samples.new_empty(1 if ctx.is_sum else n_samples, n_tokens, width)
        dw1, dw2 = (torch.zeros_like(w, dtype=_exact(w)) for w in (w1, w2))
        db1 = dw1.new_zeros(n_samples, len(w1))
        with replayed(ctx.random_state, samples.device):
            total = None
            for sample, rows in parts(samples, ctx.chunk):
                t, g = samples[sample, rows], gradients[sample, rows]
                z = torch.addmm(b1, t, w1.T)
                hidden, dhidden = ctx.activation.value(z), g @ w2
                if ctx.dropout:
                    units = kept_units(hidden, ctx.dropout)
                    hidden.mul_(units)
                    dhidden.mul_(units)
                add_product(dw2, g.T, hidden)
                dz = ctx.activation.gradient(dhidden, z)
                add_product(dw1, dz.T, t)
                db1[sample] += dz.sum(0)
                if ctx.is_sum:
                    total = dz if sample == 0 else total.add_(dz)
                    if sample == n_samples - 1:
                        torch.mm(total, w1, out=dtokens[0, rows])
                else:
                    torch.mm(dz, w1, out=dtokens[sample, rows])
        db2 = gradients.flatten(0, 1).sum(0)
        weights = dw1.to(w1), db1.sum(0).to(b1), dw2.to(w2), db2, None, None, None
        if ctx.is_sum:
            return None, dtokens[0], db1.to(w1) @ w1, *weights
        return dtokens.view(*gradient.shape[:-1], width), None, None, *weights


def parts(samples: Tensor, size: int) -> Iterator[tuple[int, slice]]:
    """Yield pieces of samples [B, N, width], at most `size` tokens of one; all samples in turn."""
    for start in range(0, samples.shape[1], size):
        for sample in range(len(samples)):
            yield sample, slice(start, start + size)


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
