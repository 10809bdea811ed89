"""A smallest Excel workbook, by hand: a writer library would put the time into every file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from bulkformer.files import atomic

HEADER = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
CONTENT = "application/vnd.openxmlformats-officedocument.spreadsheetml"
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of the zip format


def write_workbook(
    path: Path, sheets: dict[str, Iterable[Sequence[object]]], stated_size: str | None = None
) -> None:
    """Write sheets {name: rows of str, int, float or None}; the same rows give the same bytes.

    `stated_size` is a dimension such as "A1:A1" that each sheet claims to have, as some writers
    leave it behind.
    """
    names = list(sheets)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{CONTENT}.sheet.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" '
            f'ContentType="{CONTENT}.worksheet+xml"/>'
            for n in range(1, len(names) + 1)
        )
        + "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{SPREADSHEET}" xmlns:r="{RELATIONS}"><sheets>'
        + "".join(
            f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>'
            for n, name in enumerate(names, start=1)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        + "".join(
            f'<Relationship Id="rId{n}" Type="{RELATIONS}/worksheet" '
            f'Target="worksheets/sheet{n}.xml"/>'
            for n in range(1, len(names) + 1)
        )
        + "</Relationships>",
    }
    size = f'<dimension ref="{stated_size}"/>' if stated_size else ""
    for number, name in enumerate(names, start=1):
        rows = "".join(_row(n, cells) for n, cells in enumerate(sheets[name], start=1))
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{SPREADSHEET}">{size}<sheetData>{rows}</sheetData></worksheet>'
        )
    with atomic(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            entry = zipfile.ZipInfo(name, FIRST_DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, HEADER + text)


def _row(number: int, cells: Sequence[object]) -> str:
    return f'<row r="{number}">{"".join(_cell(number, *c) for c in enumerate(cells))}</row>'


def _cell(row: int, column: int, value: object) -> str:
    if value is None:
        return ""
    place = f"{_letters(column)}{row}"
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


def _letters(column: int) -> str:
    """Return A for 0, Z for 25, AA for 26."""
    letters = ""
    column += 1
    while column:
        column, digit = divmod(column - 1, 26)
        letters = chr(65 + digit) + letters
    return letters
