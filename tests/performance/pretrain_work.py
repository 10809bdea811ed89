"""The work that pretraining is measured on: a random graph, hidden genes, one step."""

from __future__ import annotations

import functools
import sys

import harness

sys.path.insert(0, str(harness.LIBRARY))

import torch

from bulkformer.model.graph_convolution import Graph

NEIGHBOURS, MASK_FRACTION, UNEXPRESSED = 20, 0.15, 0.3


def random_graph(n_genes: int, neighbours: int = NEIGHBOURS) -> Graph:
    """Return a directed graph in which every gene receives from as many others."""
    generator = torch.Generator().manual_seed(0)
    source = torch.arange(n_genes).repeat_interleave(neighbours)
    target = torch.randint(n_genes, source.shape, generator=generator)
    return Graph(source, target, torch.rand(source.shape, generator=generator) + 0.1)


@functools.lru_cache(maxsize=2)  # on a GPU, drawing would take longer than a step
def random_batch(
    n_samples: int, n_genes: int, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the network sees, log1p(TPM) with hidden genes at -10, and the whole values."""
    generator = torch.Generator().manual_seed(1)
    values = 5 * torch.rand(n_samples, n_genes, generator=generator)
    values[torch.rand(values.shape, generator=generator) < UNEXPRESSED] = 0.0
    hidden = torch.rand(values.shape, generator=generator) < MASK_FRACTION
    return values.masked_fill(hidden, -10.0).to(device), values.to(device)


def train_once(model: torch.nn.Module, x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Predict, leave the gradients of the mean squared error of hidden genes, return predictions.

    As in training the sum runs over hidden genes alone.
    """
    model.zero_grad(set_to_none=True)
    prediction = model(x, torch.full((len(x),), MASK_FRACTION, device=x.device))
    hidden = x == -10
    ((prediction - values).square() * hidden).sum().div(hidden.sum()).backward()
    return prediction.detach()
