"""Transfers with the program curl, made to survive cut connections.

What has arrived stays in a hidden file beside the target and the next attempt goes on from there,
as long as the server still offers the same version (ETag or date) of the same address. curl writes
into a pipe and not into the file, so that it ends when this process is killed.
"""

import errno
import json
import re
import shutil
import subprocess
import tempfile
import time
from io import BufferedReader, FileIO
from pathlib import Path

from bulkformer.errors import InputError
from bulkformer.files import write_json

# Seconds before each new attempt; an attempt that brought new bytes starts the list again.
DELAYS = [1, 4, 16, 60]
PROGRESS = 30  # seconds between two lines of progress in the log
# A transfer below 1 kB/s for a minute is dead; curl gives up and the next attempt resumes.
PATIENCE = ["--connect-timeout", "30", "--speed-limit", "1000", "--speed-time", "60"]
RANGE_REFUSED = 33  # curl's exit status if it asked for the rest and the server sends all
NOT_SATISFIABLE = 416
WORTH_ANOTHER_TRY = [408, 421, 425, 426, 429, 500, 502, 503, 504]  # HTTP, and FTP's busy answers
GONE = [404, 410]
BLOCK = 1 << 16  # what a pipe holds
VERDICT = "%{stderr}\nanswer %{http_code} %{content_type}\n"


class TransferError(Exception):
    """The server did not deliver; the message is curl's or says what it answered.

    answer : status of HTTP, 0 if there was none
    """

    def __init__(self, message: str, answer: int = 0) -> None:
        super().__init__(message)
        self.answer = answer


class OtherSize(TransferError):
    """The server offers a file of another size than the one that was stated."""


def fetch(url: str, part: Path, size: int | None = None) -> dict:
    """Bring all of `url` into `part`, resuming what an earlier attempt left there.

    Returns what the server says of the file: `bytes`, `etag`, `date`, each None if it says nothing.
    Raises TransferError if it does not succeed; `part` then keeps what has arrived. A file that is
    offered with another size than `size` is refused before it is transferred.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    offered = _offered(url)
    if size and offered["bytes"] and offered["bytes"] != size:
        raise OtherSize(f"the server offers {offered['bytes']} bytes instead of {size}")
    if not _same_version(part, offered):
        discard(part)
        write_json(note(part), offered)
    check_room(part.parent, (offered["bytes"] or 0) - _size(part))
    total = offered["bytes"] or size
    print(f"{url}: {in_words(total)}, {_size(part)} bytes are here already", flush=True)
    delays, best = list(DELAYS), _size(part)
    while not 0 < _size(part) == offered["bytes"]:
        status, answer, kind, message = _attempt(url, part, total)
        if answer < 400 and kind.startswith("text/html") and not part.name.endswith(".html.part"):
            message, status = "the server sends an HTML page (text/html) and not the file", -1
            if not best:
                discard(part)
                raise TransferError(message, answer)
        if status == 0:
            return offered
        if status == RANGE_REFUSED or answer == NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
        elif answer >= 400 and answer not in WORTH_ANOTHER_TRY:
            raise TransferError(message, answer)
        if _size(part) > best:
            best, delays = _size(part), list(DELAYS)
        if not delays:
            raise TransferError(message, answer)
        print(f"{url}: {message}; {_size(part)} bytes so far, trying again", flush=True)
        time.sleep(delays.pop(0))
    return offered


def ask(url: str, question: str | None = None) -> bytes:
    """Return the answer of a programming interface; `question` is JSON that is sent to it.

    Raises TransferError after the same attempts as `fetch`; nothing is kept.
    """
    options = ["--write-out", VERDICT]
    if question is not None:
        options += ["--header", "Content-Type: application/json", "--data-binary", "@-"]
    delays = list(DELAYS)
    while True:
        done = subprocess.run(
            _curl(url, *options),
            input=None if question is None else question.encode(),
            stdin=subprocess.DEVNULL if question is None else None,
            capture_output=True,
            check=False,
        )
        answer, _, message = _verdict(done.stderr.decode("utf-8", "replace"), done.returncode)
        if done.returncode == 0:
            return done.stdout
        if not delays or (answer >= 400 and answer not in WORTH_ANOTHER_TRY):
            raise TransferError(message, answer)
        print(f"{url}: {message}, trying again", flush=True)
        time.sleep(delays.pop(0))


def fetch_many(addresses: dict[str, str], folder: Path, at_once: int) -> None:
    """Fetch {file name: address} into `folder` over few connections, one attempt each.

    For small files of one provider, where a connection each would cost more than the bytes. A file
    that did not arrive whole may be absent or damaged: the caller checks each.
    """
    pairs = [
        f"url = {json.dumps(url)}\noutput = {json.dumps(name)}\n"  # quoted as curl's config wants
        for name, url in addresses.items()
    ]
    # Without "immediate", one slow file holds up others that could take another connection.
    parallel = ["--parallel", "--parallel-immediate", "--parallel-max", str(at_once)]
    done = subprocess.run(
        [*_curl(), *parallel, "--config", "-"],
        input="".join(pairs).encode(),
        capture_output=True,
        check=False,
        cwd=folder,
    )
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip().splitlines()
        print("; ".join(dict.fromkeys(message[:3])), flush=True)


def check_room(folder: Path, wanted: int) -> None:
    """Raise InputError if the disk of `folder` has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise InputError(
            f"{folder}: {in_words(wanted)} are to come and {in_words(free)} are free; make room, "
            "or place the resources elsewhere (pathvars.resources)"
        )


