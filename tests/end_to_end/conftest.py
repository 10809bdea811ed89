"""One run of the demo for all tests that look at what it made."""

import pytest

from checkout import DEMO, copy_project, snakemake

FOLD = "results/demo/evaluate/folds/tcga_cancer_type/strict/repeat_0_fold_0"
FOLD_GRAPH = f"{FOLD}/coexpression.parquet"


@pytest.fixture(scope="session")
def project(root, tmp_path_factory):
    """A clean checkout with the demo, its cohorts as h5ad, and the graph of one fold."""
    folder = copy_project(root, tmp_path_factory.mktemp("demo") / "project")
    run = snakemake(folder, *DEMO, "all", "data", "h5ad", FOLD_GRAPH)
    assert run.returncode == 0, run.stdout[-5000:]
    return folder
