"""Gene sets in GMT: one line a set, its name, a description or address, then its genes.

MSigDB, GO and Reactome are passed around in this form; symbols are those of the day of release.
"""

import re
from pathlib import Path
from typing import NamedTuple

from bulkformer.errors import InputError
from bulkformer.sources.text_matrix import UNREADABLE, open_text

# "h.all.v2024.1.Hs.symbols.gmt": collection h.all, version 2024.1.Hs.
RELEASE = re.compile(r"(?P<collection>.+?)\.v(?P<version>\d+(?:\.\d+)*(?:\.[A-Z][a-z])?)(?:\.|$)")


class GeneSet(NamedTuple):
    """A named set; `genes` are its members as written, each once, in the order of the file."""

    name: str
    genes: list[str]


def read_gmt(path: Path) -> list[GeneSet]:
    """Read a plain or gzipped GMT file.

    Empty lines and empty cells, such as those of trailing tabs, mean nothing. Raises InputError for
    a line without genes, a name that stands twice, and a file that is no text or has no set.
    """
    sets: list[GeneSet] = []
    line_of: dict[str, int] = {}
    try:
        with open_text(path) as handle:
            for number, line in enumerate(handle, start=1):
                if not line.strip():
                    continue
                name, *rest = (cell.strip() for cell in line.rstrip("\r\n").split("\t"))
                genes = list(dict.fromkeys(filter(None, rest[1:])))
                if not name or not genes:
                    raise InputError(
                        f"{path}, line {number}: not a gene set; GMT has a name, a description and "
                        "genes, separated by tabs; fetch the file again"
                    )
                if name in line_of:
                    raise InputError(
                        f"{path}, line {number}: the set '{name}' stands in line {line_of[name]} "
                        "already; keep one"
                    )
                line_of[name] = number
                sets.append(GeneSet(name, genes))
    except UNREADABLE as error:
        raise InputError(f"{path}: not readable as GMT ({error}); fetch it again") from error
    if not sets:
        raise InputError(f"{path}: no gene set; fetch the file again")
    return sets


def release_of(path: Path) -> tuple[str, str | None]:
    """Return collection and version as MSigDB writes them into file names; None without one."""
    stem = re.sub(r"(\.symbols)?\.gmt(\.gz)?$", "", path.name)
    match = RELEASE.match(stem)
    return (match["collection"], match["version"]) if match else (stem, None)
