"""One run of the demo for all tests that look at what it made."""

import pytest

from checkout import DEMO, copy_project, snakemake


@pytest.fixture(scope="session")
def project(root, tmp_path_factory):
    """A clean checkout in which the demo has run, with its cohorts exported as h5ad."""
    folder = copy_project(root, tmp_path_factory.mktemp("demo") / "project")
    run = snakemake(folder, *DEMO, "all", "data", "h5ad")
    assert run.returncode == 0, run.stdout[-5000:]
    return folder
