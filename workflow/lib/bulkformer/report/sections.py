"""Gathers what each section of the page shows: tables, figures and sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bulkformer.report.cells import MISSING, Table
from bulkformer.report.closer import Part, look
from bulkformer.report.conclusions import card, comparison_title
from bulkformer.report.glance import glance_sentence, glance_tables
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
from bulkformer.report.limits import Limit, few_of, limits
from bulkformer.report.materials import (
    cohort_table,
    corpus_facts,
    corpus_table,
    evidence_table,
    exposure_table,
    model_table,
    source_table,
)
from bulkformer.report.measure_names import task_name
from bulkformer.report.methods import methods
from bulkformer.report.methods_tasks import QUESTIONS
from bulkformer.report.paired import (
    Said,
    ablation_sentences,
    ablation_table,
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
from bulkformer.report.tables import comparison_table, literature_table
from bulkformer.report.views import Comparison, comparisons, tasks_of

SAID_FIRST = 6  # sentences of a task in view; the others are folded away


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
    limits: Sequence[Limit]
    datasets: list[DatasetBlock]
    closer: list[Part]
    said: list[Said]
    rows: int
    pairs: int
    numbers: str  # the page of all numbers, empty where none was asked for


def page_context(title: str, inputs: Inputs, pages: Sequence[str] = ()) -> dict[str, Any]:
    """Return everything that the page's template asks for.

    Parameters
    ----------
    pages : the tasks that have a page of all numbers beside this one
    """
    config, models = inputs.provenance["config"], inputs.provenance["models"]
    tasks = tasks_of(inputs.metrics)
    compared = [pair for task in tasks for pair in comparisons(inputs.metrics, task, config)]
    mask = training_mask(inputs)
    cards = [
        card(pair, f"card-{number}", models, mask, declared_groups(config, pair))
        for number, pair in enumerate(compared, start=1)
    ]
    few = {task: few_of(inputs, task, compared) for task in tasks}
    glance, glance_others = glance_tables(compared, inputs.comparisons, config, models, mask, few)
    return {
        "title": title,
        "brand": "BulkFormer report",
        "beside": [
            ("data.html", "Data and licences"),
            ("model.html", "The pretrained model"),
            *((f"{task}.html", f"{task_name(task)}: numbers") for task in pages),
        ],
        "lead": lead(inputs),
        "banners": banners(inputs),
        "facts": facts(inputs),
        "sections": [
            ("glance", "At a glance"),
            ("conclusions", "What may be concluded"),
            ("data", "Data"),
            ("graphs", "Gene graphs"),
            ("pretraining", "Pretraining"),
            *((task, task_name(task)) for task in tasks),
            ("literature", "Literature values"),
            ("methods", "Methods"),
        ],
        "cards": cards,
        "glance": glance,
        "glance_others": glance_others,
        "glance_said": glance_sentence(compared, inputs.comparisons, config, models),
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
        "tasks": [task_section(inputs, task, compared, task in pages) for task in tasks],
        "methods": methods(config, tasks),
        "said_first": SAID_FIRST,
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


def task_section(
    inputs: Inputs, task: str, compared: list[Comparison], has_page: bool
) -> TaskSection:
    """Return figures and tables of one benchmark."""
    models = inputs.provenance["models"]
    own = [pair for pair in compared if pair.task == task]
    return TaskSection(
        task,
        task_name(task),
        QUESTIONS.get(task, ""),
        how_to_read(own),
        limits(inputs, task, own),
        [
            dataset_block(inputs, pair, f"{task}-{number}", models)
            for number, pair in enumerate(own, start=1)
        ],
        look(inputs, task, own),
        [] if inputs.comparisons is None else sentences(inputs.comparisons, task, models),
        int((inputs.metrics["task"] == task).sum()),
        0 if inputs.comparisons is None else int((inputs.comparisons["task"] == task).sum()),
        f"{task}.html" if has_page else "",
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
