"""The figures of what was learned before any benchmark: gene graphs and the pretraining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from markupsafe import Markup

from bulkformer.report.cells import count, decimal
from bulkformer.report.figures import FLOOR_LINE, TITLE
from bulkformer.report.svg import INK, MUTED, colour_of, inline_svg, styled_subplots

MAX_CURVE_POINTS = 1000  # keeps the page small; more points than pixels show nothing new
DEGREE_PANELS = 3  # side by side; more would make their labels overlap


def pretraining_curve(history: pd.DataFrame, training: Mapping[str, Any]) -> Markup:
    """Draw training and validation loss over the steps, and the learning rate below them.

    Parameters
    ----------
    history : columns step, split (train, validation or validation_samples), mask_fraction (of a
        validation), loss, learning_rate
    training : may hold best_step, gene_mean_validation_loss, and selecting_mask_fraction, the share
        of hidden genes at which validation is drawn
    """
    figure, axes = styled_subplots(2, 11.5, 3.9, width_ratios=(3, 1.35))
    losses, rates = axes
    train = history[history["split"] == "train"]
    # Other shares of hidden genes are other tasks; the page about the model draws them.
    looks = history[history["mask_fraction"] == training.get("selecting_mask_fraction")]
    validation, known = (
        looks[looks["split"] == split] for split in ("validation", "validation_samples")
    )
    thinned = train.iloc[:: max(1, -(-len(train) // MAX_CURVE_POINTS))]
    losses.plot(
        thinned["step"], thinned["loss"], color="#9fb8c8", linewidth=1, label="training, each step"
    )
    losses.plot(
        validation["step"], validation["loss"], color=colour_of("foundation"), linewidth=2,
        marker="o", markersize=3.5, label="validation, unseen studies",
    )  # fmt: skip
    if len(known):
        losses.plot(
            known["step"], known["loss"], color="#56B4E9", linewidth=1.5, marker="o",
            markersize=3.5, markerfacecolor="white", label="validation, samples of known studies",
        )  # fmt: skip
    floor = training.get("gene_mean_validation_loss")
    if floor is not None:
        losses.axhline(
            floor, color=FLOOR_LINE, linewidth=1, linestyle=(0, (4, 3)),
            label=f"gene mean on validation, {decimal(floor)}",
        )  # fmt: skip
    best = training.get("best_step")
    chosen = validation[validation["step"] == best]
    if len(chosen):
        losses.plot(
            chosen["step"], chosen["loss"], marker="o", markersize=9, markerfacecolor="none",
            markeredgecolor=INK, markeredgewidth=1.2, linestyle="none",
            label=f"weights that were kept, step {count(best)}",
        )  # fmt: skip
    losses.set_title("Loss", **TITLE)
    losses.set_ylabel("mean squared error of hidden values\n(ln(TPM + 1) squared)")
    losses.legend(frameon=False, fontsize=8.5)
    losses.set_yscale("log")
    losses.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    losses.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    losses.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
    rates.plot(thinned["step"], thinned["learning_rate"], color=MUTED, linewidth=1.4)
    rates.set_title("Learning rate", **TITLE)
    rates.set_ylim(bottom=0)
    rates.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    for axis in axes:
        axis.set_xlabel("optimiser step")
        axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=True))
        axis.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    return inline_svg(
        figure,
        "figure-pretraining",
        "Training and validation loss over optimiser steps, with the learning rate",
    )


def degree_histograms(graphs: Mapping[str, Mapping[str, Sequence[int]]]) -> Markup:
    """Draw how many genes have how many neighbours, one panel a graph.

    Parameters
    ----------
    graphs : {graph: {"left", "right", "genes"}}; a bin counts genes with left <= degree < right,
        and bins double in width
    """
    columns = min(len(graphs), DEGREE_PANELS)
    rows = -(-len(graphs) // columns)
    figure, axes = styled_subplots(columns, 11.5, 2.9 * rows, rows, sharey=True)
    for axis in axes[len(graphs) :]:
        axis.set_visible(False)
    for axis, (graph, bins) in zip(axes, graphs.items(), strict=False):
        bars = axis.bar(range(len(bins["genes"])), bins["genes"], 0.82, color="#8fbbd6")
        axis.bar_label(bars, [count(n) for n in bins["genes"]], fontsize=8, color=MUTED, padding=2)
        names = [
            count(left) if right - left <= 1 else f"{count(left)}–{count(right - 1)}"
            for left, right in zip(bins["left"], bins["right"], strict=True)
        ]
        axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_title(graph, **TITLE)
        axis.set_xlabel("neighbours of a gene")
        axis.grid(visible=False)
        axis.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
        axis.margins(y=0.12)
    for axis in axes[::columns]:
        axis.set_ylabel("genes")
    return inline_svg(
        figure, "figure-degrees", "Number of genes by number of neighbours, for each gene graph"
    )
