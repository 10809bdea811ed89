"""Files that are either whole or absent, and the hashes that identify them."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SOURCE_SUFFIXES = {".py", ".j2", ".css", ".js"}


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` only if the block succeeds.

    The rename is atomic because both names lie in one folder. On any error the temporary file is
    removed and `path` keeps what it held before; what a killed process left is removed by the next
    one that writes `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    leftover = re.compile(rf"\.{re.escape(path.name)}\.\d+\.partial")
    for other in path.parent.iterdir():
        if leftover.fullmatch(other.name):
            other.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys; same content, same bytes."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file whose bytes depend on nothing but the table."""
    with atomic(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as a hexadecimal string, reading it in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def library_hash(folder: Path) -> str:
    """Return one SHA-256 over names and bytes of all source files below `folder`, sorted."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in SOURCE_SUFFIXES:
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
