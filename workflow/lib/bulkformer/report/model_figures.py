"""The figures of the page about the model; each draws numbers that it is given and computes none.

Samples of whole studies that were kept apart are filled and dark, single samples that were kept
apart from studies in training are hollow and light: out of distribution is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pandas as pd
from markupsafe import Markup

from bulkformer.report.cells import count, decimal, is_missing
from bulkformer.report.figures import FLOOR_LINE, LOWEST, TITLE
from bulkformer.report.svg import INK, inline_svg, styled_subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# True of released weights too, of which nobody knows what they saw.
SPLITS = {"validation": "studies kept apart", "validation_samples": "single samples kept apart"}
COLOURS = {"validation": "#0072B2", "validation_samples": "#56B4E9"}
FEWEST_GENES = 30  # whose distribution can be looked at
RAW, SMOOTH = "#d5dde3", "#7d93a3"
SHARES = "viridis_r"  # few hidden genes are pale, many are dark


def learning_figure(
    learning: pd.DataFrame,
    looks: pd.DataFrame,
    floors: Mapping[tuple[str, float], float],
    main: float,
    best_step: int | None,
) -> Markup:
    """Draw the loss over the steps: at the left by split, at the right by share of hidden genes.

    Parameters
    ----------
    learning : thinned training steps, with their smooth loss
    looks : validations: step, split, mask_fraction, loss
    floors : loss of the gene mean by split and share
    """
    figure, (losses, shares) = styled_subplots(2, 11.5, 4.2, width_ratios=(1.5, 1))
    losses.plot(learning["step"], learning["loss"], color=RAW, linewidth=0.8, label="each batch")
    losses.plot(
        learning["step"], learning["smooth_loss"], color=SMOOTH, linewidth=1.6,
        label="batches, smoothed",
    )  # fmt: skip
    for split, name in SPLITS.items():
        rows = looks[(looks["split"] == split) & (looks["mask_fraction"] == main)]
        if rows.empty:
            continue
        losses.plot(
            rows["step"], rows["loss"], marker="o", markersize=3.5, **look_of(split),
            label=f"validation: {name}",
        )  # fmt: skip
        chosen = rows[rows["step"] == best_step]
        if split == "validation" and len(chosen):
            losses.plot(
                chosen["step"], chosen["loss"], marker="o", markersize=10, linestyle="none",
                markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.2,
                label=f"weights that were kept, step {count(best_step)}",
            )  # fmt: skip
    floor = floors.get(("validation", main))
    if floor is not None:
        losses.axhline(
            floor, color=FLOOR_LINE, linewidth=1.2, linestyle=(0, (4, 3)),
            label=f"gene mean, studies kept apart: {decimal(floor)}",
        )  # fmt: skip
    losses.set_title(f"Loss; in validation {percent(main)} of genes hidden", **TITLE)
    known = sorted(looks.loc[looks["split"] == "validation", "mask_fraction"].unique())
    for number, share in enumerate(known):
        colour = mpl.colormaps[SHARES](0.15 + 0.8 * number / max(1, len(known) - 1))
        rows = looks[(looks["split"] == "validation") & (looks["mask_fraction"] == share)]
        shares.plot(rows["step"], rows["loss"], color=colour, linewidth=1.8, label=percent(share))
    shares.set_title("Validation on studies kept apart", **TITLE)
    shares.legend(frameon=False, fontsize=8.5, title="genes hidden", title_fontsize=8.5)
    losses.legend(frameon=False, fontsize=8.5)
    losses.set_ylabel("mean squared error of hidden values\n(ln(TPM + 1) squared)")
    for axis in (losses, shares):
        log_scale(axis)
        axis.set_xlabel("optimiser step")
        axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=True))
        axis.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    return inline_svg(
        figure, "figure-learning",
        "Loss of training batches and of validation over the optimiser steps, beside the loss of "
        "the gene mean; and validation loss by share of hidden genes",
    )  # fmt: skip


def mask_figure(accuracy: pd.DataFrame, main: float) -> Markup:
    """Draw error and skill over the share of hidden genes, with the intervals of the skill."""
    figure, (errors, skills) = styled_subplots(2, 11.5, 3.9)
    for split, name in SPLITS.items():
        rows = accuracy[accuracy["split"] == split].sort_values("mask_fraction")
        if rows.empty:
            continue
        x = 100 * rows["mask_fraction"]
        errors.plot(x, rows["mse"], marker="o", markersize=5, **look_of(split), label=name)
        # Below LOWEST a model is of no use, and showing how far would flatten all the rest: the
        # line leaves the axes on its way there, and a marker at the edge says where to.
        skills.plot(x, rows["mse_skill"], **look_of(split))
        shown = rows["mse_skill"].clip(lower=LOWEST)
        skills.plot(
            x, shown, linestyle="none", marker="o", markersize=5, **look_of(split), label=name
        )
        for at, low, high, value in zip(
            x, rows["ci_low"], rows["ci_high"], rows["mse_skill"], strict=True
        ):
            if value < LOWEST and split == "validation":
                skills.annotate(
                    decimal(value, 1), (at, LOWEST), xytext=(0, 6), textcoords="offset points",
                    ha="center", fontsize=8, color=COLOURS[split],
                )  # fmt: skip
            if value >= LOWEST and not is_missing(low):
                ends = [max(low, LOWEST), max(high, LOWEST)]
                skills.plot([at, at], ends, color=COLOURS[split], linewidth=1.4)
    rows = accuracy[accuracy["split"] == "validation"].sort_values("mask_fraction")
    errors.plot(
        100 * rows["mask_fraction"], rows["gene_mean_mse"], color=FLOOR_LINE, linewidth=1.4,
        linestyle=(0, (4, 3)), label="gene mean, studies kept apart",
    )  # fmt: skip
    skills.axhline(0, color=FLOOR_LINE, linewidth=1.2, linestyle=(0, (4, 3)), label="gene mean")
    log_scale(errors)
    errors.set_title("Mean squared error", **TITLE)
    skills.set_title("Skill: 1 − error / error of the gene mean", **TITLE)
    skills.set_ylim(LOWEST - 0.06, 1.02)
    ticks = sorted(100 * accuracy["mask_fraction"].unique())
    for axis in (errors, skills):
        axis.set_xlabel("genes hidden in each sample (%)")
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.axvline(100 * main, color="#b7c0c8", linewidth=0.8, zorder=0)
        axis.legend(frameon=False, fontsize=8.5)
    return inline_svg(
        figure, "figure-masks",
        "Mean squared error and skill over the gene mean by share of hidden genes, for studies "
        "kept apart and for single samples kept apart",
    )  # fmt: skip


def decile_figure(deciles: pd.DataFrame) -> Markup:
    """Draw skill (upper row) and median correlation (lower) by tenth of the genes."""
    figure, axes = styled_subplots(2, 11.5, 5.6, 2, sharex=True, sharey="row")
    measures = {"mse_skill": "skill", "gene_pearson_median": "median PCC of a gene"}
    titles = {"expression": "By expression", "variance": "By variability"}
    for row, (measure, label) in enumerate(measures.items()):
        for column, (by, title) in enumerate(titles.items()):
            axis = axes[2 * row + column]
            for split, name in SPLITS.items():
                rows = deciles[(deciles["split"] == split) & (deciles["by"] == by)]
                if len(rows):
                    values = rows[measure].clip(lower=LOWEST)
                    axis.plot(
                        rows["decile"], values, marker="o", markersize=5, **look_of(split),
                        label=name,
                    )  # fmt: skip
            axis.axhline(0, color=FLOOR_LINE, linewidth=1.2, linestyle=(0, (4, 3)))
            axis.set_xticks(range(1, 11))
            if row == 0:
                axis.set_title(title, **TITLE)
            else:
                low, high = {
                    "expression": ("lowest", "highest mean"), "variance": ("least", "most variable")
                }[by]  # fmt: skip
                axis.set_xlabel(f"tenth of the genes, {low} to {high} in training samples")
            if column == 0:
                axis.set_ylabel(label)
    axes[0].legend(frameon=False, fontsize=8.5)
    return inline_svg(
        figure, "figure-deciles",
        "Skill and median correlation of genes by tenth of expression and of variability",
    )  # fmt: skip


def spread_figure(pearson: Mapping[str, Mapping[str, Any]]) -> Markup:
    """Draw how many genes are predicted with which correlation.

    Parameters
    ----------
    pearson : {split: {"left", "right", "genes": bins of the correlation, "quantiles"}}
    """
    figure, axes = styled_subplots(1, 11.5, 3.2)
    axis = axes[0]
    for split, name in SPLITS.items():
        bins = pearson.get(split)
        if bins is None or bins["genes_correlated"] < FEWEST_GENES:
            continue
        median = bins["quantiles"]["median"]
        edges = [*bins["left"], bins["right"][-1]]
        axis.stairs(
            bins["genes"], edges, color=COLOURS[split], fill=split == "validation",
            alpha=0.45 if split == "validation" else 1, linewidth=1.6,
            label=f"{name}: median {decimal(median)}, {count(bins['genes_correlated'])} genes",
        )  # fmt: skip
        if median is not None:
            axis.axvline(median, color=COLOURS[split], linewidth=1.2, linestyle=(0, (2, 2)))
    axis.set_xlim(-1, 1)
    axis.set_xlabel("correlation (PCC) of predicted and true values of a gene over samples")
    axis.set_ylabel("genes")
    axis.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    axis.legend(frameon=False, fontsize=8.5, loc="upper left")
    return inline_svg(
        figure, "figure-spread", "Number of genes by the correlation of prediction and truth"
    )


def look_of(split: str) -> dict[str, Any]:
    """Return line and marker of a split."""
    seen = split == "validation_samples"
    return {
        "color": COLOURS[split],
        "linewidth": 1.6 if seen else 2.2,
        "markerfacecolor": "white" if seen else COLOURS[split],
    }


def log_scale(axis: Axes) -> None:
    """Show an error on a logarithmic axis with plain numbers."""
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    axis.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))


def percent(share: float) -> str:
    """Write a share as percent, without digits that say nothing."""
    return f"{100 * share:g}%"


def listed(names: Sequence[str]) -> str:
    """Write names the way they are said."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
