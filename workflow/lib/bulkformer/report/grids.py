"""Long tables as data: a page holds them in columns and draws the rows that a reader asks for.

As HTML, ten thousand rows are ten megabytes that no browser likes to open. Here a text stands once
however many rows hold it, and a column that says the same in every row is said once above them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from bulkformer.report.cells import MISSING, is_missing, label

MAX_ROWS = 20_000  # two such tables make a page of 2.5 MB
MOST_CHOICES = 60  # a longer list to choose from is no help; the words of a row can be typed


@dataclass(frozen=True)
class Word:
    """What stands in the cells that hold one text: the text, small print, CSS class of a chip."""

    text: str
    note: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Words:
    """A column of texts: each different one once, and for every row the place of its text."""

    label: str
    words: Sequence[Word]
    codes: Sequence[int]
    help: str = ""
    listed: bool = True  # whether a reader may choose a text from a list

    def data(self) -> dict[str, Any]:
        """Return what the page's script reads."""
        words = [[word.text, word.note, word.mark] for word in self.words]
        return {
            "label": self.label, "help": self.help, "words": words, "codes": list(self.codes),
            "choose": self.listed and 1 < len({word.text for word in self.words}) <= MOST_CHOICES,
        }  # fmt: skip


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, rounded for display, with an interval below each where one is known."""

    label: str
    values: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    digits: int = 3
    help: str = ""

    def data(self) -> dict[str, Any]:
        """Return what the page's script reads; a row without a number has null."""
        return {
            "label": self.label, "help": self.help, "digits": self.digits,
            **{
                name: [rounded(value, self.digits) for value in values]
                for name, values in (("numbers", self.values), ("low", self.low),
                                     ("high", self.high))
            },
        }  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """A table of the page; `empty` says why there are no rows if there are none."""

    name: str
    title: str
    columns: Sequence[Words | Numbers]
    rows: int
    constants: Sequence[tuple[str, str]] = ()
    caption: str = ""
    empty: str = "not run"

    def json(self) -> Markup:
        """Return the data for a script element: nothing in it can end that element."""
        content = {"rows": self.rows, "columns": [column.data() for column in self.columns]}
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c"))


def rounded(value: Any, digits: int) -> float | int | None:
    """Round as `cells.decimal` does: no decimals from 1,000 up; None for what is missing."""
    if is_missing(value):
        return None
    number = round(float(value), digits if abs(value) < 1000 else 0)
    return int(number) if number == int(number) else number


def words_of(
    heading: str,
    values: Sequence[Hashable],
    write: Callable[[Any], Word] = lambda value: Word(plain(value)),
    help: str = "",
    listed: bool = True,
) -> Words:
    """Return a column of texts; `write` is asked once for each different value."""
    codes: dict[Hashable, int] = {}
    places = [codes.setdefault(plain_key(value), len(codes)) for value in values]
    return Words(heading, [write(value) for value in codes], places, help, listed)


def plain_key(value: Hashable) -> Hashable:
    """Return None for every way in which a table says nothing, since NaN equals no other NaN."""
    if isinstance(value, tuple):
        return tuple(plain_key(part) for part in value)
    return None if is_missing(value) else value


def plain(value: Any) -> str:
    """Write a value as it stands; a dash for a missing one."""
    return MISSING if is_missing(value) else str(value)


def numbers_of(
    frame: pd.DataFrame, heading: str, value: str, ends: tuple[str, str] | None = None,
    digits: int = 3, help: str = "",
) -> Numbers:  # fmt: skip
    """Return a column of numbers, with the interval between two other columns of the table."""
    low, high = ([], []) if ends is None else (frame[end].tolist() for end in ends)
    return Numbers(heading, frame[value].tolist(), low, high, digits, help)


def grid_of(
    name: str, title: str, rows: int, columns: Sequence[Words | Numbers], caption: str, empty: str
) -> Grid:
    """Return a grid of the columns in which rows differ; what all of them share stands above."""
    shared = [column for column in columns if is_constant(column)] if rows > 1 else []
    return Grid(
        name, title, [column for column in columns if column not in shared], rows,
        [(column.label, constant(column)) for column in shared if constant(column) != MISSING],
        caption, empty,
    )  # fmt: skip


def is_constant(column: Words | Numbers) -> bool:
    """Return whether a column says the same in every row."""
    if isinstance(column, Words):
        return len(column.words) == 1
    return not column.low and len({plain_key(value) for value in column.values}) == 1


def constant(column: Words | Numbers) -> str:
    """Write what a column says in every row, small print included."""
    if isinstance(column, Words):
        (word,) = column.words
        return f"{word.text} ({word.note})" if word.note else word.text
    value = rounded(column.values[0], column.digits)
    return MISSING if value is None else f"{value:,}"


def part_of(row: Mapping[str, Any] | Sequence[Any]) -> str:
    """Name the part of the data that a row (group_kind, group, fold, repeat) is about."""
    kind, group, fold, repeat = row
    parts = [] if is_missing(group) else [f"{label(kind or '')} {group}".strip()]
    parts += [
        f"{name} {int(number)}"
        for name, number in (("fold", fold), ("repeat", repeat))
        if not is_missing(number)
    ]
    return ", ".join(parts) or "all"
