"""Same inputs and seed, same bytes: two runs of the whole chain on a small universe."""

import shutil

import pytest

from checkout import copy_project, snakemake

pytestmark = pytest.mark.end_to_end

SMALL = "tests/end_to_end/small"
CONFIGS = ["config/config.yaml", "config/demo.yaml", f"{SMALL}/config.yaml"]
# What carries numbers. Provenance files name the machine, and so may differ between machines.
COMPARED = [
    "expression/genes.parquet",
    "expression/corpus.parquet",
    "expression/tcga/log_tpm.arrow",
    "graph/union.parquet",
    "pretrain/bulkformer_small/model.safetensors",
    "pretrain/bulkformer_small/history.parquet",
    "embed/bulkformer/tcga/samples.parquet",
    "embed/vae/fit.safetensors",
    "evaluate/splits/imputation.parquet",
    "evaluate/splits/disease_annotation.parquet",
    "evaluate/imputation/strict/bulkformer/predictions.parquet",
    "evaluate/metrics.parquet",
    "evaluate/comparisons.parquet",
    "report/metrics.csv",
]


def run(root, folder):
    copy_project(root, folder)
    shutil.copytree(root / SMALL, folder / SMALL)
    done = snakemake(
        folder,
        *("--cores", "2", "--set-threads", "train=1", "--resources", "gpu=8"),
        *("--quiet", "progress", "--show-failed-logs", "--configfile", *CONFIGS),
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return folder / "results/small"


def test_two_runs_from_nothing_have_the_same_bytes(root, tmp_path):
    first, second = run(root, tmp_path / "first"), run(root, tmp_path / "second")
    for name in COMPARED:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
