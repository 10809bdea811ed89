"""Wide tables of dependency become long ones: genes by name, lines by id, missing stays missing."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.expression.vocabulary import SCHEMA
from bulkformer.outcomes.dependency import dependency
from bulkformer.outcomes.tables import CELL_LINES, DEPENDENCY

GENES = [("ENSG1", "A", "1"), ("ENSG2", "B", "2"), ("ENSG3", "C", "3")]
LINES = [("ACH-000001", "SIDM00001"), ("ACH-000002", None), ("SIDM00003", "SIDM00003")]
EFFECT = ",A (1),B (2),Z (99)\nACH-000001,-1.5,0.1,0\nACH-000002,,0.2,0\nACH-000009,1,1,1\n"


@pytest.fixture
def run(tmp_path):
    """The step on texts or files; returns rows by (gene, line), and the summary."""
    genes = [
        {
            "gene_id": g,
            "symbol": s,
            "entrez": e,
            "length_bp": 900,
            "other_entrez": [],
            "aliases": [],
            "ambiguous": [],
        }
        for g, s, e in GENES
    ]
    pq.write_table(pa.Table.from_pylist(genes, schema=SCHEMA), tmp_path / "genes.parquet")
    lines = [
        dict.fromkeys(CELL_LINES.names) | {"cell_line_id": a, "sanger_id": s} for a, s in LINES
    ]
    pq.write_table(pa.Table.from_pylist(lines, schema=CELL_LINES), tmp_path / "lines.parquet")

    def step(format="depmap", **files):
        for name, text in files.items():
            if isinstance(text, str):
                files[name] = tmp_path / f"{name}.csv"
                files[name].write_text(text)
        dependency(
            format=format, release="24Q4", genes=tmp_path / "genes.parquet",
            cell_lines=tmp_path / "lines.parquet", output=tmp_path / "out.parquet",
            summary=tmp_path / "out.json", **files,
        )  # fmt: skip
        table = pd.read_parquet(tmp_path / "out.parquet")
        assert list(table.columns) == DEPENDENCY.names
        summary = json.loads((tmp_path / "out.json").read_text())
        assert summary["rows"] == len(table)
        return table.set_index(["gene_id", "cell_line_id"]), summary

    return step


def test_an_empty_cell_gives_no_row_and_an_unknown_name_is_counted(run):
    rows, summary = run(effect=EFFECT)
    assert set(rows.index) == {
        ("ENSG1", "ACH-000001"), ("ENSG2", "ACH-000001"), ("ENSG2", "ACH-000002"),
    }  # fmt: skip
    assert rows.loc[("ENSG1", "ACH-000001"), "effect"] == np.float32(-1.5)
    assert rows["probability"].isna().all()
    assert summary["dropped"] == {
        "genes_not_in_vocabulary": 1, "unknown_line": 1, "values_missing_in_all": 1,
    }  # fmt: skip


def test_both_tables_meet_by_id_whatever_their_order(run):
    probability = ",Z (99),B (2),A (1)\nACH-000002,0,0.7,0.6\nACH-000001,0,0.1,0.9\n"
    rows, _ = run(effect=EFFECT, probability=probability)
    assert rows.loc[("ENSG1", "ACH-000001"), "probability"] == np.float32(0.9)
    assert rows.loc[("ENSG2", "ACH-000002"), "probability"] == np.float32(0.7)
    # The effect is missing here, the probability is not.
    assert np.isnan(rows.loc[("ENSG1", "ACH-000002"), "effect"])
    assert rows.loc[("ENSG1", "ACH-000002"), "probability"] == np.float32(0.6)


def test_a_line_without_probabilities_stays_and_is_counted(run):
    rows, summary = run(effect=EFFECT, probability=",A (1)\nACH-000002,0.5\n")
    assert np.isnan(rows.loc[("ENSG1", "ACH-000001"), "probability"])
    assert summary["joined"]["lines_without_probability"] == 1


def test_scores_of_two_columns_for_one_gene_are_not_summed(run):
    rows, summary = run(effect=",A (1),OLDA (1),B (2)\nACH-000001,-1,-1,0.5\n")
    assert set(rows.index) == {("ENSG2", "ACH-000001")}
    assert summary["genes_in_several_columns"] == ["ENSG1"]


def test_genes_are_found_by_entrez_and_not_by_an_old_symbol(run):
    rows, _ = run(effect=",B (1),A (2)\nACH-000001,-1,0\n")
    assert rows.loc[("ENSG1", "ACH-000001"), "effect"] == -1


def test_calls_without_scores_are_probabilities_of_0_and_1(run, tmp_path):
    table = pd.DataFrame(
        {"ACH-000001": [1, 0], "SIDM00003": [0, 1], "SIDM00001": [1, 1], "ACH-7": [1, 1]},
        index=["A", "C"],
    )
    table.to_parquet(tmp_path / "binary.parquet")
    rows, summary = run(format="table", probability=tmp_path / "binary.parquet")
    assert rows["effect"].isna().all()
    assert rows.loc[("ENSG3", "SIDM00003"), "probability"] == 1
    assert rows.loc[("ENSG3", "ACH-000001"), "probability"] == 0
    assert summary["binary"]
    # SIDM00001 is ACH-000001 by its other id; ACH-7 is nobody.
    assert summary["dropped"] == {"repeated_line": 1, "unknown_line": 1}


def test_a_text_table_of_genes_by_lines_is_read_as_well(run, tmp_path):
    lines = ["ACH-000001", *(f"X{at}" for at in range(70)), "SIDM00003"]
    table = [["", *lines], ["A", "-1.5", *["0"] * 70, ""], ["C", "0.1", *["0"] * 70, "0.2"]]
    text = "".join(",".join(cells) + "\n" for cells in table)
    rows, summary = run(format="table", effect=text)
    assert rows["effect"].to_dict() == {
        ("ENSG1", "ACH-000001"): np.float32(-1.5),
        ("ENSG3", "ACH-000001"): np.float32(0.1),
        ("ENSG3", "SIDM00003"): np.float32(0.2),
    }
    assert summary["dropped"] == {"unknown_line": 70, "values_missing_in_all": 1}


def test_scores_are_not_taken_for_calls(run):
    assert not run(effect=EFFECT)[1]["binary"]


def test_a_file_of_another_provider_leaves_no_table(run, tmp_path):
    with pytest.raises(InputError, match="none of its lines"):
        run(effect=",A (1)\nACH-123456,0\n")
    assert not (tmp_path / "out.parquet").exists()
    with pytest.raises(InputError, match="none of its genes"):
        run(effect=",Z (99)\nACH-000001,0\n")


def test_simulated_tables_lose_exactly_their_flaws(outcome_tables):
    summary = json.loads(outcome_tables["dependency.json"].read_text())
    assert summary["dropped"]["genes_not_in_vocabulary"] == 1
    assert summary["dropped"]["unknown_line"] == 1
    assert 0 < summary["dropped"]["values_missing_in_all"] <= 25
    assert summary["joined"]["lines_without_probability"] == 1
