"""The map finds planted sets, finds nothing where nothing is, and is the same on every run."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bulkformer.errors import InputError
from bulkformer.files import write_table
from bulkformer.graph.edges import Edges, symmetric, write_graph
from bulkformer.pretrain.enrichment import (
    agreement,
    benjamini_hochberg,
    enrichment,
    set_members,
)
from bulkformer.pretrain.gene_map import among, directions, equal_bins, gene_map

PROGRAMS, OF_EACH = 6, 25
GENES = PROGRAMS * OF_EACH
OUTPUTS = ("genes", "enriched", "named", "controls", "summary")


def write_world(folder):
    """Write vectors of which those of the network follow planted programs, below loud levels."""
    rng = np.random.default_rng(5)
    program = np.arange(GENES) % PROGRAMS
    level = rng.uniform(0, 8, GENES)
    centres = rng.normal(size=(PROGRAMS, 12))
    learned = centres[program] + 0.3 * rng.normal(size=(GENES, 12))
    learned[:, 0] += 40 * level  # how much a gene is expressed is louder than its program
    sources = {
        "contextual": learned,
        "identity": learned[:, 1:],
        "untrained": rng.normal(size=(GENES, 12)) + 40 * level[:, None] * np.eye(12)[0],
        "principal_components": rng.normal(size=(GENES, 10)),
    }
    sources["contextual"][3] = np.nan  # measured in no sample
    ids = [f"ENSG{number:011d}" for number in range(GENES)]
    columns = {"gene_id": ids, "symbol": [f"S{n}" for n in range(GENES)], "level": level}
    for name, values in sources.items():
        flat = pa.array(values.astype(np.float32).ravel())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    write_table(folder / "vectors.parquet", pa.table(columns))
    rows = [
        {"collection": "planted", "set_id": f"PLANTED_{program[n]}", "gene_id": ids[n]}
        for n in range(GENES)
    ]
    write_table(folder / "sets.parquet", pa.Table.from_pylist(rows))
    same = [(a, a + PROGRAMS) for a in range(GENES - PROGRAMS)]
    source, target = np.array(same).T
    write_graph(folder / "graph.parquet", symmetric(source, target, np.ones(len(same))), GENES)
    return folder


def run(folder, out, **changes):
    out.mkdir(exist_ok=True)
    gene_map(
        **{
            "vectors": folder / "vectors.parquet", "sets": folder / "sets.parquet",
            "graph": folder / "graph.parquet", "clusters": PROGRAMS, "of": "contextual", "seed": 1,
            **{name: out / f"{name}.file" for name in OUTPUTS},
        }
        | changes
    )  # fmt: skip
    return {name: pd.read_parquet(out / f"{name}.file") for name in OUTPUTS[:-1]}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    return run(world, tmp_path_factory.mktemp("map"))


@pytest.fixture(scope="module")
def controls(made):
    return made["controls"].set_index("source")


def test_clusters_of_a_network_that_learned_programs_are_these_programs(made):
    from sklearn.metrics import adjusted_mutual_info_score

    program = [int(symbol[1:]) % PROGRAMS for symbol in made["genes"]["symbol"]]
    assert adjusted_mutual_info_score(program, made["genes"]["cluster"]) > 0.9
    assert sorted(made["named"]["set_id"]) == [f"PLANTED_{n}" for n in range(PROGRAMS)]


def test_sources_that_learned_nothing_find_no_sets(controls):
    assert controls["sets_enriched"]["contextual"] == PROGRAMS
    for source in ("untrained", "principal_components", "level"):
        assert controls["sets_enriched"][source] <= 1
        assert controls["set_pairs_together"][source] < 0.3


def test_permuted_genes_show_nothing(controls):
    chance = controls.loc["permuted"]
    assert chance["sets_enriched"] < 0.5
    for share in ("set_pairs_together", "edges_together"):
        assert chance[share] == pytest.approx(chance["pairs_together"], abs=0.03)


def test_clusters_of_unequal_size_look_no_better_than_they_are():
    rng = np.random.default_rng(0)
    members = {f"s{n}": rng.choice(4000, 40, replace=False) for n in range(200)}
    nothing = Edges(*np.zeros((3, 0), dtype=np.int64))
    for share in (0.1, 0.9):  # of the genes in one of ten clusters
        labels = np.where(rng.random(4000) < share, 0, rng.integers(0, 10, 4000))
        found = agreement(members, labels, nothing)
        assert found["set_pairs_over_chance"] == pytest.approx(1, abs=0.1)
    assert found["set_pairs_together"] > 0.7


def test_edges_within_programs_lie_within_clusters(controls):
    assert controls["edges_together"]["contextual"] > 0.9
    assert controls["edges_together"]["untrained"] < 0.35


def test_a_gene_that_no_sample_measured_is_on_no_map(made):
    assert len(made["genes"]) == GENES - 1
    assert "S3" not in set(made["genes"]["symbol"])


def test_the_name_of_a_cluster_stands_on_one_of_its_genes(made):
    places = made["genes"].set_index(["cluster", "x", "y"]).index
    for row in made["named"].to_dict("records"):
        assert (row["cluster"], np.float32(row["x"]), np.float32(row["y"])) in places


def test_two_runs_write_the_same_bytes(world, made, tmp_path):
    for name in ("one", "two"):
        run(world, tmp_path / name)
    for name in OUTPUTS:
        file = f"{name}.file"
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_more_clusters_than_genes_are_refused_with_the_key_to_change(world, tmp_path):
    with pytest.raises(InputError, match=r"pretrain\.assess\.clusters"):
        run(world, tmp_path, clusters=GENES)


def test_enrichment_is_the_test_of_the_two_by_two_table():
    from scipy.stats import false_discovery_control, fisher_exact

    rng = np.random.default_rng(2)
    clusters = rng.integers(0, 4, 80)
    members = {f"set{n}": np.flatnonzero(rng.random(80) < 0.2) for n in range(5)}
    found = enrichment(members, clusters).set_index(["set_id", "cluster"])
    expected = []
    for name, genes in members.items():
        for cluster in range(4):
            inside = np.isin(np.arange(80), genes)
            here = clusters == cluster
            table = [[(a & b).sum() for b in (here, ~here)] for a in (inside, ~inside)]
            p = fisher_exact(table, alternative="greater").pvalue
            above = table[0][0] > inside.sum() * here.sum() / 80
            expected.append(p if above else 1.0)
            if above:
                assert found.loc[(name, cluster), "p"] == pytest.approx(p)
    q = false_discovery_control(expected)
    assert found["q"].min() == pytest.approx(q.min())
    assert (found["q"] <= 0.3).sum() == (q <= 0.3).sum()


def test_tests_that_found_nothing_count_for_the_false_discovery_rate():
    assert benjamini_hochberg(np.array([0.01]), 10) == pytest.approx([0.1])
    assert benjamini_hochberg(np.array([0.03, 0.02]), 4) == pytest.approx([0.06, 0.06])


def test_sets_that_are_too_small_or_too_large_are_not_tested():
    sets = pd.DataFrame(
        [("c", "small", n) for n in range(4)]
        + [("c", "right", n) for n in range(5)]
        + [("c", "large", n) for n in range(501)],
        columns=["collection", "set_id", "gene_id"],
    )
    members = set_members(sets, list(range(600)))
    assert list(members) == ["right"]
    assert members["right"].tolist() == [0, 1, 2, 3, 4]


def test_whitened_directions_do_not_depend_on_how_loud_a_component_is():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(50, 4))
    louder = values * [100.0, 1.0, 1.0, 1.0]
    likeness = [points @ points.T for points in (directions(values), directions(louder))]
    assert np.allclose(*likeness, atol=1e-6)


def test_bins_of_a_level_are_of_equal_size_and_ascend():
    bins = equal_bins(np.array([5.0, 1.0, 3.0, 2.0, 4.0, 6.0]), 3)
    assert bins.tolist() == [2, 0, 1, 0, 1, 2]


def test_one_sided_edges_and_self_loops_of_published_graphs_count_once_and_not_at_all():
    ends = np.array([[0, 1, 2, 2, 3], [1, 0, 2, 0, 1]])
    inside = among(Edges(ends[0], ends[1], np.ones(5)), np.array([0, 1, 2]), 4)
    assert list(zip(inside.source, inside.target, strict=True)) == [(0, 1), (0, 2)]
