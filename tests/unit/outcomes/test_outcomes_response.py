"""Drugs are one row a compound, curves are joined by identifier, and nothing is lost unseen."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.outcomes.drugs import add_inchikeys, add_structures, one_row_a_compound
from bulkformer.outcomes.response import known_curves, response
from bulkformer.outcomes.tables import CELL_LINES, DRUGS
from bulkformer.sources.gdsc import clean_structures


def compounds(*rows):
    """Table of (drug, name, cid, smiles)."""
    table = pd.DataFrame(rows, columns=["drug", "name", "pubchem_cid", "smiles"], dtype=object)
    return clean_structures(table.assign(inchikey=None))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("5", "ABT-737", None, None), ("40", "ABT737", None, None)),
        (("5", "Venetoclax", None, None), ("40", "Venotoclax", None, None)),
        (("5", "Bleomycin", None, None), ("40", "Bleomycin (50 uM)", None, None)),
        (("5", "first", "77", None), ("40", "second", "77", None)),
        (("5", "first", None, "CCO"), ("40", "second", None, "CCO")),
    ],
)
def test_two_ids_of_one_compound_are_one_row(one, other):
    rows, content = one_row_a_compound(compounds(other, one), "GDSC")
    assert [row["source_ids"] for row in rows] == [["GDSC:5", "GDSC:40"]]
    assert rows[0]["drug_id"] == "GDSC:5"
    assert content["joined"]["compounds_with_several_ids"] == 1


def test_what_is_no_cid_joins_nothing():
    table = compounds(("1", "a", "several", None), ("2", "b", "several", None))
    rows, _ = one_row_a_compound(table, "GDSC")
    assert [row["pubchem_cid"] for row in rows] == [None, None]


def test_a_name_with_two_cids_is_listed():
    _, content = one_row_a_compound(compounds(("1", "a", "7", None), ("2", "A", "8", None)), "X")
    assert content["with_several_cids"] == ["a"]


def test_reviewed_structures_fill_gaps_and_overwrite_nothing():
    structures = compounds(("x", "abt 737", "11", "CCO"))
    filled = add_structures(compounds(("1", "ABT-737", "12", None)), structures)
    assert filled.loc[0, ["pubchem_cid", "smiles"]].tolist() == ["12", "CCO"]


def test_two_spellings_of_a_structure_are_one_compound():
    table = compounds(("5", "first", None, "Cc1ccccc1"), ("40", "second", None, "C1=CC=CC=C1C"))
    rows, _ = one_row_a_compound(add_inchikeys(table, "list.csv"), "GDSC")
    assert [row["source_ids"] for row in rows] == [["GDSC:5", "GDSC:40"]]
    assert rows[0]["inchikey"] == "YXFVVABEGXRONW-UHFFFAOYSA-N"
    assert rows[0]["scaffold"] == "c1ccccc1"


def test_a_compound_of_unknown_structure_has_no_scaffold():
    rows, content = one_row_a_compound(
        add_inchikeys(compounds(("5", "first", None, "restricted")), "list.csv"), "GDSC"
    )
    assert rows[0]["smiles"] is rows[0]["inchikey"] is rows[0]["scaffold"] is None
    assert content["joined"]["scaffolds"] == 0


def test_what_is_no_smiles_stops_with_the_table_and_the_drug():
    with pytest.raises(InputError, match=r"list\.csv: drug 'first': 'C1CC' is no SMILES"):
        add_inchikeys(compounds(("5", "first", None, "C1CC")), "list.csv")


def curve(**changes):
    return {
        "dataset": "GDSC2", "drug": "5", "drug_name": "a", "cell_line": "SIDM00001",
        "ln_ic50": 1.0, "auc": 0.5, "rmse": 0.1, "max_conc_um": 10.0,
    } | changes  # fmt: skip


def join(*curves):
    rows, _ = one_row_a_compound(compounds(("5", "a", None, None), ("40", "A", None, None)), "GDSC")
    line = dict.fromkeys(CELL_LINES.names) | {
        "cell_line_id": "ACH-000001",
        "sanger_id": "SIDM00001",
    }
    lines = pa.Table.from_pylist([line], schema=CELL_LINES)
    drugs = pa.Table.from_pylist(rows, schema=DRUGS)
    return known_curves(pd.DataFrame(curves), "GDSC", drugs, lines)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cell_line": "SIDM99999"}, "unknown_line"),
        ({"cell_line": None}, "unknown_line"),
        ({"drug": "9"}, "unknown_drug"),
        ({"ln_ic50": float("nan")}, "no_ln_ic50"),
    ],
)
def test_a_curve_that_cannot_be_used_is_counted(change, reason):
    rows, content = join(curve(), curve(**change))
    assert len(rows) == 1
    assert content["dropped"] == {reason: 1}


def test_one_compound_in_two_screens_keeps_both_screens():
    rows, content = join(curve(), curve(dataset="GDSC1"), curve(dataset="GDSC1", drug="40"))
    assert rows["screen_id"].tolist() == ["GDSC1:40", "GDSC1:5", "GDSC2:5"]
    assert set(rows["drug_id"]) == {"GDSC:5"}
    assert content["drugs_in_several_screens"] == 1


def test_replicate_curves_stay_and_are_counted():
    rows, content = join(curve(), curve(ln_ic50=1.2))
    assert len(rows) == 2
    assert content["pairs_with_several_curves"] == 1


def test_a_misspelt_drug_is_found_by_its_id_and_listed():
    _, content = join(curve(drug_name="aa"))
    assert content["respelt_examples"] == ["aa, listed as a"]


def test_curves_of_another_provider_stop_the_step(tmp_path):
    table = tmp_path / "curves.csv"
    table.write_text("drug,cell_line,ln_ic50\nz,ACH-000009,1.0\n")
    for name, schema in [("drugs", DRUGS), ("lines", CELL_LINES)]:
        pq.write_table(schema.empty_table(), tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match=r"curves\.csv: none of 1 curves"):
        response(
            curves=[table], format="table", dataset="X", drugs=tmp_path / "drugs.parquet",
            cell_lines=tmp_path / "lines.parquet", output=tmp_path / "r.parquet",
            summary=tmp_path / "r.json",
        )  # fmt: skip
    assert not (tmp_path / "r.parquet").exists()


def test_the_simulated_screens_lose_exactly_their_flaws(outcome_tables):
    drugs = pd.read_parquet(outcome_tables["drugs.parquet"])
    summary = json.loads(outcome_tables["response.json"].read_text())
    assert len(drugs) == 10
    assert {len(ids) for ids in drugs["source_ids"]} == {1, 2}
    assert drugs["scaffold"].nunique() == 10
    assert summary["dropped"] == {"no_ln_ic50": 2, "unknown_line": 2}
    assert summary["pairs_with_several_curves"] == 2
    assert summary["respelt_examples"] == [
        "ABT737, listed as ABT-737",
        "Simulatin-3 (50 uM), listed as Simulatin-3",
        "Venotoclax, listed as Venetoclax",
    ]
    assert summary["joined"]["share_of_curves_with_known_drug"] == 1.0
