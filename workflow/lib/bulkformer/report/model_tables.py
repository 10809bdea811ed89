"""The tables of the page about the model: rows as the assessment wrote them, sorted and rounded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from bulkformer.report.cells import (
    MISSING,
    Cell,
    Column,
    Table,
    count,
    count_cell,
    decimal,
    decimal_cell,
    is_missing,
    short_decimal,
    text_cell,
)
from bulkformer.report.model_figures import SPLITS, percent
from bulkformer.report.model_inputs import ModelInputs
from bulkformer.report.model_readings import NETWORK, SOURCES, TOGETHER, times
from bulkformer.report.tables import FEW_GROUPS

SHOWN = 15  # genes at either end
LOOKS = "MSE of validation in training, under other masks"


def accuracy_table(inputs: ModelInputs) -> Table:
    """Return one row a split and share of hidden genes, with the losses that training saw."""
    looks = inputs.history[inputs.history["split"] != "train"]
    best, last = inputs.training.get("best_step"), looks["step"].max()
    rows, marks = [], []
    for row in inputs.accuracy.to_dict("records"):
        main = row["mask_fraction"] == inputs.main_fraction
        own = looks[
            (looks["split"] == row["split"]) & (looks["mask_fraction"] == row["mask_fraction"])
        ]
        seen = {step: own.loc[own["step"] == step, "loss"] for step in (best, last)}
        rows.append(
            [
                Cell(SPLITS.get(row["split"], row["split"])),
                Cell(percent(row["mask_fraction"]), "nearest to training" if main else ""),
                count_cell(row["n_values"], f"{count(row['n_samples'])} samples"),
                decimal_cell(row["mse"]),
                decimal_cell(row["gene_mean_mse"]),
                skill_cell(row),
                Cell(
                    decimal(row["gene_pearson_median"]),
                    f"{count(row['n_genes_correlated'])} genes",
                ),
                *(
                    decimal_cell(seen[step].iloc[0] if step in seen and len(seen[step]) else None)
                    for step in (best, last)
                ),
            ]
        )
        marks.append("main" if main else "")
    return Table(
        "table-accuracy",
        [
            Column("Samples"), Column("Genes hidden", True), Column("Hidden values", True),
            Column("MSE", True), Column("MSE of the gene mean", True),
            Column("Skill", True, "1 - MSE / MSE of the gene mean; 95% interval over groups"),
            Column("Median PCC of a gene", True, "over samples; of genes hidden often enough"),
            Column("Kept step", True, LOOKS, "in training"),
            Column("Last step", True, LOOKS, "in training"),
        ],
        rows,
        row_marks=marks,
    )  # fmt: skip


def skill_cell(row: dict[str, Any]) -> Cell:
    """Write a skill with its interval, and say where few groups stand behind it."""
    few = f"{count(row['n_groups'])} groups" if row["n_groups"] < FEW_GROUPS else ""
    written = decimal_cell(row["mse_skill"], row["ci_low"], row["ci_high"])
    return replace(written, note=written.note or "no interval", flag=few)


def gene_rows(inputs: ModelInputs, best: bool) -> Table:
    """Return the genes that are predicted best, or worst, by correlation in studies kept apart."""
    known = inputs.genes[inputs.genes["split"] == "validation"].dropna(subset="pearson")
    chosen = known.sort_values(["pearson", "gene_id"], ascending=[not best, True]).head(SHOWN)
    return Table(
        f"table-genes-{'best' if best else 'worst'}",
        [
            Column("Gene"), Column("PCC", True), Column("Skill", True),
            Column("Mean", True, "ln(TPM + 1), training samples"),
            Column("SD", True, "ln(TPM + 1), training samples"),
        ],
        [
            [
                text_cell(row["symbol"], row["gene_id"]),
                decimal_cell(row["pearson"]),
                decimal_cell(row["mse_skill"]),
                decimal_cell(row["mean"]),
                decimal_cell(row["sd"]),
            ]
            for row in chosen.to_dict("records")
        ],
        empty="No gene was hidden often enough.",
    )  # fmt: skip


def decile_table(inputs: ModelInputs) -> Table:
    """Return the numbers of the figure by tenths."""
    return Table(
        "table-deciles",
        [
            Column("Tenth"), Column("Samples"), Column("Genes", True), Column("Range", True),
            Column("Skill", True), Column("Median PCC", True),
        ],
        [
            [
                Cell(f"{row['by']} {row['decile']}"),
                Cell(SPLITS.get(row["split"], row["split"])),
                count_cell(row["n_genes"]),
                Cell(f"{decimal(row['lowest'], 2)} to {decimal(row['highest'], 2)}"),
                decimal_cell(row["mse_skill"]),
                decimal_cell(row["gene_pearson_median"]),
            ]
            for row in inputs.deciles.to_dict("records")
        ],
    )  # fmt: skip


def control_table(inputs: ModelInputs) -> Table:
    """Return how clusters by other vectors agree with gene sets and with the graph."""
    rows, marks = [], []
    for row in sorted(inputs.controls.to_dict("records"), key=lambda row: place(row["source"])):
        whole = row["source"] != "permuted"
        rows.append(
            [
                Cell(SOURCES.get(row["source"], row["source"]),
                     "on the map" if row["source"] == inputs.map["of"] else ""),
                Cell(number(row["sets_enriched"], whole), f"of {count(row['n_sets'])}"),
                Cell(number(row["clusters_enriched"], whole), f"of {count(row['n_clusters'])}"),
                Cell(decimal(row["set_pairs_together"]), "" if is_missing(row[TOGETHER])
                     else f"{times(row)} chance"),
                decimal_cell(row["edges_together"]),
                decimal_cell(row["pairs_together"]),
            ]
        )  # fmt: skip
        marks.append("" if row["source"] in NETWORK else "floor")
    return Table(
        "table-controls",
        [
            Column("Clusters by"), Column("Sets enriched", True), Column("Clusters enriched", True),
            Column("Pairs of one set together", True, "share in one cluster, mean over sets"),
            Column("Edges together", True, "share of graph edges within a cluster"),
            Column("All pairs together", True, "what chance gives both shares"),
        ],
        rows,
        row_marks=marks,
    )  # fmt: skip


def place(source: str) -> int:
    """Return where a source stands in the table."""
    return list(SOURCES).index(source) if source in SOURCES else len(SOURCES)


def number(value: float, whole: bool) -> str:
    """Write a count, or the mean of counts."""
    return count(value) if whole else decimal(value, 1)


def cluster_table(inputs: ModelInputs) -> Table:
    """Return the clusters of the map with their best gene set; sorted by certainty."""
    return Table(
        "table-clusters",
        [
            Column("Cluster", True), Column("Genes", True), Column("Mean expression", True),
            Column("Best gene set", wide=True), Column("Genes of the set", True, "in the cluster"),
            Column("By chance", True),
            Column("q", True, "Benjamini-Hochberg over sets and clusters"),
            Column("Sets enriched", True),
        ],
        [
            [
                count_cell(row["cluster"]),
                count_cell(row["n_genes"]),
                decimal_cell(row["level"], help="ln(TPM + 1)"),
                text_cell(row["set_id"]) if not is_missing(row["set_id"])
                else Cell(MISSING, "no set is enriched"),
                count_cell(row["overlap"], "" if is_missing(row["set_genes"])
                           else f"of {count(row['set_genes'])}"),
                Cell(decimal(row["expected"], 1)),
                Cell(scientific(row["q"])),
                count_cell(row["sets_enriched"]),
            ]
            for row in inputs.clusters.sort_values(["q", "cluster"]).to_dict("records")
        ],
    )  # fmt: skip


def cost_table(inputs: ModelInputs) -> Table:
    """Return one row for each kind of machine that took part."""
    cost = inputs.assessment.get("cost") or {}
    return Table(
        "table-cost",
        [
            Column("Device"), Column("Processes", True), Column("Samples a pass", True),
            Column("Steps", True), Column("Hours", True), Column("Device hours", True),
            Column("Samples a second", True), Column("Memory, GB", True),
            Column("MFU", True, "share of the measured matrix rate"),
        ],
        [
            [
                text_cell(row["device"]),
                count_cell(row["processes"]),
                count_cell(row["batch_size"]),
                count_cell(row["steps"]),
                Cell(hours(row["hours"])),
                Cell(hours(row["device_hours"])),
                Cell(short_decimal(row["samples_per_second"])),
                decimal_cell(row["memory_gb"]),
                Cell(MISSING if is_missing(row["mfu"]) else percent(round(row["mfu"], 3))),
            ]
            for row in cost.get("machines", ())
        ],
        empty="No training took place here: these weights came from elsewhere.",
    )  # fmt: skip


def hours(value: float) -> str:
    """Write hours so that short runs do not vanish."""
    return decimal(value, 1 if value >= 10 else 3)


def scientific(value: Any) -> str:
    """Write a probability: 2.4 × 10⁻⁹ as 2.4e−9."""
    if is_missing(value):
        return MISSING
    if pd.isna(value) or value >= 0.001:
        return decimal(value)
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e−{abs(int(exponent))}"
