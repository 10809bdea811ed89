"""Gathers what each section of the page shows: tables, figures and sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bulkformer.report.cells import MISSING, Table, label
from bulkformer.report.conclusions import card, comparison_title, glance
from bulkformer.report.header import banners, facts, lead
from bulkformer.report.html import pretty_json
from bulkformer.report.inputs import Inputs
from bulkformer.report.learning import (
    graph_making,
    graph_table,
    origin_of_weights,
    recovery_table,
    training_facts,
)
from bulkformer.report.materials import (
    cohort_table,
    corpus_facts,
    corpus_table,
    evidence_table,
    exposure_table,
    model_table,
    source_table,
)
from bulkformer.report.methods import methods
from bulkformer.report.methods_tasks import QUESTIONS
from bulkformer.report.paired import (
    Said,
    ablation_sentences,
    ablation_table,
    paired_table,
    sentences,
)
from bulkformer.report.pictures import (
    Picture,
    comparison_picture,
    curve_picture,
    degree_picture,
    how_to_read,
    training_picture,
)
from bulkformer.report.tables import comparison_table, full_table, literature_table
from bulkformer.report.views import Comparison, comparisons, tasks_of


@dataclass(frozen=True)
class DatasetBlock:
    """One dataset of a benchmark: its figures, and the table behind them."""

    heading: str
    figures: list[Picture]
    table: Table


@dataclass(frozen=True)
class TaskSection:
    """Everything about one benchmark."""

    id: str
    title: str
    question: str
    reading: str
    datasets: list[DatasetBlock]
    said: list[Said]
    paired: Table | None
    full: Table


def page_context(title: str, inputs: Inputs) -> dict[str, Any]:
    """Return everything that the page's template asks for."""
    config, models = inputs.provenance["config"], inputs.provenance["models"]
    tasks = tasks_of(inputs.metrics)
    compared = [pair for task in tasks for pair in comparisons(inputs.metrics, task, config)]
    mask = training_mask(inputs)
    cards = [
        card(pair, f"card-{number}", models, mask, declared_groups(config, pair))
        for number, pair in enumerate(compared, start=1)
    ]
    return {
        "title": title,
        "brand": "BulkFormer report",
        "beside": [("data.html", "Data and licences"), ("model.html", "The pretrained model")],
        "lead": lead(inputs),
        "banners": banners(inputs),
        "facts": facts(inputs),
        "sections": [
            ("conclusions", "What may be concluded"),
            ("data", "Data"),
            ("graphs", "Gene graphs"),
            ("pretraining", "Pretraining"),
            *((task, label(task).capitalize()) for task in tasks),
            ("literature", "Literature values"),
            ("methods", "Methods"),
        ],
        "cards": cards,
        "glance": glance(cards),
        "tables": {
            "cohorts": cohort_table(inputs),
            "corpus": corpus_table(inputs.corpus),
            "models": model_table(inputs),
            "exposure": exposure_table(inputs),
            "evidence": evidence_table(inputs),
            "graphs": graph_table(inputs),
            "recovery": recovery_table(inputs),
            "ablation": ablation_table(inputs.ablation),
            "sources": source_table(inputs),
            "published": literature_table("table-published", inputs.literature, tasks),
            "independent": literature_table("table-independent", inputs.independent, tasks),
        },
        "ablation_said": ablation_sentences(inputs.ablation),
        "corpus_facts": corpus_facts(inputs.corpus),
        "graph_making": [(graph["graph"], graph_making(graph)) for graph in inputs.graphs],
        "origin_of_weights": origin_of_weights(inputs.training),
        "training_facts": training_facts(inputs.training),
        "figures": {"degrees": degree_picture(inputs), "pretraining": training_picture(inputs)},
        "tasks": [task_section(inputs, task, compared) for task in tasks],
        "methods": methods(config, tasks),
        "versions": versions(inputs.provenance),
        "configuration": pretty_json(config),
    }


def training_mask(inputs: Inputs) -> float | None:
    """Return the share of genes that pretraining hid, as the run or the configuration states it."""
    planned = inputs.provenance["config"].get("pretrain", {}).get("training", {})
    trained = inputs.training.get("training") or {}
    return trained.get("mask_fraction", planned.get("mask_fraction"))


def declared_groups(config: Mapping[str, Any], pair: Comparison) -> str:
    """Return the kind of group that the configuration names for a dataset, if it names one."""
    settings = config.get("evaluate", {}).get(pair.task, {})
    named = [each for each in settings.get("datasets", ()) if each["name"] == pair.dataset]
    return named[0].get("group_by", "").removesuffix("_id") if named else ""


def task_section(inputs: Inputs, task: str, compared: list[Comparison]) -> TaskSection:
    """Return figures and tables of one benchmark."""
    models = inputs.provenance["models"]
    own = [pair for pair in compared if pair.task == task]
    return TaskSection(
        task,
        label(task).capitalize(),
        QUESTIONS.get(task, ""),
        how_to_read(own),
        [
            dataset_block(inputs, pair, f"{task}-{number}", models)
            for number, pair in enumerate(own, start=1)
        ],
        [] if inputs.comparisons is None else sentences(inputs.comparisons, task, models),
        None if inputs.comparisons is None else paired_table(inputs.comparisons, task),
        full_table(inputs.metrics, task, models),
    )


def dataset_block(
    inputs: Inputs, pair: Comparison, name: str, models: Mapping[str, Mapping[str, Any]]
) -> DatasetBlock:
    """Return figures and table of one dataset."""
    figures = [
        comparison_picture(inputs, pair, f"figure-{name}"),
        curve_picture(inputs, pair, f"figure-{name}-masks"),
    ]
    return DatasetBlock(
        comparison_title(pair),
        [figure for figure in figures if figure is not None],
        comparison_table(pair, f"table-{name}", models),
    )


def versions(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the code and the packages that the report rests on."""
    git = provenance.get("git")
    state = "" if git is None else " (tracked files changed since)" if git["dirty"] else " (clean)"
    return [
        ("bulkformer", str(provenance.get("bulkformer", MISSING))),
        ("git revision", "not under git" if git is None else git["revision"] + state),
        ("SHA-256 of the library", str(provenance.get("library_sha256", MISSING))),
        ("Python", str(provenance.get("python", MISSING))),
        ("platform", str(provenance.get("platform", MISSING))),
        *(
            (name, version or "not in the report's environment")
            for name, version in sorted(provenance.get("packages", {}).items())
        ),
    ]
