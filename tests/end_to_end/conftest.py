"""One run of the demo for all tests that look at what it made."""

import json

import numpy as np
import pandas as pd
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


@pytest.fixture(scope="session")
def results(project):
    return project / "results/demo"


@pytest.fixture(scope="session")
def metrics(results):
    return pd.read_parquet(results / "evaluate/metrics.parquet")


@pytest.fixture(scope="session")
def planted(project):
    """What the simulation made the outcomes depend on."""
    return json.loads((project / "resources/demo/simulate/outcomes.json").read_text())


@pytest.fixture(scope="session")
def simulated(project):
    """Return a function: table of the simulation -> its rows, activities [n, programs] apart."""

    def read(name):
        table = pd.read_parquet(project / f"resources/demo/simulate/{name}.parquet")
        return table.drop(columns="activity"), np.stack(table["activity"].tolist())

    return read
