"""What a network costs: parameters, operations, memory, and how fast a device could do it.

Operations are those of matrix products, two for each multiplication and addition, as is usual;
work done a second time to save memory is not counted. Model FLOP utilisation is then
training_flops x samples a second / matrix_rate.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import torch

from bulkformer.model.attention import STREAMED_FEATURES
from bulkformer.model.bulkformer import BulkFormer, BulkFormerConfig
from bulkformer.model.bulkformer_latest import BulkFormerLatest, BulkFormerLatestConfig
from bulkformer.model.graph_convolution import Graph

Config = BulkFormerConfig | BulkFormerLatestConfig
RATE_SIZES = {"cpu": 2048, "cuda": 8192}  # of the square matrices that tell a device's rate


class Products(NamedTuple):
    """Operations of one sample's matrix products, by how many gradients they have.

    Attributes
    ----------
    two_gradients : of both factors, such as a learned weight and what it maps
    one_gradient : of one factor; the other is no weight but data, as the graph is, or a constant
    """

    two_gradients: float
    one_gradient: float


def parameters(config: Config) -> int:
    """Return the number of weights, the gene table among them whether it is trained or not.

    Constants that files of weights also hold (frequencies, random projections) are none.
    """
    kind = BulkFormer if isinstance(config, BulkFormerConfig) else BulkFormerLatest
    no_gene = torch.zeros(0, dtype=torch.long)
    no_edges = Graph(no_gene, no_gene, torch.zeros(0))
    with torch.device("meta"):  # shapes without memory
        model = kind(config, no_edges)
    return sum(
        weight.numel() for name, weight in model.named_parameters() if "inv_freq" not in name
    )


def forward_flops(config: Config, n_edges: int, batch_size: int | None = None) -> float:
    """Return the operations of one sample's forward pass over a graph of `n_edges` edges.

    What is computed once for a batch, the projection of the gene table, is shared by `batch_size`
    samples, and left out without one.
    """
    return sum(_products(config, n_edges, batch_size))


def training_flops(config: Config, n_edges: int, batch_size: int | None = None) -> float:
    """Return the operations of one sample's forward and backward pass, as `forward_flops`.

    Every factor that has a gradient costs one more product of the same size.
    """
    products = _products(config, n_edges, batch_size)
    return 3 * products.two_gradients + 2 * products.one_gradient


def memory_bytes(
    config: Config,
    batch_size: int,
    precision: str = "float32",
    checkpointing: bool = False,
    device: str = "cuda",
) -> int:
    """Return the memory that training takes, in bytes, to within the allocator's waste.

    Counted: weights, their gradients and both moments of AdamW in float32; what the forward pass
    keeps for the gradient; on an accelerator the streamed features. Not counted: the interpreter
    and its libraries (0.4 GB on CPU, 0.5 GB of CUDA context), the graph, and tensors that live for
    one operation.

    Parameters
    ----------
    precision : "float32", or "bfloat16" under autocast
    checkpointing : a Performer layer keeps its input alone; one layer at a time is kept whole
    device : "cpu" makes wide layers anew for the gradient, others keep them
    """
    exact, half = 4, 2 if precision == "bfloat16" else 4
    wide = 0 if device == "cpu" else 8 * half  # a layer of width 4 before and after activation
    # Bytes for a number of a token: both inputs of norms; two normalised, q, k, v and attended.
    layer = 2 * exact + 6 * half + wide
    stack = config.layers * exact + layer if checkpointing else config.layers * layer
    # The sum of embeddings and its wide layer, the graph step, and the head.
    around = 5 * exact + 3 * half + wide
    kept = batch_size * config.n_genes * config.dim * (stack + around)
    shared = config.n_genes * config.dim * (exact + wide)
    streamed = 0 if device == "cpu" else 3 * exact * STREAMED_FEATURES
    return int(4 * exact * parameters(config) + kept + shared + streamed)


def matrix_rate(
    device: torch.device | str, dtype: torch.dtype = torch.float32, seconds: float = 0.3
) -> float:
    """Measure the operations a second of large matrix products: the best of a few turns."""
    device = torch.device(device)
    size = RATE_SIZES.get(device.type, RATE_SIZES["cpu"])
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    took = []
    start = time.perf_counter()
    while len(took) < 3 or time.perf_counter() - start < seconds:
        _wait(device)
        turn = time.perf_counter()
        torch.mm(left, right)
        _wait(device)
        took.append(time.perf_counter() - turn)
    return 2 * size**3 / min(took)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _products(config: Config, n_edges: int, batch_size: int | None) -> Products:
    """Count the products of one sample, from the widths of their factors."""
    dim, heads = config.dim, config.heads
    features = getattr(config, "features_per_head", config.features)
    # Attention: q, k, v and back; context and its weighing, each with the sum of weights.
    weights = 4 * dim * dim + 2 * features * (dim + heads) + 2 * 4 * dim * dim
    random_projection = 2 * features * dim
    gene_dim = config.gene_dim or dim
    if isinstance(config, BulkFormerConfig):
        outside = 8 * dim * dim + config.blocks * dim * dim + (dim + 3) * dim + dim
        once = 4 * dim * (gene_dim + dim)
        sample = 4 * dim * (config.n_genes + dim)
        layers, graph_dim = config.layers * config.blocks, config.blocks * dim
    else:
        bottleneck = config.graph_dim
        outside = 2 * dim * bottleneck + bottleneck**2 + dim * dim + dim
        once = gene_dim * dim if config.gene_dim else 0
        sample, layers, graph_dim = 0, config.layers, bottleneck
    genes = config.n_genes
    share = once * genes / batch_size if batch_size else 0
    return Products(
        2.0 * (genes * (outside + layers * weights) + sample + share),
        2.0 * (genes * layers * random_projection + n_edges * graph_dim),
    )
