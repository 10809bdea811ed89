"""Graph convolution: directed, weighted, normalised by rows; right values and right gradients."""

import warnings

import pytest
import torch

from bulkformer.errors import InputError
from bulkformer.model.graph_convolution import (
    Graph,
    GraphConvolution,
    SparseProduct,
    normalise_adjacency,
    sparse_rows,
)

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
    from torch_geometric.nn import GCNConv

N_GENES = 30


def dense(graph: Graph) -> torch.Tensor:
    matrix = torch.zeros(N_GENES, N_GENES)
    return matrix.index_put((graph.source, graph.target), graph.weight, accumulate=True)


def test_it_agrees_with_torch_geometric_on_a_directed_weighted_graph(graph, generator):
    ours = GraphConvolution(8, graph, N_GENES)
    theirs = GCNConv(8, 8, add_self_loops=False)
    torch.nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    h = torch.randn(2, N_GENES, 8, generator=generator)
    # torch_geometric sends messages from the first row of its edges to the second.
    edges = torch.stack([graph.target, graph.source])
    torch.testing.assert_close(ours(h), theirs(h, edges, graph.weight), rtol=1e-5, atol=1e-6)


def test_a_transposed_graph_gives_another_result(graph, generator):
    h = torch.randn(2, N_GENES, 8, generator=generator)
    forward, backward = (
        GraphConvolution(8, edges, N_GENES) for edges in (graph, graph.transposed())
    )
    backward.load_state_dict(forward.state_dict())
    assert (forward(h) - backward(h)).abs().max() > 1e-2


def test_the_gradient_is_that_of_a_dense_matrix(graph, generator):
    adjacency = normalise_adjacency(graph, N_GENES)
    rows, columns = (sparse_rows(g, N_GENES) for g in (adjacency, adjacency.transposed()))
    h = torch.randn(3, N_GENES, 4, generator=generator, requires_grad=True)
    direction = torch.randn(3, N_GENES, 4, generator=generator)
    sparse, full = SparseProduct.apply(h, rows, columns), dense(adjacency) @ h
    torch.testing.assert_close(sparse, full)
    expected = torch.autograd.grad(full, h, direction)
    torch.testing.assert_close(torch.autograd.grad(sparse, h, direction), expected)
    from_expanded = torch.autograd.grad(SparseProduct.apply(h, rows, columns).sum(), h)
    torch.testing.assert_close(from_expanded, torch.autograd.grad((dense(adjacency) @ h).sum(), h))


def test_repeated_edges_add_and_genes_without_edges_receive_nothing():
    graph = Graph(
        torch.tensor([0, 0, 0, 1]), torch.tensor([1, 1, 2, 0]), torch.tensor([1.0, 2.0, 1.0, 9.0])
    )
    normalised = dense(normalise_adjacency(graph, N_GENES))
    expected = torch.zeros(N_GENES, N_GENES)
    expected[0, 1] = 3 / (4 * 9) ** 0.5  # row sums: 4 for gene 0, 9 for gene 1
    expected[1, 0] = 9 / (9 * 4) ** 0.5
    torch.testing.assert_close(normalised, expected)  # 0 → 2 vanishes: gene 2 has row sum 0


def test_the_order_of_edges_does_not_matter(graph, generator):
    order = torch.randperm(len(graph.weight), generator=generator)
    shuffled = Graph(*(column[order] for column in graph))
    arrays = (column.numpy() for column in shuffled)
    ours, other = (normalise_adjacency(g, N_GENES) for g in (graph, Graph(*arrays)))
    assert torch.equal(ours.source, other.source)
    assert torch.equal(ours.target, other.target)
    torch.testing.assert_close(ours.weight, other.weight)


def test_the_graph_is_no_part_of_the_weights(graph):
    assert set(GraphConvolution(8, graph, N_GENES).state_dict()) == {"lin.weight", "bias"}


@pytest.mark.parametrize(
    ("source", "weight", "message"),
    [(30, 1.0, "outside 0..29"), (3, -1.0, "gene 3"), (3, float("nan"), "gene 3")],
)
def test_a_graph_that_cannot_be_normalised_is_refused(source, weight, message):
    graph = Graph(torch.tensor([source]), torch.tensor([0]), torch.tensor([weight]))
    with pytest.raises(InputError, match=message):
        normalise_adjacency(graph, N_GENES)
