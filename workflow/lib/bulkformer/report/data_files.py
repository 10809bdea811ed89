"""Tables of the files that a run rests on: what was fetched, how it was checked, whose it is."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bulkformer.report.cells import MISSING, Cell, Column, Table, count, is_missing, text_cell

CHECKED_HELP = {
    "checksum of the table": "equal to the checksum that the sources table gives",
    "lock": "equal to what the lock file recorded when the file first came",
    "recorded first time": "no checksum was known; the lock file now holds this one, and a later "
    "file that differs is refused",
    "local file": "a file of the user, or one put in place by hand that neither the sources table "
    "nor the lock file knows a checksum of",
    "simulated": "written by the simulator in the format of the provider",
}
CHECKED_MARKS = {
    "checksum of the table": "clean",
    "lock": "given",
    "recorded first time": "given",
    "local file": "seen",
}
HASH_LETTERS = 12


def file_table(inventory: pd.DataFrame) -> Table:
    """Return one row a file: version, size, checksum, how it was checked, where it came from."""
    return Table(
        "table-files",
        [
            Column("File, and where it came from", wide=True), Column("Version"),
            Column("Bytes", True),
            Column("SHA-256", help="its first letters; the inventory holds all of them"),
            Column("Checked against"), Column("Retrieved"),
        ],
        [
            [
                text_cell(
                    f"{row['source']}/{row['file']}",
                    "" if is_missing(row["url"]) else row["url"],
                ),
                text_cell(row["version"]),
                Cell(count(row["bytes"]), size(row["bytes"])),
                Cell(str(row["sha256"])[:HASH_LETTERS], help=str(row["sha256"])),
                checked_cell(row["checked"]),
                date_cell(row["retrieved"]),
            ]
            for row in inventory.to_dict("records")
        ],
        empty="No file was used.",
        filterable=True,
    )  # fmt: skip


def checked_cell(checked: str) -> Cell:
    """Write how a file was checked; one that nothing vouches for is marked."""
    return Cell(checked, mark=CHECKED_MARKS.get(checked, ""), help=CHECKED_HELP.get(checked, ""))


def date_cell(moment: Any) -> Cell:
    """Write the day of an ISO 8601 moment with the time of day below it."""
    if is_missing(moment):
        return Cell(MISSING)
    day, _, time = str(moment).partition("T")
    return Cell(day, time)


def checked_terms(inventory: pd.DataFrame) -> list[tuple[str, str]]:
    """Return how many files were checked in which way, and what that means."""
    numbers = inventory["checked"].value_counts()
    known = [checked for checked in CHECKED_HELP if checked in numbers]
    return [
        (checked, f"{files(numbers[checked])}: {CHECKED_HELP.get(checked, MISSING)}")
        for checked in [*known, *sorted(set(numbers.index) - set(known))]
    ]


def licence_table(inventory: pd.DataFrame) -> Table:
    """Return one row a provider and licence: what may be done with its files, what to cite."""
    rows = []
    for about, own in inventory.groupby(
        ["source", "licence", "licence_url", "citation"], sort=False, dropna=False
    ):
        source, licence, licence_url, citation = about
        rows.append(
            [
                text_cell(source),
                Cell(count(len(own))),
                Cell(count(own["bytes"].sum()), size(own["bytes"].sum())),
                text_cell(licence, "" if is_missing(licence_url) else licence_url),
                text_cell(citation),
            ]
        )
    return Table(
        "table-licences",
        [
            Column("Source"), Column("Files", True), Column("Bytes", True),
            Column("Licence, and where it stands", wide=True), Column("To cite", wide=True),
        ],
        rows,
        empty="No file was used.",
    )  # fmt: skip


def files(number: int) -> str:
    """Write a number of files."""
    return f"{count(number)} file{'' if number == 1 else 's'}"


def size(number: Any) -> str:
    """Write a number of bytes the way it is said: 17.2 MB, in powers of 1,000."""
    if is_missing(number):
        return ""
    amount = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
