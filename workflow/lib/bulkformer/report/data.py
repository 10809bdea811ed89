"""The data step: one page that says what went in, from whom, and what became of it on the way.

It shows what the stages before the first model wrote, so that it can be read before anything is
trained; nothing is computed here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from bulkformer.cli import command
from bulkformer.report.cells import MISSING, count
from bulkformer.report.data_cohorts import (
    copies_table,
    corpus_terms,
    gene_table,
    graph_table,
    name_lists,
    outcome_table,
    outcome_terms,
    sample_table,
)
from bulkformer.report.data_files import checked_terms, file_table, files, licence_table, size
from bulkformer.report.data_inputs import INVENTORY_COLUMNS, DataInputs
from bulkformer.report.data_overlap import overlap_table
from bulkformer.report.html import write_page
from bulkformer.report.inputs import read_json, read_parquet
from bulkformer.report.learning import graph_making
from bulkformer.report.materials import corpus_table
from bulkformer.report.provenance import from_json


def data(
    title: Annotated[str, Option(help="Heading of the page.")],
    cohorts: Annotated[str, Option(help="{cohort: row of the cohorts table}, as JSON.")],
    inventory: Annotated[Path, Option(help="The inventory of the files that were used.")],
    coverage: Annotated[list[Path], Option(help="coverage.json of each cohort.")],
    corpus: Annotated[Path, Option(help="corpus.json.")],
    graph: Annotated[list[Path], Option(help="JSON of each gene graph.")],
    page: Annotated[Path, Option(help="HTML file to write.")],
    overlap: Annotated[
        list[Path] | None, Option(help="Overlap of a cohort with the corpus.")
    ] = None,
    outcome: Annotated[list[Path] | None, Option(help="Summary of an outcome table.")] = None,
    simulated: Annotated[bool, Option("--simulated", help="The files were simulated.")] = False,
) -> None:
    """Show what was fetched under which licence, and what became of it before any model."""
    inputs = DataInputs(
        simulated=simulated,
        cohorts=from_json(cohorts, "--cohorts"),
        inventory=read_parquet(inventory, INVENTORY_COLUMNS),
        coverage=[read_json(path) for path in coverage],
        corpus=read_json(corpus),
        overlap=[read_json(path) | {"cohort": path.stem} for path in overlap or []],
        outcomes=[read_json(path) | {"table": path.stem} for path in outcome or []],
        graphs=[read_json(path) | {"graph": path.stem} for path in graph],
    )
    write_page(page, data_context(title, inputs), "data.html.j2")


def data_context(title: str, inputs: DataInputs) -> dict[str, Any]:
    """Return everything that the page's template asks for."""
    return {
        "title": f"{title}: the data",
        "brand": "BulkFormer data",
        "beside": [("index.html", "Models and results"), ("model.html", "The pretrained model")],
        "lead": lead(inputs),
        "banners": banners(inputs),
        "facts": facts(inputs),
        "sections": [
            ("files", "Files"),
            ("licences", "Licences"),
            ("cohorts", "Cohorts"),
            ("genes", "Gene identity"),
            ("corpus", "Corpus"),
            ("overlap", "Overlap"),
            ("outcomes", "Outcomes"),
            ("graphs", "Gene graphs"),
        ],
        "tables": {
            "files": file_table(inputs.inventory),
            "licences": licence_table(inputs.inventory),
            "samples": sample_table(inputs),
            "genes": gene_table(inputs),
            "corpus": corpus_table(inputs.corpus),
            "copies": copies_table(inputs.corpus),
            "overlap": overlap_table(inputs),
            "outcomes": outcome_table(inputs),
            "graphs": graph_table(inputs),
        },
        "checked": checked_terms(inputs.inventory),
        "names": name_lists(inputs),
        "outcome_terms": outcome_terms(inputs),
        "corpus_terms": corpus_terms(inputs.corpus),
        "graph_making": [(graph["graph"], graph_making(graph)) for graph in inputs.graphs],
    }


def lead(inputs: DataInputs) -> str:
    """Say in one sentence what went in."""
    names = ", ".join(str(coverage.get("cohort", "")) for coverage in inputs.coverage)
    return (
        f"{files(len(inputs.inventory))} from {count(inputs.inventory['source'].nunique())} "
        f"sources, what they may be used for, and what became of them before any model saw them. "
        f"Cohorts: {names or 'none'}."
    )


def banners(inputs: DataInputs) -> list[dict[str, str]]:
    """Return what a reader must know before any number."""
    if not inputs.simulated:
        return []
    return [
        {
            "mark": "loud",
            "title": "Simulated universe",
            "text": "No file was fetched: the simulator wrote all of them in the providers' "
            "formats. Versions, licences and citations are those of the real files, whose place "
            "they take.",
        }
    ]


def facts(inputs: DataInputs) -> list[dict[str, str]]:
    """Return the figures of the header."""
    coverage = inputs.coverage
    genes = next((c["vocabulary_genes"] for c in coverage if "vocabulary_genes" in c), None)
    total = inputs.inventory["bytes"].sum()
    shown = [
        ("files", count(len(inputs.inventory)), size(total) or MISSING),
        ("sources", count(inputs.inventory["source"].nunique()), "providers"),
        ("cohorts", count(len(coverage)), "on the gene axis"),
        ("genes", count(genes), "vocabulary"),
        ("corpus samples", count(inputs.corpus.get("samples")),
         f"in {count(inputs.corpus.get('groups'))} groups"),
        ("gene graphs", count(len(inputs.graphs)), "compared"),
    ]  # fmt: skip
    return [{"name": name, "value": value, "note": note} for name, value, note in shown]


if __name__ == "__main__":
    command(data)
