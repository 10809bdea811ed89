"""Figures as inline SVG: one look for all of them, and markup that is safe to place in a page.

Text stays text, so that a reader can search and select it and the page's own font is used. The
same figure always gives the same bytes.
"""

from __future__ import annotations

import io
import itertools
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#5f6b76", "#e3e8ec"

# Okabe and Ito's colours, which all readers tell apart; the marker says the same once more.
KIND_COLOURS = {
    "foundation": "#0072B2",
    "classical": "#009E73",
    "baseline": "#D55E00",
    "control": "#7d858d",
}
KIND_MARKERS = {"foundation": "o", "classical": "s", "baseline": "D", "control": "^"}
FALLBACK_COLOUR, FALLBACK_MARKER = "#7d858d", "^"

STYLE = {
    "axes.edgecolor": "#b7c0c8",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.linewidth": 0.8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: same layout on every machine
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "bulkformer",
    "text.color": INK,
    "text.parse_math": False,  # a model name may hold a dollar sign
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def colour_of(kind: str) -> str:
    """Return the colour that stands for a kind of model everywhere in the report."""
    return KIND_COLOURS.get(kind, FALLBACK_COLOUR)


def marker_of(kind: str) -> str:
    """Return the marker that stands for a kind of model everywhere in the report."""
    return KIND_MARKERS.get(kind, FALLBACK_MARKER)


def styled_subplots(
    columns: int, width: float, height: float, rows: int = 1, **options: object
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, row by row; width and height in inches at 72 points each.

    The figure belongs to no window system and needs no closing.
    """
    from matplotlib.figure import Figure  # slow to import

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.ravel())


def inline_svg(figure: Figure, name: str, description: str) -> Markup:
    """Return the figure as one <svg> element for a page.

    Parameters
    ----------
    name : prefix of all ids, unique in the page
    description : what the figure shows, for readers who cannot see it
    """
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        # Placed once and then drawn; left to savefig, everything is drawn twice.
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith("}metadata"):
                parent.remove(child)
    rename_ids(root, name)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # HTML needs no namespaces
        for key in [key for key in element.attrib if key.startswith("{")]:
            element.set(key.rpartition("}")[2], element.attrib.pop(key))
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    width = root.attrib["viewBox"].split()[2]
    root.attrib.update(role="img", style=f"max-width:{float(width) * 1.25:.0f}px")
    root.attrib["aria-labelledby"] = f"{name}-title"
    title = ElementTree.Element("title", id=f"{name}-title")
    title.text = description
    root.insert(0, title)
    text = ElementTree.tostring(root, encoding="unicode")
    return Markup(re.sub(r">\s+<", "><", text))


def rename_ids(root: ElementTree.Element, name: str) -> None:
    """Prefix every id and every reference to one, since two figures of a page share them."""
    numbers = itertools.count()
    new = {e.attrib["id"]: f"{name}-{next(numbers)}" for e in root.iter() if "id" in e.attrib}
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.attrib[key] = new[value]
            elif key.rpartition("}")[2] == "href" and value.startswith("#"):
                element.attrib[key] = f"#{new[value[1:]]}"
            elif "url(#" in value:
                element.attrib[key] = re.sub(
                    r"url\(#([^)]+)\)", lambda match: f"url(#{new[match[1]]})", value
                )
