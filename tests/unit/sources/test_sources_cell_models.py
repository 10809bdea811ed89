"""The model list of Cell Model Passports."""

import pytest

from bulkformer.errors import InputError
from bulkformer.sources.cell_models import read_passports

HEADER = "model_id,model_name,patient_id,parent_id,BROAD_ID,tissue\n"


def passports(folder, rows):
    path = folder / "model_list.csv"
    path.write_text(HEADER + rows)
    return read_passports(path)


@pytest.mark.parametrize(
    ("field", "ids"),
    [
        ("", []),
        ("ACH-000338", ["ACH-000338"]),
        ("ACH-000338;ACH-000338", ["ACH-000338"]),
        ("ACH-001189;ACH-001741", ["ACH-001189", "ACH-001741"]),
    ],
)
def test_a_model_may_have_none_one_or_several_ach_ids(tmp_path, field, ids):
    models = passports(tmp_path, f"SIDM00001,a,SIDP00001,,{field},Lung\n")
    assert models["depmap_ids"].tolist() == [ids]


def test_what_the_list_does_not_say_is_none(tmp_path):
    model = passports(tmp_path, "SIDM00001,a,,,,\n").loc[0]
    assert model[["patient_id", "parent", "lineage", "cellosaurus"]].tolist() == [None] * 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("ACH-000001,a,,,,\n", "model_id 'ACH-000001', which is not of the form SIDM"),
        (",a,,,,\n", "row 1 of the data has no model_id"),
        ("SIDM00001,a,,,,\nSIDM00001,b,,,,\n", "'SIDM00001' stands twice"),
    ],
)
def test_a_list_of_other_models_is_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        passports(tmp_path, rows)
