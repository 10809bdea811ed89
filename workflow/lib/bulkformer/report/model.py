"""The model step: one page about one pretrained model, from its learning curve to its genes.

It shows what training and its assessment wrote, and needs no benchmark, so that it can be read as
soon as a run has ended; nothing is computed here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Option

import bulkformer
from bulkformer.cli import command
from bulkformer.report.cells import MISSING, count, decimal, is_missing, label, short_decimal
from bulkformer.report.html import pretty_json, write_page
from bulkformer.report.learning import describe
from bulkformer.report.model_figures import (
    decile_figure,
    learning_figure,
    mask_figure,
    percent,
    spread_figure,
)
from bulkformer.report.model_inputs import ModelInputs, read_inputs
from bulkformer.report.model_map import map_figure
from bulkformer.report.model_readings import says
from bulkformer.report.model_tables import (
    accuracy_table,
    cluster_table,
    control_table,
    cost_table,
    decile_table,
    gene_rows,
    hours,
)
from bulkformer.report.pictures import Picture
from bulkformer.report.provenance import git_state

MODES = {
    "train": ("trained here", "from the start, on the corpus of this run"),
    "fine-tune": ("fine-tuned", "training here went on from weights that existed"),
    "released": ("released weights", "as they were published; no step was trained here"),
}


def model(
    title: Annotated[str, Option(help="Heading of the page.")],
    run: Annotated[Path, Option(help="Folder of the run.")],
    assessment: Annotated[Path, Option(help="Folder of its assessment.")],
    corpus: Annotated[Path, Option(help="corpus.json.")],
    page: Annotated[Path, Option(help="HTML file to write.")],
    simulated: Annotated[bool, Option("--simulated", help="The samples were simulated.")] = False,
) -> None:
    """Show how a model learned, what it knows of new samples and of genes, and what it cost."""
    code = git_state(Path(bulkformer.__file__).parent)
    inputs = read_inputs(run, assessment, corpus, simulated, code)
    write_page(page, model_context(title, inputs), "model.html.j2")


def model_context(title: str, inputs: ModelInputs) -> dict[str, Any]:
    """Return everything that the page's template asks for."""
    return {
        "title": f"{title}: the model",
        "brand": "BulkFormer model",
        "beside": [("index.html", "Models and results"), ("data.html", "Data and licences")],
        "lead": lead(inputs),
        "banners": banners(inputs),
        "facts": facts(inputs),
        "sections": [
            ("says", "What this says"),
            ("learning", "Learning"),
            ("masks", "Hidden genes"),
            ("genes", "Gene by gene"),
            ("map", "Map of genes"),
            ("cost", "Cost"),
            ("run", "The run"),
        ],
        "says": says(inputs),
        "trained_here": inputs.trained_here,
        "main": percent(inputs.main_fraction),
        "figures": figures(inputs),
        "tables": {
            "accuracy": accuracy_table(inputs),
            "best": gene_rows(inputs, best=True),
            "worst": gene_rows(inputs, best=False),
            "deciles": decile_table(inputs),
            "controls": control_table(inputs),
            "clusters": cluster_table(inputs),
            "cost": cost_table(inputs),
        },
        "map": inputs.map,
        "learning_terms": learning_terms(inputs),
        "cost_terms": cost_terms(inputs),
        "run_terms": run_terms(inputs),
        "settings": pretty_json(
            {key: inputs.training.get(key) for key in ("model", "training", "validation")}
        ),
    }


def lead(inputs: ModelInputs) -> str:
    """Say in one sentence which model this is."""
    assessment = inputs.assessment
    kind = MODES.get(assessment["mode"], (str(assessment["mode"]),))[0]
    return (
        f"{assessment['run']}: the {assessment['variant']} variant of BulkFormer with "
        f"{count(assessment['parameters'])} parameters over {count(assessment['genes'])} genes, "
        f"{kind}. What it knows of samples that were kept apart, gene by gene, and of genes"
        f"{', and what it took to learn it' if inputs.trained_here else ''}."
    )


def banners(inputs: ModelInputs) -> list[dict[str, str]]:
    """Return what a reader must know before any number."""
    found = []
    if inputs.simulated:
        text = (
            "The samples were simulated in the providers' file formats. The numbers show that the "
            "workflow works. They say nothing about biology, and nothing about BulkFormer on real "
            "data."
        )
        found.append({"mark": "loud", "title": "Simulated universe", "text": text})
    if not inputs.trained_here:
        text = (
            "These weights were made elsewhere, so there is no learning curve and no cost. Samples "
            "that are validation here may have been training samples there; what is known of that "
            "stands in the ledger of exposure of each benchmark."
        )
        found.append({"mark": "quiet", "title": "Not trained here", "text": text})
    elif inputs.assessment["mode"] == "fine-tune":
        text = (
            "Training here went on from weights that were made elsewhere. These may have learned "
            "from samples that are kept apart here; what is known of that stands in the ledger of "
            "exposure of each benchmark."
        )
        found.append({"mark": "quiet", "title": "Began elsewhere", "text": text})
    return found


