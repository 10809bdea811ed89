"""Random positive features φ with E[φ(q) · φ(k)] ∝ exp(q · k / sqrt(d)), as in the Performer.

They turn softmax attention, which compares all genes with all genes, into two thin products
(Choromanski et al. 2021). Every function here is one step of that paper and of performer-pytorch.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FEATURE_FLOOR = 1e-4  # keeps every feature, and so every denominator, away from zero


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
    """Return d^(-1/4) t P^T [..., n, features] for tokens t [..., n, d]."""
    return F.linear(tokens, projection * tokens.shape[-1] ** -0.25)


def half_norm(tokens: Tensor) -> Tensor:
    """Return |t|² / (2 sqrt(d)) [..., n, 1] for tokens t [..., n, d]."""
    return tokens.square().sum(-1, keepdim=True).mul_(0.5 * tokens.shape[-1] ** -0.5)


def exponentials(tokens: Tensor, projection: Tensor, offset: Tensor) -> Tensor:
    """Return exp(d^(-1/4) P t - offset) [..., n, features] of tokens t [..., n, d].

    With the offset |t|² / (2 sqrt(d)) + M these are the features φ(t) less their floor. M keeps the
    exponential in range: a query's own largest projection, and for keys the largest projection over
    all keys and features of one head of one sample, so that no sample depends on its batch. The
    factor features^(-1/2) of the paper is left out, because attention divides it away.
    """
    return project(tokens, projection).sub_(offset).exp_()


def with_row_sums(projection: Tensor) -> Tensor:
    """Return d^(-1/4) P and a column of ones [features, d + 1]: what gradients go back through."""
    return F.pad(projection * projection.shape[-1] ** -0.25, (0, 1), value=1.0)


def gradient_of_tokens(
    gradient: Tensor, exponentials: Tensor, tokens: Tensor, directions: Tensor
) -> Tensor:
    """Return the gradient of tokens from that of their features, which it overwrites.

    M counts as a constant. `directions` come from `with_row_sums`.
    """
    back = gradient.mul_(exponentials) @ directions
    return torch.addcmul(back[..., :-1], tokens, back[..., -1:], value=-(tokens.shape[-1] ** -0.5))
