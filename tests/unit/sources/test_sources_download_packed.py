"""Files that are packed from many small ones: STAR counts of the GDC, series counts of NCBI."""

import gzip
import hashlib
import json
import re
import tarfile

import pytest
from download_server import Page, json_page

from bulkformer.errors import InputError
from bulkformer.sources import gdc_files, ncbi_files, packing
from bulkformer.sources.download import download
from bulkformer.sources.lock import read_lock
from bulkformer.sources.reader import open_cohort

RELEASE = "Data Release 43.0 - May 07, 2025"
HEADER = "gene_id\tgene_name\tgene_type\tunstranded\n"


class Gdc:
    """The interface of the GDC as far as it is used, with `count` aliquots."""

    def __init__(self, server, count):
        self.server = server
        self.files, self.pages = [], []
        # Names and ids sort in opposite order.
        for at in range(count):
            body = f"# gene-model: GENCODE v36\n{HEADER}ENSG1.1\t{'A' * 6000}\tx\t{at}\n"
            file_id = f"{count - at:08x}-0000-4000-8000-000000000000"
            self.files.append(
                {
                    "file_id": file_id,
                    "file_name": f"{at:08x}.rna_seq.augmented_star_gene_counts.tsv",
                    "md5sum": hashlib.md5(body.encode()).hexdigest(),
                    "file_size": len(body),
                    "data_category": "Transcriptome Profiling",
                    "data_type": "Gene Expression Quantification",
                    "associated_entities": [
                        {"entity_submitter_id": f"TCGA-AA-{at:04d}-01A-11R-A000-07"}
                    ],
                    "cases": [
                        {
                            "submitter_id": f"TCGA-AA-{at:04d}",
                            "project": {"project_id": "TCGA-BRCA"},
                            "samples": [
                                {
                                    "submitter_id": f"TCGA-AA-{at:04d}-01A",
                                    "sample_type": "Primary Tumor",
                                }
                            ],
                        }
                    ],
                }
            )
            self.pages.append(Page(body.encode()))
            server.pages[f"gdc/data/{file_id}"] = self.pages[-1]
        server.pages["gdc/status"] = json_page({"data_release": RELEASE, "status": "OK"})
        server.pages["gdc/files"] = Page(self._answer)

    def _answer(self, request):
        question = json.loads(request.body)
        hits = sorted(self.files, key=lambda file: file["file_id"])
        hits = hits[question["from"] :][: question["size"]]
        pagination = {"total": len(self.files), "from": question["from"]}
        return json.dumps({"data": {"hits": hits, "pagination": pagination}}).encode()

    def asked(self, at):
        return self.server.asked(f"gdc/data/{self.files[at]['file_id']}")

    def fetch(self, folder, name="star_counts.tar", **options):
        download(folder / name, listing=f"gdc {self.server.url('gdc')}", **options)
        return folder / name


@pytest.fixture
def gdc(server, monkeypatch):
    monkeypatch.setattr(gdc_files, "PAGE", 2)
    monkeypatch.setattr(gdc_files, "BATCH", 2)
    return Gdc(server, count=5)


def test_counts_and_sheet_of_the_gdc_are_what_the_reader_reads(gdc, server, tmp_path):
    folder, lock = tmp_path / "gdc", tmp_path / "lock.yaml"
    tar = gdc.fetch(folder, lock=lock)
    sheet = gdc.fetch(folder, "sample_sheet.tsv", lock=lock)
    counts = open_cohort("gdc", tar, sheet)
    assert counts.samples["sample_id"].tolist() == [f"TCGA-AA-{at:04d}-01A" for at in range(5)]
    assert counts.samples["sample_type"].unique().tolist() == ["Primary Tumor"]
    assert counts.samples["aliquot_id"][4] == "TCGA-AA-0004-01A-11R-A000-07"
    assert [value for _, values in counts.blocks() for value in values[:, 0]] == [0, 1, 2, 3, 4]
    assert read_lock(lock)["gdc/star_counts.tar"]["version"] == RELEASE
    # Three pages for both downloads together: counts and sheet speak of one list.
    assert len(server.asked("gdc/files", "POST")) == 3


def test_the_question_to_the_gdc_is_for_open_star_counts_of_tcga(gdc, server, tmp_path):
    gdc.fetch(tmp_path / "gdc", "sample_sheet.tsv")
    asked = json.loads(server.asked("gdc/files", "POST")[0].body)
    content = [part["content"] for part in asked["filters"]["content"]]
    assert {part["field"]: part["value"] for part in content} == {
        "files.analysis.workflow_type": ["STAR - Counts"],
        "files.data_type": ["Gene Expression Quantification"],
        "files.access": ["open"],
        "cases.project.program.name": ["TCGA"],
    }


def test_the_tar_is_the_same_whoever_packs_it(gdc, tmp_path):
    first, second = (gdc.fetch(tmp_path / name / "gdc").read_bytes() for name in "ab")
    assert first == second
    with tarfile.open(tmp_path / "a/gdc/star_counts.tar") as tar:
        assert {(info.mtime, info.uid, info.mode) for info in tar} == {(0, 0, 0o644)}


