"""Control graphs keep what they promise to keep and forget the rest."""

import json
from collections import Counter

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.evaluate.exposure import rests_on_samples
from bulkformer.files import sha256
from bulkformer.graph.controls import control, exchanged, random_pairs
from bulkformer.graph.edges import read_graph, symmetric, write_graph

N_GENES = 300


def hub_graph(seed=0, n_pairs=900):
    """A graph of few hubs and many genes with few neighbours, as gene graphs are."""
    rng = np.random.default_rng(seed)
    likely = rng.pareto(1.5, N_GENES) + 0.1
    pairs = rng.choice(N_GENES, size=(n_pairs, 2), p=likely / likely.sum())
    return symmetric(pairs[:, 0], pairs[:, 1], rng.uniform(0.4, 1, n_pairs))


@pytest.fixture
def graph(tmp_path):
    edges = hub_graph()
    path = tmp_path / "coexpression.parquet"
    write_graph(path, edges, N_GENES)
    made = {"origin": "training samples of the corpus", "samples_sha256": "ab" * 32}
    path.with_suffix(".json").write_text(json.dumps(made))
    return path


def make(folder, graph, kind, seed=1):
    output, summary = folder / f"{kind}.parquet", folder / f"{kind}.json"
    control(kind, graph, graph.with_suffix(".json"), seed, output, summary)
    return read_graph(output, N_GENES), json.loads(summary.read_text())


@pytest.mark.parametrize("kind", ["random", "degree_matched"])
def test_a_control_has_the_edges_and_weights_of_its_graph_at_other_places(tmp_path, graph, kind):
    original = read_graph(graph, N_GENES)
    edges, summary = make(tmp_path, graph, kind)
    np.testing.assert_array_equal(np.sort(edges.weight), np.sort(original.weight))
    assert summary["kind"] == kind
    assert summary["of"] == "coexpression"
    assert summary["of_sha256"] == sha256(graph)
    assert summary["n_edges"] == len(original.source) // 2
    ours, theirs = (
        set(zip(g.source.tolist(), g.target.tolist(), strict=True)) for g in (edges, original)
    )
    assert summary["edges_shared"] == len(ours & theirs) // 2
    assert summary["edges_shared_share"] < 0.3


def test_only_the_degree_matched_control_keeps_every_degree(tmp_path, graph):
    degree = np.bincount(read_graph(graph, N_GENES).source, minlength=N_GENES)
    matched, summary = make(tmp_path, graph, "degree_matched")
    np.testing.assert_array_equal(np.bincount(matched.source, minlength=N_GENES), degree)
    assert summary["swaps"] >= 10 * summary["n_edges"]
    drawn, _ = make(tmp_path, graph, "random")
    assert np.bincount(drawn.source, minlength=N_GENES).max() < degree.max() / 2


@pytest.mark.parametrize("kind", ["random", "degree_matched"])
def test_a_control_that_keeps_weights_names_the_samples_that_they_come_from(tmp_path, graph, kind):
    _, summary = make(tmp_path, graph, kind)
    assert summary["samples_sha256"] == "ab" * 32
    assert summary["origin"] == "training samples of the corpus"
    assert rests_on_samples(tmp_path / f"{kind}.json")


def test_the_seed_decides(tmp_path, graph):
    for kind in ["random", "degree_matched"]:
        first, _ = make(tmp_path, graph, kind)
        again, _ = make(tmp_path, graph, kind)
        other, _ = make(tmp_path, graph, kind, seed=2)
        np.testing.assert_array_equal(first.target, again.target)
        np.testing.assert_array_equal(first.weight, again.weight)
        assert not np.array_equal(first.target, other.target)


def test_random_pairs_are_uniform_over_all_pairs():
    every = random_pairs(9, 36, np.random.default_rng(0))
    assert sorted(map(tuple, every.tolist())) == [(a, b) for a in range(9) for b in range(a + 1, 9)]
    drawn = [tuple(random_pairs(5, 1, np.random.default_rng(seed))[0]) for seed in range(2000)]
    _, times = np.unique(drawn, axis=0, return_counts=True)
    assert len(times) == 10
    assert times.min() > 140  # of 200 expected; six standard deviations below is 119


def test_pairs_of_many_genes_are_decoded_without_rounding():
    pairs = random_pairs(20_000, 5_000, np.random.default_rng(3))
    assert (pairs[:, 0] >= 0).all()
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert (pairs[:, 1] < 20_000).all()


def test_exchanges_reach_every_graph_with_the_same_degrees():
    # Two disjoint edges on four genes: three graphs, all alike, have these degrees.
    start = np.array([[0, 1], [2, 3]])
    found = [exchanged(start, 4, np.random.default_rng(seed))[0] for seed in range(600)]
    times = Counter(tuple(sorted(map(tuple, each.tolist()))) for each in found)
    assert len(times) == 3
    assert min(times.values()) > 130  # of 200 expected


def test_a_star_cannot_be_exchanged_and_stays():
    star = np.array([[0, gene] for gene in range(1, 6)])
    pairs, swaps = exchanged(star, 6, np.random.default_rng(0))
    assert swaps == 0
    assert sorted(map(tuple, pairs.tolist())) == [(0, gene) for gene in range(1, 6)]


def test_bad_input_is_refused(tmp_path, graph):
    with pytest.raises(InputError, match="'shuffled' is no control"):
        make(tmp_path, graph, "shuffled")
    graph.with_suffix(".json").write_text("no json")
    with pytest.raises(InputError, match=r"coexpression\.json: not the JSON of a graph"):
        make(tmp_path, graph, "random")
