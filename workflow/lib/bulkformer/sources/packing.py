"""Many small files become one tar, one after the other, so that a killed run goes on where it was.

The tar grows under a hidden name. Its bytes depend on names and contents of its members only, and
each member is checked before it goes in, so what a killed run left is worth keeping.
"""

import hashlib
import os
import tarfile
from pathlib import Path
from types import TracebackType

BLOCK = 512  # of the tar format: headers and contents begin at its multiples


class Pack:
    """A tar that grows; `names` are its whole members, in their order.

    Use it as a context manager; the end of the archive is written when the block succeeds.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.names, end = _whole_members(path)
        if end:
            os.truncate(path, end)
            os.truncate(path, end + 2 * BLOCK)  # the mark of the end, which tarfile looks for
        else:
            path.unlink(missing_ok=True)
        self._tar = tarfile.open(path, "a", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def __enter__(self) -> "Pack":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._tar.close()
        else:
            self._tar.fileobj.close()

    def add(self, name: str, path: Path) -> None:
        """Append the file at `path` as the member `name`."""
        member = tarfile.TarInfo(name)  # time, owner and mode are the same everywhere
        member.size = path.stat().st_size
        with path.open("rb") as handle:
            self._tar.addfile(member, handle)
        self._tar.fileobj.flush()
        self.names.append(name)


def member_names(path: Path) -> list[str]:
    """Return the names of the whole members of a tar that may be cut, [] if there is none."""
    return _whole_members(path)[0]


def member_md5s(path: Path) -> dict[str, str]:
    """Return the MD5 of every whole member of a tar that may be cut."""
    names, _ = _whole_members(path)
    digests: dict[str, str] = {}
    if names:
        with tarfile.open(path, "r:") as tar:
            while len(digests) < len(names):
                member = tar.next()
                digests[member.name] = hashlib.file_digest(
                    tar.extractfile(member), "md5"
                ).hexdigest()
    return digests


def _whole_members(path: Path) -> tuple[list[str], int]:
    """Return the names of the members that are there completely, and where the last one ends."""
    names: list[str] = []
    end = 0
    if not path.exists():
        return names, end
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                stop = member.offset_data + -(-member.size // BLOCK) * BLOCK
                if stop > size:
                    break
                names.append(member.name)
                end = stop
    except tarfile.ReadError:
        pass  # cut inside a header, or nothing was written yet: what came before counts
    return names, end
