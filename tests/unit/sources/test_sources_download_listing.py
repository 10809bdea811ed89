"""Zenodo and figshare state link, size and MD5 of a file; the download believes no more."""

import hashlib
import json
import re

import pytest
from download_server import CONTENT, Page, json_page

from bulkformer.errors import InputError
from bulkformer.sources import listing as listings
from bulkformer.sources.download import download
from bulkformer.sources.lock import read_lock

MD5 = hashlib.md5(CONTENT).hexdigest()


def zenodo_file(server, name="graph.gz", **changes):
    entry = {"key": name, "size": len(CONTENT), "checksum": f"md5:{MD5}"}
    return entry | {"links": {"self": server.url("content")}} | changes


def figshare_file(server, name="graph.gz", **changes):
    entry = {"name": name, "size": len(CONTENT), "computed_md5": MD5, "supplied_md5": ""}
    return entry | {"download_url": server.url("content")} | changes


@pytest.fixture(params=["zenodo", "figshare"])
def listing(request, server):
    """Either provider, with one file; returns (kind and address, function that lists the file)."""
    server.pages["content"] = Page()
    make = {"zenodo": zenodo_file, "figshare": figshare_file}[request.param]

    def offer(**changes):
        server.pages["api"] = json_page({"files": [make(server, **changes)]})
        server.pages["api/files"] = json_page([make(server, **changes)])

    offer()
    return f"{request.param} {server.url('api')}", offer


def test_a_listed_file_is_fetched_from_its_link_and_checked_with_its_md5(listing, server, tmp_path):
    output, lock = tmp_path / "depmap" / "graph.gz", tmp_path / "lock.yaml"
    download(output, listing=listing[0], lock=lock)
    assert output.read_bytes() == CONTENT
    assert read_lock(lock)["depmap/graph.gz"]["url"] == server.url("content")
    evidence = json.loads((output.parent / ".graph.gz.listing.json").read_text())
    assert MD5 in json.dumps(evidence)


def test_bytes_other_than_the_listed_ones_are_refused(listing, server, tmp_path):
    server.pages["content"] = Page(CONTENT[:-8] + b"otherend")
    with pytest.raises(InputError, match=f"md5 is .* instead of {MD5}"):
        download(tmp_path / "depmap" / "graph.gz", listing=listing[0])
    assert not (tmp_path / "depmap" / "graph.gz").exists()


def test_a_file_that_is_not_listed_is_an_error_that_names_those_that_are(listing, tmp_path):
    with pytest.raises(InputError, match=r"lists no 'other\.gz'; it lists graph\.gz"):
        download(tmp_path / "other.gz", listing=listing[0])


def test_the_address_of_the_table_goes_before_the_listed_link(listing, server, tmp_path):
    server.pages["mine"] = Page()
    download(tmp_path / "graph.gz", server.url("mine"), listing=listing[0])
    assert server.asked("content") == []
    with pytest.raises(InputError, match="md5"):
        server.pages["mine"] = Page(CONTENT[:-8] + b"otherend", etag='"two"')
        download(tmp_path / "graph.gz", server.url("mine"), listing=listing[0])


def test_a_provider_that_does_not_answer_is_no_matter_where_the_table_has_the_address(
    listing, server, tmp_path
):
    server.pages["api"] = Page(b"blocked", 403)
    server.pages["mine"] = Page()
    download(tmp_path / "graph.gz", server.url("mine"), listing=listing[0])
    with pytest.raises(InputError, match="403"):
        download(tmp_path / "depmap" / "graph.gz", listing=listing[0])


def test_a_busy_interface_is_asked_again(listing, server, tmp_path):
    server.pages["api"].first_statuses = [503, 429]
    download(tmp_path / "graph.gz", listing=listing[0])
    assert len(server.asked("api")) == 3


@pytest.mark.parametrize(
    "answer", [b"<html>are you a robot?</html>", b"[1", b'{"files": 3}', b"[]", b'{"files": [4]}']
)
def test_an_answer_of_another_form_is_refused(listing, server, tmp_path, answer):
    server.pages["api"] = Page(answer)
    with pytest.raises(InputError, match=re.escape(server.url("api"))):
        download(tmp_path / "graph.gz", listing=listing[0])


@pytest.mark.parametrize("link", ["file:///etc/passwd", "https://x/a b", "-o/etc/x"])
def test_a_link_to_something_else_than_the_web_is_refused(listing, tmp_path, link):
    listing[1](**({"links": {"self": link}} if "zenodo" in listing[0] else {"download_url": link}))
    with pytest.raises(InputError, match="cannot be"):
        download(tmp_path / "graph.gz", listing=listing[0])


def test_figshare_shows_long_lists_in_pages(server, tmp_path, monkeypatch):
    monkeypatch.setattr(listings, "PAGE", 2)
    files = [figshare_file(server, f"other{at}") for at in range(3)] + [figshare_file(server)]

    def page(request):
        at = (int(request.query["page"]) - 1) * int(request.query["page_size"])
        return json.dumps(files[at : at + int(request.query["page_size"])]).encode()

    server.pages |= {"content": Page(), "api": json_page({"files": files[:1]})}
    server.pages["api/files"] = Page(page)
    download(tmp_path / "graph.gz", listing=f"figshare {server.url('api')}")
    assert (tmp_path / "graph.gz").read_bytes() == CONTENT
