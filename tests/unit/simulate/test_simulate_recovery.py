"""Recovery of a planted graph, on four genes whose numbers can be counted by hand."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from bulkformer.errors import InputError
from bulkformer.expression.store import create_store
from bulkformer.files import write_table
from bulkformer.simulate.recovery import compare, correlation_auroc, pair_scores, recovery

GENES = ["ENSG01", "ENSG02", "ENSG03", "ENSG04"]


def symmetric(n_genes, pairs):
    matrix = np.zeros((n_genes, n_genes), dtype=type(next(iter(pairs.values()))))
    for (source, target), value in pairs.items():
        matrix[source, target] = matrix[target, source] = value
    return matrix


# Six pairs. Planted: 0-1 and 0-2. The graph has 0-1 (0.9), 1-2 (0.6) and 2-3 (0.5).
PLANTED = symmetric(4, {(0, 1): True, (0, 2): True})
SCORES = symmetric(4, {(0, 1): 0.9, (1, 2): 0.6, (2, 3): 0.5})
PROGRAM = np.array([0, 0, 0, -1])


@pytest.fixture
def files(tmp_path):
    """The files of the recovery step: one edge leads to a gene outside the vocabulary."""
    graph = {"source": [0, 1, 1, 2, 2, 3], "target": [1, 0, 2, 1, 3, 2]}
    tables = {
        "graph": graph | {"weight": [0.9, 0.9, 0.6, 0.6, 0.5, 0.5]},
        "genes": {"gene_id": GENES},
        "truth_genes": {"gene_id": [*GENES, "ENSG05"], "program": [0, 0, 0, None, 1]},
        "truth_edges": {
            "source": ["ENSG01", "ENSG01", "ENSG04"],
            "target": ["ENSG02", "ENSG03", "ENSG05"],
            "weight": [0.9, 0.9, 0.9],
        },
        "corpus": {
            "cohort": ["one", "one", "one", "two", "two"],
            "sample_id": ["a", "b", "c", "d", "e"],
            "split": ["train", "train", "test", "train", "train"],
        },
    }
    paths = {name: tmp_path / f"{name}.parquet" for name in tables}
    for name, columns in tables.items():
        write_table(paths[name], pa.table(columns))
    # Over a, b, d, e the genes are (1, 2, 3, 4), (1, 2, 4, 3), (0, 0, 1, 0) and constant; the test
    # sample c would change all of their correlations.
    values = {"a": [1, 1, 0, 5], "b": [2, 2, 0, 5], "c": [9, -9, 9, -9]}
    more = {"e": [4, 3, 0, 5], "d": [3, 4, 1, 5]}
    paths["store"] = [tmp_path / "one.arrow", tmp_path / "two.arrow"]
    for path, rows in zip(paths["store"], [values, more], strict=True):
        with create_store(path, np.ones(4, dtype=bool), "log_tpm") as store:
            store.write(list(rows), np.array(list(rows.values()), dtype=np.float32))
    paths["graph"] = [paths["graph"]]
    return paths | {"output": [tmp_path / "recovery.json"]}


def test_precision_recall_and_auroc_match_a_count_by_hand():
    found = compare(SCORES, PLANTED, PROGRAM)
    assert found["n_genes"] == 4
    assert found["n_pairs"] == 6
    assert found["n_edges"] == 3
    assert found["n_planted"] == 2
    assert found["precision"] == pytest.approx(1 / 3)
    assert found["recall"] == pytest.approx(1 / 2)
    assert found["precision_by_chance"] == pytest.approx(2 / 6)
    # Planted 0.9 beats all four others; planted 0 ties with two and loses to two.
    assert found["auroc"] == pytest.approx((4 + 1) / 8)
    # Precision 1 at recall 1/2, then 2/6 at recall 1.
    assert found["average_precision"] == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 6)
    # 0-1 and 1-2 stay in program 0, which owns 3 of the 6 pairs.
    assert found["within_program_precision"] == pytest.approx(2 / 3)
    assert found["within_program_by_chance"] == pytest.approx(3 / 6)


def test_the_planted_graph_itself_scores_one_and_no_graph_scores_chance():
    perfect = compare(PLANTED.astype(float), PLANTED, PROGRAM)
    assert (perfect["auroc"], perfect["precision"], perfect["recall"]) == (1, 1, 1)
    nothing = compare(np.zeros((4, 4)), PLANTED, PROGRAM)
    assert (nothing["auroc"], nothing["precision"], nothing["recall"]) == (0.5, None, 0)


def test_the_step_compares_files_and_ignores_edges_outside_the_vocabulary(files):
    recovery(**files)
    result = json.loads(files["output"][0].read_text())
    assert result["graph"] == "graph"
    assert result["n_planted"] == 2
    assert result["precision"] == pytest.approx(1 / 3)
    assert result["within_program_precision"] == pytest.approx(2 / 3)


def test_graphs_compared_together_get_the_numbers_that_each_gets_alone(files, tmp_path):
    other = tmp_path / "other.parquet"
    write_table(other, pa.table({"source": [0], "target": [2], "weight": [0.5]}))
    outputs = [tmp_path / f"{n}.json" for n in range(2)]
    recovery(**(files | {"graph": [*files["graph"], other], "output": outputs}))
    recovery(**files)
    assert outputs[0].read_bytes() == files["output"][0].read_bytes()
    assert json.loads(outputs[1].read_text())["precision"] == 1
    with pytest.raises(InputError, match="1 --graph and 2 --output"):
        recovery(**(files | {"output": outputs}))


def test_pairs_without_an_edge_are_counted_as_if_each_stood_in_the_list():
    rng = np.random.default_rng(0)
    weight = np.triu(rng.integers(1, 5, (40, 40)) * (rng.random((40, 40)) < 0.2), 1)
    planted = np.triu(rng.random((40, 40)) < 0.2, 1)
    scores, planted = weight + weight.T, planted | planted.T
    found = compare(scores, planted, np.zeros(40, dtype=int))
    pairs = np.triu_indices(40, k=1)
    assert found["auroc"] == pytest.approx(roc_auc_score(planted[pairs], scores[pairs]))
    expected = average_precision_score(planted[pairs], scores[pairs])
    assert found["average_precision"] == pytest.approx(expected)


def test_the_reference_correlation_uses_training_samples_only(files):
    recovery(**files)
    result = json.loads(files["output"][0].read_text())
    assert result["n_training_samples"] == 4
    # |r| is 0.80 for 0-1, 0.77 for 1-2, 0.26 for 0-2 and 0 with gene 3, which never varies: 0-1
    # beats all four pairs that are not planted, 0-2 beats three.
    assert result["correlation_auroc"] == pytest.approx((4 + 3) / 8)


def test_unmeasured_genes_take_no_part_in_the_reference_correlation():
    log_tpm = np.array([[1, 1, np.nan, 0], [2, 2, np.nan, 1], [3, 3, np.nan, 0]])
    measured = np.array([True, True, False, True])
    assert correlation_auroc(log_tpm, PLANTED, measured) == 1


def test_an_edge_listed_once_counts_as_one_listed_twice(tmp_path):
    path = tmp_path / "graph.parquet"
    write_table(path, pa.table({"source": [0], "target": [2], "weight": [-0.5]}))
    assert (pair_scores(path, 3) == symmetric(3, {(0, 2): 0.5})).all()


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [([0], [4], "outside the 4 genes"), ([1], [1], "gene 1 is its own neighbour")],
)
def test_a_graph_of_another_vocabulary_is_refused(tmp_path, source, target, message):
    path = tmp_path / "graph.parquet"
    write_table(path, pa.table({"source": source, "target": target, "weight": [1.0]}))
    with pytest.raises(InputError, match=message):
        pair_scores(path, 4)


def test_a_gene_of_another_universe_is_refused(files):
    write_table(files["genes"], pa.table({"gene_id": [*GENES[:3], "ENSG99"]}))
    with pytest.raises(InputError, match="ENSG99"):
        recovery(**files)


def test_a_training_sample_without_values_is_refused(files):
    with pytest.raises(InputError, match="'d' is in no store"):
        recovery(**(files | {"store": files["store"][:1]}))


def test_a_sample_in_two_stores_is_refused(files):
    with pytest.raises(InputError, match="both hold sample 'a'"):
        recovery(**(files | {"store": [files["store"][0]] * 2}))


def test_the_step_runs_from_the_command_line(files):
    options = []
    for name, value in files.items():
        for item in value if isinstance(value, list) else [value]:
            options += [f"--{name.replace('_', '-')}", str(item)]
    module = [sys.executable, "-m", "bulkformer.simulate.recovery"]
    subprocess.run([*module, *options], check=True)
    assert files["output"][0].is_file()
