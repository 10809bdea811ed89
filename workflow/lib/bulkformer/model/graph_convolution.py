"""Graph convolution: every gene receives the weighted sum of what its graph neighbours hold.

The graph is data, not weights: it is given to the model and saved beside the weights, never among
them. It is directed in general, and no shape check notices a transposed one.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bulkformer.errors import InputError
from bulkformer.model.compiling import outside_compilers


class Graph(NamedTuple):
    """Edges among genes as vocabulary indices and weights: int [E], int [E], float32 [E].

    An edge adds its weight to A[source, target]; row i of A is what gene i receives. Wherever a
    graph is taken, the NumPy arrays of `graph.edges.Edges` do as well.
    """

    source: Tensor
    target: Tensor
    weight: Tensor

    def transposed(self) -> Graph:
        """Return the graph whose every edge is turned round."""
        return Graph(self.target, self.source, self.weight)


class SparseRows(NamedTuple):
    """A sparse matrix by rows: where each row starts int32 [G + 1], columns int32, values [N]."""

    start: Tensor
    column: Tensor
    value: Tensor


def normalise_adjacency(graph: Graph, n_genes: int) -> Graph:
    """Return D^(-1/2) A D^(-1/2) as sorted, unique edges; D holds the row sums of A, 1/0 is 0.

    Repeated edges add up, no self loops are added. Raises InputError for a gene outside the
    vocabulary, and for weights whose row sum has no square root: one such gene would turn every
    prediction into NaN.
    """
    source, target, weight = (
        column if isinstance(column, Tensor) else torch.from_numpy(column) for column in graph
    )
    source, target = source.long(), target.long()
    ends = torch.cat([source, target])
    if ((ends < 0) | (ends >= n_genes)).any():
        raise InputError(
            f"the graph names genes outside 0..{n_genes - 1}; take the graph of this vocabulary"
        )
    edge, place = torch.unique(source * n_genes + target, return_inverse=True)
    source, target = edge // n_genes, edge % n_genes
    total = edge.new_zeros(len(edge), dtype=torch.float64)
    total.index_add_(0, place, weight.double())
    degree = total.new_zeros(n_genes).index_add_(0, source, total)
    invalid = ~(degree.isfinite() & (degree >= 0))
    if invalid.any():
        gene = int(invalid.nonzero()[0])
        raise InputError(
            f"the graph weights of gene {gene} sum to {float(degree[gene])}; "
            "every sum must be finite and at least 0"
        )
    scale = degree.rsqrt().masked_fill_(degree == 0, 0.0)
    return Graph(source, target, (scale[source] * total * scale[target]).float())


def sparse_rows(graph: Graph, n_genes: int) -> SparseRows:
    """Return the adjacency of `graph` (each edge once) by rows."""
    order = torch.argsort(graph.source * n_genes + graph.target)
    degrees = torch.bincount(graph.source, minlength=n_genes)
    start = torch.cat([degrees.new_zeros(1), degrees.cumsum(0)])
    return SparseRows(start.int(), graph.target[order].int(), graph.weight[order])


def multiply(matrix: SparseRows, h: Tensor) -> Tensor:
    """Return matrix @ h[b] for every sample b of h [B, G, D].

    One product a sample, written in its place, spares the two transposed copies of h that a single
    product over [G, B * D] takes, and is faster for it.
    """
    n_genes = h.shape[1]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        sparse = torch.sparse_csr_tensor(
            matrix.start,
            matrix.column,
            matrix.value.to(h.dtype),
            (n_genes, n_genes),
            check_invariants=False,
        )
    result = torch.empty_like(h)
    with torch.autocast(h.device.type, enabled=False):
        for sample, product in zip(h, result, strict=True):
            torch.mm(sparse, sample, out=product)
    return result


class SparseProduct(torch.autograd.Function):
    """A h, whose gradient A^T g uses a transpose that was made once and not in every step."""

    @staticmethod
    def forward(ctx, h: Tensor, matrix: SparseRows, transpose: SparseRows) -> Tensor:
        """Multiply h [B, G, D], in float32 or float64, by the matrix [G, G]."""
        ctx.transpose = transpose
        return multiply(matrix, h.contiguous())

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Multiply the gradient by the transpose."""
        return multiply(ctx.transpose, gradient.contiguous()), None, None


@outside_compilers  # compilers know no sparse rows
def receive(h: Tensor, matrix: SparseRows, transpose: SparseRows) -> Tensor:
    """Return matrix @ h[b] for every sample, in float32 or float64: no gene sums up halves."""
    exact = h.to(torch.promote_types(h.dtype, torch.float32))
    return SparseProduct.apply(exact, matrix, transpose)


class GraphConvolution(nn.Module):
    """A_n (h W^T) + b with A_n the normalised adjacency (Kipf and Welling 2017).

    Keys `lin.weight` and, with `bias`, `bias`. A_n and its transpose are buffers that follow the
    module to its device and stay out of the state dict.
    """

    def __init__(self, dim: int, graph: Graph, n_genes: int, *, bias: bool = True):
        super().__init__()
        self.lin = nn.Linear(dim, dim, bias=False)
        nn.init.xavier_uniform_(self.lin.weight)
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None
        adjacency = normalise_adjacency(graph, n_genes)
        self._keep("matrix", sparse_rows(adjacency, n_genes))
        self._keep("transpose", sparse_rows(adjacency.transposed(), n_genes))

    def forward(self, h: Tensor) -> Tensor:
        """Convolve h [B, G, dim]; the sparse product never runs in half precision."""
        messages = self.lin(h)
        received = receive(messages, self._kept("matrix"), self._kept("transpose")).to(h.dtype)
        return received if self.bias is None else received + self.bias

    def _keep(self, name: str, rows: SparseRows) -> None:
        # Three plain tensors instead of one sparse tensor: these can be broadcast and moved.
        for field, tensor in rows._asdict().items():
            self.register_buffer(f"{name}_{field}", tensor, persistent=False)

    def _kept(self, name: str) -> SparseRows:
        return SparseRows(*(getattr(self, f"{name}_{field}") for field in SparseRows._fields))
