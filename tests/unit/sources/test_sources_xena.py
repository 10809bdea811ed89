"""The toil matrix of UCSC Xena: logged expected counts of TCGA, GTEx and TARGET."""

import gzip

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.reader import open_cohort

SAMPLES = ["GTEX-S4Q7-0003-SM-3NM8M", "TCGA-19-1787-01", "TARGET-10-PAKSWW-09", "K-562-SM-2AXVE"]
GENES = ["ENSG00000242268.2", "ENSG00000002586.18_PAR_Y", "ENSG00000259041.1"]
COUNTS = np.array([[0, 1, 2], [1023, 0, 7.5], [3, 15, 0], [0, 0, 60000.25]])
HEADER = "sample\tdetailed_category\tprimary disease or tissue\t_primary_site\t_sample_type\t_study"
PHENOTYPE = [
    "TCGA-19-1787-01\tGlioma\tGlioma\tBrain\tPrimary Tumor\tTCGA",
    "GTEX-S4Q7-0003-SM-3NM8M\tWhole Blood\tWhole Blood\tBlood\tNormal Tissue\tGTEX",
    "TARGET-10-PAKSWW-09\tALL\tAcute Lymphoblastic Leukemia\tWhite blood cell\tPrimary\tTARGET",
    "K-562-SM-2AXVE\tLeukemia cell line\tMen\u00e9trier\tBone Marrow\tCell Line\tGTEX",
    "TCGA-XX-0000-01\tno counts\tGlioma\tBrain\tPrimary Tumor\tTCGA",
]


@pytest.fixture
def files(tmp_path):
    matrix, phenotype = tmp_path / "expected_count.gz", tmp_path / "phenotype.txt.gz"
    rows = [
        "\t".join([gene, *(f"{value:.4f}" for value in values)])
        for gene, values in zip(GENES, np.log2(COUNTS.T + 1), strict=True)
    ]
    matrix.write_bytes(gzip.compress("\n".join(["\t".join(["sample", *SAMPLES]), *rows]).encode()))
    phenotype.write_bytes(gzip.compress("\n".join([HEADER, *PHENOTYPE]).encode("latin-1")))
    return matrix, phenotype


def test_expected_counts_come_back_from_their_logarithms(files):
    counts = open_cohort("xena", *files, transform="log2(x+1)")
    assert counts.gene_ids == GENES
    assert counts.samples["sample_id"].tolist() == SAMPLES
    values = np.concatenate([block for _, block in counts.blocks(3)])
    np.testing.assert_allclose(values, COUNTS, rtol=1e-4)
    assert (values[COUNTS == 0] == 0).all()


def test_patients_and_donors_are_part_of_the_sample_ids(files):
    samples = open_cohort("xena", *files, transform="log2(x+1)").samples
    assert samples["patient_id"].tolist() == [None, "TCGA-19-1787", "TARGET-10-PAKSWW", None]
    assert samples["donor_id"].tolist() == ["GTEX-S4Q7", None, None, None]


def test_a_phenotype_table_that_is_not_utf8_gives_the_labels(files, capsys):
    samples = open_cohort("xena", *files).samples
    assert samples["study_id"].tolist() == ["GTEX", "TCGA", "TARGET", "GTEX"]
    assert samples["tissue"].tolist() == ["Blood", "Brain", "White blood cell", "Bone Marrow"]
    assert samples["disease"][3] == "Men\u00e9trier"
    assert samples["sample_type"][1] == "Primary Tumor"
    assert "1 of its 5 rows have no counts" in capsys.readouterr().err


def test_labels_are_unknown_without_a_phenotype_table(files):
    samples = open_cohort("xena", files[0], None).samples
    assert samples["patient_id"][1] == "TCGA-19-1787"
    assert samples["sample_type"].tolist() == [None, "Primary Tumor", None, None]
    assert "tissue" not in samples


def test_a_matrix_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "m.tsv"
    path.write_text("gene\ts1\nA\t1\n")
    with pytest.raises(InputError, match="not with 'sample'"):
        open_cohort("xena", path, None)
