"""Chooses what each figure shows and writes the caption that says how to read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from bulkformer.report.cells import decimal, is_missing, label
from bulkformer.report.conclusions import comparison_title
from bulkformer.report.figures import (
    CurvePanel,
    Panel,
    curve_chart,
    dot_chart,
)
from bulkformer.report.inputs import Inputs
from bulkformer.report.learning_figures import degree_histograms, pretraining_curve
from bulkformer.report.masks import mask_curves as curves_over_masks
from bulkformer.report.views import Comparison, Measure, figure_rows

READ_DOTS = (
    "How to read the figures: each row is a model, each panel a measure; markers are values, thin "
    "lines their 95% intervals, and the figures at the right repeat the values. The pale band and "
    "the dashed line mark {floor}, which knows nothing about the sample: what lies on the line is "
    "given for free. Hollow markers are untrained weights; a marker at the edge that points left "
    "is a value below the axis."
)
READ_HEADS = " A model with a head of its own stands in every strict panel."
READ_CURVES = (
    " In the curves more and more genes are hidden; names stand at their ends, dashed are {floor} "
    "and untrained weights, and the intervals stand in the table of all numbers."
)


@dataclass(frozen=True)
class Picture:
    """A figure with the caption that says how to read it."""

    svg: Markup
    caption: str


def kinds(inputs: Inputs) -> dict[str, str]:
    """Return {model: kind} of the models table."""
    return {name: row.get("kind", "") for name, row in inputs.provenance["models"].items()}


def comparison_picture(inputs: Inputs, pair: Comparison, name: str) -> Picture:
    """Return the figure of one dataset: legacy at the left, strict measures beside it."""
    rows = figure_rows(pair, kinds(inputs))
    panels = [
        Panel(panel_title(measure, pair), measure.axis, estimates(pair, measure))
        for measure in pair.panels
    ]
    panels = [panel for panel in panels if panel.estimates] or panels  # legacy may not exist
    regimes = ", ".join(f"{key} {value}" for key, value in pair.regimes.items())
    heading = comparison_title(pair)
    svg = dot_chart(
        name, f"{label(pair.task)}, {heading}: legacy and strict measures of every model",
        rows, panels, pair.floor,
    )  # fmt: skip
    return Picture(svg, f"{heading}. Regimes: {regimes}.")


def how_to_read(pairs: Sequence[Comparison]) -> str:
    """Say once for a section how its figures are read; nothing if it has none."""
    if not pairs:
        return ""
    first = pairs[0]
    heads = READ_HEADS if len(first.strict) > 1 else ""
    curves = READ_CURVES if any(pair.others for pair in pairs) else ""
    return (READ_DOTS + heads + curves).format(floor=first.floor or "the floor")


def panel_title(measure: Measure, pair: Comparison) -> str:
    """Return the heading of a panel, with the head where a panel stands for one of several."""
    if len(pair.strict) > 1 and measure in pair.strict:
        return f"{measure.title}\n{measure.head or ''}"
    return measure.title


def estimates(pair: Comparison, measure: Measure) -> dict[str, Any]:
    """Return {model: estimate} of the models that have one."""
    found = {model: pair.estimate(model, measure) for model in pair.models()}
    return {model: estimate for model, estimate in found.items() if estimate is not None}


def curve_picture(inputs: Inputs, pair: Comparison, name: str) -> Picture | None:
    """Return the curves over the share of hidden genes, or None if only one share was run."""
    panels = []
    for measure in (pair.legacy, pair.strict[0]):
        curves = curves_over_masks(inputs.metrics, pair, measure)
        panels.append(CurvePanel(measure.title, measure.axis, curves))
    if not all(any(len(points) > 1 for points in panel.curves.values()) for panel in panels):
        return None
    svg = curve_chart(
        name, f"{pair.dataset}: legacy and strict measure by share of hidden genes",
        figure_rows(pair, kinds(inputs)), panels, pair.floor,
    )  # fmt: skip
    return Picture(svg, f"{pair.dataset}, by share of hidden genes.")


def degree_picture(inputs: Inputs) -> Picture | None:
    """Return the degree histograms of the graphs that have one."""
    graphs = {
        graph["graph"]: graph["degree_histogram"]
        for graph in inputs.graphs
        if graph.get("degree_histogram")
    }
    if not graphs:
        return None
    return Picture(
        degree_histograms(graphs),
        "How many genes have how many neighbours; the bars' ranges double in width. A long tail at "
        "the right are hub genes, the bar at 0 genes that the graph says nothing about.",
    )


def training_picture(inputs: Inputs) -> Picture | None:
    """Return the loss curves, or None without a history."""
    if inputs.history.empty:
        return None
    floor = inputs.training.get("gene_mean_validation_loss")
    more = (
        "" if is_missing(floor) else f" The dashed line is the gene mean's loss, {decimal(floor)}."
    )
    return Picture(
        pretraining_curve(inputs.history, inputs.training),
        "Squared error of hidden values, of each step's batch and of samples that were kept apart: "
        "whole studies, and new samples of studies in training. The ring marks the weights that "
        f"were kept.{more}",
    )
