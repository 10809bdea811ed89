"""What was known at diagnosis: stages by their Roman number, and one row a patient."""

import json

import pandas as pd
import pytest

from bulkformer.errors import InputError
from bulkformer.outcomes.clinical import clinical, stage_of
from bulkformer.outcomes.tables import CLINICAL
from bulkformer.simulate.outcomes_workbook import write_workbook

HEADER = "case,years,sex,stage,clinical_stage\n"


def run(folder, rows, columns="patient_id=case;age=years", header=HEADER):
    """Run the step on a plain table; return rows and summary."""
    table = folder / "clinical.csv"
    table.write_text(header + "".join(f"{row}\n" for row in rows))
    output, summary = folder / "clinical.parquet", folder / "clinical.json"
    clinical(table=table, format="table", output=output, summary=summary, columns=columns)
    return pd.read_parquet(output), json.loads(summary.read_text())


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("Stage I", "I"),
        ("Stage IIIC1", "III"),
        ("IVb", "IV"),
        ("Stage IS", "I"),
        ("Stage 0", "0"),
        ("I/II NOS", None),
        ("Stage X", None),
        ("[Discrepancy]", None),
        ("", None),
        (None, None),
    ],
)
def test_a_stage_keeps_its_roman_number(text, stage):
    assert stage_of(text) == stage


def test_the_clinical_stage_stands_in_where_no_pathologist_staged(tmp_path):
    rows, _ = run(tmp_path, ["P1,60,MALE,Stage II,Stage IV", "P2,,FEMALE,[Unknown],Stage IIIA"])
    assert rows["stage"].tolist() == ["II", "III"]
    assert rows["sex"].tolist() == ["male", "female"]
    assert rows["age_years"].isna().tolist() == [False, True]
    assert list(rows.columns) == CLINICAL.names


def test_rows_of_a_patient_complete_each_other_and_must_agree(tmp_path):
    rows, summary = run(tmp_path, ["TCGA-AA-0001-01A,60,,,", "TCGA-AA-0001-11A,60,MALE,Stage I,"])
    assert rows.to_dict("records") == [
        {"patient_id": "TCGA-AA-0001", "age_years": 60.0, "sex": "male", "stage": "I"}
    ]
    assert summary["known"] == {"age_years": 1, "sex": 1, "stage": 1}
    with pytest.raises(InputError, match=r"patient P1 differ in age_years \(60.0, 61.0\)"):
        run(tmp_path, ["P1,60,,,", "P1,61,,,"])


def test_a_column_may_be_absent_unless_the_config_names_it(tmp_path):
    rows, _ = run(tmp_path, ["P1", "P2"], columns="patient_id=case", header="case\n")
    assert rows[["age_years", "sex", "stage"]].isna().all(axis=None)
    with pytest.raises(InputError, match="no column 'years' for age"):
        run(tmp_path, ["P1"], header="case\n")


def test_the_workbook_of_tcga_cdr_knows_its_columns(tmp_path):
    header = [None, "bcr_patient_barcode", "age_at_initial_pathologic_diagnosis", "gender"]
    header += ["ajcc_pathologic_tumor_stage", "clinical_stage"]
    rows = [
        [1, "TCGA-OR-0001", 58, "MALE", "Stage IIA", "[Not Applicable]"],
        [2, "TCGA-OR-0002", "#N/A", "FEMALE", "[Not Available]", "Stage III"],
    ]
    write_workbook(tmp_path / "cdr.xlsx", {"TCGA-CDR": [header, *rows]})
    output = tmp_path / "clinical.parquet"
    clinical(tmp_path / "cdr.xlsx", "tcga_cdr", output, tmp_path / "clinical.json")
    assert pd.read_parquet(output).astype(object).where(lambda table: table.notna(), None).to_dict(
        "list"
    ) == {
        "patient_id": ["TCGA-OR-0001", "TCGA-OR-0002"],
        "age_years": [58.0, None],
        "sex": ["male", "female"],
        "stage": ["II", "III"],
    }
    with pytest.raises(InputError, match="known are tcga_cdr, table"):
        clinical(tmp_path / "cdr.xlsx", "xlsx", output, tmp_path / "clinical.json")
