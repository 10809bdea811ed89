"""DepMap's models and wide tables, and what the portal sends in their place."""

import gzip

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.sources import depmap_tables
from bulkformer.sources.depmap_tables import open_gene_matrix, read_models


def matrix(folder, text, name="effect.csv"):
    path = folder / name
    path.write_text(text)
    return open_gene_matrix(path)


def read(opened):
    blocks = list(opened.rows())
    return [model for models, _ in blocks for model in models], np.concatenate(
        [values for _, values in blocks]
    )


def test_the_first_column_holds_the_models_if_it_has_no_name(tmp_path):
    opened = matrix(tmp_path, ",A1BG (1),A2M (2)\nACH-000001,-0.5,\nACH-000002,1,2\n")
    models, values = read(opened)
    assert (opened.symbols, opened.entrez) == (["A1BG", "A2M"], ["1", "2"])
    assert models == ["ACH-000001", "ACH-000002"]
    np.testing.assert_array_equal(values, np.float32([[-0.5, np.nan], [1, 2]]))


def test_later_releases_put_other_columns_first_and_several_profiles_a_model(tmp_path):
    header = "ProfileID,IsDefaultEntryForModel,ModelID,A1BG (1)\n"
    rows = "PR-1,No,ACH-000001,9\nPR-2,Yes,ACH-000001,3\nPR-3,Yes,ACH-000002,4\n"
    models, values = read(matrix(tmp_path, header + rows))
    assert models == ["ACH-000001", "ACH-000002"]
    assert values.ravel().tolist() == [3, 4]


def test_a_symbol_with_brackets_and_a_gene_without_a_number(tmp_path):
    opened = matrix(tmp_path, ",HLA-A (x) (3105),LOST (Unknown)\nACH-000001,1,2\n")
    assert opened.symbols == ["HLA-A (x)", "LOST"]
    assert opened.entrez == ["3105", ""]


def test_a_wide_table_is_read_in_runs_and_never_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(depmap_tables, "PARSE_BYTES", 4096)
    rows = [f"ACH-{n:06d},{n},{-n}\n" for n in range(2000)]
    opened = matrix(tmp_path, ",A (1),B (2)\n" + "".join(rows))
    sizes = [len(models) for models, _ in opened.rows()]
    assert sum(sizes) == 2000
    assert max(sizes) < 500


def test_a_model_twice_or_a_word_among_numbers_stops_the_reading(tmp_path):
    with pytest.raises(InputError, match="ACH-000001 stands twice"):
        read(matrix(tmp_path, ",A (1)\nACH-000001,1\nACH-000001,2\n"))
    with pytest.raises(InputError, match="not models by genes in numbers"):
        read(matrix(tmp_path, ",A (1)\nACH-000001,high\n"))
    with pytest.raises(InputError, match="ACH-000002 has an infinite score"):
        read(matrix(tmp_path, ",A (1)\nACH-000001,0\nACH-000002,-inf\n"))


def test_a_web_page_is_no_table(tmp_path):
    for text in ["<!DOCTYPE html><p>Are you human?", "\n<html>", "<?xml version='1.0'?><Error/>"]:
        with pytest.raises(InputError, match="a web page, not a table"):
            matrix(tmp_path, text)
        path = tmp_path / "Model.csv"
        path.write_bytes(gzip.compress(text.encode()))
        with pytest.raises(InputError, match="a web page, not a table"):
            read_models(path)


def test_a_table_of_something_else_is_named_by_its_columns(tmp_path):
    with pytest.raises(InputError, match=r"no column 'SYMBOL \(ENTREZ\)'; the columns are a, b"):
        matrix(tmp_path, "a,b\n1,2\n")


def test_models_keep_their_ids_and_empty_cells_are_none(tmp_path):
    path = tmp_path / "Model.csv"
    path.write_text(
        "ModelID,PatientID,CellLineName,OncotreeLineage,RRID,SangerModelID\n"
        'ACH-000001,PT-1,"NIH:OVCAR-3, late",Ovary,CVCL_0465,\n'
    )
    model = read_models(path).loc[0]
    assert model[["cell_line_id", "patient_id", "name"]].tolist() == [
        "ACH-000001", "PT-1", "NIH:OVCAR-3, late",
    ]  # fmt: skip
    assert model["sanger_id"] is None
    assert model["cosmic_id"] is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "no row below the header line"),
        ("SIDM00001,PT-1\n", "ModelID 'SIDM00001', which is not of the form ACH"),
        ("ACH-000001,PT-1\nACH-000001,PT-1\n", "ModelID 'ACH-000001' stands twice"),
    ],
)
def test_a_list_of_other_models_is_refused(tmp_path, rows, message):
    path = tmp_path / "Model.csv"
    path.write_text("ModelID,PatientID\n" + rows)
    with pytest.raises(InputError, match=message):
        read_models(path)
