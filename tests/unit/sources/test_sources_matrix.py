"""Plain matrices of a user's own, in every form in which people keep them."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.reader import open_cohort

GENES = ["TP53", "1-Mar", "?|100130426", "TP53"]
SAMPLES = ["s1", "s2", "s3", "s4", "s5"]
VALUES = np.array(
    [[0, 1, 2, 3], [4.5, 5, 6, 7], [8, 9, 83_000_001, 11], [12, 13, 14, 15], [16, 17, 18, 19]]
)
TABLE = pd.DataFrame(
    {
        "sample": ["s5", "s3", "s4", "s2", "s1"],
        "Series": ["GSE2", "GSE1", "GSE1", "GSE1", "GSE1"],
        "disease": ["NA", "asthma", "", "healthy", "asthma"],
        "age": ["5", "3", "4", "2", "1"],
    }
)
COLUMNS = "sample_id=sample;study_id=Series"


def write(path: Path, frame: pd.DataFrame, index: bool = True) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=index)
    else:
        frame.to_csv(path, sep="," if ".csv" in path.name else "\t", index=index)
    return path


def genes_in_rows() -> pd.DataFrame:
    return pd.DataFrame(VALUES.T, index=pd.Index(GENES, name="gene"), columns=SAMPLES)


def stacked(counts, max_samples=2) -> np.ndarray:
    return np.concatenate([values for _, values in counts.blocks(max_samples)])


@pytest.mark.parametrize("table", ["t.tsv", "t.csv.gz", "t.parquet"])
@pytest.mark.parametrize(
    ("orientation", "name"),
    [
        *[("genes_in_rows", f"m.{form}") for form in ["tsv", "csv", "tsv.gz", "txt", "parquet"]],
        # A Parquet file cannot hold two columns of one name, as repeated genes would be.
        *[("samples_in_rows", f"m.{form}") for form in ["tsv", "csv", "tsv.gz", "txt"]],
    ],
)
def test_every_form_gives_the_same_counts(tmp_path, name, orientation, table):
    frame = genes_in_rows()
    if orientation == "samples_in_rows":
        frame = frame.T.rename_axis("sample")
    counts = open_cohort(
        "matrix",
        write(tmp_path / name, frame),
        write(tmp_path / table, TABLE, index=False),
        orientation=orientation,
        sample_columns=COLUMNS,
    )
    assert counts.gene_ids == GENES
    assert counts.samples["sample_id"].tolist() == SAMPLES
    assert counts.samples["study_id"].tolist() == ["GSE1"] * 4 + ["GSE2"]
    assert counts.samples["disease"].tolist() == ["asthma", "healthy", "asthma", None, None]
    assert counts.samples["age"].tolist() == list("12345")
    assert [ids for ids, _ in counts.blocks(2)] == [["s1", "s2"], ["s3", "s4"], ["s5"]]
    np.testing.assert_array_equal(stacked(counts), VALUES)


def test_samples_in_rows_of_a_parquet_file_are_read_in_their_order(tmp_path):
    frame = pd.DataFrame(VALUES, index=pd.Index(SAMPLES, name="sample"), columns=list("abcd"))
    table = write(tmp_path / "t.tsv", TABLE[TABLE["sample"] != "s2"], index=False)
    counts = open_cohort(
        "matrix",
        write(tmp_path / "m.parquet", frame),
        table,
        orientation="samples_in_rows",
        sample_columns=COLUMNS,
    )
    np.testing.assert_array_equal(stacked(counts), VALUES[[0, 2, 3, 4]])


def test_integers_of_a_parquet_file_stay_integers(tmp_path):
    path = write(tmp_path / "m.parquet", genes_in_rows().astype("int32"))
    assert next(open_cohort("matrix", path, None).blocks())[1].dtype == np.int32


def test_row_names_without_a_header_are_understood(tmp_path):
    path = tmp_path / "m.tsv"
    path.write_text("s1\ts2\nTP53\t1\t2\nMYC\t3\t4\n")  # as R's write.table does it
    counts = open_cohort("matrix", path, None)
    assert counts.gene_ids == ["TP53", "MYC"]
    np.testing.assert_array_equal(stacked(counts), [[1, 3], [2, 4]])


def test_quoted_cells_and_windows_line_ends_are_understood(tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes(b'\xef\xbb\xbf"gene","s1","s2"\r\n"A, long",1,2\r\n"B",3,4\r\n')
    counts = open_cohort("matrix", path, None)
    assert counts.gene_ids == ["A, long", "B"]
    assert counts.samples["sample_id"].tolist() == ["s1", "s2"]
    np.testing.assert_array_equal(stacked(counts), [[1, 3], [2, 4]])


def test_files_written_by_bgzip_are_read_to_their_end(tmp_path):
    path = tmp_path / "m.tsv.gz"
    path.write_bytes(gzip.compress(b"gene\ts1\nA\t1\n") + gzip.compress(b"B\t2\n"))
    assert open_cohort("matrix", path, None).gene_ids == ["A", "B"]


def test_order_of_the_sample_table_changes_nothing(tmp_path):
    path = write(tmp_path / "m.tsv", genes_in_rows())
    read = [
        open_cohort(
            "matrix", path, write(tmp_path / name, table, index=False), sample_columns=COLUMNS
        ).samples
        for name, table in [("t.tsv", TABLE), ("u.tsv", TABLE[::-1])]
    ]
    pd.testing.assert_frame_equal(*read)


def test_samples_on_one_side_only_are_left_out_and_counted(tmp_path, capsys):
    path = write(tmp_path / "m.tsv", genes_in_rows())
    rows = TABLE.assign(sample=["s5", "s3", "x1", "x2", "x3"])
    table = write(tmp_path / "t.tsv", rows, index=False)
    counts = open_cohort("matrix", path, table, sample_columns=COLUMNS)
    assert counts.samples["sample_id"].tolist() == ["s3", "s5"]
    np.testing.assert_array_equal(stacked(counts), VALUES[[2, 4]])
    assert "3 of 5 samples" in (said := capsys.readouterr().err)
    assert "3 of its 5 rows" in said


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('sample\tx\ns1\t"A\ns2\tB\ns3\t"C\n', "'x' in row 1 .* begins with a quotation mark"),
        ("sample\tx\ns1\tA\t\ns2\tB\t\n", "rows end with a separator that its header has not"),
        ("", "not a readable sample table"),
        ("sample\tx\n", "share no sample"),
    ],
)
def test_a_table_whose_cells_would_shift_or_vanish_is_refused(tmp_path, text, complaint):
    path = write(tmp_path / "m.tsv", genes_in_rows())
    table = tmp_path / "t.tsv"
    table.write_text(text)
    with pytest.raises(InputError, match=complaint):
        open_cohort("matrix", path, table, sample_columns="sample_id=sample")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<html>\n<body>\n</html>\n", "its header is one column, '<html>'"),
        ("gene,s1\nA,1\n", "its header is one column, 'gene,s1'"),
        ("gene\ts1\t\nA\t1\t\n", "sample 2 has no id"),
        ("gene\ts1\n", "no data below the header"),
        ('gene\ts1\n"A\t1\nB\t2\n"C\t3\n', r"stray quotation mark joins the rows from 'A\\t1"),
    ],
)
def test_what_is_no_matrix_is_refused(tmp_path, text, complaint):
    path = tmp_path / "m.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        open_cohort("matrix", path, None)


def test_a_table_that_shares_no_sample_is_refused_with_examples(tmp_path):
    path = write(tmp_path / "m.tsv", genes_in_rows())
    table = write(tmp_path / "t.tsv", TABLE, index=False)
    with pytest.raises(InputError, match=r"share no sample.*'s1' and '5'"):
        open_cohort("matrix", path, table, sample_columns="sample_id=age")


def test_an_unknown_column_is_refused_naming_those_that_are_there(tmp_path):
    path = write(tmp_path / "m.tsv", genes_in_rows())
    table = write(tmp_path / "t.tsv", TABLE, index=False)
    with pytest.raises(InputError, match=r"t.tsv: no column 'sample_id'.*sample, Series, disease"):
        open_cohort("matrix", path, table)
    with pytest.raises(InputError, match="no column 'Donor' for donor_id"):
        open_cohort("matrix", path, table, sample_columns="sample_id=sample;donor_id=Donor")


@pytest.mark.parametrize("text", ["sample_id", "=x", "sample_id=", "a=b;a=c"])
def test_a_mapping_that_cannot_be_read_is_refused(tmp_path, text):
    path = write(tmp_path / "m.tsv", genes_in_rows())
    with pytest.raises(InputError, match="sample_columns"):
        open_cohort("matrix", path, None, sample_columns=text)


def test_a_column_that_no_stage_knows_is_carried_under_our_name(tmp_path):
    path = write(tmp_path / "m.tsv", genes_in_rows())
    table = write(tmp_path / "t.tsv", TABLE, index=False)
    samples = open_cohort("matrix", path, table, sample_columns=f"{COLUMNS};years=age").samples
    assert samples["years"].tolist() == list("12345")
    assert "age" not in samples


def test_numeric_columns_that_stages_compute_with_are_numbers(tmp_path):
    path = write(tmp_path / "m.tsv", genes_in_rows())
    table = write(tmp_path / "t.tsv", TABLE, index=False)
    counts = open_cohort("matrix", path, table, sample_columns=f"{COLUMNS};aligned_reads=age")
    assert counts.samples["aligned_reads"].tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(InputError, match="'aligned_reads' is not all numbers"):
        open_cohort("matrix", path, table, sample_columns=f"{COLUMNS};aligned_reads=disease")


@pytest.mark.parametrize("name", ["m.tsv", "m.parquet"])
@pytest.mark.parametrize(
    ("value", "complaint"), [(np.nan, "is missing"), (-1.0, "is -1"), (np.inf, "is inf")]
)
def test_a_value_that_is_no_count_is_named_by_gene_and_sample(tmp_path, name, value, complaint):
    frame = genes_in_rows()
    frame.iloc[2, 3] = value
    counts = open_cohort("matrix", write(tmp_path / name, frame), None)
    with pytest.raises(InputError, match=rf"{name}.*100130426.*gene row 3.*'s4' {complaint}"):
        list(counts.blocks())


def test_text_among_the_counts_is_named_by_gene_and_sample(tmp_path):
    frame = genes_in_rows().astype(object)
    frame.iloc[1, 2] = "high"
    counts = open_cohort("matrix", write(tmp_path / "m.tsv", frame), None)
    with pytest.raises(InputError, match=r"'high' in row '1-Mar' \(line 3\), column 's3'"):
        list(counts.blocks())
    table = frame.astype(str)
    with pytest.raises(InputError, match=r"column 's1' holds .*string and not numbers"):
        open_cohort("matrix", write(tmp_path / "m.parquet", table), None)


def test_rows_of_unequal_length_are_refused(tmp_path):
    path = tmp_path / "m.tsv"
    path.write_text("gene\ts1\ts2\nA\t1\t2\nB\t3\n")
    with pytest.raises(InputError, match="Expected 3 columns, got 2"):
        open_cohort("matrix", path, None)


def test_samples_that_stand_twice_are_named_on_either_side(tmp_path):
    path = tmp_path / "m.tsv"
    path.write_text("gene\ts1\ts1\nA\t1\t2\n")
    with pytest.raises(InputError, match=r"m\.tsv: the sample 's1' stands twice"):
        open_cohort("matrix", path, None)
    table = write(tmp_path / "t.tsv", pd.concat([TABLE, TABLE[:1]]), index=False)
    matrix = write(tmp_path / "n.tsv", genes_in_rows())
    with pytest.raises(InputError, match=r"t\.tsv: the sample 's5' stands twice"):
        open_cohort("matrix", matrix, table, sample_columns=COLUMNS)


def test_barcodes_fill_what_the_table_does_not_say(tmp_path):
    samples = ["TCGA-OR-A5J1-01A-11R-A29S-07", "TCGA.W5.AA2U.11A", "TCGA.A8.A08X", "other"]
    frame = pd.DataFrame(1, index=pd.Index(["A"], name="gene"), columns=samples)
    path = write(tmp_path / "m.tsv", frame)
    known = open_cohort("matrix", path, None).samples
    assert known["patient_id"].tolist() == ["TCGA-OR-A5J1", "TCGA-W5-AA2U", "TCGA-A8-A08X", None]
    assert known["sample_type"].tolist() == ["Primary Tumor", "Solid Tissue Normal", None, None]
    assert known["study_id"].tolist() == [None] * 4
    table = pd.DataFrame({"sample_id": samples, "patient_id": ["P1", "", "P3", ""]})
    given = open_cohort("matrix", path, write(tmp_path / "t.tsv", table, index=False)).samples
    assert given["patient_id"].tolist() == ["P1", "TCGA-W5-AA2U", "P3", None]


def test_absent_files_formats_and_orientations_are_named(tmp_path):
    path = write(tmp_path / "m.tsv", genes_in_rows())
    with pytest.raises(InputError, match=r"absent.tsv: no such file"):
        open_cohort("matrix", tmp_path / "absent.tsv", None)
    with pytest.raises(InputError, match=r"known are archs4, .*, matrix"):
        open_cohort("loom", path, None)
    with pytest.raises(InputError, match="genes_in_rows or samples_in_rows"):
        open_cohort("matrix", path, None, orientation="sideways")


@pytest.mark.parametrize("content", [b"", b"gene\ts1\n", b"\x1f\x8bbroken", b"\xff\xfe\x00"])
def test_files_that_are_no_table_are_refused(tmp_path, content):
    path = tmp_path / "m.tsv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"m\.tsv"):
        open_cohort("matrix", path, None)


def test_damage_in_the_middle_of_a_file_is_refused(tmp_path):
    path = tmp_path / "m.tsv"
    rows = b"".join(b"gene%d\t1\n" % at for at in range(5_000))
    path.write_bytes(b"gene\ts1\n" + rows + b"B\xff\xfe\t2\n")
    with pytest.raises(InputError, match=r"m\.tsv: .*UTF8"):
        open_cohort("matrix", path, None)
    rows = "".join(f"gene{at}\t{at * at}\n" for at in range(20_000))
    content = bytearray(gzip.compress(f"gene\ts1\n{rows}".encode()))
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"m\.tsv: cannot be read to its end"):
        open_cohort("matrix", path, None)
