"""The figures. Each draws numbers that it is given, with their intervals, and computes none.

One colour and marker stand for one kind of model in all of them; hollow markers are untrained
weights; the pale band and the dashed line are the model that knows nothing about the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
from markupsafe import Markup

from bulkformer.report.cells import decimal, is_missing
from bulkformer.report.svg import (
    INK,
    MUTED,
    colour_of,
    inline_svg,
    marker_of,
    styled_subplots,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLE = {"loc": "left", "fontsize": 11, "fontweight": "bold", "color": INK}
FLOOR_BAND, FLOOR_LINE = "#f7ecd2", "#b98a2c"
LOWEST = -1.0  # a skill of −13 would leave no room for the models that work


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
    """One measure of a dot chart: what it is called and one estimate a model."""

    title: str
    axis: str
    estimates: Mapping[str, Estimate]


def dot_chart(
    name: str, description: str, rows: Sequence[Row], panels: Sequence[Panel], floor: str
) -> Markup:
    """Draw one line a model and one panel a measure, side by side on the same rows.

    Parameters
    ----------
    rows : from top to bottom
    floor : the model whose value is drawn through each panel as a dashed line
    """
    height = 0.9 + 0.3 * len(rows)
    figure, axes = styled_subplots(len(panels), 11.5, height, sharey=True)
    positions = {row.model: -number for number, row in enumerate(rows)}
    for axis, panel in zip(axes, panels, strict=True):
        axis.set_title(panel.title, pad=16, **TITLE)
        axis.set_xlabel(panel.axis)
        axis.grid(axis="y", visible=False)
        axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
        if floor in positions:
            place = positions[floor]
            axis.axhspan(place - 0.5, place + 0.5, color=FLOOR_BAND, zorder=0, linewidth=0)
        if floor in panel.estimates:
            value = panel.estimates[floor].value
            axis.axvline(value, color=FLOOR_LINE, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
            axis.annotate(
                floor, (value, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
                textcoords="offset points", ha="center", fontsize=8.5, color=FLOOR_LINE,
            )  # fmt: skip
        for row in rows:
            draw_estimate(axis, row, positions[row.model], panel.estimates.get(row.model))
        axis.set_xlim(*span(panel.estimates.values()))
        axis.set_ylim(-len(rows) + 0.5, 0.5)
        axis.spines["left"].set_visible(False)
    axes[0].set_yticks(list(positions.values()), [row.name for row in rows])
    for text, row in zip(axes[0].get_yticklabels(), rows, strict=True):
        text.set_color(INK)
        text.set_fontweight("bold" if row.kind == "foundation" else "normal")
    return inline_svg(figure, name, description)


def draw_estimate(axis: Axes, row: Row, place: float, estimate: Estimate | None) -> None:
    """Draw a marker with its interval, and the value in figures at the end of the row."""
    written = "not run" if estimate is None else decimal(estimate.value)
    axis.annotate(
        written, (1, place), xycoords=("axes fraction", "data"), xytext=(6, 0),
        textcoords="offset points", va="center", fontsize=9,
        color=MUTED if estimate is None else INK,
    )  # fmt: skip
    if estimate is None:
        return
    colour = colour_of(row.kind)
    beyond = estimate.value < LOWEST
    if not (beyond or is_missing(estimate.low) or is_missing(estimate.high)):
        axis.plot(
            [estimate.low, estimate.high], [place, place],
            color=colour, linewidth=1.4, solid_capstyle="butt", zorder=2,
        )  # fmt: skip
    axis.plot(
        [LOWEST if beyond else estimate.value], [place],
        marker="<" if beyond else marker_of(row.kind), markersize=6.5, color=colour,
        markerfacecolor="white" if row.untrained else colour,
        markeredgewidth=1.3, linestyle="none", zorder=3,
    )  # fmt: skip


def span(estimates: Iterable[Estimate]) -> tuple[float, float]:
    """Return axis limits that hold all values and intervals from LOWEST up, and 0 to 1."""
    values = [end for each in estimates for end in (each.value, each.low, each.high)]
    known = [value for value in values if not is_missing(value)]
    low, high = max(LOWEST, min([0.0, *known])), max([1.0, *known])
    margin = 0.03 * (high - low)
    return low - margin, high + margin


@dataclass(frozen=True)
class CurvePanel:
    """One measure over the share of hidden genes: points (percent, estimate) of each model."""

    title: str
    axis: str
    curves: Mapping[str, Sequence[tuple[float, Estimate]]]


def mask_curves(
    name: str, description: str, rows: Sequence[Row], panels: Sequence[CurvePanel], floor: str
) -> Markup:
    """Draw one line a model over the share of hidden genes, named at its right end."""
    figure, axes = styled_subplots(len(panels), 11.5, 4.6)
    for axis, panel in zip(axes, panels, strict=True):
        axis.set_title(panel.title, **TITLE)
        axis.set_xlabel("genes hidden in each sample (%)")
        axis.set_ylabel(panel.axis)
        ends = []
        for row in rows:
            points = panel.curves.get(row.model, ())
            if not points:
                continue
            shares = [share for share, _ in points]
            values = [estimate.value for _, estimate in points]
            strong = row.kind == "foundation" or row.model == floor
            axis.plot(
                shares, values, color=colour_of(row.kind), marker=marker_of(row.kind),
                markersize=5, markerfacecolor="white" if row.untrained else None,
                linewidth=2.2 if strong else 1.1, alpha=1 if strong else 0.8,
                linestyle="--" if row.untrained or row.model == floor else "-",
                zorder=3 if strong else 2,
            )  # fmt: skip
            ends.append((values[-1], row))
        shares = sorted({share for points in panel.curves.values() for share, _ in points})
        axis.set_xticks(shares, [f"{share:g}" for share in shares])
        axis.set_ylim(*span([point for curve in panel.curves.values() for _, point in curve]))
        name_curve_ends(axis, ends, shares[-1])
    return inline_svg(figure, name, description)


def name_curve_ends(axis: Axes, ends: list[tuple[float, Row]], right: float) -> None:
    """Write each model's name beside the end of its curve, moved apart where they would meet."""
    low, high = axis.get_ylim()
    ends = sorted(ends, key=lambda end: end[0])
    held = [max(value, low) for value, _ in ends]  # a curve that leaves the axis keeps its name
    places = spread(held, (high - low) * 0.047, high)
    for place, (value, row), end in zip(places, ends, held, strict=True):
        axis.annotate(
            row.name if value == end else f"{row.name} ({decimal(value)})", (right, end),
            xytext=(1.06, place), textcoords=("axes fraction", "data"),
            va="center", fontsize=8.5, color=colour_of(row.kind),
            fontweight="bold" if row.kind == "foundation" else "normal",
            arrowprops={
                "arrowstyle": "-", "color": colour_of(row.kind), "linewidth": 0.5,
                "shrinkA": 0, "relpos": (0, 0.5), "shrinkB": 4, "alpha": 0.6,
            },
        )  # fmt: skip


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
