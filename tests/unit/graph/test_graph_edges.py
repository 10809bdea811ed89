"""The one form of a graph: symmetric, sorted, without self loops, and described truthfully."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkformer.errors import InputError
from bulkformer.graph.combine import union
from bulkformer.graph.edges import (
    Edges,
    read_graph,
    read_sized_graph,
    statistics,
    symmetric,
    write_graph,
    write_published_graph,
)

# A triangle 0-1-2, a pair 3-4, and gene 5 alone.
TOY = symmetric(np.array([0, 1, 0, 3]), np.array([1, 2, 2, 4]), np.array([0.5, 0.6, 1.0, 0.8]))


def test_both_directions_are_listed_and_sorted():
    assert TOY.source.tolist() == [0, 0, 1, 1, 2, 2, 3, 4]
    assert TOY.target.tolist() == [1, 2, 0, 2, 0, 1, 4, 3]
    np.testing.assert_allclose(TOY.weight, [0.5, 1.0, 0.5, 0.6, 1.0, 0.6, 0.8, 0.8])
    assert [column.dtype.name for column in TOY] == ["int32", "int32", "float32"]


def test_repeated_edges_keep_the_largest_weight_and_self_loops_go():
    edges = symmetric(np.array([2, 1, 1, 3]), np.array([1, 2, 2, 3]), np.array([0.2, 0.9, 0.4, 1]))
    assert edges.source.tolist() == [1, 2]
    np.testing.assert_allclose(edges.weight, [0.9, 0.9])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.floats(0.01, 1)), max_size=60))
def test_any_list_of_pairs_becomes_a_sound_graph_whatever_its_order(pairs):
    columns = [np.array([pair[at] for pair in pairs]) for at in range(3)]
    edges = symmetric(*columns)
    matrix = np.zeros((10, 10), dtype=np.float32)
    for a, b, weight in pairs:
        if a != b:
            matrix[a, b] = matrix[b, a] = max(matrix[a, b], np.float32(weight))
    rebuilt = np.zeros_like(matrix)
    rebuilt[edges.source, edges.target] = edges.weight
    np.testing.assert_array_equal(rebuilt, matrix)
    for one, other in zip(edges, symmetric(*(column[::-1] for column in columns)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_graph_survives_its_file(tmp_path):
    path = tmp_path / "graph.parquet"
    write_graph(path, TOY, 6)
    for column, expected in zip(read_graph(path, 6), TOY, strict=True):
        np.testing.assert_array_equal(column, expected)
        assert column.dtype == expected.dtype
    assert read_sized_graph(path)[1] == 6
    assert pq.read_schema(path).types == [pa.int32(), pa.int32(), pa.float32()]


def test_the_graph_of_another_vocabulary_is_refused(tmp_path):
    path = tmp_path / "graph.parquet"
    write_graph(path, TOY, 6)
    with pytest.raises(InputError, match=r"made for 6 genes, but the vocabulary has 7"):
        read_graph(path, 7)


def test_a_graph_without_edges_can_be_written_and_read(tmp_path):
    path = tmp_path / "graph.parquet"
    write_graph(path, symmetric(*np.empty((3, 0))), 4)
    assert len(read_graph(path, 4).source) == 0


@pytest.mark.parametrize(
    ("edges", "complaint"),
    [
        ([(0, 6, 1.0), (6, 0, 1.0)], r"gene 6 is outside 0\.\.5"),
        ([(0, -1, 1.0), (-1, 0, 1.0)], r"gene -1 is outside"),
        ([(2, 2, 1.0)], "gene 2 is its own neighbour"),
        ([(0, 1, 1.0)], "not symmetric"),
        ([(0, 1, 1.0), (1, 0, 0.5)], "not symmetric"),
        ([(0, 1, 1.0), (0, 1, 1.0), (1, 0, 1.0), (1, 0, 1.0)], "stands twice"),
        ([(0, 1, 0.0), (1, 0, 0.0)], "not a number above zero"),
        ([(0, 1, np.nan), (1, 0, np.nan)], "not a number above zero"),
    ],
)
def test_unsound_graphs_are_refused_on_reading_and_on_writing(tmp_path, edges, complaint):
    path = tmp_path / "graph.parquet"
    table = pd.DataFrame(edges, columns=["source", "target", "weight"])
    table.to_parquet(path)
    with pytest.raises(InputError, match=complaint) as error:
        read_graph(path, 6)
    assert str(path) in str(error.value)
    with pytest.raises(InputError, match=complaint):
        write_graph(
            tmp_path / "other.parquet", Edges(*(table[name].to_numpy() for name in table)), 6
        )
    assert not (tmp_path / "other.parquet").exists()


def test_files_that_are_no_graphs_are_refused(tmp_path):
    path = tmp_path / "graph.parquet"
    path.write_text("no parquet")
    with pytest.raises(InputError, match="not a readable graph"):
        read_graph(path, 6)
    pd.DataFrame({"source": [0], "target": [1]}).to_parquet(path)
    with pytest.raises(InputError, match="no column weight"):
        read_graph(path, 6)


def test_the_statistics_of_a_toy_graph_are_those_counted_by_hand():
    found = statistics(TOY, 6)
    assert found["n_edges"] == 4
    assert found["isolated_genes"] == 1
    assert found["degree_mean"] == pytest.approx(8 / 6)
    assert found["largest_component_share"] == 0.5
    assert found["degree_quantiles"]["max"] == 2
    assert found["degree_quantiles"]["median"] == 1.5
    histogram = found["degree_histogram"]
    assert histogram["left"] == [0, 1, 2]
    assert histogram["right"] == [1, 2, 4]
    assert histogram["genes"] == [1, 2, 3]
    assert sum(found["weight_histogram"]["edges"]) == 4
    assert found["weight_histogram"]["edges"][-1] == 1  # weight 1.0 is in the last bin


def test_a_graph_without_edges_has_statistics_too():
    found = statistics(symmetric(*np.empty((3, 0))), 3)
    assert (found["n_edges"], found["isolated_genes"]) == (0, 3)
    assert found["degree_histogram"]["genes"] == [3]


def test_a_union_has_the_edges_of_either_graph_with_the_larger_weight(tmp_path):
    other = symmetric(np.array([0, 4]), np.array([1, 5]), np.array([0.9, 0.3]))
    paths = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    write_graph(paths[0], TOY, 6)
    write_graph(paths[1], other, 6)
    summaries = [path.with_suffix(".json") for path in paths]
    summaries[0].write_text('{"origin": "training samples", "samples_sha256": "ab"}')
    summaries[1].write_text('{"origin": "external"}')
    union(paths, summaries, tmp_path / "union.parquet", tmp_path / "union.json")
    edges = read_graph(tmp_path / "union.parquet", 6)
    weight = {(a, b): w for a, b, w in zip(*map(np.ndarray.tolist, edges), strict=True) if a < b}
    assert weight == pytest.approx(
        {(0, 1): 0.9, (0, 2): 1.0, (1, 2): 0.6, (3, 4): 0.8, (4, 5): 0.3}
    )
    summary = pd.read_json(tmp_path / "union.json", typ="series")
    assert summary["origin"] == {"one": "training samples", "two": "external"}
    assert summary["samples_sha256"] == "ab"
    assert summary["edges_in_all"] == 1
    assert summary["edges_in_each"] == {"one": 4, "two": 2}
    assert summary["n_edges"] == 5


def test_graphs_of_different_vocabularies_are_not_joined(tmp_path):
    for name, size in [("one", 6), ("two", 7)]:
        write_graph(tmp_path / f"{name}.parquet", TOY, size)
        (tmp_path / f"{name}.json").write_text('{"origin": "external"}')
    with pytest.raises(InputError, match=r"two.parquet: made for 7 genes, .*one.parquet for 6"):
        union(
            [tmp_path / "one.parquet", tmp_path / "two.parquet"],
            [tmp_path / "one.json", tmp_path / "two.json"],
            tmp_path / "union.parquet",
            tmp_path / "union.json",
        )


PUBLISHED = Edges(
    np.array([2, 0, 0, 1], np.int32), np.array([1, 1, 1, 1], np.int32), np.array([1, 2, 3, 4], "f4")
)


def test_a_published_graph_keeps_direction_repeats_and_self_loops_in_their_order(tmp_path):
    path = tmp_path / "graph.parquet"
    write_published_graph(path, PUBLISHED, 4)
    for column, expected in zip(read_graph(path, 4), PUBLISHED, strict=True):
        np.testing.assert_array_equal(column, expected)
    with pytest.raises(InputError, match=r"own neighbour|stands twice|not symmetric"):
        read_sized_graph(path)  # the graph stage never takes it for one of its own
    with pytest.raises(InputError, match="made for 4 genes"):
        read_graph(path, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": np.array([1, 1, 1, 4], np.int32)}, "gene 4 is outside"),
        ({"weight": np.array([1, np.nan, 1, 1], "f4")}, "not a finite number"),
    ],
)
def test_a_published_graph_of_other_genes_or_without_weights_is_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        write_published_graph(tmp_path / "graph.parquet", PUBLISHED._replace(**changes), 4)
    assert not list(tmp_path.iterdir())
