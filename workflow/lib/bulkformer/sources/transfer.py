"""Transfers with the program curl, made to survive cut connections.

What has arrived stays in a hidden file beside the target and the next attempt goes on from there,
as long as the server still offers the same version (ETag or date) of the same address.
"""

import json
import shutil
import subprocess
import time
from pathlib import Path

from bulkformer.errors import InputError
from bulkformer.files import write_json

# Seconds before each new attempt; an attempt that brought new bytes starts the list again.
DELAYS = [1, 4, 16, 60]
# A transfer below 1 kB/s for a minute is dead; curl gives up and the next attempt resumes.
PATIENCE = ["--connect-timeout", "30", "--speed-limit", "1000", "--speed-time", "60"]
RANGE_REFUSED = 33  # curl's exit status if it asked for the rest and the server sends all
NOT_SATISFIABLE = 416
WORTH_ANOTHER_TRY = [408, 421, 425, 426, 429, 500, 502, 503, 504]  # HTTP, and FTP's busy answers


class TransferError(Exception):
    """The server did not deliver; the message is curl's or says what it answered."""


def fetch(url: str, part: Path) -> None:
    """Bring all of `url` into `part`, resuming what an earlier attempt left there.

    Raises TransferError if it does not succeed; `part` then keeps what has arrived.
    """
    if shutil.which("curl") is None:
        raise InputError(
            "the program curl is not on the PATH; activate the environment, or install it"
        )
    part.parent.mkdir(parents=True, exist_ok=True)
    offered = _offered(url)
    if not _same_version(part, offered):
        discard(part)
        write_json(note(part), offered)
    delays, best = list(DELAYS), _size(part)
    while not 0 < _size(part) == offered["bytes"]:
        status, answer, message = _attempt(url, part)
        if status == 0:
            part.touch()  # curl writes no file for an empty body
            return
        if status == RANGE_REFUSED or answer == NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
        elif answer >= 400 and answer not in WORTH_ANOTHER_TRY:
            raise TransferError(message)
        if _size(part) > best:
            best, delays = _size(part), list(DELAYS)
        if not delays:
            raise TransferError(message)
        print(f"{url}: {message}; {_size(part)} bytes so far, trying again", flush=True)
        time.sleep(delays.pop(0))


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


def _curl(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run curl on one literal address; a redirect never leads from https to an open protocol."""
    redirects = "=https" if url.lower().startswith("https:") else "=http,https,ftp"
    command = ["curl", "--fail", "--location", "--max-redirs", "10", "--globoff"]
    command += ["--proto", "=http,https,ftp", "--proto-redir", redirects]
    command += ["--silent", "--show-error", *PATIENCE, *options, "--url", url]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def _offered(url: str) -> dict:
    """Return what the server says of the file before any transfer; None where it says nothing."""
    offered: dict = {"url": url, "bytes": None, "etag": None, "date": None}
    answer = _curl(url, "--head")
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


def _attempt(url: str, part: Path) -> tuple[int, int, str]:
    """Run one transfer; return curl's exit status, the server's answer (or 0) and a message."""
    done = _curl(
        url,
        *["--continue-at", "-", "--output", str(part)],
        *["--write-out", "%{http_code}"],
    )
    answer = done.stdout.strip()[-3:]
    return (
        done.returncode,
        int(answer or 0),
        done.stderr.strip() or f"curl ended with {done.returncode}",
    )
