"""Excel workbooks of providers, read row by row: some have a quarter of a million rows."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bulkformer.errors import InputError

# A workbook is a zip from outside; what claims to unpack to more than this is not one of ours.
MAX_UNPACKED_BYTES = 4 * 2**30
HEADER_WITHIN = 20  # rows; some sheets begin with a title


def read_sheet(path: Path, sheet: str | None, columns: Sequence[str]) -> pd.DataFrame:
    """Return `columns` of one sheet, cells as Excel holds them (str, int, float or None).

    The header is the first row that has all `columns`; columns without a name are passed over, and
    wholly empty rows are left out. `sheet` None means the only sheet, or the first.
    Raises InputError if the file is no workbook, or has no such sheet or columns.
    """
    # Slow to import, and only these formats need it.
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    wanted = list(columns)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise InputError(
                f"{path}: would unpack to {unpacked:,} bytes, which no table of these providers "
                "does; fetch it again"
            )
        workbook = load_workbook(path, read_only=True, data_only=True)
        try:
            if sheet is not None and sheet not in workbook.sheetnames:
                raise InputError(
                    f"{path}: no sheet '{sheet}'; it has {', '.join(workbook.sheetnames)}. Give "
                    "the provider's file"
                )
            worksheet = workbook[sheet] if sheet else workbook.worksheets[0]
            # Some writers state a size that is too small, and reading would stop there.
            worksheet.reset_dimensions()
            rows = worksheet.iter_rows(values_only=True)
            at, seen = None, []
            for _, row in zip(range(HEADER_WITHIN), rows, strict=False):
                names = [str(cell).strip() if cell is not None else "" for cell in row]
                seen = seen or [name for name in names if name]
                if set(wanted) <= set(names):
                    at = [names.index(name) for name in wanted]
                    break
            if at is None:
                absent = [name for name in wanted if name not in seen]
                raise InputError(
                    f"{path}: no column {', '.join(absent) or wanted[0]} in sheet "
                    f"'{worksheet.title}', whose first row is {', '.join(seen[:20])}; give the "
                    "provider's file"
                )
            found: list[list[object]] = [[] for _ in wanted]
            for row in rows:
                cells = [row[place] if place < len(row) else None for place in at]
                if any(cell is not None for cell in cells):
                    for values, cell in zip(found, cells, strict=True):
                        values.append(cell)
        finally:
            workbook.close()
    # openpyxl lets the errors of zip and XML through: ParseError is a SyntaxError.
    except (OSError, zipfile.BadZipFile, InvalidFileException, KeyError, SyntaxError) as error:
        raise InputError(
            f"{path}: not a readable Excel workbook ({error}); fetch it again"
        ) from error
    return pd.DataFrame(dict(zip(wanted, found, strict=True)), dtype=object)
