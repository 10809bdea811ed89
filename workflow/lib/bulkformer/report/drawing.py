"""Draws in SVG: lines, markers and texts at places in pixels, and axes with round numbers.

The report has a figure for every dataset of every task. Drawn by matplotlib they are a hundred
times slower to make and five times as large, which is why the simple ones are drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from bulkformer.report.svg import GRID, INK, MUTED

WIDTH = 1035.0  # of a figure, as wide as a page shows it
LETTER = 0.58  # mean width of a letter over the height of its font
SMALL, NORMAL, LARGE = 11.0, 12.5, 14.0
LINE = 1.3  # height of a line of text over that of its font
MOST_TICKS = 6
ROUND_STEPS = (1, 2, 2.5, 5, 10, 20)


@dataclass
class Drawing:
    """Elements of one figure, from back to front; y runs downwards."""

    height: float
    width: float = WIDTH
    elements: list[str] = field(default_factory=list)

    def line(
        self, start: tuple[float, float], end: tuple[float, float], colour: str = GRID,
        thick: float = 1.0, dashed: bool = False,
    ) -> None:  # fmt: skip
        """Draw a straight line."""
        self.curve([start, end], colour, thick, dashed)

    def curve(
        self, points: Sequence[tuple[float, float]], colour: str, thick: float, dashed: bool = False
    ) -> None:
        """Draw a line through points."""
        path = "L".join(f"{place(x)} {place(y)}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.elements.append(
            f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{place(thick)}"{dash}/>'
        )

    def dots(self, points: Iterable[tuple[float, float]], colour: str, size: float = 4.5) -> None:
        """Draw many small dots, so pale that a heap of them is darker."""
        path = "".join(f"M{place(x)} {place(y)}h0" for x, y in points)
        self.elements.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{place(size)}" '
            f'stroke-linecap="round" stroke-opacity=".45"/>'
        )

    def box(
        self, left: float, top: float, width: float, height: float, colour: str, border: str = ""
    ) -> None:
        """Draw a filled rectangle."""
        stroke = f' stroke="{border}"' if border else ""
        self.elements.append(
            f'<rect x="{place(left)}" y="{place(top)}" width="{place(width)}" '
            f'height="{place(height)}" fill="{colour}"{stroke}/>'
        )

    def marker(
        self, x: float, y: float, shape: str, colour: str, hollow: bool = False, size: float = 4.2
    ) -> None:
        """Draw a marker: o, s (square), D (diamond), ^ or < (triangles)."""
        paint = f'fill="{"#fff" if hollow else colour}" stroke="{colour}" stroke-width="1.5"'
        if shape == "o":
            element = f'<circle cx="{place(x)}" cy="{place(y)}" r="{place(size)}" {paint}/>'
        else:
            corners = " ".join(
                f"{place(x + right * size)},{place(y + down * size)}"
                for right, down in CORNERS[shape]
            )
            element = f'<polygon points="{corners}" {paint}/>'
        self.elements.append(element)

    def text(
        self, x: float, y: float, text: str, size: float = NORMAL, colour: str = INK,
        anchor: str = "start", bold: bool = False,
    ) -> None:  # fmt: skip
        """Write a line of text; y is its middle."""
        how = "" if anchor == "start" else f' text-anchor="{anchor}"'
        how += ' font-weight="700"' if bold else ""
        self.elements.append(
            f'<text x="{place(x)}" y="{place(y + 0.35 * size)}" font-size="{place(size)}" '
            f'fill="{colour}"{how}>{escape(text)}</text>'
        )

    def lines(
        self, x: float, y: float, text: str, room: float, size: float = NORMAL, colour: str = INK,
        anchor: str = "start", bold: bool = False,
    ) -> float:  # fmt: skip
        """Write a text in as many lines as it needs; returns the height that they take."""
        parts = wrapped(text, room, size)
        for number, part in enumerate(parts):
            self.text(x, y + number * LINE * size, part, size, colour, anchor, bold)
        return len(parts) * LINE * size

    def svg(self, name: str, description: str) -> Markup:
        """Return one <svg> element for a page; `description` is for those who cannot see it."""
        inside = "".join(self.elements)
        return Markup(
            f'<svg viewBox="0 0 {place(self.width)} {place(self.height)}" role="img" '
            f'style="max-width:{place(self.width)}px" aria-labelledby="{escape(name)}-title">'
            f'<title id="{escape(name)}-title">{escape(description)}</title>{inside}</svg>'
        )


CORNERS = {
    "s": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "D": [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)],
    "^": [(0, -1.15), (1.1, 0.9), (-1.1, 0.9)],
    "<": [(-1.15, 0), (0.9, -1.1), (0.9, 1.1)],
}


@dataclass(frozen=True)
class Scale:
    """Turns values between `low` and `high` into pixels between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value, held inside the axis."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round numbers inside the axis, at most six."""
        span = (self.high - self.low) or 1.0
        power = 10.0 ** math.floor(math.log10(span / MOST_TICKS))
        step = next(part * power for part in ROUND_STEPS if span / (part * power) <= MOST_TICKS - 1)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 10) for number in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Write a round number with a true minus sign."""
    return f"{value:g}".replace("-", "−")


def axis_below(drawing: Drawing, scale: Scale, top: float, bottom: float, title: str) -> None:
    """Draw the lines of an axis from left to right, its numbers and its title."""
    for tick in scale.ticks:
        x = scale(tick)
        drawing.line((x, top), (x, bottom))
        drawing.text(x, bottom + 12, tick_text(tick), SMALL, MUTED, "middle")
    middle = (scale.start + scale.end) / 2
    room = scale.end - scale.start + 40
    drawing.lines(middle, bottom + 29, title, room, SMALL, INK, "middle")


def text_width(text: str, size: float = NORMAL) -> float:
    """Return about how wide a text is."""
    return LETTER * size * len(text)


def wrapped(text: str, room: float, size: float) -> list[str]:
    """Break a text at spaces into lines that have room; a longer word keeps its line."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}".strip()
            if line and text_width(longer, size) > room:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def place(value: float) -> str:
    """Write a coordinate: a tenth of a pixel is finer than any screen."""
    return f"{round(value, 1) + 0.0:g}"
