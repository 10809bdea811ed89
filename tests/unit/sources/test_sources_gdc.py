"""GDC STAR counts in a tar, with the sample sheet of the portal."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.reader import open_cohort

SUFFIX = ".rna_seq.augmented_star_gene_counts.tsv"
GENES = ["ENSG00000000003.15", "ENSG00000000005.6", "ENSG00000002586.20_PAR_Y"]
HEADER = (
    "gene_id\tgene_name\tgene_type\tunstranded\tstranded_first\tstranded_second\t"
    "tpm_unstranded\tfpkm_unstranded\tfpkm_uq_unstranded"
)


def star_counts(values, genes=GENES) -> str:
    totals = [f"N_{what}\t\t\t9\t9\t9\t\t\t" for what in ["unmapped", "multimapping", "noFeature"]]
    rows = [
        f"{gene}\tX\tprotein_coding\t{value}\t1\t2\t0.5\t0.5\t0.5"
        for gene, value in zip(genes, values, strict=True)
    ]
    return "\n".join(["# gene-model: GENCODE v36", HEADER, *totals, *rows]) + "\n"


class Cart:
    """Files of one GDC cart: the tar and the sheet, in any state of disorder."""

    def __init__(self, folder: Path):
        self.tar, self.sheet = folder / "star_counts.tar", folder / "sample_sheet.tsv"
        self.members, self.rows = [("MANIFEST.txt", "id\tfilename\n")], []

    def add(self, name, values, sample, kind="Primary Tumor", project="TCGA-BRCA", genes=GENES):
        file_name = f"{name}{SUFFIX}"
        self.members.append((f"{name}-0000-file-id/{file_name}", star_counts(values, genes)))
        self.rows.append(
            f"{name}-0000-file-id\t{file_name}\tTranscriptome Profiling\tGene Expression\t"
            f"{project}\t{sample[:12]}\t{sample}\t{kind}"
        )
        return self

    def open(self, mode="w", **options):
        with tarfile.open(self.tar, mode) as tar:
            for name, text in self.members:
                info = tarfile.TarInfo(name)
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
        columns = "File ID\tFile Name\tData Category\tData Type\tProject ID\tCase ID\tSample ID"
        self.sheet.write_text("\n".join([f"{columns}\tSample Type", *self.rows]) + "\n")
        return open_cohort("gdc", self.tar, self.sheet, **options)


@pytest.fixture
def cart(tmp_path) -> Cart:
    cart = Cart(tmp_path)
    cart.add("bbbb", [5, 0, 7], "TCGA-AA-0001-01A")
    cart.add("aaaa", [1, 2, 3], "TCGA-AA-0002-11A", "Solid Tissue Normal")
    return cart.add("cccc", [0, 0, 9], "TARGET-20-X", project="TARGET-AML")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_counts_are_unstranded_in_the_order_of_the_tar_without_read_totals(cart, mode):
    counts = cart.open(mode)
    assert counts.gene_ids == GENES
    blocks = list(counts.blocks(2))
    assert [len(ids) for ids, _ in blocks] == [2, 1]
    np.testing.assert_array_equal(
        np.concatenate([values for _, values in blocks]), [[5, 0, 7], [1, 2, 3], [0, 0, 9]]
    )


def test_the_sheet_is_joined_by_file_name_and_not_by_position(cart):
    cart.rows.reverse()
    samples = cart.open().samples
    assert samples["sample_id"].tolist() == ["TCGA-AA-0001-01A", "TCGA-AA-0002-11A", "TARGET-20-X"]
    assert samples["patient_id"][1] == "TCGA-AA-0002"
    assert samples["cancer_type"].tolist() == ["BRCA", "BRCA", "TARGET-AML"]
    assert samples["study_id"].tolist() == ["TCGA-BRCA", "TCGA-BRCA", "TARGET-AML"]
    assert samples["sample_type"][1] == "Solid Tissue Normal"


def test_aliquots_of_one_sample_stay_apart(cart):
    cart.add("dddd", [4, 4, 4], "TCGA-AA-0001-01A")
    samples = cart.open().samples
    assert samples["sample_id"][0] == "TCGA-AA-0001-01A_bbbb-000"
    assert samples["sample_id"][3] == "TCGA-AA-0001-01A_dddd-000"
    assert samples["sample_id"].is_unique


def test_aliquots_bear_their_barcodes_where_the_sheet_names_them(cart):
    cart.add("dddd", [4, 4, 4], "TCGA-AA-0001-01A")
    cart.open()
    header, *rows = cart.sheet.read_text().splitlines()
    barcodes = [f"TCGA-AA-000{at}-01A-11R-A0{at}0-07" for at in range(len(rows))]
    lines = [f"{header}\tAliquot ID"] + [
        f"{row}\t{each}" for row, each in zip(rows, barcodes, strict=True)
    ]
    cart.sheet.write_text("\n".join(lines) + "\n")
    samples = open_cohort("gdc", cart.tar, cart.sheet).samples
    named = dict(zip(samples["file_id"].str[:4], samples["sample_id"], strict=True))
    by_file = dict(zip((row[:4] for row in rows), barcodes, strict=True))
    assert (named["bbbb"], named["dddd"]) == (by_file["bbbb"], by_file["dddd"])
    assert named["aaaa"] not in barcodes  # alone in its sample


def test_sheets_without_sample_type_take_it_from_the_barcode(cart):
    cart.open()
    text = cart.sheet.read_text().replace("Sample Type", "Tissue Type")
    cart.sheet.write_text(text)
    samples = open_cohort("gdc", cart.tar, cart.sheet).samples
    assert samples["sample_type"].tolist() == ["Primary Tumor", "Solid Tissue Normal", None]


def test_rows_of_other_data_types_are_no_concern(cart):
    cart.rows.append("x\tx.methylation.tsv\tDNA Methylation\tBeta\tTCGA-BRCA\tTCGA-AA-1\tA, B\t")
    assert len(cart.open().samples) == 3


def test_a_further_column_of_the_sheet_can_be_asked_for(cart):
    samples = cart.open(sample_columns="kind=Data Type").samples
    assert samples["kind"][0] == "Gene Expression"


def test_a_file_without_a_row_is_named(cart):
    del cart.rows[1]
    with pytest.raises(InputError, match=f"'aaaa{SUFFIX}' has no row"):
        cart.open()


def test_a_row_without_a_file_is_named(cart):
    del cart.members[2]
    with pytest.raises(InputError, match=f"1 files are not in .*'aaaa{SUFFIX}'"):
        cart.open()


@pytest.mark.parametrize("name", ["/etc/x", "a/../../x"])
def test_members_that_lead_out_of_the_archive_are_refused(cart, name):
    cart.members.append((name, "x"))
    with pytest.raises(InputError, match="leads out of the archive"):
        cart.open()


def test_links_in_the_archive_are_not_followed(cart):
    cart.open()
    with tarfile.open(cart.tar, "a") as tar:
        link = tarfile.TarInfo(f"evil/evil{SUFFIX}")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert len(open_cohort("gdc", cart.tar, cart.sheet).samples) == 3


def test_another_gene_order_is_refused_naming_the_file(cart):
    cart.add("dddd", [4, 4, 4], "TCGA-AA-0009-01A", genes=GENES[::-1])
    counts = cart.open()
    with pytest.raises(InputError, match=f"dddd{SUFFIX}.*same genes in the same order"):
        list(counts.blocks())


@pytest.mark.parametrize(
    ("value", "complaint"),
    [("-4", "ENSG00000000005.6.*TCGA-AA-0009-01A.*-4"), ("", "is missing"), ("x", "dddd")],
)
def test_a_value_that_is_no_count_is_named(cart, value, complaint):
    cart.add("dddd", [4, value, 4], "TCGA-AA-0009-01A")
    counts = cart.open()
    with pytest.raises(InputError, match=complaint):
        list(counts.blocks())


def test_a_truncated_archive_is_refused(cart):
    cart.open("w:gz")
    cart.tar.write_bytes(cart.tar.read_bytes()[:300])
    with pytest.raises(InputError, match="not a whole tar archive"):
        open_cohort("gdc", cart.tar, cart.sheet)


def test_an_archive_without_star_counts_is_refused(cart):
    cart.members = cart.members[:1]
    with pytest.raises(InputError, match="holds no file"):
        cart.open()


def test_the_sheet_is_required(cart):
    cart.open()
    with pytest.raises(InputError, match="needs the sample sheet"):
        open_cohort("gdc", cart.tar, None)
