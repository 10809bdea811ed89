"""Random positive features φ with E[φ(q) · φ(k)] ∝ exp(q · k / sqrt(d)), as in the Performer.

They turn softmax attention, which compares all genes with all genes, into two thin products
(Choromanski et al. 2021). Every function here is one step of that paper and of performer-pytorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

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


def key_stabiliser(chunks: Iterable[Tensor], projection: Tensor) -> Tensor:
    """Return the largest projection over the keys and features [B, heads, 1, 1].

    It is taken within one head of one sample, so that no sample depends on its batch.
    """
    largest = [project(keys, projection).amax((-2, -1), keepdim=True) for keys in chunks]
    return torch.stack(largest).amax(0)


def softmax_kernel(tokens: Tensor, projection: Tensor, stabiliser: Tensor | None = None) -> Tensor:
    """Return the positive features φ [..., n, features] of tokens t [..., n, d].

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
