"""Where tests find the project, the golden numbers and the development data."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def folder_or_skip(variable: str, default: Path) -> Path:
    """Return the folder that an environment variable names, or skip saying what is missing."""
    folder = Path(os.environ.get(variable, default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: set {variable} to run this test")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def golden() -> Path:
    """Numbers that the reference implementations gave."""
    return folder_or_skip("BULKFORMER_GOLDEN", ROOT.parent / "shared" / "golden")


@pytest.fixture(scope="session")
def development_data() -> Path:
    """Small slices of real public data; see the README there."""
    return folder_or_skip("BULKFORMER_DATA", ROOT.parent / "shared" / "data")
