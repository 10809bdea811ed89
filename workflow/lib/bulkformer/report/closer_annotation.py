"""A closer look at annotation: few labels, confounders, single studies, calibration, tuning."""

from __future__ import annotations

import re

from bulkformer.report.cells import Cell, Column, Table, count, text_cell
from bulkformer.report.closer import (
    Looked,
    Part,
    Question,
    exposure_said,
    model_rows,
    ordered,
    part,
    picked,
)
from bulkformer.report.figures import CurvePanel, Estimate, Panel, curve_chart, ends_of
from bulkformer.report.pictures import Picture

SHARE = re.compile(r"([0-9.]+) ?% of training groups")
MACRO_F1 = ("macro_f1", "pooled")
CURVES_ABREAST = 2  # more would leave their names no room


def few_shot(look: Looked) -> Part | None:
    """Show the main measure over the share of training groups whose labels are given."""
    rows = look.strict()
    rows = rows[rows["regime"].str.endswith("_few_shot")]
    panels = []
    for dataset, own in rows.groupby("dataset", sort=False):
        curves: dict[str, list[tuple[float, Estimate]]] = {}
        for condition, at in own.groupby("condition", sort=False):
            share = SHARE.fullmatch(str(condition))
            for model, each in picked(at, *MACRO_F1, look.head).items():
                if share is not None:
                    curves.setdefault(model, []).append((float(share[1]), each))
        drawn = {model: sorted(each, key=lambda at: at[0]) for model, each in curves.items()}
        if any(len(each) > 1 for each in drawn.values()):
            panels.append(CurvePanel(str(dataset), "macro F1, folds pooled", drawn))
    figures = []
    for start in range(0, len(panels), CURVES_ABREAST):
        shown = panels[start : start + CURVES_ABREAST]
        last = [ends_of(panel) for panel in shown]
        svg = curve_chart(
            f"figure-{look.task}-few-shot-{start}",
            "Macro F1 of every model by the share of training groups with labels",
            model_rows(rows, ordered(last, look.floor), look.inputs), shown, look.floor,
            "training groups with labels (%)",
        )  # fmt: skip
        figures.append(Picture(svg, exposure_said(rows)))
    return part(
        "With fewer labels",
        "Whole groups of samples lose their labels in training; the test folds stay as they are. "
        "A model that learned something of use without labels should keep more of its score.",
        figures,
    )


def probes(look: Looked) -> Part | None:
    """Show how well vectors tell what they should not."""
    rows = look.strict()
    rows = rows[rows["regime"].str.startswith("probe_")]
    panels = [
        Panel(
            f"{str(regime).removeprefix('probe_').replace('_', ' ').capitalize()}\n{dataset}",
            "balanced accuracy",
            picked(own, "balanced_accuracy", "pooled", look.head),
        )
        for (regime, dataset), own in rows.groupby(["regime", "dataset"], sort=False)
    ]
    return part(
        "What else the vectors tell",
        "A classifier asks the vector of a sample not for its label but for its study or its "
        "library size. Here a low value is good: what lies above the line of chance can be taken "
        "for biology by mistake.",
        [
            look.chart(
                "probes", "Balanced accuracy of every model in telling confounders", panels, rows,
                f"The dashed line is chance: {look.floor} says the most frequent class.",
            )
        ],
    )  # fmt: skip


def held_out_studies(look: Looked) -> Part | None:
    """Show whole studies held out one by one beside folds of groups."""
    alone = look.strict("held_out_studies")
    figures = []
    for dataset in alone["dataset"].unique():
        panels, shown = [], []
        for metric, aggregation, axis, chance in (
            (*MACRO_F1, "macro F1", None),
            ("within_study_disease_auc", "weighted", "within-study AUC", (0.5, "chance")),
        ):
            for regime, name in (
                ("grouped_folds", "Folds of groups"),
                ("held_out_studies", "Studies one by one"),
            ):
                own = look.strict(regime)
                own = own[own["dataset"] == dataset]
                estimates = picked(own, metric, aggregation, look.head)
                panels.append(Panel(f"{name}\n{axis}", axis, estimates, line=chance))
                shown.append(own)
        both = shown[0][shown[0]["model"].isin(alone["model"])]
        kept = [restricted(panel, set(alone["model"])) for panel in panels]
        figures.append(
            look.chart(
                f"studies-{dataset}",
                f"{dataset}: every model on folds of groups and on single held-out studies",
                kept, both, f"{dataset}, {look.head or 'each model'}.",
            )
        )  # fmt: skip
    return part(
        "Every study held out alone",
        "Each study is tested by a model that was trained on all others, beside folds that hold "
        "out several at once.",
        figures,
    )


def restricted(panel: Panel, models: set[str]) -> Panel:
    """Return a panel of some models only."""
    kept = {model: each for model, each in panel.estimates.items() if model in models}
    return Panel(panel.title, panel.axis, kept, panel.points, panel.line, panel.within)


def calibration(look: Looked) -> Part | None:
    """Show whether probabilities are as often right as they say."""
    rows = look.strict("grouped_folds")
    panels = [
        Panel(
            str(dataset), "expected calibration error",
            picked(own, "expected_calibration_error", "pooled", look.head), within=(0.0, 0.3),
        )
        for dataset, own in rows.groupby("dataset", sort=False)
    ]  # fmt: skip
    return part(
        "Calibration",
        "How far are stated probabilities from the share that turns out right? Lower is better, "
        "but says nothing alone: a model that states the class shares is calibrated and knows "
        "nothing. A support vector machine has no probabilities of its own: how they are made "
        "stands under Methods.",
        [
            look.chart(
                "calibration", "Expected calibration error of every model", panels, rows,
                "The lowest error first.", lowest_first=True,
            )
        ],
    )  # fmt: skip


def tuning(look: Looked) -> Part | None:
    """List how many settings each head had tried in its inner folds."""
    rows = look.strict()
    rows = rows[(rows["metric"] == "tuning_trials") & (rows["regime"] == "grouped_folds")]
    if rows.empty:
        return None
    cells = []
    for head, own in rows.groupby("head", sort=False):
        trials = sorted({int(value) for value in own["value"].dropna()})
        models = list(dict.fromkeys(own["model"]))
        cells.append(
            [
                text_cell(head),
                text_cell(", ".join(models)),
                Cell(" to ".join(dict.fromkeys(count(n) for n in (trials[0], trials[-1])))),
            ]
        )
    table = Table(
        f"table-{look.task}-tuning",
        [Column("Head"), Column("Models", wide=True), Column("Settings tried in each fold", True)],
        cells,
    )
    return Part(
        "Tuning",
        "Settings are chosen in inner folds of whole groups. A head has the same grid for every "
        "model: none was tuned more than another with the same head.",
        table=table,
        summary="Settings tried, by head",
    )


QUESTIONS: dict[str, list[Question]] = {
    "disease_annotation": [few_shot, probes, held_out_studies, calibration, tuning]
}
