"""The parts of a table, and how numbers, intervals and missing values are written everywhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MISSING = "—"


@dataclass(frozen=True)
class Cell:
    """One cell: what is read and sorted by, small print below it, and how it is marked."""

    text: str
    note: str = ""
    mark: str = ""  # CSS class of a chip around the text
    help: str = ""  # shown when the pointer rests on the cell
    flag: str = ""  # a warning below the small print


@dataclass(frozen=True)
class Column:
    """One column; numbers are aligned right, long text is given room."""

    label: str
    numeric: bool = False
    help: str = ""
    above: str = ""  # what a group of columns shares, the protocol for example
    wide: bool = False

    @property
    def classes(self) -> str:
        """CSS classes of the column's cells."""
        names = ("n" if self.numeric else "", "w" if self.wide else "", self.above)
        return " ".join(name for name in names if name)


@dataclass(frozen=True)
class Table:
    """A table for the page; `empty` says why there are no rows if there are none."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    empty: str = "not run"
    filterable: bool = False
    row_marks: Sequence[str] = field(default_factory=tuple)  # CSS class of each row


def is_missing(value: Any) -> bool:
    """Return whether a value of a table or of a JSON file says nothing."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def text_cell(value: Any, note: str = "", mark: str = "", help: str = "") -> Cell:
    """Write a value as it stands; a dash for a missing one."""
    if is_missing(value):
        return Cell(MISSING, note, help=help)
    return Cell(str(value), note, mark, help)


def decimal(value: Any, digits: int = 3) -> str:
    """Round for display, with a true minus sign; never '-0.000', and no decimals from 1,000 up."""
    if is_missing(value):
        return MISSING
    text = f"{float(value):,.{digits if abs(value) < 1000 else 0}f}"
    if not text.strip("-0."):
        text = text.lstrip("-")
    return text.replace("-", "−")


def short_decimal(value: Any) -> str:
    """Write a number with four significant digits, for quantities whose scale is not known."""
    if is_missing(value):
        return MISSING
    if isinstance(value, int) or float(value).is_integer():
        return count(value)
    return f"{float(value):.4g}".replace("-", "−")


def count(value: Any) -> str:
    """Write a whole number with separators between thousands."""
    return MISSING if is_missing(value) else f"{int(value):,}"


def interval(low: Any, high: Any, digits: int = 3) -> str:
    """Write both ends of an interval, or nothing if it was not estimated."""
    if is_missing(low) or is_missing(high):
        return ""
    return f"[{decimal(low, digits)}, {decimal(high, digits)}]"


def decimal_cell(value: Any, low: Any = None, high: Any = None, help: str = "") -> Cell:
    """Write a metric with its interval below it."""
    return Cell(decimal(value), interval(low, high), help=help)


def count_cell(value: Any, note: str = "", help: str = "") -> Cell:
    """Write a whole number."""
    return Cell(count(value), note, help=help)


def number_cell(value: Any) -> Cell:
    """Write a number of unknown scale."""
    return Cell(short_decimal(value))


def plural(unit: str) -> str:
    """Write the unit that an interval resamples: study -> studies."""
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


def spoken(condition: str) -> str:
    """Write a condition the way it is said: a share of genes is a share of hidden ones."""
    return f"{condition} of genes hidden" if condition.endswith("%") else condition


def label(name: str) -> str:
    """Write an identifier the way it is read: tcga_cancer_type -> tcga cancer type."""
    return str(name).replace("_", " ")
