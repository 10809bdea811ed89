"""Reads the files of a tar as a stream, in the order of the tar, and never writes them to disk."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from bulkformer.errors import InputError


@dataclass(frozen=True)
class Member:
    """One file inside a tar: its name, and a handle on its bytes."""

    name: str
    handle: IO[bytes]


@contextmanager
def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[Iterator[Member]]:
    """Open a tar, plain or compressed, and hand out the files whose names are `wanted`.

    Raises InputError for damage anywhere, and for a name that leads out of the archive.
    """

    def found(tar: tarfile.TarFile) -> Iterator[Member]:
        for info in tar:
            name = PurePosixPath(info.name)
            if name.is_absolute() or ".." in name.parts:
                raise InputError(
                    f"{path}: the member '{info.name}' leads out of the archive; do not use it"
                )
            if info.isfile() and wanted(info.name):
                yield Member(info.name, tar.extractfile(info))

    try:
        with tarfile.open(path, "r:*") as tar:
            yield found(tar)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path}: not a whole tar archive ({error}); fetch or pack it again"
        ) from error
