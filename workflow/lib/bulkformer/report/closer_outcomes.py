"""A closer look at outcomes: single drugs, kinds of genes, strong responses, single cancers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from bulkformer.report.cells import Column, Table, decimal_cell, is_missing, label, text_cell
from bulkformer.report.closer import (
    Looked,
    Part,
    Question,
    left_out,
    on_most_targets,
    ordered,
    part,
    picked,
)
from bulkformer.report.figures import Panel
from bulkformer.report.glance import headlines
from bulkformer.report.tables import exposure_cell, model_cell

CANCER_C = "within_cancer_c_index"
PER_GENE = "per_gene_pearson"
STRENGTHS = ("weak", "middle", "strong")


def parts_of(
    rows: pd.DataFrame, metric: str, kind: str, head: str | None
) -> dict[str, dict[str, float]]:
    """Return {model: {part of the data: value}} of the rows about single drugs or cancers."""
    own = rows[(rows["metric"] == metric) & (rows["group_kind"] == kind) & rows["group"].notna()]
    fitted = set(own.loc[own["head"] == head, "model"])
    own = own[(own["head"] == head) | ~own["model"].isin(fitted)]
    found: dict[str, dict[str, float]] = {}
    for model, group, value in zip(own["model"], own["group"], own["value"], strict=True):
        if not is_missing(value):
            found.setdefault(model, {})[group] = float(value)
    return found


def single_drugs(look: Looked) -> Part | None:
    """Show the correlation within each drug, for every regime."""
    panels, shown, omitted = [], [], set()
    for pair in look.pairs:
        measure, regime = pair.strict[0], pair.regimes.get("strict")
        rows = look.metrics[
            (look.metrics["protocol"] == "strict") & (look.metrics["regime"] == regime)
        ]
        if pair.condition is not None:
            rows = rows[rows["condition"] == pair.condition]
        single = parts_of(rows, measure.metric, "drug", measure.head)
        own = pair.rows[pair.rows["protocol"] == "strict"]
        own = own[own["metric"] == measure.metric]
        kept = on_most_targets(own)
        estimates = picked(kept, measure.metric, measure.aggregation, measure.head)
        single = {model: each for model, each in single.items() if model in estimates}
        title = f"{label(str(regime)).capitalize()}\n{measure.head or ''}"
        points = {model: list(each.values()) for model, each in single.items()}
        if any(points.values()):
            panels.append(Panel(title, "r within a drug, across lines", estimates, points))
            shown.append(rows)
            omitted |= {left_out(own, kept)}
    if not panels:
        return None
    condition = look.pairs[0].condition
    return part(
        "Drug by drug",
        "Each pale dot is a drug: its correlation across cell lines. The marker is the mean over "
        "drugs with its interval. A mean can hide that some drugs are told well and most are not.",
        [
            look.chart(
                "drugs", "Correlation within each drug for every model and regime", panels,
                pd.concat(shown),
                f"Strict, {label(condition or 'all responses')}.{''.join(sorted(omitted))}",
            )
        ],
    )  # fmt: skip


def kinds_of_genes(look: Looked) -> Part | None:
    """Show the correlation within genes for selective genes, and how many genes are told at all."""
    if not look.pairs:
        return None
    regime = look.pairs[0].regimes.get("strict")
    every = look.metrics[
        (look.metrics["protocol"] == "strict") & (look.metrics["regime"] == regime)
        & look.metrics[["fold", "repeat"]].isna().all(axis=1)
    ]  # fmt: skip
    rows = on_most_targets(every)
    omitted = left_out(*(each[each["metric"] == PER_GENE] for each in (every, rows)))
    panels = [
        Panel(heading, "r, mean over genes", picked(own, PER_GENE, "mean_over_groups", look.head))
        for heading, own in (
            ("All genes", rows[rows["group"].isna()]),
            *(
                (label(str(group)).capitalize(), own)
                for group, own in rows[rows["group_kind"] == "genes"].groupby("group", sort=False)
            ),
        )
    ]
    whole = rows[rows["group"].isna()]
    shares = []
    for metric in sorted(set(whole["metric"])):
        if metric.startswith("genes_above_") and not metric.endswith("_permuted"):
            null = picked(whole, f"{metric}_permuted", "mean_over_groups", look.head)
            least = metric.removeprefix("genes_above_")
            shares.append(
                Panel(
                    f"Genes with r above {least}", "share of genes",
                    picked(whole, metric, "mean_over_groups", look.head),
                    {model: [each.value] for model, each in null.items()}, within=(0.0, 0.3),
                )
            )  # fmt: skip
    said = f"Strict, {label(str(regime))}, {look.head or 'each model'}.{omitted}"
    return part(
        "Kinds of genes",
        "Most genes are needed by all lines or by none, so that there is little to tell. Selective "
        "genes are those that some lines need and others do not. Pale dots are the shares that "
        "permuted lines give: what lies on them is chance.",
        [
            look.chart("genes", "Mean correlation by kind of genes for every model", panels, rows,
                       said),
            look.chart("shares", "Share of genes told above a threshold for every model", shares,
                       rows, said),
        ],
    )  # fmt: skip


def response_strength(look: Looked) -> Part | None:
    """Show the main measure for weak, middle and strong responses."""
    figures = []
    for pair in headlines(look.pairs, look.inputs.provenance["config"]):
        measure, regime = pair.strict[0], pair.regimes.get("strict")
        rows = look.metrics[
            (look.metrics["protocol"] == "strict") & (look.metrics["regime"] == regime)
            & (look.metrics["group_kind"] == "response_strength")
        ]  # fmt: skip
        panels = [
            Panel(
                f"{strength.capitalize()} responses", measure.axis,
                picked(rows[rows["group"] == strength], measure.metric, measure.aggregation,
                       measure.head),
            )
            for strength in STRENGTHS
        ]  # fmt: skip
        figures.append(
            look.chart(
                f"strength-{regime}", f"{regime}: {measure.name} by strength of the response",
                panels, rows, f"Strict, {label(str(regime))}.",
            )
        )  # fmt: skip
    return part(
        "Weak and strong responses",
        "Thirds of the treated profiles by how far they moved from their controls. The change of a "
        "weak response is mostly noise.",
        figures,
    )


def gain_over_clinical(look: Looked) -> Part | None:
    """Show what vectors add to age, sex and stage."""
    rows = look.strict("grouped_folds")
    line = (0.0, "clinical alone")
    panels = [
        Panel(heading, "gain in C-index", picked(rows, metric, "weighted"), line=line,
              within=(-0.1, 0.2))
        for metric, heading in (
            ("within_cancer_c_index_gain_over_clinical", "Within cancers"),
            ("c_index_gain_over_clinical", "Over all cancers"),
        )
    ]  # fmt: skip
    return part(
        "Gain over clinical data",
        "Does a vector add to age, sex, stage and cancer type, which are known without any "
        "sequencing? The line is the clinical model alone, on the same patients.",
        [
            look.chart("gain", "Gain in C-index over clinical data for every model", panels, rows,
                       "Strict. Differences with intervals over patients.")
        ],
    )  # fmt: skip


def single_cancers(look: Looked) -> Part | None:
    """Show the C-index of every cancer."""
    rows = look.metrics[
        (look.metrics["protocol"] == "strict") & (look.metrics["regime"] == "grouped_folds")
    ]
    single = parts_of(rows, CANCER_C, "cancer_type", look.head)
    if not single:
        return None
    whole = picked(look.strict("grouped_folds"), CANCER_C, "weighted", look.head)
    panel = Panel(
        "C-index within cancers", "share of pairs in the right order",
        whole, {model: list(each.values()) for model, each in single.items()}, (0.5, "chance"),
    )  # fmt: skip
    return part(
        "Cancer by cancer",
        "Each pale dot is a cancer type; the marker is their weighted mean. The number of deaths "
        "decides how much a dot says.",
        [
            look.chart("cancers", "C-index within each cancer for every model", [panel], rows,
                       f"Strict, {look.head or 'each model'}.")
        ],
        cancer_table(look, rows, single, ordered([panel], look.floor)),
        "C-index of each cancer",
    )  # fmt: skip


def cancer_table(
    look: Looked, rows: pd.DataFrame, single: Mapping[str, Mapping[str, float]], models: list[str]
) -> Table:
    """Return the C-index of each model in each cancer, with intervals and too few events marked."""
    own = rows[(rows["metric"] == CANCER_C) & (rows["group_kind"] == "cancer_type")]
    cancers = list(dict.fromkeys(own["group"]))
    noted = {
        group: "" if is_missing(condition) else label(condition)
        for group, condition in zip(own["group"], own["condition"], strict=True)
    }
    described = look.inputs.provenance["models"]
    lines = []
    for model in [model for model in models if model in single]:
        mine = own[own["model"] == model]
        fitted = mine[mine["head"] == look.head]
        by_cancer = {
            row["group"]: row for row in (fitted if len(fitted) else mine).to_dict("records")
        }
        first = next(iter(by_cancer.values()))
        kind = described.get(model, {}).get("kind", "")
        lines.append(
            [
                model_cell(model, kind, first["weights"], floor=model == look.floor),
                *(
                    decimal_cell(row["value"], row["ci_low"], row["ci_high"])
                    if (row := by_cancer.get(cancer)) is not None
                    else text_cell(None)
                    for cancer in cancers
                ),
                exposure_cell(first["exposure"]),
            ]
        )
    columns = [Column(cancer, True, noted[cancer]) for cancer in cancers]
    few = [cancer for cancer in cancers if noted[cancer]]
    caption = f"{noted[few[0]].capitalize()}: {', '.join(few)}." if few else ""
    return Table(
        f"table-{look.task}-cancers",
        [Column("Model"), *columns, Column("Exposure")],
        lines,
        caption,
    )


def survival_calibration(look: Looked) -> Part | None:
    """Show whether predicted survival is as often true as it says."""
    rows = look.strict("grouped_folds")
    panels = [
        Panel("Integrated Brier skill", "1 − score / Kaplan-Meier",
              picked(rows, "integrated_brier_skill", "pooled", look.head),
              line=(0.0, "Kaplan-Meier"), within=(-0.2, 0.4)),
        Panel("D-calibration error", "distance from calibrated",
              picked(rows, "d_calibration_error", "pooled", look.head), within=(0.0, 0.1)),
        Panel("D-calibration, p", "p of a test of calibration",
              picked(rows, "d_calibration_p_value", "pooled", look.head), line=(0.05, "0.05")),
    ]  # fmt: skip
    return part(
        "Calibration",
        "The order of patients says nothing about the probabilities. The Brier score, weighted for "
        "censoring, asks for both; D-calibration asks whether deaths spread evenly over the "
        "predicted chances of survival. A small p says that they do not; a large one shows no more "
        "than that these patients do not tell.",
        [
            look.chart("calibration", "Brier skill and calibration of every model", panels, rows,
                       f"Strict, {look.head or 'each model'}.")
        ],
    )  # fmt: skip


QUESTIONS: dict[str, list[Question]] = {
    "prognosis": [gain_over_clinical, single_cancers, survival_calibration],
    "drug_response": [single_drugs],
    "perturbation": [response_strength],
    "gene_essentiality": [kinds_of_genes],
}
