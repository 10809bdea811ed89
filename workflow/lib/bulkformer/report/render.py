"""The render step: the page of what may be concluded, a page of all numbers a task, one CSV."""

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.files import atomic
from bulkformer.report.html import write_page
from bulkformer.report.inputs import (
    HISTORY_COLUMNS,
    METRIC_COLUMNS,
    Inputs,
    read_json,
    read_ledgers,
    read_literature,
    read_parquet,
    read_provenance,
)
from bulkformer.report.paired import ABLATION_COLUMNS, COMPARISON_COLUMNS
from bulkformer.report.sections import page_context
from bulkformer.report.task_numbers import numbers_context


def render(
    title: Annotated[str, Option(help="Heading of the page.")],
    provenance: Annotated[Path, Option(help="provenance.json of this report.")],
    metrics: Annotated[Path, Option(help="The long metrics table.")],
    exposure: Annotated[list[Path], Option(help="Ledger of exposure of each task.")],
    corpus: Annotated[Path, Option(help="corpus.json.")],
    coverage: Annotated[list[Path], Option(help="coverage.json of each cohort.")],
    graph: Annotated[list[Path], Option(help="JSON of each gene graph.")],
    history: Annotated[Path, Option(help="history.parquet of the pretraining.")],
    training: Annotated[Path, Option(help="provenance.json of the pretraining.")],
    literature: Annotated[Path, Option(help="Values that the BulkFormer authors published.")],
    independent: Annotated[Path, Option(help="Values that others published.")],
    page: Annotated[Path, Option(help="HTML file to write.")],
    metrics_csv: Annotated[Path, Option(help="CSV file to write.")],
    numbers: Annotated[list[Path] | None, Option(help="Page of a task, named after it.")] = None,
    recovery: Annotated[list[Path] | None, Option(help="JSON of planted edges found.")] = None,
    outcome: Annotated[list[Path] | None, Option(help="JSON of each table of outcomes.")] = None,
    comparisons: Annotated[Path | None, Option(help="Paired comparisons of all tasks.")] = None,
    ablation: Annotated[Path | None, Option(help="Graph ablation, if it was run.")] = None,
) -> None:
    """Show what was run, on which data, and what may be concluded."""
    inputs = Inputs(
        provenance=read_provenance(provenance),
        metrics=read_parquet(metrics, METRIC_COLUMNS),
        exposure=read_ledgers(exposure),
        corpus=read_json(corpus),
        coverage=[read_json(path) for path in coverage],
        graphs=[read_json(path) | {"graph": path.stem} for path in graph],
        recoveries=[read_json(path) for path in recovery or []],
        outcomes=[read_json(path) | {"table": path.stem} for path in outcome or []],
        history=read_parquet(history, HISTORY_COLUMNS),
        training=read_json(training),
        literature=read_literature(literature),
        independent=read_literature(independent),
        comparisons=read_parquet(comparisons, COMPARISON_COLUMNS) if comparisons else None,
        ablation=read_parquet(ablation, ABLATION_COLUMNS) if ablation else None,
    )
    tasks = [path.stem for path in numbers or []]
    write_page(page, page_context(title, inputs, tasks))
    for path in numbers or []:
        write_page(path, numbers_context(title, inputs, path.stem, tasks), "task_numbers.html.j2")
    write_csv(metrics_csv, pq.read_table(metrics))


def write_csv(path: Path, table: pa.Table) -> None:
    """Write the metrics table as CSV: same rows, same order, all digits; missing values empty."""
    with atomic(path) as partial:
        pyarrow.csv.write_csv(table, partial, pyarrow.csv.WriteOptions(quoting_style="needed"))


if __name__ == "__main__":
    command(render)
