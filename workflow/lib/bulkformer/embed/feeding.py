"""How samples enter a network and how its gene tokens become one vector; shared by all networks.

Genes are matched by identifier, never by position: a network may have another gene list than the
vocabulary. Genes that it knows and the vocabulary lacks are fed as absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Pooling = Literal["max", "mean", "mean_measured", "median", "all"]
NOT_IN_VOCABULARY = -1


def align(model_genes: list[str], vocabulary: list[str]) -> np.ndarray:
    """Return the vocabulary column of every model gene, int64 [M]; NOT_IN_VOCABULARY if none."""
    column = {gene: i for i, gene in enumerate(vocabulary)}
    return np.array([column.get(gene, NOT_IN_VOCABULARY) for gene in model_genes], dtype=np.int64)


def to_model_genes(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Reorder vocabulary columns [n, G] to model genes [n, M]; NaN where there is no column."""
    return np.where(columns == NOT_IN_VOCABULARY, np.float32(np.nan), values[:, columns])


def to_vocabulary(predicted: np.ndarray, columns: np.ndarray, n_genes: int) -> np.ndarray:
    """Reorder model genes [n, M] to vocabulary columns [n, G]; NaN where the model has none."""
    result = np.full((len(predicted), n_genes), np.nan, dtype=np.float32)
    known = columns != NOT_IN_VOCABULARY
    result[:, columns[known]] = predicted[:, known]
    return result


def pool(tokens: Tensor, measured: Tensor, pooling: Pooling) -> Tensor:
    """Pool gene tokens [B, M, D] to sample vectors [B, D].

    `max` over all genes is the rule of the BulkFormer paper; `mean` and `median` are over all genes
    too; `mean_measured` is over the genes that `measured` (bool [M]) marks; `all` is the sum of
    maximum, mean and median.
    """
    if pooling == "max":
        return tokens.amax(dim=1)
    if pooling == "mean":
        return tokens.mean(dim=1)
    if pooling == "mean_measured":
        return tokens[:, measured].mean(dim=1)
    if pooling == "median":
        return _median(tokens)
    return tokens.amax(dim=1) + tokens.mean(dim=1) + _median(tokens)


def _median(tokens: Tensor) -> Tensor:
    """Return the median over genes [B, D]; with an even number, the mean of the middle two."""
    n_genes = tokens.shape[1]
    lower = tokens.kthvalue((n_genes + 1) // 2, dim=1).values
    return lower if n_genes % 2 else (lower + tokens.kthvalue(n_genes // 2 + 1, dim=1).values) / 2
