"""Fixtures of the outcomes stage; the world that they build from is in `outcomes_world`."""

from pathlib import Path

import pytest
from outcomes_world import write_files, write_tables


@pytest.fixture(scope="session")
def provider_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The truth and the files of all providers, by name."""
    return write_files(tmp_path_factory.mktemp("providers"))


@pytest.fixture(scope="session")
def outcome_tables(
    tmp_path_factory: pytest.TempPathFactory, provider_files: dict[str, Path]
) -> dict[str, Path]:
    """Tables and summaries of the stage, by file name."""
    return write_tables(tmp_path_factory.mktemp("outcomes"), provider_files)
