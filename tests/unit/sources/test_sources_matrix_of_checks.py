"""Every public source against a provider that fails; docs/sources_matrix.md shows the table.

For each source, one row of the sources table of every kind (ending, listing, mirror, by hand) is
fetched from a local server that misbehaves. That its format is parsed and its traps are covered is
shown by the tests that source_coverage.py names.
"""

import re
import subprocess
import sys

import pytest
from download_server import Page
from played_provider import Provider, well
from source_coverage import COVERAGE
from sources_page import FAILURES, PAGE, ROOT, kinds_of_files, matrix, one_of_each_kind

from bulkformer.errors import InputError
from bulkformer.sources import ncbi_files

HTML = b"<!doctype html><html><title>Just a moment...</title>Checking your browser</html>"
ROWS = one_of_each_kind()
GREEN: dict[str, list[str]] = {}  # failure -> sources of the rows that met it, in this run


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def provider(request, server, tmp_path, monkeypatch):
    monkeypatch.setattr(ncbi_files, "PAUSE", 0)
    return Provider(request.param, server, tmp_path)


def other_bytes(body: bytes) -> bytes:
    """Return bytes of the same length and format that are not the right ones."""
    if b"-01A" in body:  # the GDC's list of files, of which the sample sheet is made
        return body.replace(b"-01A", b"-06A")
    at = 9 if body.startswith(b"\x1f\x8b") else len(body) - 1  # gzip: the system that packed it
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def met(failure: str, provider: Provider) -> None:
    GREEN.setdefault(failure, []).append(provider.row.source)


def times_asked(provider: Provider) -> int:
    """Return how often the first page with data was asked for."""
    requests = provider.server.requests
    return sum(each.path == provider.pages[0] and each.method != "HEAD" for each in requests)


def refused(provider: Provider) -> str:
    """Fetch, expecting a refusal that leaves nothing under the final name; return its message."""
    with pytest.raises(InputError) as error:
        provider.fetch()
    assert not provider.output.exists()
    return str(error.value)


def test_a_cut_connection_is_resumed(provider):
    half = len(provider.content) // 2
    provider.start(lambda body: Page(body, cut_after=[half]))
    provider.fetch()
    assert provider.has_the_file()
    asked = provider.server.asked(provider.pages[0])
    if not provider.collected:  # small files of a collection are asked for anew
        assert [request.range for request in asked] == [None, f"bytes={half}-"]
    met("cut connection", provider)


def test_a_wrong_checksum_is_refused(provider):
    """By the checksum of the table, of the provider's listing, or else of the lock file."""
    if not provider.row.checksum and (provider.kind not in ("zenodo", "figshare")):
        provider.remember()
    provider.start(lambda body: Page(other_bytes(body)))
    message = refused(provider)
    assert any(word in message for word in ("md5", "sha256", "did not arrive whole"))
    met("wrong checksum", provider)


def test_a_page_of_html_with_status_200_is_refused(provider):
    provider.start(lambda body: Page(HTML.ljust(len(body))))
    message = refused(provider)
    assert any(word in message for word in ("HTML", "not JSON", "did not arrive whole"))
    met("HTML page", provider)


def test_a_missing_file_is_named_or_taken_from_the_mirror(provider):
    provider.start(lambda body: Page(b"no such file", 404), only_first=True)
    if provider.row.mirror:
        provider.fetch()
        assert provider.has_the_file()
    else:
        message = refused(provider)
        assert any(word in message for word in ("404", "none of its", "did not arrive whole"))
    if not provider.collected:
        assert times_asked(provider) == 1  # asking again would not help
    provider.start(well)
    provider.fetch()  # a later run is not held up by what the failed one left
    assert provider.has_the_file()
    met("404", provider)


def test_a_busy_server_is_asked_again(provider):
    provider.start(lambda body: Page(body, first_statuses=[503]))
    provider.fetch()
    assert provider.has_the_file()
    assert times_asked(provider) == 2
    met("503", provider)


def test_every_source_of_the_table_is_in_the_matrix_and_no_other():
    assert set(COVERAGE) == {row.source for row in ROWS}


def test_every_test_that_covers_a_source_is_collected():
    named = {test for covered in COVERAGE.values() for test in covered.tests}
    files = sorted({f"tests/unit/{test.partition('::')[0]}" for test in named})
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "--quiet", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:]
    collected = set(re.findall(r"^tests/unit/([^\s\[]+)", run.stdout, re.MULTILINE))
    assert sorted(named - collected) == []


def test_the_page_shows_the_table_as_it_is():
    assert PAGE.read_text() == matrix(kinds_of_files()), (
        "run python tests/unit/sources/sources_page.py"
    )


def test_every_failure_was_met_for_every_kind_of_file(request, capsys):
    """Prints the table, after all rows above have run."""
    mine = [item for item in request.session.items if item.path == request.path]
    if sum("provider" in item.fixturenames for item in mine) < len(ROWS) * len(FAILURES):
        pytest.skip("only a part of the rows was asked for")
    expected = sorted(row.source for row in ROWS)
    with capsys.disabled():
        print(f"\n\n{'source':24}{'parsed':>8}{'traps':>8}" + "".join(f"{f:>16}" for f in FAILURES))
        for source, number in kinds_of_files().items():
            cells = [f"{GREEN.get(f, []).count(source)} of {number}" for f in FAILURES]
            covered = COVERAGE[source]
            row = "".join(f"{cell:>16}" for cell in cells)
            print(f"{source:24}{'yes':>8}{len(covered.traps):>8}{row}")
    for failure in FAILURES:
        assert sorted(GREEN.get(failure, [])) == expected, failure
