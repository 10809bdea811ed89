"""A closer look at imputation: kinds of masks, single genes, recovery of differential genes."""

from __future__ import annotations

import re

from bulkformer.evaluate.task import load_task
from bulkformer.report.cells import is_missing
from bulkformer.report.closer import (
    Looked,
    Part,
    Question,
    exposure_said,
    middle_half,
    model_rows,
    ordered,
    part,
    picked,
)
from bulkformer.report.figures import CurvePanel, Estimate, Panel, curve_chart, ends_of
from bulkformer.report.pictures import Picture

RATE = re.compile(r"(.+) ([0-9.]+)%")
SKILL = ("mse_skill", "pooled")
KINDS_ABREAST = 2
DRAWN_ABOVE = "random"  # its curves stand beside the legacy ones


def mask_kinds(look: Looked) -> Part | None:
    """Show the main measure over the share of hidden genes, for masks that are not random."""
    figures: list[Picture | None] = []
    for dataset, rows in look.strict().groupby("dataset", sort=False):
        curves: dict[str, dict[str, list[tuple[float, Estimate]]]] = {}
        single = []
        for condition, own in rows.groupby("condition", sort=False):
            rate = RATE.fullmatch(str(condition))
            found = picked(own, *SKILL)
            if rate is None:
                single.append(Panel(str(condition), "1 − MSE / MSE of the training mean", found))
            elif rate[1] != DRAWN_ABOVE:
                for model, each in found.items():
                    place = curves.setdefault(rate[1], {}).setdefault(model, [])
                    place.append((float(rate[2]), each))
        panels = [
            CurvePanel(f"{kind.capitalize()}", "1 − MSE / MSE of the training mean",
                       {model: sorted(each, key=lambda at: at[0]) for model, each in own.items()})
            for kind, own in curves.items()
            if any(len(each) > 1 for each in own.values())
        ]  # fmt: skip
        for start in range(0, len(panels), KINDS_ABREAST):
            shown = panels[start : start + KINDS_ABREAST]
            ends = [ends_of(panel) for panel in shown]
            svg = curve_chart(
                f"figure-{look.task}-kinds-{dataset}-{start}",
                f"{dataset}: MSE skill of every model by kind of mask and share of hidden genes",
                model_rows(rows, ordered(ends, look.floor), look.inputs), shown, look.floor,
            )  # fmt: skip
            figures.append(Picture(svg, f"{dataset}. {exposure_said(rows)}"))
        figures.append(
            look.chart(
                f"panels-{dataset}", f"{dataset}: MSE skill where only a panel is visible", single,
                rows, f"{dataset}. Only the genes of the panel are visible.",
            )
        )  # fmt: skip
    return part(
        "Other kinds of masks",
        "Genes hidden at random leave their neighbours visible. Harder are genes hidden in every "
        "sample, hidden genes of low expression, and a small panel from which all others are to be "
        "told.",
        figures,
    )


def single_genes(look: Looked) -> Part | None:
    """Show the spread of correlations over genes."""
    rows = look.strict()
    condition = load_task(look.task).declared("strict", "condition")[0]
    usual = rows[rows["condition"] == condition]
    panels = [
        Panel(
            str(dataset), "Pearson r of a gene across samples",
            middle_half(own, "per_gene_pearson_deviation"),
        )
        for dataset, own in usual.groupby("dataset", sort=False)
    ]  # fmt: skip
    return part(
        "Gene by gene",
        "Markers are medians over genes, lines reach from the lower to the upper quartile: not "
        "intervals of the median, but how much genes differ.",
        [
            look.chart(
                "genes", "Median and quartiles over genes of the correlation across samples",
                panels, usual, f"Strict, {condition}.",
            )
        ],
    )  # fmt: skip


def differential_genes(look: Looked) -> Part | None:
    """Show precision, recall and F1 of genes that are called on imputed counts, by mask."""
    figures = []
    for number, (condition, rows) in enumerate(look.strict().groupby("condition", sort=False)):
        panels = [
            Panel(heading, axis, picked(rows, metric, "pooled"))
            for metric, heading, axis in (
                ("f1", "F1", "F1 of called genes"),
                ("precision", "Precision", "share of called genes that are right"),
                ("recall", "Recall", "share of true genes that are called"),
            )
        ]
        figures.append(
            look.chart(
                f"recovery-{number}", f"{condition}: F1, precision and recall of every model",
                panels, rows, f"{condition if not is_missing(condition) else 'All genes'}.",
            )
        )  # fmt: skip
    return part(
        "Recovery of differential genes, mask by mask",
        "Genes are called between two groups of samples, once on measured and once on imputed "
        "counts; what is called on measured counts is taken for the truth. A model that calls "
        "nothing has no precision and is not shown there.",
        figures,
    )


QUESTIONS: dict[str, list[Question]] = {
    "imputation": [mask_kinds, single_genes],
    "imputation_differential": [differential_genes],
}
