"""Where training starts: the gene table at random, as in the paper, or from principal components.

On a small corpus a few hundred steps are too few to learn, from nothing, which genes are high,
which are low and which vary together. The training samples say so directly.
"""

from __future__ import annotations

import numpy as np
import torch

from bulkformer.pretrain.batches import CorpusSamples

MAX_SAMPLES = 2000  # the Gram matrix of more would cost more than it adds


def principal_gene_vectors(samples: CorpusSamples, dim: int) -> torch.Tensor:
    """Return a start for the gene table, float32 [n_genes, dim], from training samples alone.

    The first column is the mean of each gene, the others its loadings on the principal components,
    each scaled to mean 0 and variance 1 over genes, as the usual random start has. Absent values
    count as the gene's mean. Columns beyond the rank of the data are 0.
    """
    step = max(1, len(samples) // MAX_SAMPLES)
    values = samples.read(np.arange(0, len(samples), step)).double()
    present = ~values.isnan()
    mean = values.nan_to_num(0.0).sum(0) / present.sum(0).clamp(min=1)
    centred = torch.where(present, values - mean, 0.0)
    strength, vectors = torch.linalg.eigh(centred @ centred.T)
    rank = min(dim - 1, int((strength > 1e-9 * strength[-1]).sum()))
    components = vectors.flip(1)[:, :rank]
    sign = torch.where(components.sum(0) < 0, -1.0, 1.0)  # eigenvectors have no sign of their own
    columns = torch.cat([mean.unsqueeze(1), centred.T @ (components * sign)], dim=1)
    columns = (columns - columns.mean(0)) / columns.std(0).clamp(min=1e-9)
    table = torch.zeros(samples.n_genes, dim)
    table[:, : columns.shape[1]] = columns.float()
    return table
