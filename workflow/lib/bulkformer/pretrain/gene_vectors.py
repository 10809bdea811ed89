"""Vectors of genes: what a network made of each gene, and what simpler sources say of it.

A map of genes always shows clusters, and clusters of genes are always enriched in something. So the
vectors of the trained network come together with those of the same network before training, with
the principal components of the training samples, and with nothing but the level of expression.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from bulkformer.graph.edges import Edges
from bulkformer.model.bulkformer import BulkFormer, seeded_weights
from bulkformer.model.variants import gene_table_of
from bulkformer.pretrain.batches import CorpusSamples, in_order
from bulkformer.pretrain.masking import hide
from bulkformer.pretrain.start import principal_gene_vectors

SUMMARY_SCALARS = 3  # end the paper's gene vectors; they describe the sample and no gene
COMPONENTS = 50


def gene_vectors(
    model: torch.nn.Module,
    graph: Edges,
    training: CorpusSamples,
    shown: CorpusSamples,
    indices: np.ndarray,
    gene_start: str | None,
    seed: int,
    batch_size: int,
) -> dict[str, np.ndarray]:
    """Return {source: float32 [n_genes, width]}, NaN for genes that no shown sample measured.

    Parameters
    ----------
    training : samples of the principal components
    shown, indices : samples that the network sees with nothing hidden
    gene_start : how the gene table of the run began. From principal components it holds much before
        any training; then the network with that table is a source of its own, "start".
    """
    components = principal_gene_vectors(training, COMPONENTS + 1)[:, 1:]  # the first is the mean
    before = untrained(model, graph, seed)
    sources = {
        "contextual": contextual_vectors(model, shown, indices, batch_size),
        "identity": identity_vectors(model),
        "untrained": contextual_vectors(before, shown, indices, batch_size),
        "principal_components": components.numpy(),
    }
    if gene_start == "principal_components":
        table = gene_table_of(before)
        table.data = principal_gene_vectors(training, table.shape[1]).to(table.device)
        sources["start"] = contextual_vectors(before, shown, indices, batch_size)
    return sources


def contextual_vectors(
    model: torch.nn.Module, samples: CorpusSamples, indices: np.ndarray, batch_size: int
) -> np.ndarray:
    """Return the mean gene vector over the samples that measured the gene, nothing hidden."""
    device = next(model.parameters()).device
    total, count = torch.zeros(()), torch.zeros(samples.n_genes, dtype=torch.float64)
    for places in in_order(len(indices), batch_size):
        values = samples.read(indices[places])
        measured = ~values.isnan()
        seen, share = hide(values, torch.zeros_like(measured))
        with torch.inference_mode():
            if isinstance(model, BulkFormer):
                vectors = model.embed(seen.to(device), share.to(device))[..., :-SUMMARY_SCALARS]
            else:
                vectors = model.embed(seen.to(device))
        vectors = vectors.cpu().masked_fill(~measured.unsqueeze(-1), 0.0)
        total = total + vectors.sum(0, dtype=torch.float64)
        count += measured.sum(0)
    return (total / torch.where(count > 0, count, torch.nan).unsqueeze(-1)).float().numpy()


@torch.inference_mode()
def identity_vectors(model: torch.nn.Module) -> np.ndarray:
    """Return what stands for each gene before any value is known: the gene table as it is used."""
    table = gene_table_of(model)
    if isinstance(model, BulkFormer):
        return model.gene_emb_proj(table).float().cpu().numpy()
    return F.rms_norm(table, table.shape[-1:], eps=1e-8).float().cpu().numpy()


def untrained(model: torch.nn.Module, graph: Edges, seed: int) -> torch.nn.Module:
    """Return the same network with random weights.

    What training leaves as it is, such as a fixed gene table made of protein sequences, is the
    same: it is no merit of the training.
    """
    with seeded_weights(seed):
        fresh = type(model)(model.config, graph)
    trained = dict(model.named_parameters())
    kept: dict[str, Any] = {
        name: trained[name].detach().cpu()
        for name in fresh.state_dict()
        if name in trained and not trained[name].requires_grad
    }
    fresh.load_state_dict(kept, strict=False)
    return fresh.to(next(model.parameters()).device).eval()
