"""Tables of what was learned before any benchmark: gene graphs and the pretraining."""

from collections.abc import Mapping
from typing import Any

from bulkformer.report.cells import (
    MISSING,
    Cell,
    Column,
    Table,
    count,
    count_cell,
    decimal_cell,
    label,
    number_cell,
    short_decimal,
    text_cell,
)
from bulkformer.report.inputs import Inputs

GRAPH_STATISTICS = ("n_genes", "n_edges", "isolated_genes", "degree_mean", "degree_quantiles",
    "largest_component_share", "degree_histogram", "weight_histogram")  # fmt: skip


def graph_table(inputs: Inputs) -> Table:
    """Return the statistics of each gene graph; the one that the model convolves over is marked."""
    used = inputs.training.get("graph")
    rows = []
    for graph in inputs.graphs:
        degree = graph.get("degree_quantiles") or {}
        rows.append(
            [
                Cell(
                    graph["graph"], note="used by the model"
                    if graph["graph"] == used else "",
                ),
                text_cell(describe(graph.get("origin")), describe(graph.get("weight"))),
                count_cell(graph.get("n_genes")),
                count_cell(graph.get("n_edges")),
                count_cell(graph.get("isolated_genes")),
                number_cell(graph.get("degree_mean")),
                *(number_cell(degree.get(name)) for name in ("min", "median", "q95", "max")),
                decimal_cell(graph.get("largest_component_share")),
            ]
        )  # fmt: skip
    return Table(
        "table-graphs",
        [
            Column("Graph"), Column("Made from, weight of an edge", wide=True),
            Column("Genes", True), Column("Edges", True),
            Column("Genes without neighbour", True), Column("Degree, mean", True),
            Column("min", True), Column("median", True), Column("95%", True), Column("max", True),
            Column("Largest component", True, "share of all genes"),
        ],
        rows,
    )  # fmt: skip


def graph_making(graph: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how a graph was made: whatever its summary holds besides statistics."""
    return [
        (label(key), describe(value))
        for key, value in graph.items()
        if key not in GRAPH_STATISTICS and key != "graph"
    ]


def describe(value: Any) -> str:
    """Write a value of a JSON file in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{label(key)} {describe(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(describe, value)) or "none"
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return {True: "yes", False: "no", None: MISSING}.get(value, value)
    return short_decimal(value)


RECOVERY_COLUMNS = {
    "n_edges": "Edges",
    "n_planted": "Planted edges",
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "precision": "Precision",
    "precision_by_chance": "Precision by chance",
    "recall": "Recall",
    "within_program_precision": "Edges within a program",
    "correlation_auroc": "AUROC of |r|",
}
RECOVERY_HELP = {
    "within_program_precision": "share of edges that join two genes of one planted program",
    "correlation_auroc": "what the correlation of all pairs could tell at best",
}


def recovery_table(inputs: Inputs) -> Table:
    """Return how well each graph found the planted edges."""
    shown = {
        name: heading
        for name, heading in RECOVERY_COLUMNS.items()
        if any(name in recovery for recovery in inputs.recoveries)
    }
    return Table(
        "table-recovery",
        [
            Column("Graph"),
            *(Column(RECOVERY_COLUMNS[name], True, RECOVERY_HELP.get(name, "")) for name in shown),
        ],
        [
            [
                text_cell(recovery.get("graph", "")),
                *(
                    count_cell(recovery.get(name))
                    if name.startswith("n_")
                    # Not a figure of the graph: shown beside the one that correlations made.
                    else text_cell(MISSING)
                    if name == "correlation_auroc" and recovery.get("graph") != "coexpression"
                    else decimal_cell(recovery.get(name))
                    for name in shown
                ),
            ]
            for recovery in inputs.recoveries
        ],
        "The universe was simulated, so the true edges are known.",
        "Not run: only a simulated universe knows which edges are true.",
    )


def origin_of_weights(training: Mapping[str, Any]) -> str:
    """Say in a sentence or two where the weights of the run come from."""
    learned = (
        "The model learned to predict hidden expression values. Studies that it never trained on "
        "chose the weights that were kept."
    )
    if training.get("mode") == "released":
        return "The weights were released; nothing was trained here."
    if training.get("mode") == "fine-tune":
        return f"Training went on from released weights. {learned}"
    return learned


def training_facts(training: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was trained, on what, for how long, and how well it did on validation."""
    model = training.get("model") or {}
    shape = describe(model) if model else MISSING
    versions = training.get("versions") or {}
    return [
        ("parameters", f"{count(training.get('parameters'))}, counted"),
        ("shape", shape),
        ("training samples", count(training.get("training_samples"))),
        ("validation samples", count(training.get("validation_samples"))),
        ("samples of known studies watched", count(training.get("in_distribution_samples"))),
        ("gene graph", str(training.get("graph") or MISSING)),
        ("optimiser steps", count(training.get("steps"))),
        ("step of the kept weights", count(training.get("best_step"))),
        ("its validation loss", short_decimal(training.get("best_validation_loss"))),
        ("share of genes hidden for it", short_decimal(training.get("selecting_mask_fraction"))),
        ("loss of the gene mean", short_decimal(training.get("gene_mean_validation_loss"))),
        ("device", str(training.get("device") or MISSING)),
        ("versions", ", ".join(f"{k} {v}" for k, v in sorted(versions.items())) or MISSING),
        ("training samples, SHA-256", str(training.get("training_samples_sha256") or MISSING)),
    ]
