"""NCBI's RNA-seq counts of GEO series, one file or a tar of many."""

import gzip
import io
import tarfile

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.reader import open_cohort

FIRST = "GeneID\tGSM1\tGSM2\tGSM3\n7157\t1\t2\t3\n672\t4\t5\t6\n100130426\t0\t0\t83000001\n"
# Another order of the same genes, and a sample of the first series again.
SECOND = "GeneID\tgsm4 \tGSM2\n100130426\t40\t0\n672\t20\t5\n7157\t10\t2\n"
NAMES = ["GSE10_raw_counts_GRCh38.p13_NCBI.tsv.gz", "GSE20_raw_counts_GRCh38.p13_NCBI.tsv.gz"]


def pack(path, tables, names=NAMES, zipped=True):
    with tarfile.open(path, "w") as tar:
        for name, text in zip(names, tables, strict=True):
            content = gzip.compress(text.encode()) if zipped else text.encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def tar(tmp_path):
    return pack(tmp_path / "raw_counts.tar", [FIRST, SECOND])


def values_of(counts, max_samples=2):
    return np.concatenate([values for _, values in counts.blocks(max_samples)])


def test_series_are_read_one_after_the_other_and_aligned_by_gene_id(tar, capsys):
    counts = open_cohort("ncbi_counts", tar, None)
    assert counts.gene_ids == ["7157", "672", "100130426"]
    assert counts.samples["sample_id"].tolist() == ["GSM1", "GSM2", "GSM3", "GSM4"]
    assert [ids for ids, _ in counts.blocks(2)] == [["GSM1", "GSM2"], ["GSM3"], ["GSM4"]]
    expected = [[1, 4, 0], [2, 5, 0], [3, 6, 83_000_001], [10, 20, 40]]
    np.testing.assert_array_equal(values_of(counts), expected)
    assert "1 samples stand in several series" in capsys.readouterr().err


def test_a_sample_of_several_series_belongs_to_all_of_them(tar):
    samples = open_cohort("ncbi_counts", tar, None).samples
    assert samples["study_id"].tolist() == ["GSE10", "GSE10,GSE20", "GSE10", "GSE20"]
    assert samples["series_ids"].tolist() == samples["study_id"].tolist()


def test_only_samples_of_the_table_are_read_and_carry_its_labels(tmp_path, tar, capsys):
    table = tmp_path / "samples.tsv"
    table.write_text("gsm\tstudy_id\tdisease\ngsm4\t\tasthma\nGSM2\tGSE99\tcontrol\nGSM9\t\t\n")
    counts = open_cohort("ncbi_counts", tar, table, sample_columns="sample_id=gsm")
    assert counts.samples["sample_id"].tolist() == ["GSM2", "GSM4"]
    assert counts.samples["disease"].tolist() == ["control", "asthma"]
    assert counts.samples["study_id"].tolist() == ["GSE99", "GSE20"]
    np.testing.assert_array_equal(values_of(counts), [[2, 5, 0], [10, 20, 40]])
    assert "2 of 4 samples" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["GSE7_raw_counts_GRCh38.p13_NCBI.tsv.gz", "counts.tsv"])
def test_one_file_is_read_as_well(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(FIRST.encode()) if name.endswith(".gz") else FIRST.encode())
    counts = open_cohort("ncbi_counts", path, None)
    np.testing.assert_array_equal(values_of(counts, 256)[:, 2], [0, 0, 83_000_001])
    assert set(counts.samples["study_id"]) == ({"GSE7"} if name.startswith("GSE") else {None})


def test_other_members_are_no_counts(tmp_path):
    names = ["GSE10_norm_counts_TPM_GRCh38.p13_NCBI.tsv.gz", NAMES[0]]
    path = pack(tmp_path / "t.tar", ["GeneID\tGSM1\n1\t0.5\n", FIRST], names)
    assert len(open_cohort("ncbi_counts", path, None).samples) == 3
    with pytest.raises(InputError, match="holds no file GSE"):
        open_cohort("ncbi_counts", pack(tmp_path / "u.tar", [FIRST], names[:1]), None)


def test_series_of_another_annotation_are_refused(tmp_path):
    other = SECOND.replace("672", "675")
    with pytest.raises(InputError, match=r"GSE20_raw.*'GSE10_raw.*2 stand in one.*GeneID 672"):
        open_cohort("ncbi_counts", pack(tmp_path / "t.tar", [FIRST, other]), None)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("Geneid\tGSM1\n7157\t1\n", "not with 'GeneID'"),
        ("<html><body>Error</body></html>\n", "not with 'GeneID'"),
        ("GeneID\tGSM1\n7157\t1\n7157\t2\n", "one of them twice"),
        ("GeneID\tGSM1\tGSM1\n7157\t1\t2\n", "'GSM1' stands twice"),
        ("GeneID\tGSM1\tGSM2\n7157\t1\n", "is damaged .*Expected 3 columns"),
    ],
)
def test_what_is_no_table_of_counts_is_refused(tmp_path, table, complaint):
    with pytest.raises(InputError, match=complaint):
        open_cohort("ncbi_counts", pack(tmp_path / "t.tar", [table], NAMES[:1]), None)


@pytest.mark.parametrize(("value", "complaint"), [("", "is missing"), ("-1", "is -1")])
def test_a_value_that_is_no_count_is_named(tmp_path, value, complaint):
    path = pack(tmp_path / "t.tar", [FIRST.replace("\t5\t", f"\t{value}\t")], NAMES[:1])
    with pytest.raises(InputError, match=f"gene '672' .* 'GSM2' {complaint}"):
        values_of(open_cohort("ncbi_counts", path, None))


def test_truncated_archives_and_members_are_refused(tmp_path, tar):
    cut = tmp_path / "cut.tar"
    cut.write_bytes(tar.read_bytes()[:600])
    with pytest.raises(InputError, match=r"cut\.tar"):
        open_cohort("ncbi_counts", cut, None)
    member = tmp_path / "GSE7_raw_counts_X.tsv.gz"
    member.write_bytes(gzip.compress(FIRST.encode())[:-12])
    with pytest.raises(InputError, match="GSE7"):
        values_of(open_cohort("ncbi_counts", member, None))


def test_a_member_that_leads_out_of_the_archive_is_refused(tmp_path):
    path = pack(tmp_path / "t.tar", [FIRST], [f"../{NAMES[0]}"])
    with pytest.raises(InputError, match="leads out of the archive"):
        open_cohort("ncbi_counts", path, None)
