"""The sources table as typed rows: one public file each, with where it is and under which licence.

Steps that say something about files (the inventory, the data page) read the table here, so that
an empty cell or a damaged checksum is found by one piece of code and named with its line.
"""

import csv
import re
from dataclasses import dataclass, fields
from pathlib import Path

from bulkformer.errors import InputError

CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")
LISTING = re.compile(r"(zenodo|figshare|gdc|ncbi) https?://\S+")
NAME = re.compile(r"[a-z0-9_]+")
# Names stand in commands and paths: nothing that a shell or a pattern reads as anything else.
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@%-]*")


@dataclass(frozen=True)
class Source:
    """One row of the sources table.

    Attributes
    ----------
    source, file : the file lands at resources/{source}/{file}
    version : release of the provider, "" if it has none
    url, mirror : addresses, or a path on disk; "" if there is none
    listing : "<kind> <address>" of the provider's programming interface, "" if there is none
    bytes : size that the provider states, None if unknown
    checksum : "sha256:…" or "md5:…", "" if unknown
    accept : whether the user has to accept the licence before the file is fetched
    acquired : "automatic" or "by_hand"
    """

    source: str
    file: str
    version: str
    url: str
    mirror: str
    listing: str
    bytes: int | None
    checksum: str
    licence: str
    licence_url: str
    accept: bool
    citation: str
    acquired: str
    instruction: str

    @property
    def name(self) -> str:
        """The file as other tables and the config call it."""
        return f"{self.source}/{self.file}"


COLUMNS = tuple(field.name for field in fields(Source))


def read_catalogue(path: Path) -> list[Source]:
    """Return the rows of the sources table in their order.

    Raises InputError naming file, line and column for an absent column, a row of another length,
    a cell that is not what its column asks for, and a file that stands twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: not a readable table ({error}); correct the path in tables.sources"
        ) from error
    lines = list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    if not lines or tuple(lines[0]) != COLUMNS:
        raise InputError(
            f"{path}, line 1: the columns are {', '.join(lines[0]) if lines else 'none'}; write "
            f"{', '.join(COLUMNS)}, separated by one tab"
        )
    found: dict[str, int] = {}
    sources = []
    for number, cells in enumerate(lines[1:], start=2):
        source = _source(cells, f"{path}, line {number}")
        if source.name in found:
            raise InputError(
                f"{path}, line {number}: '{source.name}' stands in line {found[source.name]} as "
                "well; keep one row"
            )
        found[source.name] = number
        sources.append(source)
    return sources


def _source(cells: list[str], where: str) -> Source:
    """Check the cells of one row, column by column, and give them their types."""
    if len(cells) != len(COLUMNS):
        raise InputError(
            f"{where}: {len(cells)} columns instead of {len(COLUMNS)}; separate columns by one tab "
            "and leave unknown cells empty"
        )
    row = dict(zip(COLUMNS, cells, strict=True))

    def require(column: str, holds: bool, remedy: str) -> None:
        if not holds:
            raise InputError(f"{where}, column {column}: '{row[column]}' does not do; {remedy}")

    require("source", bool(NAME.fullmatch(row["source"])), "use a-z, 0-9 and _")
    require(
        "file",
        bool(FILE_NAME.fullmatch(row["file"])),
        "use letters, digits and _ . + = @ % - and begin with a letter, a digit or _",
    )
    require(
        "listing",
        not row["listing"] or bool(LISTING.fullmatch(row["listing"])),
        "write zenodo, figshare, gdc or ncbi, a blank and an address, or leave it empty",
    )
    require(
        "bytes",
        not row["bytes"] or (row["bytes"].isascii() and row["bytes"].isdigit()),
        "write the number of bytes in digits, or leave it empty",
    )
    require(
        "checksum",
        not row["checksum"] or bool(CHECKSUM.fullmatch(row["checksum"])),
        "write sha256: and 64 or md5: and 32 hexadecimal digits in lower case, or leave it empty",
    )
    require("accept", row["accept"] in ("", "yes"), "write yes, or leave it empty")
    require("acquired", row["acquired"] in ("automatic", "by_hand"), "write automatic or by_hand")
    for column in ("licence", "citation"):
        require(column, bool(row[column]), "say what is known, even if that is 'not stated'")
    if row["acquired"] == "automatic":
        require("url", bool(row["url"] or row["listing"]), "give a url or a listing")
    else:
        require("instruction", bool(row["instruction"]), "say how to get the file by hand")
    if row["accept"]:
        require("licence_url", bool(row["licence_url"]), "say where the licence can be read")
    return Source(
        **{key: value for key, value in row.items() if key not in ("bytes", "accept")},
        bytes=int(row["bytes"]) if row["bytes"] else None,
        accept=row["accept"] == "yes",
    )
