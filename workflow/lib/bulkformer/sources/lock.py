"""The lock file: which bytes each public file had when it was fetched first.

Most providers state no checksum. What came first is written down, so that a file that changes at
its provider stops a later run or another machine, instead of changing the results unnoticed.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import yaml

from bulkformer.errors import InputError
from bulkformer.files import atomic

HEADER = (
    "# What the download step found, by source/file. Keep this file under version control. Remove\n"
    "# an entry to accept a file that has changed at its provider.\n"
)


def read_lock(path: Path) -> dict[str, dict]:
    """Return {"source/file": entry}; an entry has `sha256`, `bytes`, `version`, `url`, `retrieved`.

    `etag` and `modified` are there where the server stated them. Empty if there is no lock file.
    Raises InputError for a file that is no lock file.
    """
    if not path.exists():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"{path}: not a readable lock file ({error}); take it back from version control"
        ) from error
    for name, entry in (content or {}).items() if isinstance(content, dict | None) else [("", 0)]:
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get("sha256"), str)
            and isinstance(entry.get("bytes"), int)
        ):
            raise InputError(
                f"{path}: the entry '{name}' has no sha256 and bytes; take the file back from "
                "version control, or remove the entry"
            )
    return content or {}


def locked_entry(path: Path | None, name: str, version: str) -> dict | None:
    """Return the entry of `name` if it speaks of the same `version` of the file, else None."""
    entry = read_lock(path).get(name) if path else None
    return entry if entry and (not version or entry.get("version", "") == version) else None


def changed(path: Path, name: str, entry: dict, problem: str) -> str:
    """Return the message for a file that differs from its entry in the lock file."""
    return (
        f"{problem}; what was retrieved {entry.get('retrieved', 'before')} had {entry['bytes']} "
        f"bytes and sha256 {entry['sha256']}. If the new file is right, remove the entry '{name}' "
        f"from {path}"
    )


def write_entry(path: Path, name: str, entry: dict) -> None:
    """Add or replace one entry; today becomes its date unless the same bytes are locked already.

    Several downloads may do this at the same time; the file is whole at any moment.
    """
    with exclusive(path.with_name(f".{path.name}.guard")):
        entries = read_lock(path)
        known = entries.get(name, {})
        if all(known.get(key) == entry.get(key) for key in ("sha256", "version")):
            return
        stated = {key: value for key, value in entry.items() if value not in (None, "")}
        entries[name] = {"retrieved": datetime.now(UTC).date().isoformat()} | stated
        with atomic(path) as partial:
            text = yaml.safe_dump(entries, sort_keys=True, allow_unicode=True, width=1000)
            partial.write_text(HEADER + text, encoding="utf-8")


@contextmanager
def exclusive(guard: Path) -> Iterator[None]:
    """Let one process at a time into the block; the system releases a killed one's hold."""
    guard.parent.mkdir(parents=True, exist_ok=True)
    with guard.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
