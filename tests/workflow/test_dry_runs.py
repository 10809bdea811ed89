"""Every public target plans with every profile: offline, without data, without Slurm."""

import re
import time

import pytest

from checkout import copy_project, snakemake

pytestmark = pytest.mark.workflow

TARGETS = [
    "all",
    "data",
    "outcomes",
    "graph",
    "pretrain",
    "embeddings",
    "h5ad",
    "imputation",
    "disease_annotation",
    "benchmarks",
    "report",
]


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    return copy_project(root, tmp_path_factory.mktemp("dry_runs") / "project")


@pytest.mark.parametrize("profile", ["local", "slurm", "demo", "ci"])
def test_all_targets_plan_with_every_profile(project, profile):
    run = snakemake(project, "--profile", f"profiles/{profile}", "--dry-run", *TARGETS)
    assert run.returncode == 0, run.stdout[-2000:]
    assert "Nothing to be done" not in run.stdout


def test_the_papers_inputs_plan_offline_and_soon(project):
    """No data, no network: proxies that lead nowhere would stop whatever asked for an address."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    start = time.monotonic()
    run = snakemake(project, "--profile", "profiles/local", "data", "graph", "--dry-run", **nowhere)
    took = time.monotonic() - start
    print(f"\nsnakemake --profile profiles/local data graph -n: {took:.1f} s")
    assert run.returncode == 0, run.stdout[-2000:]
    jobs = re.findall(r"^(\w+) +\d+$", run.stdout.split("Job stats:")[1], re.MULTILINE)
    assert {"download", "cohort", "sketch", "corpus", "overlap", "coexpression"} <= set(jobs)
    assert took < 15


@pytest.mark.parametrize(
    ("target", "needs", "spares"),
    [
        ("data", "corpus", "train"),
        ("graph", "union", "train"),
        ("pretrain", "train", "embed"),
        ("embeddings", "embed", "metrics"),
        ("outcomes", "survival", "train"),
        ("h5ad", "export", "metrics"),
        ("results/demo/embed/archs4.h5ad", "export", "embed"),  # no task embeds the corpus
        (
            "results/demo/evaluate/folds/gtex_tissue/strict/repeat_0_fold_1/coexpression.parquet",
            "fold_samples",
            "corpus",
        ),
        ("imputation", "imputation_predictions", "disease_annotation_predictions"),
        ("disease_annotation", "disease_annotation_predictions", "imputation_predictions"),
        ("benchmarks", "collect_metrics", "render"),
        ("report", "render", None),
    ],
)
def test_a_target_plans_its_own_stage_and_no_later_one(project, target, needs, spares):
    run = snakemake(project, "--profile", "profiles/demo", "--dry-run", target)
    assert run.returncode == 0, run.stdout[-2000:]
    jobs = re.findall(r"^(\w+) +\d+$", run.stdout.split("Job stats:")[1], re.MULTILINE)
    assert needs in jobs
    assert spares not in jobs


@pytest.mark.parametrize(
    "target",
    ["embed/nope.h5ad", "evaluate/folds/nope/strict/repeat_0_fold_0/coexpression.parquet"],
)
def test_a_target_with_an_unknown_name_is_told_the_known_ones(project, target):
    run = snakemake(project, "--profile", "profiles/demo", "--dry-run", f"results/demo/{target}")
    assert run.returncode != 0
    assert re.search(r"'nope' is unknown; known are \w+", run.stdout)


def test_a_dry_run_without_a_target_plans_the_report(project):
    run = snakemake(project, "--profile", "profiles/demo", "--dry-run")
    assert run.returncode == 0
    assert "report/index.html" in run.stdout


def test_the_slurm_profile_asks_for_a_gpu_where_the_model_trains(project):
    run = snakemake(project, "--profile", "profiles/slurm", "--dry-run", "pretrain")
    plan = run.stdout.split("rule train:")[1].split("rule ")[0]
    assert "gpu=1" in plan
    assert "slurm_partition=gpu" in plan


def test_no_profile_is_loaded_behind_the_users_back(root):
    assert not (root / "profiles" / "default").exists()
    assert not (root / "workflow" / "profiles").exists()
