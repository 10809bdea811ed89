"""docs/results.md names every column that a result file has, and every metric that tasks declare.

A column that the page does not explain cannot be read; one that no file has any more misleads.
"""

import re
from collections.abc import Iterator

import pyarrow as pa
import pytest

from bulkformer.evaluate import exposure, splits
from bulkformer.evaluate.comparisons import COMPARISONS
from bulkformer.evaluate.graph_ablation import ABLATION
from bulkformer.evaluate.metrics import METRICS
from bulkformer.evaluate.task import load_task
from bulkformer.evaluate.tasks.prognosis_genes import TABLE
from bulkformer.evaluate.units import UNITS
from bulkformer.report.measure_names import FLOORS, IN_FIGURES, IN_TABLES, MEASURE_NAMES

FILES: dict[str, pa.Schema] = {
    "splits/<task>.parquet": splits.SCHEMA,
    "metrics.parquet": METRICS,
    "units.parquet": UNITS,
    "comparisons.parquet": COMPARISONS,
    "exposure/<task>.parquet": exposure.SCHEMA,
    "graph_ablation.parquet": ABLATION,
    "prognosis_genes.parquet": TABLE,
}
ONLY_STRICT = ("imputation_differential",)
CODE = re.compile(r"`([^`]+)`")


@pytest.fixture(scope="module")
def page(root) -> str:
    return (root / "docs/results.md").read_text(encoding="utf-8")


def tables(page: str, heading: str) -> Iterator[list[list[str]]]:
    """Yield the tables below a heading, down to the next one, as rows of cells."""
    parts = re.split(r"^#+ `?(.+?)`?$", page, flags=re.MULTILINE)
    section = dict(zip(parts[1::2], parts[2::2], strict=True))[heading]
    for table in re.findall(r"(?:^\|.*\n)+", section, flags=re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
        yield [[cell.strip() for cell in row] for row in rows]


def explained(page: str, heading: str, what: str) -> set[str]:
    """Return the names in the first cells of the table that is headed `what`."""
    (table,) = [each for each in tables(page, heading) if each[0][0] == what]
    assert all(row[-1] for row in table[2:]), f"{heading}: a name without an explanation"
    return {name for row in table[2:] for name in CODE.findall(row[0])}


@pytest.mark.parametrize("file", FILES)
def test_every_column_of_a_file_is_explained_and_no_other(page, file):
    assert explained(page, file, "column") == set(FILES[file].names)


@pytest.mark.parametrize("task", FLOORS)
def test_every_column_of_the_predictions_of_a_task_is_explained(page, task):
    shared = explained(page, "Columns of all tasks", "column")
    own = explained(page, f"Columns of {task}", "column")
    assert shared | own == set(load_task(task).predictions.names)
    assert not shared & own


@pytest.mark.parametrize("task", FLOORS)
def test_every_metric_that_a_task_declares_is_defined(page, task):
    about = load_task(task)
    shown = [*IN_FIGURES.get(task, ()), *IN_TABLES.get(task, ())]
    declared = {name for name, _ in about.primary.values()} | set(about.paired.values())
    declared |= {name for _, name, _ in shown}
    assert declared <= explained(page, f"Metrics of {task}", "metric")


def test_every_metric_that_the_report_names_is_defined(page):
    defined = set().union(*(explained(page, f"Metrics of {task}", "metric") for task in FLOORS))
    assert {name for name, _ in MEASURE_NAMES} <= defined


@pytest.mark.parametrize("task", FLOORS)
def test_the_headline_of_a_protocol_is_the_one_that_the_task_declares(page, task):
    (table,) = tables(page, "Headlines and tests")
    rows = {row[1]: row[2:] for row in table if row[0] == f"`{task}`"}
    about = load_task(task)
    for protocol in ("strict",) if task in ONLY_STRICT else about.primary:
        ranks, headline, where, _ = (CODE.findall(cell) for cell in rows[f"`{protocol}`"])
        assert ranks == list(about.primary[protocol])
        assert headline == [about.paired[protocol]]
        names = [about.declared(protocol, kind) for kind in ("regime", "condition")]
        assert where == [name for kind in names for name in kind]


def test_a_column_that_is_taken_out_of_the_page_is_missed(page):
    shorter = "".join(each for each in page.splitlines(True) if not each.startswith("| `ci_unit`"))
    assert explained(shorter, "metrics.parquet", "column") == set(METRICS.names) - {"ci_unit"}
