"""The workbook of TCGA-CDR, and any workbook from outside."""

import zipfile

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.simulate.outcomes_workbook import write_workbook
from bulkformer.sources import workbook
from bulkformer.sources.tcga_cdr import read_endpoints
from bulkformer.sources.workbook import read_sheet

HEADER = [None, "bcr_patient_barcode", "type", "OS", "OS.time", "Redaction"]
ROWS = [
    [1, "TCGA-OR-0001", "ACC", 1, 1355, None],
    [2, "TCGA-OR-0002", "ACC", 0, "#N/A", "Redacted"],
    [3, "TCGA-OR-0003", "ACC", "[Not Available]", 8.5, "#N/A"],
]


def cdr(folder, rows=ROWS, sheet="TCGA-CDR", **more):
    path = folder / "cdr.xlsx"
    write_workbook(path, {"first": [["about"]], sheet: [HEADER, *rows]}, **more)
    return path


def test_a_cell_that_says_not_available_is_no_value(tmp_path):
    table = read_endpoints("tcga_cdr", cdr(tmp_path), ["OS"], {})
    assert table["patient_id"].tolist() == ["TCGA-OR-0001", "TCGA-OR-0002", "TCGA-OR-0003"]
    np.testing.assert_array_equal(table["OS"], [1, 0, np.nan])
    np.testing.assert_array_equal(table["OS.time"], [1355, np.nan, 8.5])
    assert table["redaction"].tolist() == [None, "Redacted", None]


def test_a_title_above_the_header_is_passed_over(tmp_path):
    path = tmp_path / "cdr.xlsx"
    write_workbook(path, {"TCGA-CDR": [["Table S1"], [None], HEADER, *ROWS]})
    assert len(read_endpoints("tcga_cdr", path, ["OS"], {})) == len(ROWS)


def test_a_sheet_that_states_too_small_a_size_is_read_to_its_end(tmp_path):
    path = cdr(tmp_path, stated_size="A1:A1")
    assert len(read_sheet(path, "TCGA-CDR", ["type"])) == len(ROWS)


def test_an_absent_sheet_or_column_is_named_with_those_that_are_there(tmp_path):
    with pytest.raises(InputError, match=r"no sheet 'TCGA-CDR'; it has first, other"):
        read_endpoints("tcga_cdr", cdr(tmp_path, sheet="other"), ["OS"], {})
    with pytest.raises(InputError, match=r"no column PFI, PFI\.time in sheet"):
        read_endpoints("tcga_cdr", cdr(tmp_path), ["OS", "PFI"], {})


def test_text_in_a_column_of_times_is_named_by_row(tmp_path):
    path = cdr(tmp_path, [*ROWS, [4, "TCGA-OR-0004", "ACC", 1, "soon", None]])
    with pytest.raises(InputError, match=r"'soon' in column OS\.time, row 4"):
        read_endpoints("tcga_cdr", path, ["OS"], {})


@pytest.mark.parametrize("content", [b"<html>moved</html>", b"PK\x03\x04 cut", b""])
def test_what_is_no_workbook_is_refused(tmp_path, content):
    path = tmp_path / "cdr.xlsx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a readable Excel workbook"):
        read_sheet(path, None, ["OS"])


def test_a_zip_without_a_workbook_is_refused(tmp_path):
    path = tmp_path / "cdr.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no sheets here")
    with pytest.raises(InputError, match="not a readable Excel workbook"):
        read_sheet(path, None, ["OS"])


def test_a_workbook_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(InputError, match="would unpack to"):
        read_sheet(cdr(tmp_path), None, ["OS"])


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(InputError, match="known are tcga_cdr, table"):
        read_endpoints("xlsx", tmp_path / "x", ["OS"], {})
