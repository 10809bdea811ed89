"""How one expression value becomes a vector: sines and cosines of the value itself.

Where a language model encodes the position of a word, BulkFormer encodes how much a gene is
expressed, so that nearby expression values get nearby vectors. A masked or absent gene gets zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def inverse_frequencies(dim: int, base: float) -> Tensor:
    """Return the angular frequencies base^(-2i/dim), i = 0 … dim/2 - 1, as float32 [dim/2]."""
    return base ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)


class ExpressionEmbedding(nn.Module):
    """Sinusoidal embedding of expression values.

    The paper's checkpoints store the frequencies as a parameter that is never trained
    (`stored=True`, key `inv_freq`); bulkformer-latest computes them anew (`stored=False`, no key).
    """

    def __init__(self, dim: int, base: float, mask_value: float, *, stored: bool):
        super().__init__()
        self.mask_value = mask_value
        if stored:
            self.inv_freq = nn.Parameter(inverse_frequencies(dim, base), requires_grad=False)
        else:
            self.register_buffer("inv_freq", inverse_frequencies(dim, base), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Embed `x` [..., G], natural log1p(TPM), as [sin | cos] [..., G, dim]."""
        angle = x.unsqueeze(-1) * self.inv_freq
        embedding = torch.cat([angle.sin(), angle.cos()], dim=-1)
        return embedding.masked_fill_((x == self.mask_value).unsqueeze(-1), 0.0)
