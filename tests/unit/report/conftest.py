"""One rendered report that many tests look at, and a way to render others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_mock import described, write_inputs

from bulkformer.report.render import render


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the arguments of a report that was rendered."""
    arguments = write_inputs(tmp_path_factory.mktemp("report"))
    render(**arguments)
    return arguments


@pytest.fixture(scope="session")
def page(rendered: dict[str, Any]) -> str:
    """Return the text of the rendered page."""
    return rendered["page"].read_text()


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    """Return the arguments of a small report of its own, imputation only,, for a test to change."""
    models = described(["bulkformer", "ridge", "gene_mean"])
    return write_inputs(
        tmp_path, models={name: row | {"tasks": "imputation"} for name, row in models.items()}
    )


@pytest.fixture
def page_of() -> Callable[[dict[str, Any]], str]:
    """Return a function that renders and reads a page."""

    def make(arguments: dict[str, Any]) -> str:
        render(**arguments)
        return arguments["page"].read_text()

    return make
