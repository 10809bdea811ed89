"""One identity a line, and one patient for all lines that must not be parted."""

import json

import pandas as pd
import pyarrow as pa
import pytest

from bulkformer.errors import InputError
from bulkformer.outcomes.cell_lines import cell_lines, identities, resolver

MODEL = dict.fromkeys(["name", "lineage", "cellosaurus", "sanger_id", "cosmic_id"])
PASSPORT = {"name": "n", "parent": None, "lineage": None, "cellosaurus": None, "cosmic_id": None}


def models(*rows):
    """Table of (ACH, patient, SIDM or None)."""
    return pd.DataFrame(
        [MODEL | {"cell_line_id": a, "patient_id": p, "sanger_id": s} for a, p, s in rows],
        dtype=object,
    )


def passports(*rows):
    """Table of (SIDM, patient, [ACH], parent)."""
    return pd.DataFrame(
        [
            PASSPORT | {"sanger_id": s, "patient_id": p, "depmap_ids": a, "parent": parent}
            for s, p, a, parent in rows
        ],
        dtype=object,
    )


def by_line(table):
    return table.set_index("cell_line_id")


def test_the_passports_fill_the_sanger_id_that_depmap_lacks():
    table, _ = identities(
        models(("ACH-000001", "PT-1", None)),
        passports(("SIDM00001", "SIDP1", ["ACH-000001"], None)),
    )
    assert by_line(table)["sanger_id"].to_dict() == {"ACH-000001": "SIDM00001"}


def test_a_line_without_an_ach_id_keeps_its_sanger_id():
    table, content = identities(None, passports(("SIDM00007", "SIDP1", [], None)))
    assert table["cell_line_id"].tolist() == ["SIDM00007"]
    assert content["joined"]["without_ach_id"] == 1


def test_lines_of_one_patient_of_either_source_share_a_patient():
    table, _ = identities(
        models(
            ("ACH-000001", "PT-1", "SIDM00001"),
            ("ACH-000002", "PT-2", "SIDM00002"),
            ("ACH-000003", "PT-2", None),
            ("ACH-000004", "PT-4", None),
        ),
        passports(("SIDM00001", "SIDP9", [], None), ("SIDM00002", "SIDP9", [], None)),
    )
    assert by_line(table)["patient_id"].to_dict() == {
        "ACH-000001": "PT-1", "ACH-000002": "PT-1", "ACH-000003": "PT-1", "ACH-000004": "PT-4",
    }  # fmt: skip


def test_a_derived_line_is_of_its_parents_patient():
    table, _ = identities(
        models(("ACH-000001", "PT-1", "SIDM00001"), ("ACH-000002", "PT-2", "SIDM00002")),
        passports(("SIDM00001", None, [], None), ("SIDM00002", None, [], "SIDM00001")),
    )
    assert by_line(table)["parent"].to_dict() == {"ACH-000001": None, "ACH-000002": "ACH-000001"}
    assert table["patient_id"].nunique() == 1


def test_a_line_without_a_patient_is_a_patient_of_its_own():
    table, content = identities(
        models(("ACH-000001", None, None), ("ACH-000002", None, None)), None
    )
    assert table["patient_id"].tolist() == ["ACH-000001", "ACH-000002"]
    assert content["lines_without_a_patient"] == 2


def test_a_contradiction_is_listed_and_depmap_holds():
    table, content = identities(
        models(("ACH-000001", "PT-1", "SIDM00001"), ("ACH-000002", "PT-2", "SIDM00002")),
        passports(("SIDM00002", "SIDP2", ["ACH-000001"], None)),
    )
    assert by_line(table)["sanger_id"].to_dict() == {
        "ACH-000001": "SIDM00001", "ACH-000002": "SIDM00002",
    }  # fmt: skip
    assert content["contradictions"] == 1


def test_both_kinds_of_id_lead_to_the_line():
    table = pa.table(
        {"cell_line_id": ["ACH-000001", "SIDM00005"], "sanger_id": ["SIDM00001", "SIDM00005"]}
    )
    found = resolver(table)
    assert found["ACH-000001"] == found["SIDM00001"] == "ACH-000001"
    assert found["SIDM00005"] == "SIDM00005"


def test_without_any_list_there_are_no_lines(tmp_path):
    with pytest.raises(InputError, match=r"outcomes\.cell_lines"):
        cell_lines(output=tmp_path / "x", summary=tmp_path / "y")


def test_simulated_lines_are_joined_as_they_were_planted(outcome_tables, provider_files):
    truth = pd.read_parquet(provider_files["cell_lines"]).set_index("cell_line_id")
    table = by_line(pd.read_parquet(outcome_tables["cell_lines.parquet"]))
    summary = json.loads(outcome_tables["cell_lines.json"].read_text())
    assert summary["joined"]["without_ach_id"] == 1
    shared = table.index.intersection(truth.index)
    assert len(shared) == len(truth) - 1
    known = table.loc[shared, "sanger_id"].dropna()
    assert len(known) == len(truth) - 2
    assert (known == truth.loc[known.index, "sanger_id"]).all()
    derived = truth.index[truth["parent"].notna()]
    assert len(derived) == 2
    for line in derived:
        parent = truth.loc[line, "parent"]
        assert table.loc[line, "parent"] == parent
        assert table.loc[line, "patient_id"] == table.loc[parent, "patient_id"]