def facts(inputs: ModelInputs) -> list[dict[str, str]]:
    """Return the figures of the header."""
    assessment, training, corpus = inputs.assessment, inputs.training, inputs.corpus
    mode, explained = MODES.get(assessment["mode"], (str(assessment["mode"]), ""))
    cost = assessment.get("cost")
    versions = training.get("versions") or {}
    revision = "" if inputs.code is None else inputs.code["revision"][:8]
    changed = ", changed since" if inputs.code and inputs.code["dirty"] else ""
    shown = [
        ("weights", mode, explained),
        ("parameters", count(assessment["parameters"]), f"variant {assessment['variant']}"),
        ("genes", count(assessment["genes"]),
         f"{count(assessment['genes_measured'])} measured in the corpus"),
        ("edges", count(assessment["edges"]),
         f"of the graph {training['graph']}" if training.get("graph") else "of its gene graph"),
        ("corpus samples", count(corpus.get("samples")),
         f"{count(assessment['training_samples'])} for training"),
        ("training", MISSING if cost is None else f"{hours(cost['device_hours'])} h",
         "device hours"),
        ("version of the code", str(versions.get("bulkformer", MISSING)),
         f"page made at {revision}{changed}" if revision else ""),
    ]  # fmt: skip
    return [{"name": name, "value": value, "note": note} for name, value, note in shown]


def floors(inputs: ModelInputs) -> dict[tuple[str, float], float]:
    """Return the losses of the gene mean that training states, by split and share hidden."""
    stated = inputs.training.get("gene_mean_losses") or ()
    return {(row["split"], row["mask_fraction"]): row["loss"] for row in stated}


def figures(inputs: ModelInputs) -> dict[str, Picture | None]:
    """Return every figure with the words that say how to read it."""
    main = inputs.main_fraction
    looks = inputs.history[inputs.history["split"] != "train"]
    learning = None
    if inputs.trained_here:
        learning = Picture(
            learning_figure(
                inputs.learning, looks, floors(inputs), main, inputs.training.get("best_step")
            ),
            "Left: the loss of every batch is pale, its running mean darker; filled markers are "
            "whole studies that were kept apart, hollow ones new samples of studies that were "
            "trained on. A model that stays on the dashed line has learned no more than the mean "
            "of each gene. Right: the same studies with fewer or more genes hidden.",
        )
    return {
        "learning": learning,
        "masks": Picture(
            mask_figure(inputs.accuracy, main),
            "A skill of 0 is the gene mean, 1 would be perfect. Bars are 95% intervals over groups "
            "of samples; the upright line marks the share nearest to that of training. A number "
            "at the lower edge is a skill below the axis.",
        ),
        "deciles": Picture(
            decile_figure(inputs.deciles),
            "Genes in ten equal parts, by their mean (left) and standard deviation (right) in the "
            "training samples. On the dashed line the model is no better than the gene mean.",
        ),
        "spread": Picture(
            spread_figure(inputs.assessment["pearson"]),
            "Each gene was hidden in every sample; its correlation over samples says whether the "
            "model knows when the gene is high. Dashed lines are medians. Genes that hardly vary, "
            "or of which too few values were hidden, have no correlation.",
        ),
        "map": Picture(
            map_figure(inputs.gene_map, inputs.clusters),
            "Each point is a gene. Clusters in which a gene set is enriched are coloured and bear "
            "their number and, where there is room, that set; grey genes are in clusters without "
            "one. Only neighbourhood means something here: distances and sizes of islands do not.",
        ),
    }


def learning_terms(inputs: ModelInputs) -> list[tuple[str, str]]:
    """Return what was trained and how well it ended."""
    training = inputs.training
    if not inputs.trained_here:
        return []
    return [
        ("optimiser steps", count(training.get("steps"))),
        ("step of the kept weights", count(training.get("best_step"))),
        ("its validation loss", short_decimal(training.get("best_validation_loss"))),
        ("loss of the gene mean", short_decimal(training.get("gene_mean_validation_loss"))),
        ("chosen with genes hidden", share(training.get("selecting_mask_fraction"))),
    ]


def share(value: Any) -> str:
    """Write a share as percent, a dash where it is not known."""
    return MISSING if is_missing(value) else percent(value)


def cost_terms(inputs: ModelInputs) -> list[tuple[str, str]]:
    """Return what the run took as a whole."""
    cost = inputs.assessment.get("cost")
    if cost is None:
        return []
    return [
        ("hours of training", hours(cost["hours"])),
        ("device hours", hours(cost["device_hours"])),
        ("starts of the run", count(cost["starts"])),
        ("samples seen", count(cost["samples"])),
        ("operations for a sample", f"{decimal(cost['flops_per_sample'] / 1e9, 2)} GFLOP"),
        ("operations in all", MISSING if is_missing(cost["flops"])
         else f"{short_decimal(cost['flops'] / 1e15)} PFLOP"),
    ]  # fmt: skip


def run_terms(inputs: ModelInputs) -> list[tuple[str, str]]:
    """Return where the weights come from and what the assessment looked at."""
    assessment, training = inputs.assessment, inputs.training
    versions = training.get("versions") or {}
    looked = ", ".join(
        f"{label(split)} {count(size['samples'])} of {count(size['of'])}"
        for split, size in assessment["splits"].items()
    )
    return [
        ("network", describe(assessment["model"])),
        ("licence of the weights", str(assessment.get("licence") or MISSING)),
        ("gene graph", str(training.get("graph") or MISSING)),
        ("training samples", count(training.get("training_samples"))),
        ("their SHA-256", str(training.get("training_samples_sha256") or MISSING)),
        ("corpus, SHA-256", str(inputs.corpus.get("corpus_sha256") or MISSING)),
        ("files", describe(training["files"]) if "files" in training else MISSING),
        ("samples looked at", looked),
        ("each gene hidden in each sample", f"{count(assessment['repeats'])} times or more"),
        ("seed of the masks", str(assessment["seed"])),
        ("versions", ", ".join(f"{k} {v}" for k, v in sorted(versions.items())) or MISSING),
    ]


if __name__ == "__main__":
    command(model)
