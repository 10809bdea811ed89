"""Whether a file is what its name and the sources table say: size, checksum, first and last bytes.

Servers answer with pages of HTML or XML and status 200 where a file has moved or a bot check stands
in front of it; such a body must never be taken for data. Where nothing is known of a file, its
format itself says whether the end is missing.
"""

import gzip
import hashlib
import tarfile
import zipfile
import zlib
from pathlib import Path

from bulkformer.errors import InputError
from bulkformer.files import sha256

GZIP = b"\x1f\x8b"
HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\x03\x04"
PARQUET = b"PAR1"
USTAR = (257, b"ustar")
MAGIC = {
    (".gz", ".tgz"): [(0, GZIP)],
    (".h5", ".hdf5", ".h5ad", ".gctx"): [(0, HDF5)],
    (".zip", ".xlsx"): [(0, ZIP)],
    (".parquet",): [(0, PARQUET)],
    (".tar",): [USTAR, (0, GZIP)],  # the GDC packs with gzip and names the file either way
}
PAGES = {
    "an HTML page": ((b"<!doctype html", b"<html", b"<head"), (".html", ".htm")),
    "an XML message": ((b"<?xml", b"<error"), (".xml",)),
}
BLOCK = 1 << 20


class OtherBytes(InputError):
    """The file has another size or checksum than the one that was stated."""


def check_content(path: Path, name: str, size: int | None, checksum: str) -> str:
    """Check the file at `path`, which is to be called `name`; return its SHA-256.

    Parameters
    ----------
    size : bytes the provider states, None if unknown
    checksum : "sha256:…" or "md5:…", "" if unknown

    Where neither is known, a file that can be cut without notice (gzip, zip, tar, HDF5, Parquet) is
    read far enough to see that its end is there; a gzip file has to be unpacked for that.

    Raises
    ------
    InputError : says what is wrong with the file; the caller adds where it came from. OtherBytes if
        it is a file of the right kind with another size or checksum
    """
    with path.open("rb") as handle:
        start = handle.read(512)
    found = path.stat().st_size
    if not found:
        raise InputError("the file is empty")
    opening = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for what, (openings, suffixes) in PAGES.items():
        if opening.startswith(openings) and not name.lower().endswith(suffixes):
            raise InputError(f"it is {what} and not the file: {_excerpt(start)}")
    for suffixes, magics in MAGIC.items():
        if name.lower().endswith(suffixes) and not any(
            start[at : at + len(magic)] == magic for at, magic in magics
        ):
            raise InputError(
                f"its first bytes are not those of a {suffixes[0]} file: {_excerpt(start)}"
            )
    if size is not None and found != size:
        raise OtherBytes(f"it has {found} bytes instead of {size}")
    if size is None and not checksum:
        _check_end(path, start)
    digest = sha256(path)
    algorithm, _, expected = checksum.partition(":")
    actual = {"": "", "sha256": digest, "md5": ""}.get(algorithm)
    if actual is None:
        raise InputError(f"checksum '{checksum}' is of no known kind; write sha256:… or md5:…")
    if algorithm == "md5":
        with path.open("rb") as handle:
            actual = hashlib.file_digest(handle, "md5").hexdigest()
    if actual != expected.lower():
        raise OtherBytes(f"its {algorithm} is {actual} instead of {expected}")
    return digest


def _check_end(path: Path, start: bytes) -> None:
    """Raise InputError if the end of a compressed or structured file is missing."""
    try:
        if start.startswith(GZIP):
            with gzip.open(path) as unpacked:
                while unpacked.read(BLOCK):
                    pass
        elif start.startswith(ZIP):
            with zipfile.ZipFile(path):
                pass
        elif start[USTAR[0] :].startswith(USTAR[1]):
            _check_tar(path)
        elif start.startswith(HDF5):
            import h5py  # the library itself knows where a file should end

            with h5py.File(path, "r"):
                pass
        elif start.startswith(PARQUET):
            with path.open("rb") as handle:
                handle.seek(-len(PARQUET), 2)
                if handle.read() != PARQUET:
                    raise InputError("its end is missing: it does not close as Parquet does")
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError) as error:
        raise InputError(f"its end is missing, or it is damaged ({error})") from error


def _check_tar(path: Path) -> None:
    """Walk over the members; their bytes are not read."""
    size = path.stat().st_size
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            if member.offset_data + member.size > size:
                raise InputError(f"its end is missing: '{member.name}' is not whole")


def _excerpt(start: bytes) -> str:
    return repr(start[:60].decode("utf-8", "replace"))
