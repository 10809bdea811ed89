"""A step that fails is a job that failed, also where its output goes through a pipe."""

import pytest

from checkout import copy_project, snakemake

pytestmark = pytest.mark.workflow

INPUTS = ["expression/genes.parquet", "expression/corpus.parquet", "graph/coexpression.parquet"]


@pytest.mark.parametrize("ending", ["sys.exit(75)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_training_that_stops_or_dies_is_no_success(root, tmp_path, ending):
    project = copy_project(root, tmp_path / "project")
    (project / "workflow/lib/bulkformer/pretrain/train.py").write_text(
        "import os, signal, sys\n"
        "print('error: out of luck', file=sys.stderr, flush=True)\n"
        f"{ending}\n"
    )
    for name in [*INPUTS, "expression/archs4/log_tpm.arrow"]:
        path = project / "results/demo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    alone = ["--allowed-rules", "train", "--rerun-triggers", "mtime"]
    run = snakemake(project, "--profile", "profiles/demo", "train", *alone)
    assert run.returncode != 0
    assert "Error in rule train" in run.stdout
    assert "latency-wait" not in run.stdout
    log = project / "logs/demo/pretrain/bulkformer_demo.log"
    assert "error: out of luck" in log.read_text()
