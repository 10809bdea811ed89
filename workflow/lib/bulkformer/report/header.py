"""The head of the page: what was run in one sentence, and what to know before any number."""

from collections.abc import Sequence
from typing import Any

from bulkformer.report.cells import MISSING, count, label
from bulkformer.report.inputs import Inputs
from bulkformer.report.measure_names import BELONGS_TO
from bulkformer.report.views import tasks_of


def lead(inputs: Inputs) -> str:
    """Say in one sentence what was run."""
    training, corpus = inputs.training, inputs.corpus
    origin = (
        f"pretrained on {count(training.get('training_samples'))} of "
        f"{count(corpus.get('samples'))} corpus samples"
    )
    if training.get("mode") == "released":
        origin = "with released weights"
    elif training.get("mode") == "fine-tune":
        origin = f"with released weights, further {origin}"
    tasks = [label(task) for task in tasks_of(inputs.metrics) if task not in BELONGS_TO]
    named = " and ".join(part for part in (", ".join(tasks[:-1]), *tasks[-1:]) if part)
    return (
        f"BulkFormer with {count(training.get('parameters'))} parameters, {origin} over "
        f"{count(n_genes(inputs))} genes, beside simple models and controls on "
        f"{named or 'no benchmark'}. Seed {inputs.provenance['config'].get('seed', MISSING)}."
    )


def n_genes(inputs: Inputs) -> Any:
    """Return the size of the gene vocabulary, as the cohorts state it."""
    return next((c["vocabulary_genes"] for c in inputs.coverage if "vocabulary_genes" in c), None)


def banners(inputs: Inputs, tasks: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return what a reader must know before any number, of some tasks or of all."""
    found = []
    metrics = inputs.metrics
    if tasks is not None:
        metrics = metrics[metrics["task"].isin(tasks)]
    if inputs.simulated:
        found.append(
            {
                "mark": "loud",
                "first": True,
                "title": "Simulated universe",
                "text": "The samples were simulated. The numbers show that the workflow works; "
                "they say nothing about biology, and nothing about BulkFormer on real data.",
            }
        )
    if (metrics["task"] == "perturbation").any():
        found.append(
            {
                "mark": "loud",
                "title": "Perturbation: another modality",
                "text": "L1000 profiles are intensities of about a thousand landmark genes on "
                "beads, not RNA-seq. Models that learned from RNA-seq are read outside of what "
                "they know; no value of this task says how they do on sequenced cells.",
            }
        )
    weights = metrics.drop_duplicates("model")
    elsewhere = weights.loc[weights["weights"].isin(["released", "fine_tuned"]), "model"]
    if len(elsewhere):
        found.append(
            {
                "mark": "quiet",
                "title": "Released weights",
                "text": f"{', '.join(map(str, elsewhere))}: weights that were trained elsewhere, "
                "on samples that nobody listed. No cohort can be cleared for them; what is known "
                "stands in the table of exposure.",
            }
        )
    untrained = [str(name) for name in weights.loc[weights["weights"] == "random", "model"]]
    if untrained:
        found.append(
            {
                "mark": "quiet",
                "title": "Untrained weights",
                "text": f"{', '.join(untrained)}: random weights that were never trained, shown as "
                "a control and marked wherever they appear.",
            }
        )
    return found


def facts(inputs: Inputs) -> list[dict[str, str]]:
    """Return the figures of the header."""
    kept = [coverage.get("samples_kept") for coverage in inputs.coverage]
    training, git = inputs.training, inputs.provenance.get("git")
    revision = "not under git" if git is None else git["revision"][:8]
    return [
        {"name": "cohorts", "value": count(len(kept)), "note": samples_note(inputs)},
        {"name": "genes", "value": count(n_genes(inputs)), "note": "vocabulary"},
        {
            "name": "corpus samples",
            "value": count(inputs.corpus.get("samples")),
            "note": f"in {count(inputs.corpus.get('groups'))} groups",
        },
        {
            "name": "parameters",
            "value": count(training.get("parameters")),
            "note": "released weights"
            if training.get("mode") == "released"
            else f"trained on {training.get('device', MISSING)}",
        },
        {"name": "models", "value": count(inputs.metrics["model"].nunique()), "note": "compared"},
        {
            "name": "version of the code",
            "value": str(inputs.provenance.get("bulkformer", MISSING)),
            "note": revision + (", changed since" if git and git["dirty"] else ""),
        },
    ]


def samples_note(inputs: Inputs) -> str:
    """List the cohorts with their kept samples."""
    return ", ".join(
        f"{coverage.get('cohort', '')} {count(coverage.get('samples_kept'))}"
        for coverage in inputs.coverage
    )
