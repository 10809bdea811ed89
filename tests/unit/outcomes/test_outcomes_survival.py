"""Which patients can be used for survival, and why others cannot."""

import json

import pandas as pd
import pytest

from bulkformer.errors import InputError
from bulkformer.outcomes.survival import followed, survival
from bulkformer.outcomes.tables import SURVIVAL

HEADER = "case,cancer,withdrawn,OS,days\n"
COLUMNS = "patient_id=case;redaction=withdrawn;OS.time=days"


def run(folder, rows, **settings):
    """Run the step on a plain table of OS; return rows and summary."""
    table = folder / "survival.csv"
    table.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    output, summary = folder / "survival.parquet", folder / "survival.json"
    survival(
        table=table, format="table", endpoint=["OS"], output=output, summary=summary,
        columns=COLUMNS, **settings,
    )  # fmt: skip
    return pd.read_parquet(output), json.loads(summary.read_text())


GOOD = "TCGA-AA-0001,ACC,,1,100"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("TCGA-AA-0002,ACC,Redacted,1,100", "redacted"),
        ("TCGA-AA-0002,ACC,,,100", "no_event"),
        ("TCGA-AA-0002,ACC,,#N/A,100", "no_event"),
        ("TCGA-AA-0002,ACC,,1,", "no_time"),
        ("TCGA-AA-0002,ACC,,1,[Not Available]", "no_time"),
        ("TCGA-AA-0002,ACC,,0,0", "time_not_positive"),
        ("TCGA-AA-0002,ACC,,0,-4", "time_not_positive"),
        (",ACC,,0,10", "no_patient"),
        (GOOD, "repeated"),
    ],
)
def test_a_row_that_says_nothing_is_dropped_and_counted(tmp_path, row, reason):
    rows, summary = run(tmp_path, [GOOD, row])
    assert rows["patient_id"].tolist() == ["TCGA-AA-0001"]
    assert summary["dropped"] == {"OS": {reason: 1}}
    assert (summary["rows"], summary["rows_in_file"]) == (1, 2)


def test_each_row_is_counted_under_its_first_reason_only(tmp_path):
    _, summary = run(tmp_path, [GOOD, "TCGA-AA-0002,ACC,Redacted,,-1"])
    assert summary["dropped"] == {"OS": {"redacted": 1}}


def test_redacted_cases_stay_where_the_config_says_so(tmp_path):
    row = "TCGA-AA-0002,ACC,Redacted,1,100"
    rows, _ = run(tmp_path, [GOOD, row], keep_redacted=True)
    assert len(rows) == 2


def test_barcodes_with_dots_and_of_samples_name_the_patient(tmp_path):
    rows, _ = run(tmp_path, ["TCGA.AA.0003,ACC,,1,5", "TCGA-AA-0004-01A,ACC,,0,6"])
    assert rows["patient_id"].tolist() == ["TCGA-AA-0003", "TCGA-AA-0004"]


def test_a_patient_with_two_stories_stops_the_step(tmp_path):
    with pytest.raises(InputError, match="TCGA-AA-0001 differ in OS"):
        run(tmp_path, [GOOD, "TCGA-AA-0001,ACC,,0,100"])


def test_an_event_is_observed_or_not(tmp_path):
    with pytest.raises(InputError, match=r"OS of patient TCGA-AA-0002 is 2"):
        run(tmp_path, [GOOD, "TCGA-AA-0002,ACC,,2,100"])


def test_the_order_of_rows_changes_nothing():
    patients = pd.DataFrame(
        {"patient_id": ["b", "a"], "cancer": "X", "redaction": None, "OS": [1.0, 0.0]}
    ).assign(**{"OS.time": [3.0, 4.0]})
    one, _ = followed(patients, ["OS"], False, "x")
    other, _ = followed(patients[::-1].reset_index(drop=True), ["OS"], False, "x")
    pd.testing.assert_frame_equal(one, other)


def test_the_simulated_workbook_loses_exactly_its_flaws(outcome_tables, provider_files):
    rows = pd.read_parquet(outcome_tables["survival.parquet"])
    summary = json.loads(outcome_tables["survival.json"].read_text())
    assert list(rows.columns) == SURVIVAL.names
    assert summary["dropped"]["OS"] == {
        "no_event": 1, "no_time": 1, "redacted": 1, "time_not_positive": 1,
    }  # fmt: skip
    # Two patients stand in the workbook who were never profiled.
    assert summary["rows_in_file"] - 4 == (rows["endpoint"] == "OS").sum()
    assert summary["dropped"]["DFI"]["no_event"] > 50
    assert summary["files"] == [provider_files["tcga_cdr"].name]
