"""The figures. Each draws numbers that it is given, with their intervals, and computes none.

One colour and marker stand for one kind of model in all of them; hollow markers are untrained
weights; the pale band and the dashed line are the model that knows nothing about the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bulkformer.report.cells import decimal, is_missing
from bulkformer.report.drawing import (
    LARGE,
    LINE,
    SMALL,
    WIDTH,
    Drawing,
    Scale,
    axis_below,
    text_width,
    tick_text,
    wrapped,
)
from bulkformer.report.svg import GRID, INK, MUTED, colour_of, marker_of

TITLE = {"loc": "left", "fontsize": 11, "fontweight": "bold", "color": INK}  # for matplotlib
FLOOR_BAND, FLOOR_LINE = "#f7ecd2", "#b98a2c"
LOWEST = -1.0  # a skill of −13 would leave no room for the models that work
ROW, FIGURES, BELOW = 22.0, 68.0, 50.0  # heights and widths in pixels
CURVES = 330.0


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; an end is None where none was estimated."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """A model as a row of a dot chart."""

    model: str
    kind: str
    untrained: bool = False

    @property
    def name(self) -> str:
        """What stands beside the row."""
        return self.model + (" (untrained)" if self.untrained else "")


@dataclass(frozen=True)
class Panel:
    """One measure of a chart: what it is called and one estimate a model.

    Attributes
    ----------
    points : values of single parts of the data (drugs, cancers) of each model, drawn as pale dots
    line : what no skill scores, with its name, in place of the floor's value
    within : what the axis shows at the least
    """

    title: str
    axis: str
    estimates: Mapping[str, Estimate]
    points: Mapping[str, Sequence[float]] | None = None
    line: tuple[float, str] | None = None
    within: tuple[float, float] = (0.0, 1.0)


def dot_chart(
    name: str, description: str, rows: Sequence[Row], panels: Sequence[Panel], floor: str
) -> Markup:
    """Draw one line a model and one panel a measure, side by side on the same rows.

    Parameters
    ----------
    rows : from top to bottom
    floor : the model whose value is drawn through each panel as a dashed line
    """
    left = max([60.0, *(text_width(row.name) for row in rows)]) + 12
    room = (WIDTH - left) / len(panels)
    titles = [wrapped(panel.title, room - 12, LARGE) for panel in panels]
    top = max(map(len, titles)) * LINE * LARGE + 24
    bottom = top + ROW * len(rows)
    axis_lines = max(len(wrapped(panel.axis, room - FIGURES + 28, SMALL)) for panel in panels)
    drawing = Drawing(bottom + BELOW + (axis_lines - 1) * LINE * SMALL)
    heights = {row.model: top + ROW * (number + 0.5) for number, row in enumerate(rows)}
    for number, panel in enumerate(panels):
        start = left + number * room
        scale = Scale(*span(panel), start, start + room - FIGURES)
        if floor in heights:
            drawing.box(start - 8, heights[floor] - ROW / 2, room - FIGURES + 16, ROW, FLOOR_BAND)
        drawing.lines(start, 10, panel.title, room - 12, LARGE, INK, bold=True)
        axis_below(drawing, scale, top, bottom, panel.axis)
        at_floor = (panel.estimates[floor].value, floor) if floor in panel.estimates else None
        free = panel.line or at_floor
        if free is not None:
            x = scale(free[0])
            drawing.line((x, top), (x, bottom), FLOOR_LINE, 1.2, dashed=True)
            half = text_width(free[1], SMALL) / 2
            middle = min(max(x, start - 8 + half), start + room - 14 - half)
            drawing.text(middle, top - 8, free[1], SMALL, FLOOR_LINE, "middle")
        for row in rows:
            draw_points(drawing, scale, row, heights[row.model], panel)
            draw_estimate(drawing, scale, row, heights[row.model], panel.estimates.get(row.model))
    for row in rows:
        drawing.text(
            left - 14, heights[row.model], row.name, anchor="end", bold=row.kind == "foundation"
        )
    return drawing.svg(name, description)


def draw_points(drawing: Drawing, scale: Scale, row: Row, y: float, panel: Panel) -> None:
    """Draw the values of single parts of the data around the row, a little apart."""
    values = [v for v in (panel.points or {}).get(row.model, ()) if not is_missing(v)]
    if values:
        places = [(scale(v), y + (number * 7 % 5 - 2) * 1.6) for number, v in enumerate(values)]
        drawing.dots(places, colour_of(row.kind))


def draw_estimate(
    drawing: Drawing, scale: Scale, row: Row, y: float, estimate: Estimate | None
) -> None:
    """Draw a marker with its interval, and the value in figures at the end of the row."""
    written = "not run" if estimate is None else decimal(estimate.value)
    colour = MUTED if estimate is None else INK
    drawing.text(scale.end + 9, y, written, SMALL + 0.5, colour)
    if estimate is None:
        return
    colour = colour_of(row.kind)
    beyond = estimate.value < scale.low
    if not (beyond or is_missing(estimate.low) or is_missing(estimate.high)):
        drawing.line((scale(estimate.low), y), (scale(estimate.high), y), colour, 2)
    shape = "<" if beyond else marker_of(row.kind)
    drawing.marker(scale(estimate.value), y, shape, colour, row.untrained)


def span(panel: Panel) -> tuple[float, float]:
    """Return axis limits that hold all values, points and intervals from LOWEST up."""
    ends = [end for each in panel.estimates.values() for end in (each.value, each.low, each.high)]
    ends += [value for values in (panel.points or {}).values() for value in values]
    ends += [] if panel.line is None else [panel.line[0]]
    return limits(ends, panel.within)


def limits(values: Iterable[float | None], within: tuple[float, float]) -> tuple[float, float]:
    """Return where an axis begins and ends: at `within` or beyond it, never far below LOWEST."""
    known = [value for value in values if not is_missing(value)]
    low, high = max(LOWEST, min([within[0], *known])), max([within[1], *known])
    margin = 0.03 * (high - low)
    return low - margin, high + margin


@dataclass(frozen=True)
class CurvePanel:
    """One measure over a share, of hidden genes for example: points (percent, estimate) a model."""

    title: str
    axis: str
    curves: Mapping[str, Sequence[tuple[float, Estimate]]]


def ends_of(panel: CurvePanel) -> Panel:
    """Return the last estimate of every curve, by which models are ordered."""
    return Panel("", "", {model: curve[-1][1] for model, curve in panel.curves.items()})


def curve_chart(
    name: str, description: str, rows: Sequence[Row], panels: Sequence[CurvePanel], floor: str,
    across: str = "genes hidden in each sample (%)",
) -> Markup:  # fmt: skip
    """Draw one line a model over shares in percent, named at its right end."""
    names = max([80.0, *(text_width(row.name + " (−1.000)", SMALL) for row in rows)])
    room = WIDTH / len(panels)
    height = max(CURVES, 15 * max(sum(bool(p.curves.get(r.model)) for r in rows) for p in panels))
    top = max(len(wrapped(panel.title, room - 20, LARGE)) for panel in panels) * LINE * LARGE + 22
    drawing = Drawing(top + height + BELOW)
    for number, panel in enumerate(panels):
        left = number * room + 44
        drawing.lines(number * room, 10, panel.title, room - 20, LARGE, INK, bold=True)
        drawing.text(number * room, top - 12, panel.axis, SMALL, MUTED)
        points = [point for curve in panel.curves.values() for point in curve]
        shares = sorted({share for share, _ in points}) or [0.0]
        x = Scale(shares[0], shares[-1], left + 6, max(left + 60, left + room - names - 64))
        ends = [end for _, each in points for end in (each.value, each.low, each.high)]
        y = Scale(*limits(ends, (0.0, 1.0)), top + height, top)
        draw_frame(drawing, x, y, shares, across)
        draw_curves(drawing, x, y, rows, panel, floor)
    return drawing.svg(name, description)


def draw_frame(drawing: Drawing, x: Scale, y: Scale, shares: Sequence[float], across: str) -> None:
    """Draw the lines and numbers of both axes."""
    for tick in y.ticks:
        drawing.line((x.start - 6, y(tick)), (x.end + 6, y(tick)), GRID)
        drawing.text(x.start - 12, y(tick), tick_text(tick), SMALL, MUTED, "end")
    last = -1e9
    for share in shares:
        if x(share) - last >= 24:  # numbers that would touch are left out
            last = x(share)
            drawing.text(last, y.start + 14, tick_text(share), SMALL, MUTED, "middle")
    drawing.text((x.start + x.end) / 2, y.start + 33, across, SMALL, INK, "middle")


def draw_curves(
    drawing: Drawing, x: Scale, y: Scale, rows: Sequence[Row], panel: CurvePanel, floor: str
) -> None:
    """Draw the curves, strong ones last, and their names at the right, moved apart."""
    ends = []
    for row in sorted(rows, key=lambda row: row.kind == "foundation" or row.model == floor):
        points = panel.curves.get(row.model, ())
        if not points:
            continue
        strong = row.kind == "foundation" or row.model == floor
        places = [(x(share), y(each.value)) for share, each in points]
        colour = colour_of(row.kind)
        drawing.curve(places, colour, 2.6 if strong else 1.3, row.untrained or row.model == floor)
        for at in places:
            drawing.marker(*at, marker_of(row.kind), colour, row.untrained, size=3.2)
        ends.append((points[-1][1].value, row))
    ends.sort(key=lambda end: end[0])
    heights = [-y(value) for value, _ in ends]  # upwards, as values do
    lifted = spread(heights, 14.0, -y.end)
    for up, (value, row), start in zip(lifted, ends, heights, strict=True):
        colour = colour_of(row.kind)
        drawing.line((x.end + 7, -start), (x.end + 26, -up), colour, 0.6)
        written = f"{row.name} ({decimal(value)})" if value < y.low else row.name
        drawing.text(x.end + 30, -up, written, SMALL, colour, bold=row.kind == "foundation")


def spread(values: Sequence[float], step: float, highest: float) -> list[float]:
    """Return places for names, in the order of ascending `values` and at least `step` apart.

    Names are pushed upwards until none overlap, then the stack is pushed down below `highest`.
    """
    places = list(values)
    for number in range(1, len(places)):
        places[number] = max(places[number], places[number - 1] + step)
    ceiling = highest
    for number in reversed(range(len(places))):
        places[number] = min(places[number], ceiling)
        ceiling = places[number] - step
    return places
