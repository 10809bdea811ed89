"""What a download remembers and asks first: lock file, licences, mirrors, files placed by hand."""

import hashlib
import re
import threading

import pytest
import yaml
from download_server import CONTENT, Page

from bulkformer.errors import InputError
from bulkformer.sources.download import download
from bulkformer.sources.lock import read_lock, write_entry

SHA256 = hashlib.sha256(CONTENT).hexdigest()
LICENCE = {
    "accept": "yes",
    "licence": "non-commercial research only",
    "licence_url": "https://example.org/terms",
    "citation": "Yang et al. 2013",
}


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "config" / "sources.lock.yaml"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "resources" / "gdsc" / "drugs.gz"


def test_what_was_found_is_locked_with_address_version_and_date(server, output, lock):
    server.pages["drugs"] = Page(modified="Fri, 27 Oct 2023 10:00:00 GMT")
    download(output, server.url("drugs"), version="8.5", lock=lock)
    entry = read_lock(lock)["gdsc/drugs.gz"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", entry.pop("retrieved"))
    assert entry == {
        "sha256": SHA256,
        "bytes": len(CONTENT),
        "version": "8.5",
        "url": server.url("drugs"),
        "etag": '"one"',
        "modified": "Fri, 27 Oct 2023 10:00:00 GMT",
    }


@pytest.mark.parametrize("other", [CONTENT[:-8] + b"otherend", CONTENT + b"longer"])
def test_a_file_that_changed_at_its_provider_is_refused_showing_both(server, output, lock, other):
    server.pages["drugs"] = Page()
    download(output, server.url("drugs"), version="8.5", lock=lock)
    output.unlink()
    before = lock.read_text()
    server.pages["drugs"] = Page(other, etag='"two"')
    with pytest.raises(InputError) as error:
        download(output, server.url("drugs"), version="8.5", lock=lock)
    new = hashlib.sha256(other).hexdigest() if len(other) == len(CONTENT) else f"{len(other)} bytes"
    for part in [new, SHA256, f"{len(CONTENT)} bytes", "remove the entry 'gdsc/drugs.gz'"]:
        assert part in str(error.value)
    assert not output.exists()
    assert lock.read_text() == before


def test_another_version_in_the_table_is_another_file(server, output, lock):
    server.pages["drugs"] = Page()
    download(output, server.url("drugs"), version="8.5", lock=lock)
    server.pages["drugs"] = Page(CONTENT * 2, etag='"two"')
    download(output, server.url("drugs"), version="8.6", lock=lock)
    assert read_lock(lock)["gdsc/drugs.gz"]["version"] == "8.6"
    assert read_lock(lock)["gdsc/drugs.gz"]["bytes"] == 2 * len(CONTENT)


def test_a_checksum_in_the_table_overrules_the_lock_file(server, output, lock):
    write_entry(lock, "gdsc/drugs.gz", {"sha256": "0" * 64, "bytes": 1, "version": "8.5"})
    server.pages["drugs"] = Page()
    checksum = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    download(output, server.url("drugs"), version="8.5", checksum=checksum, lock=lock)
    assert read_lock(lock)["gdsc/drugs.gz"]["sha256"] == SHA256


def test_the_lock_file_is_sorted_and_survives_many_writers_at_once(lock):
    entry = {"sha256": "0e" * 32, "bytes": 1, "version": "1"}
    threads = [
        threading.Thread(target=write_entry, args=(lock, f"source/file{at:02}", entry))
        for at in reversed(range(20))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = list(yaml.safe_load(lock.read_text()))
    assert names == sorted(names)
    assert len(names) == 20
    assert yaml.safe_load(lock.read_text())["source/file00"]["sha256"] == "0e" * 32
    before = lock.stat().st_mtime_ns
    write_entry(lock, "source/file00", entry)
    assert lock.stat().st_mtime_ns == before


@pytest.mark.parametrize("text", ["a: [", "- a\n", "gdsc/drugs.gz: {bytes: 3}\n"])
def test_a_damaged_lock_file_stops_the_download_before_it_starts(server, output, lock, text):
    server.pages["drugs"] = Page()
    lock.parent.mkdir()
    lock.write_text(text)
    with pytest.raises(InputError, match=re.escape(str(lock))):
        download(output, server.url("drugs"), lock=lock)
    assert server.requests == []


def test_a_licence_is_accepted_by_name_or_nothing_is_fetched(server, output):
    server.pages["drugs"] = Page()
    with pytest.raises(InputError) as error:
        download(output, server.url("drugs"), accept_licence=["depmap"], **LICENCE)
    for part in [
        "non-commercial research only",
        "https://example.org/terms",
        "Yang et al. 2013",
        "sources: {accept_licence: [depmap, gdsc]}",
    ]:
        assert part in str(error.value)
    assert server.requests == []
    download(output, server.url("drugs"), accept_licence=["depmap", "gdsc"], **LICENCE)
    assert output.read_bytes() == CONTENT


def test_the_mirror_of_everything_is_tried_first(server, output, lock):
    server.pages |= {"copies/gdsc/drugs.gz": Page(), "drugs": Page()}
    download(output, server.url("drugs"), mirror_base=server.url("copies/"), lock=lock)
    assert server.asked("drugs") == []
    assert read_lock(lock)["gdsc/drugs.gz"]["url"] == server.url("copies/gdsc/drugs.gz")


@pytest.mark.parametrize("copy", [None, b"<html>login</html>", CONTENT[:-1]])
def test_what_the_mirror_of_everything_lacks_or_gets_wrong_comes_from_the_provider(
    server, output, copy
):
    server.pages["drugs"] = Page()
    if copy:
        server.pages["copies/gdsc/drugs.gz"] = Page(copy)
    download(
        output,
        server.url("drugs"),
        checksum=f"sha256:{SHA256}",
        mirror_base=server.url("copies"),
    )
    assert output.read_bytes() == CONTENT


def test_a_folder_can_be_the_mirror_of_everything_even_offline(server, output, tmp_path):
    copy = tmp_path / "copies" / "gdsc" / "drugs.gz"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(CONTENT)
    download(output, server.url("drugs"), mirror_base=str(tmp_path / "copies"), offline=True)
    assert output.readlink() == copy
    assert server.requests == []


def test_a_file_placed_by_hand_is_checked_and_locked_like_a_download(output, lock, tmp_path):
    place = tmp_path / "resources" / "by_hand" / "gdsc" / "drugs.gz"
    with pytest.raises(InputError, match=re.escape(f"Ask them. Then put it at {place}")):
        download(output, acquired="by_hand", instruction="Ask them.", lock=lock)
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    download(output, acquired="by_hand", instruction="Ask them.", lock=lock)
    assert output.resolve() == place
    assert read_lock(lock)["gdsc/drugs.gz"]["sha256"] == SHA256
    output.unlink()
    place.write_bytes(b"<html>")
    with pytest.raises(InputError, match="HTML page"):
        download(output, acquired="by_hand", instruction="Ask them.", lock=lock)
    place.write_bytes(CONTENT * 2)
    with pytest.raises(InputError, match=f"instead of {SHA256}.*remove the entry"):
        download(output, acquired="by_hand", instruction="Ask them.", lock=lock)
    assert not output.exists()
