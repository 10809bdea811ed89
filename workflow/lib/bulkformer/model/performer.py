"""The Performer: layers of attention among all tokens and of work within each token.

The nesting of modules is that of performer-pytorch, because released checkpoints carry it in their
keys (`net.layers.0.0.fn.to_q.weight`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bulkformer.model.attention import FastAttention
from bulkformer.model.attention_features import orthogonal_gaussian_projection
from bulkformer.model.token_wise import GELU, two_layers


class SelfAttention(nn.Module):
    """Queries, keys and values of the tokens, attention, and the way back: [B, N, dim] to same."""

    def __init__(
        self, dim: int, heads: int, features: int, dropout: float = 0.0, chunk: int | None = None
    ):
        super().__init__()
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.to_out = nn.Linear(dim, dim)
        self.fast_attention = FastAttention(dim // heads, features, chunk)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        attended = self.fast_attention(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        return self.dropout(self.to_out(attended))


class FeedForward(nn.Module):
    """Each token on its own: dim → 4 dim → dim with an exact GELU between."""

    def __init__(self, dim: int, dropout: float = 0.0, chunk: int | None = None):
        super().__init__()
        self.w1 = nn.Linear(dim, 4 * dim)
        self.w2 = nn.Linear(4 * dim, dim)
        self.dropout = dropout
        self.chunk = chunk

    def forward(self, tokens: Tensor) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        return two_layers(tokens, self.w1, GELU, self.w2, dropout, self.chunk)


class Wrapped(nn.Module):
    """performer-pytorch wraps its feed-forward once more, and released keys say so (`fn.fn.w1`)."""

    def __init__(self, fn: nn.Module):
        super().__init__()
        self.fn = fn

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fn(tokens)


class PreNorm(nn.Module):
    """x + fn(LayerNorm(x)): a residual branch."""

    def __init__(self, dim: int, fn: nn.Module):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.fn(self.norm(tokens))


class PerformerLayer(nn.ModuleList):
    """Attention among tokens, then feed-forward within each; keys `0.` and `1.`."""

    def __init__(
        self,
        dim: int,
        heads: int,
        features: int,
        attention_dropout: float = 0.0,
        feed_forward_dropout: float = 0.0,
        chunk: int | None = None,
    ):
        attention = SelfAttention(dim, heads, features, attention_dropout, chunk)
        feed_forward = Wrapped(FeedForward(dim, feed_forward_dropout, chunk))
        super().__init__([PreNorm(dim, attention), PreNorm(dim, feed_forward)])

    def forward(self, tokens: Tensor) -> Tensor:
        for branch in self:
            tokens = branch(tokens)
        return tokens


class Stack(nn.Module):
    """Layers in sequence, under the key `layers`.

    With `activation_checkpointing` a layer keeps its input alone and runs again for the gradient.
    """

    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.activation_checkpointing = False

    def forward(self, tokens: Tensor) -> Tensor:
        again = self.activation_checkpointing and torch.is_grad_enabled()
        for layer in self.layers:
            tokens = checkpoint(layer, tokens, use_reentrant=False) if again else layer(tokens)
        return tokens


class CanCheckpointActivations(nn.Module):
    """A network whose attribute `activation_checkpointing` speaks for all its stacks of layers.

    It saves memory for a third more work; predictions, gradients and dropout stay the same.
    """

    @property
    def activation_checkpointing(self) -> bool:
        return any(stack.activation_checkpointing for stack in self._stacks())

    @activation_checkpointing.setter
    def activation_checkpointing(self, wanted: bool) -> None:
        for stack in self._stacks():
            stack.activation_checkpointing = wanted

    def _stacks(self) -> list[Stack]:
        return [module for module in self.modules() if isinstance(module, Stack)]


class ProjectionUpdater(nn.Module):
    """What released checkpoints keep beside the layers: a counter and the layers a second time.

    The counter is loaded and saved but never moved: projections are not redrawn on the way.
    """

    def __init__(self, instance: nn.Module):
        super().__init__()
        self.instance = instance
        self.register_buffer("calls_since_last_redraw", torch.tensor(0))


class Performer(nn.Module):
    """A stack of Performer layers with the keys of performer-pytorch: [B, N, dim] to the same."""

    def __init__(
        self,
        dim: int,
        layers: int,
        heads: int,
        features: int,
        attention_dropout: float = 0.0,
        feed_forward_dropout: float = 0.0,
        chunk: int | None = None,
    ):
        super().__init__()
        self.net = Stack(
            [
                PerformerLayer(dim, heads, features, attention_dropout, feed_forward_dropout, chunk)
                for _ in range(layers)
            ]
        )
        self.proj_updater = ProjectionUpdater(self.net)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.net(tokens)

    @torch.no_grad()
    def redraw_projections(self) -> None:
        """Draw new random directions in every layer, for whoever asks; nothing here does."""
        for module in self.net.modules():
            if isinstance(module, FastAttention):
                directions = module.projection_matrix
                directions.copy_(orthogonal_gaussian_projection(*directions.shape))
        self.proj_updater.calls_since_last_redraw.zero_()
