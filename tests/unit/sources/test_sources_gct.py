"""GTEx read counts as GCT, and the sample attributes."""

import gzip

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.reader import open_cohort

SAMPLES = ["GTEX-1117F-0226-SM-5GZZ7", "GTEX-1117F-0426-SM-5EGHI", "K-562-SM-2AXVE"]
ROWS = [
    "ENSG00000223972.5\tDDX11L1\t0\t1\t2",
    "ENSG00000227232.5\tWASH7P\t10\t11\t83000001",
    "ENSG00000169100.13_PAR_Y\tSLC25A6\t3\t4\t5",
]
ATTRIBUTES = (
    "SAMPID\tSMATSSCR\tSMTS\tSMTSD\n"
    "K-562-SM-2AXVE\t\tBone Marrow\tCells - Leukemia cell line (CML)\n"
    "GTEX-1117F-0426-SM-5EGHI\t1\tMuscle\tMuscle - Skeletal\n"
    "GTEX-1117F-0226-SM-5GZZ7\t0\tAdipose Tissue\tAdipose - Subcutaneous\n"
    "GTEX-XXXX-0001-SM-BLOOD\t\tBlood\tWhole Blood\n"
)


def write_gct(path, *, dimensions="3\t3", version="#1.2", rows=ROWS, samples=SAMPLES, extra=""):
    text = "\n".join(
        [version, dimensions, "\t".join([*extra.split(), "Name", "Description", *samples]), *rows]
    )
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture
def attributes(tmp_path):
    path = tmp_path / "attributes.txt"
    path.write_text(ATTRIBUTES)
    return path


@pytest.mark.parametrize("name", ["reads.gct", "reads.gct.gz"])
def test_counts_keep_the_order_of_the_file(tmp_path, attributes, name, capsys):
    counts = open_cohort("gct", write_gct(tmp_path / name), attributes)
    assert counts.gene_ids == [row.split("\t")[0] for row in ROWS]
    blocks = list(counts.blocks(2))
    assert [ids for ids, _ in blocks] == [SAMPLES[:2], SAMPLES[2:]]
    np.testing.assert_array_equal(
        np.concatenate([values for _, values in blocks]), [[0, 10, 3], [1, 11, 4], [2, 83000001, 5]]
    )
    assert "1 of its 4 rows have no counts" in capsys.readouterr().err


def test_tissue_and_donor_are_known(tmp_path, attributes):
    samples = open_cohort("gct", write_gct(tmp_path / "reads.gct"), attributes).samples
    assert samples["tissue"].tolist() == ["Adipose Tissue", "Muscle", "Bone Marrow"]
    assert samples["tissue_detail"][1] == "Muscle - Skeletal"
    assert samples["donor_id"].tolist() == ["GTEX-1117F", "GTEX-1117F", "K-562"]
    assert set(samples["study_id"]) == {"GTEx"}


def test_labels_stay_unknown_without_attributes(tmp_path):
    samples = open_cohort("gct", write_gct(tmp_path / "reads.gct"), None).samples
    assert "tissue" not in samples
    assert samples["donor_id"][2] == "K-562"


def test_a_leading_column_of_row_numbers_is_no_sample(tmp_path):
    rows = [f"{at}\t{row}" for at, row in enumerate(ROWS)]
    counts = open_cohort("gct", write_gct(tmp_path / "reads.gct", rows=rows, extra="id"), None)
    assert counts.samples["sample_id"].tolist() == SAMPLES
    assert counts.gene_ids[0] == "ENSG00000223972.5"


@pytest.mark.parametrize("dimensions", ["4\t3", "3\t2"])
def test_dimensions_that_the_content_does_not_have_are_refused(tmp_path, dimensions):
    with pytest.raises(InputError, match="the file has 3 and 3"):
        open_cohort("gct", write_gct(tmp_path / "reads.gct", dimensions=dimensions), None)


def test_another_version_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"version 1\.2"):
        open_cohort("gct", write_gct(tmp_path / "reads.gct", version="#1.3"), None)


def test_a_truncated_file_is_refused(tmp_path):
    path = write_gct(tmp_path / "reads.gct.gz", rows=ROWS * 50, dimensions="150\t3")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"reads\.gct\.gz"):
        open_cohort("gct", path, None)


def test_a_sample_that_stands_twice_is_named(tmp_path):
    with pytest.raises(InputError, match="GTEX-1117F-0226-SM-5GZZ7' stands twice"):
        open_cohort(
            "gct", write_gct(tmp_path / "reads.gct", samples=SAMPLES[:2] + SAMPLES[:1]), None
        )


def test_a_sample_table_without_the_column_is_refused_with_a_remedy(tmp_path):
    path = tmp_path / "attributes.txt"
    path.write_text(ATTRIBUTES.replace("SMTSD", "Detail"))
    gct = write_gct(tmp_path / "reads.gct")
    with pytest.raises(InputError, match=r"no column 'SMTSD'.*SMATSSCR.*tissue_detail=<column>"):
        open_cohort("gct", gct, path)
    counts = open_cohort("gct", gct, path, sample_columns="tissue_detail=Detail;score=SMATSSCR")
    assert counts.samples["tissue_detail"][1] == "Muscle - Skeletal"
    assert counts.samples["score"].tolist() == ["0", "1", None]
