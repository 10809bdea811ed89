"""What the step `sources.download` promises, against a small server on this machine."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from download_server import CONTENT, Page

from bulkformer.errors import InputError
from bulkformer.sources import transfer
from bulkformer.sources.download import download

SHA256 = hashlib.sha256(CONTENT).hexdigest()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_gets_its_name_and_its_sha256_is_logged(server, tmp_path, capsys):
    server.pages["links.gz"] = Page()
    output = tmp_path / "string" / "links.gz"
    download(output, server.url("links.gz"), size=len(CONTENT), checksum=f"sha256:{SHA256}")
    assert output.read_bytes() == CONTENT
    assert leftovers(output.parent) == ["links.gz"]
    assert f"sha256:{SHA256}" in capsys.readouterr().out


def test_an_md5_and_a_redirect_are_followed(server, tmp_path):
    server.pages["links.gz"] = Page()
    server.pages["moved"] = Page(b"", 302, location=server.url("links.gz"))
    md5 = hashlib.md5(CONTENT).hexdigest()
    download(tmp_path / "links.gz", server.url("moved"), checksum=f"md5:{md5}")
    assert (tmp_path / "links.gz").read_bytes() == CONTENT


def test_a_cut_connection_is_resumed_where_it_broke(server, tmp_path):
    server.pages["links.gz"] = Page(cut_after=[20_000, 30_000])
    download(tmp_path / "links.gz", server.url("links.gz"), checksum=f"sha256:{SHA256}")
    assert server.ranges_asked == [None, "bytes=20000-", "bytes=50000-"]


def test_attempts_end_when_nothing_more_arrives_and_a_later_run_resumes(server, tmp_path):
    output = tmp_path / "links.gz"
    server.pages["links.gz"] = Page(cut_after=[20_000] + [0] * 10)
    with pytest.raises(InputError, match=re.escape(server.url("links.gz"))):
        download(output, server.url("links.gz"))
    assert not output.exists()
    assert (tmp_path / ".links.gz.part").stat().st_size == 20_000
    asked = len(server.ranges_asked)
    server.pages["links.gz"] = Page()
    download(output, server.url("links.gz"), checksum=f"sha256:{SHA256}")
    assert server.ranges_asked[asked:] == ["bytes=20000-"]
    assert leftovers(tmp_path) == ["links.gz"]


def test_what_arrived_of_another_version_is_not_resumed(server, tmp_path):
    output = tmp_path / "links.gz"
    server.pages["links.gz"] = Page(CONTENT[::-1], cut_after=[20_000] + [0] * 10)
    with pytest.raises(InputError):
        download(output, server.url("links.gz"))
    server.pages["links.gz"] = Page(etag='"two"')
    download(output, server.url("links.gz"))
    assert output.read_bytes() == CONTENT


def test_a_server_that_refuses_ranges_is_asked_from_the_start(server, tmp_path):
    server.pages["links.gz"] = Page(ranges=False, cut_after=[20_000])
    download(tmp_path / "links.gz", server.url("links.gz"), checksum=f"sha256:{SHA256}")
    assert (tmp_path / "links.gz").read_bytes() == CONTENT


def test_a_server_that_refuses_head_still_delivers(server, tmp_path):
    server.pages["links.gz"] = Page(head=False)
    download(tmp_path / "links.gz", server.url("links.gz"))
    assert (tmp_path / "links.gz").read_bytes() == CONTENT


def test_a_transfer_that_had_all_bytes_but_not_its_name_is_not_repeated(server, tmp_path):
    server.pages["links.gz"] = Page()
    part = tmp_path / ".links.gz.part"
    part.write_bytes(CONTENT)
    transfer.note(part).write_text(
        f'{{"url": "{server.url("links.gz")}", "bytes": {len(CONTENT)}, "etag": "\\"one\\""}}'
    )
    download(tmp_path / "links.gz", server.url("links.gz"), checksum=f"sha256:{SHA256}")
    assert server.ranges_asked == []


def test_a_missing_file_is_taken_from_the_mirror(server, tmp_path):
    server.pages["copy"] = Page()
    download(tmp_path / "links.gz", server.url("gone"), mirror=server.url("copy"))
    assert (tmp_path / "links.gz").read_bytes() == CONTENT
    assert len(server.ranges_asked) == 2  # 404 is final: the first address was asked once


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.pages["links.gz"] = Page(b"busy", 503)
    with pytest.raises(InputError, match="503"):
        download(tmp_path / "links.gz", server.url("links.gz"))
    assert len(server.ranges_asked) == 1 + len(transfer.DELAYS)


@pytest.mark.parametrize(
    ("name", "body", "complaint"),
    [
        ("genes.tsv", b"\n <!DOCTYPE html><html>Checking your browser</html>", "HTML page"),
        ("links.gz", b"<html><body>moved</body></html>", "HTML page"),
        ("genes.txt", b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "XML message"),
        ("genes.tsv", b"", "empty"),
        ("links.txt.gz", b"plain text", "gz"),
        ("human.h5", b"\x1f\x8bnot hdf5", "h5"),
        ("response.xlsx", b"a,b,c", "zip"),
        ("counts.tar", b"a,b,c" * 200, "tar"),
    ],
)
def test_a_body_that_is_not_the_file_is_refused_although_its_status_is_200(
    server, tmp_path, name, body, complaint
):
    server.pages[name] = Page(body)
    with pytest.raises(InputError, match=complaint):
        download(tmp_path / name, server.url(name))
    assert leftovers(tmp_path) == []


def test_a_wrong_checksum_leaves_nothing_behind(server, tmp_path):
    server.pages["links.gz"] = Page()
    with pytest.raises(InputError, match=f"sha256 is {SHA256} instead of {'0' * 64}"):
        download(tmp_path / "links.gz", server.url("links.gz"), checksum="sha256:" + "0" * 64)
    assert leftovers(tmp_path) == []


def test_a_file_of_the_wrong_size_leaves_nothing_behind(server, tmp_path):
    server.pages["links.gz"] = Page(CONTENT[:-1])
    with pytest.raises(InputError, match=f"{len(CONTENT) - 1} bytes instead of {len(CONTENT)}"):
        download(tmp_path / "links.gz", server.url("links.gz"), size=len(CONTENT))
    assert leftovers(tmp_path) == []


def test_a_page_in_place_of_the_file_leads_to_the_mirror(server, tmp_path):
    server.pages["links.gz"] = Page(b"<html>")
    server.pages["copy"] = Page(CONTENT)
    download(tmp_path / "links.gz", server.url("links.gz"), mirror=server.url("copy"))
    assert (tmp_path / "links.gz").read_bytes() == CONTENT


def test_offline_names_address_and_size_and_asks_no_server(server, tmp_path):
    server.pages["links.gz"] = Page()
    with pytest.raises(InputError, match=re.escape(f"{server.url('links.gz')} (123 bytes)")):
        download(tmp_path / "links.gz", server.url("links.gz"), size=123, offline=True)
    assert server.ranges_asked == []


@pytest.mark.parametrize("spelling", ["{path}", "file://{path}", "$PLACE/links.gz"])
def test_a_file_on_disk_is_checked_and_linked_even_offline(tmp_path, monkeypatch, spelling):
    path = tmp_path / "mine" / "links.gz"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    monkeypatch.setenv("PLACE", str(path.parent))
    output = tmp_path / "resources" / "links.gz"
    url = spelling.format(path=path)
    download(output, url, checksum=f"sha256:{SHA256}", offline=True)
    assert output.readlink() == path
    with pytest.raises(InputError, match="sha256"):
        download(tmp_path / "other.gz", url, checksum="sha256:" + "0" * 64)
    assert not (tmp_path / "other.gz").exists()


def test_a_relative_path_is_linked_absolutely(tmp_path, monkeypatch):
    (tmp_path / "mine.gz").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    download(Path("resources/links.gz"), "mine.gz")
    assert Path("resources/links.gz").readlink() == tmp_path / "mine.gz"


def test_a_path_that_leads_nowhere_is_named(tmp_path):
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}/absent.gz: no such file")):
        download(tmp_path / "links.gz", f"{tmp_path}/absent.gz")


@pytest.mark.parametrize("url", ["gopher://host/file", "scp://host/file", "file://host/file"])
def test_other_schemes_are_refused(tmp_path, url):
    with pytest.raises(InputError, match="only http, https, ftp"):
        download(tmp_path / "links.gz", url)


def test_the_command_says_what_to_do_for_a_file_acquired_by_hand(tmp_path):
    output = tmp_path / "gdc" / "star_counts.tar"
    done = subprocess.run(
        [
            *[sys.executable, "-m", "bulkformer.sources.download", "--acquired", "by_hand"],
            *["--instruction", "Pack the STAR counts into one tar", "--output", str(output)],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    for part in ["Pack the STAR counts into one tar", str(output), "url column"]:
        assert part in done.stderr


def test_the_command_takes_every_column_of_the_sources_table(tmp_path):
    (tmp_path / "mine.gz").write_bytes(CONTENT)
    output = tmp_path / "resources" / "links.gz"
    done = subprocess.run(
        [
            *[sys.executable, "-m", "bulkformer.sources.download", "--acquired", "automatic"],
            *["--url", str(tmp_path / "mine.gz"), "--mirror", "https://example.org/links.gz"],
            *["--bytes", str(len(CONTENT)), "--checksum", f"sha256:{SHA256}"],
            *["--instruction", "None", "--offline", "--output", str(output)],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == CONTENT


def test_a_file_that_was_put_in_its_place_by_hand_stays_a_file(tmp_path):
    output = tmp_path / "links.gz"
    output.write_bytes(CONTENT)
    download(output, str(output), checksum=f"sha256:{SHA256}", acquired="by_hand")
    assert not output.is_symlink()
    assert output.read_bytes() == CONTENT