def test_a_damaged_file_of_a_collection_is_asked_for_again(gdc, tmp_path):
    whole = gdc.pages[2].body
    answers = [b"cut", whole]
    gdc.pages[2].body = lambda request: answers.pop(0)
    gdc.fetch(tmp_path / "gdc")
    assert len(gdc.asked(2)) == 2


def test_a_collection_that_stays_incomplete_keeps_what_it_has(gdc, tmp_path):
    good, gdc.pages[4].body = gdc.pages[4].body, b"never right"
    with pytest.raises(InputError, match=r"1 of 1 files did not arrive whole.*start again"):
        gdc.fetch(tmp_path / "gdc")
    assert not (tmp_path / "gdc/star_counts.tar").exists()
    gdc.pages[4].body = good
    gdc.fetch(tmp_path / "gdc")
    assert [len(gdc.asked(at)) for at in range(4)] == [1, 1, 1, 1]
    leftovers = {path.name for path in (tmp_path / "gdc").iterdir()}
    assert leftovers == {"star_counts.tar", ".gdc_files.json", ".gdc_files.guard"}


@pytest.mark.parametrize(
    ("key", "value"),
    [("file_id", "../../etc/passwd"), ("file_name", "../x.tsv"), ("md5sum", "0"), ("cases", None)],
)
def test_an_answer_that_cannot_be_is_refused(gdc, tmp_path, key, value):
    gdc.files[1][key] = value
    with pytest.raises(InputError, match=key):
        gdc.fetch(tmp_path / "gdc")


def test_a_cut_tar_goes_on_after_its_last_whole_member(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * 1000)
    with packing.Pack(tmp_path / "whole.tar") as pack:
        for name in "abc":
            pack.add(f"id/{name}", tmp_path / name)
    whole = (tmp_path / "whole.tar").read_bytes()
    for length in range(0, 512 * 9, 300):
        cut = tmp_path / "cut.tar"
        cut.write_bytes(whole[:length])
        with packing.Pack(cut) as pack:
            for name in "abc"[len(pack.names) :]:
                pack.add(f"id/{name}", tmp_path / name)
        assert cut.read_bytes() == whole, length


@pytest.fixture
def ncbi(server, tmp_path, monkeypatch):
    """Counts of GSE7 and GSE20 at NCBI; the sample table names GSE3 as well."""
    monkeypatch.setattr(ncbi_files, "PAUSE", 0)
    held = {f"GSE{n}": gzip.compress(f"GeneID\tGSM{n}\n1\t{n}\n".encode()) for n in (7, 20)}

    def answer(request):
        assert request.query["type"] == "rnaseq_counts"
        assert request.query["file"] == f"{request.query['acc']}_raw_counts_GRCh38.p13_NCBI.tsv.gz"
        return held.get(request.query["acc"], Page(b"none", 404))

    server.pages["geo/download/"] = Page(answer)
    samples = tmp_path / "samples.tsv"
    samples.write_text("sample_id\tstudy_id\nGSM20\tGSE20\nGSM7\tGSE7, GSE3\nGSM8\tgse7\n")
    return samples


def fetch_series(server, folder, samples, **options):
    listing = f"ncbi {server.url('geo/download/')}"
    download(folder / "raw_counts.tar", listing=listing, samples=samples, **options)
    with tarfile.open(folder / "raw_counts.tar") as tar:
        return [info.name for info in tar]


def test_series_are_packed_in_order_and_those_without_counts_are_named(
    server, ncbi, tmp_path, capsys
):
    folder = tmp_path / "disignatlas"
    assert fetch_series(server, folder, ncbi) == [
        "GSE7_raw_counts_GRCh38.p13_NCBI.tsv.gz",
        "GSE20_raw_counts_GRCh38.p13_NCBI.tsv.gz",
    ]
    assert "left out: 1 series: GSE3" in capsys.readouterr().out
    assert json.loads((folder / ".ncbi_series.json").read_text())["left_out"] == ["GSE3"]


def test_series_that_are_packed_are_not_asked_for_again(server, ncbi, tmp_path):
    folder = tmp_path / "disignatlas"
    good, server.pages["geo/download/"] = server.pages["geo/download/"], Page(b"<html>robot?")
    with pytest.raises(InputError, match=r"GSE3.*HTML"):
        fetch_series(server, folder, ncbi)
    only_first = Page(
        lambda request: (
            Page(b"busy", 503) if "GSE20" in request.query["acc"] else good.body(request)
        )
    )
    server.pages["geo/download/"] = only_first
    with pytest.raises(InputError, match="503"):
        fetch_series(server, folder, ncbi)
    server.requests.clear()
    server.pages["geo/download/"] = good
    assert len(fetch_series(server, folder, ncbi)) == 2
    assert {request.query["acc"] for request in server.requests} == {"GSE20"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sample_id\tstudy_id\nGSM1\tE-MTAB-1\n", "line 2: 'E-MTAB-1' is no series"),
        ("sample_id\tstudy\nGSM1\tGSE1\n", "no column 'study_id'"),
        ("sample_id\tstudy_id\nGSM1\tGSE999\n", "counts of none of its 1 series"),
    ],
)
def test_a_sample_table_without_usable_series_is_refused(server, ncbi, tmp_path, text, complaint):
    ncbi.write_text(text)
    with pytest.raises(InputError, match=re.escape(complaint)):
        fetch_series(server, tmp_path / "disignatlas", ncbi)
