"""Bodies that are not the file, or not all of it, although the server says that all is well."""

import gzip
import io
import tarfile
import zipfile

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from download_server import CONTENT, Page

from bulkformer.errors import InputError
from bulkformer.sources import transfer
from bulkformer.sources.content import check_content
from bulkformer.sources.download import download


def test_a_type_of_html_is_refused_whatever_the_body_looks_like(server, tmp_path):
    server.pages["genes.tsv"] = Page(b"gene\tvalue\n", content_type="text/html; charset=utf-8")
    with pytest.raises(InputError, match="text/html"):
        download(tmp_path / "genes.tsv", server.url("genes.tsv"))
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked()) == 1


def test_a_bot_check_in_the_middle_costs_nothing_of_what_has_arrived(server, tmp_path):
    whole, check = Page(cut_after=[20_000]), Page(b"<html>", ranges=False, content_type="text/html")
    answers = [whole, check, whole]
    server.pages["links.gz"] = Page(lambda r: whole if r.method == "HEAD" else answers.pop(0))
    download(tmp_path / "links.gz", server.url("links.gz"))
    assert server.ranges_asked == [None, "bytes=20000-", "bytes=20000-"]
    assert (tmp_path / "links.gz").read_bytes() == CONTENT


def test_a_server_that_was_busy_for_a_while_delivers(server, tmp_path):
    server.pages["links.gz"] = Page(first_statuses=[503, 429])
    download(tmp_path / "links.gz", server.url("links.gz"))
    assert len(server.asked()) == 3


def test_a_file_that_is_gone_is_asked_for_once(server, tmp_path):
    with pytest.raises(InputError, match="404"):
        download(tmp_path / "links.gz", server.url("links.gz"))
    assert len(server.asked()) == 1


def test_a_file_of_another_size_is_refused_before_its_transfer(server, tmp_path):
    server.pages["links.gz"] = Page()
    with pytest.raises(InputError, match=f"offers {len(CONTENT)} bytes instead of 5"):
        download(tmp_path / "links.gz", server.url("links.gz"), size=5)
    assert server.asked() == []


def test_a_file_that_the_disk_cannot_hold_is_refused_before_its_transfer(
    server, tmp_path, monkeypatch
):
    server.pages["links.gz"] = Page()
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match=r"60\.0 kB are to come and 1\.0 kB are free"):
        download(tmp_path / "links.gz", server.url("links.gz"))
    assert server.asked() == []


def test_a_body_without_a_stated_length_is_taken_to_its_end(server, tmp_path):
    server.pages["links.gz"] = Page(length=False)
    download(tmp_path / "links.gz", server.url("links.gz"))
    assert (tmp_path / "links.gz").read_bytes() == CONTENT


def test_a_long_transfer_says_how_far_it_is(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(transfer, "PROGRESS", 0.05)
    server.pages["links.gz"] = Page(pause=0.02)
    download(tmp_path / "links.gz", server.url("links.gz"))
    lines = capsys.readouterr().out.splitlines()
    assert sum("%" in line and "B/s" in line for line in lines) > 1


def hdf5():
    body = io.BytesIO()
    with h5py.File(body, "w") as file:
        file["matrix"] = np.arange(5000)
    return body.getvalue()


def parquet():
    body = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(5000))}), body)
    return body.getvalue()


def xlsx():
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("sheet", "x" * 5000)
    return body.getvalue()


def tar():
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        info = tarfile.TarInfo("GSE1.tsv")
        info.size = 5000
        archive.addfile(info, io.BytesIO(bytes(5000)))
    return body.getvalue()[:6144]  # without the padding at the end, as some programs write it


FORMATS = {
    "a.gz": lambda: gzip.compress(bytes(9000)) + gzip.compress(b"a second member"),
    "a.h5": hdf5,
    "a.parquet": parquet,
    "a.xlsx": xlsx,
    "a.tar": tar,
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_provider_that_lost_the_end_of_a_file_is_found_out(server, tmp_path, name):
    body = FORMATS[name]()
    server.pages[name] = Page(body)
    download(tmp_path / name, server.url(name))
    server.pages[name] = Page(body[: -len(body) // 4], etag='"two"')
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match="its end is missing"):
        download(tmp_path / name, server.url(name))
    assert list(tmp_path.iterdir()) == []


def test_a_known_size_spares_the_unpacking(tmp_path, monkeypatch):
    (tmp_path / "a.gz").write_bytes(CONTENT)
    monkeypatch.setattr(gzip, "open", None)
    check_content(tmp_path / "a.gz", "a.gz", len(CONTENT), "")
    with pytest.raises(TypeError):
        check_content(tmp_path / "a.gz", "a.gz", None, "")