def note(part: Path) -> Path:
    """Return the file that says which version of which address `part` belongs to."""
    return part.with_name(part.name + ".json")


def discard(part: Path) -> None:
    """Forget what has arrived."""
    part.unlink(missing_ok=True)
    note(part).unlink(missing_ok=True)


def _same_version(part: Path, offered: dict) -> bool:
    """Whether nothing that the server says contradicts what it said when `part` was begun."""
    if not (part.exists() and note(part).exists()):
        return False
    try:
        noted = json.loads(note(part).read_text())
    except ValueError:
        return False  # a note that cannot be read vouches for nothing
    return all(noted.get(key) == value for key, value in offered.items() if value is not None)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _curl(url: str = "", *options: str) -> list[str]:
    """Return curl's command for one literal address.

    A redirect never leads from https to an open protocol. Proxies come from the environment.
    """
    if shutil.which("curl") is None:
        raise InputError(
            "the program curl is not on the PATH; activate the environment, or install it"
        )
    redirects = "=http,https,ftp" if url.lower().startswith(("http:", "ftp:")) else "=https"
    command = ["curl", "--fail", "--location", "--max-redirs", "10", "--globoff"]
    command += ["--proto", "=http,https,ftp", "--proto-redir", redirects]
    command += ["--silent", "--show-error", *PATIENCE, *options]
    return [*command, "--url", url] if url else command


def _offered(url: str) -> dict:
    """Return what the server says of the file before any transfer; None where it says nothing."""
    offered: dict = {"url": url, "bytes": None, "etag": None, "date": None}
    answer = subprocess.run(
        _curl(url, "--head"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if answer.returncode != 0:
        return offered  # some servers refuse HEAD; the transfer itself will tell
    # Each redirect has its own headers; those of the file come last.
    headers = {}
    for line in answer.stdout.strip().split("\n\n")[-1].splitlines():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "")
    return offered | {
        "bytes": int(length) if length.isdigit() and "content-encoding" not in headers else None,
        "etag": headers.get("etag"),
        "date": headers.get("last-modified"),
    }


def _attempt(url: str, part: Path, total: int | None) -> tuple[int, int, str, str]:
    """Run one transfer; return curl's exit status, the answer (or 0), its type and a message."""
    begun = _size(part)
    options = ["--write-out", VERDICT]
    if begun:
        options += ["--continue-at", str(begun)]
    with tempfile.TemporaryFile() as messages, part.open("ab", buffering=0) as arrived:
        with subprocess.Popen(
            _curl(url, *options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
        ) as process:
            try:
                _pour(process.stdout, arrived, begun, total)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise InputError(
                    f"{part.parent}: {error.strerror}; make room and start again, which goes on "
                    "from here, or place the resources elsewhere (pathvars.resources)"
                ) from error
        messages.seek(0)
        said = messages.read().decode("utf-8", "replace")
    return process.returncode, *_verdict(said, process.returncode)


def _pour(pipe: BufferedReader, arrived: FileIO, begun: int, total: int | None) -> None:
    """Copy what curl brings into the file and say from time to time how far it is."""
    from tqdm import tqdm  # not needed by those that only ask for help

    start = told = time.monotonic()
    count = 0
    with pipe:
        while block := pipe.read1(BLOCK):
            rest = memoryview(block)
            while rest:
                rest = rest[arrived.write(rest) :]
            count += len(block)
            now = time.monotonic()
            if now - told >= PROGRESS:
                told = now
                line = tqdm.format_meter(
                    begun + count, total, now - start, initial=begun, unit="B", unit_scale=True
                )
                print(line, flush=True)


def _verdict(said: str, status: int) -> tuple[int, str, str]:
    """Return answer, content type and message of what curl wrote to stderr."""
    verdict = re.search(r"^answer (\d+) (.*)$", said, re.MULTILINE)
    message = " ".join(said.replace(verdict[0] if verdict else "", "").split())
    answer, kind = (int(verdict[1]), verdict[2].lower()) if verdict else (0, "")
    return answer, kind, message or f"curl ended with {status}"


def in_words(count: int | None) -> str:
    """Spell a number of bytes as a person reads it, 45.2 GB."""
    if count is None:
        return "size unknown"
    power = min(max(len(str(count)) - 1, 0) // 3, 4)
    scaled = f"{count / 1000**power:.1f}" if power else str(count)
    return f"{scaled} {['bytes', 'kB', 'MB', 'GB', 'TB'][power]}"
