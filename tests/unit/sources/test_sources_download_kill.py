"""Downloads that are killed with SIGKILL in the middle: nothing looks whole, nothing is lost."""

import hashlib
import json
import signal
import subprocess
import sys
import time

from download_server import CONTENT, Page
from test_sources_download_packed import Gdc

STEP = [sys.executable, "-m", "bulkformer.sources.download"]


def kill_once(condition, *options):
    """Start the step and kill it as soon as `condition` holds."""
    process = subprocess.Popen(
        [*STEP, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 20
    while not condition():
        assert process.poll() is None, "the step ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_download_goes_on_from_the_bytes_that_are_there(server, tmp_path):
    output, part = tmp_path / "string" / "links.gz", tmp_path / "string" / ".links.gz.part"
    options = ["--url", server.url("links.gz"), "--output", str(output)]
    options += ["--checksum", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"]
    server.pages["links.gz"] = Page(pause=0.05)
    kill_once(lambda: part.exists() and part.stat().st_size > 16_000, *options)
    assert not output.exists()
    arrived = part.stat().st_size
    assert 16_000 < arrived < len(CONTENT)
    server.pages["links.gz"] = Page()
    subprocess.run([*STEP, *options], check=True, capture_output=True)
    assert output.read_bytes() == CONTENT
    again = server.asked("links.gz")[-1]
    assert again.range == f"bytes={arrived}-"
    assert again.sent == len(CONTENT) - arrived


def test_no_curl_outlives_a_killed_download(server, tmp_path):
    output, part = tmp_path / "links.gz", tmp_path / ".links.gz.part"
    server.pages["links.gz"] = Page(CONTENT * 20, pause=0.05)
    options = ["--url", server.url("links.gz"), "--output", str(output)]
    kill_once(lambda: part.exists() and part.stat().st_size > 0, *options)
    arrived = part.stat().st_size
    time.sleep(0.4)
    assert part.stat().st_size == arrived


def test_a_killed_collection_asks_for_no_file_twice_that_arrived_whole(server, tmp_path):
    gdc = Gdc(server, count=5)
    gdc.pages[3].pause = 1.0  # the fourth file is on its way for seconds
    part = tmp_path / "gdc" / ".star_counts.tar.part"
    output = tmp_path / "gdc" / "star_counts.tar"
    options = ["--listing", f"gdc {server.url('gdc')}", "--output", str(output)]

    def all_but_one_are_there():
        files = part.with_name(f"{part.name}.files").glob("*/*")
        sizes = {path.name: path.stat().st_size for path in files}
        whole = [file for file in gdc.files if sizes.get(file["file_id"]) == file["file_size"]]
        return len(whole) == 4 and gdc.asked(3)

    kill_once(all_but_one_are_there, *options)
    assert not output.exists()
    gdc.pages[3].pause = 0
    subprocess.run([*STEP, *options], check=True, capture_output=True)
    assert output.exists()
    assert [len(gdc.asked(at)) for at in (0, 1, 2, 4)] == [1, 1, 1, 1]
    assert len(server.asked("gdc/files", "POST")) == 1
    assert json.loads((output.parent / ".gdc_files.json").read_text())["data_release"]
