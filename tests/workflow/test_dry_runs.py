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
    "prognosis",
    "drug_response",
    "perturbation",
    "gene_essentiality",
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


def test_the_slurm_profile_asks_for_a_gpu_for_each_process_on_one_node(project):
    (project / "processes.yaml").write_text("pretrain: {execution: {processes: 3}}\n")
    run = snakemake(
        project, "--profile", "profiles/slurm", "--dry-run",
        "--configfile", "config/config.yaml", "processes.yaml", "--", "pretrain",
    )  # fmt: skip
    plan = run.stdout.split("rule train:")[1].split("rule ")[0]
    resources = re.search("resources: (.*)", plan).group(1)
    assert "gpu=3" in resources
    assert "nodes=1" in resources
    assert "tasks" not in resources


OWN_RUN = ["model.safetensors", "config.json", "genes.parquet", "graph.parquet", "provenance.json"]


@pytest.fixture(scope="module")
def plan_of_mode(project):
    """Return a function: mode and format of released weights -> (output, planned jobs)."""
    for name in OWN_RUN:
        (project / "own").mkdir(exist_ok=True)
        (project / "own" / name).touch()

    def make(mode, format="paper", models="config/models.tsv", targets=("pretrain", "benchmarks")):
        folder = {"paper": "null", "latest": "bulkformer_latest", "run": "own"}[format]
        overlay = project / "overlay.yaml"
        overlay.write_text(
            f"tables: {{models: {models}}}\n"
            f"pretrain: {{mode: {mode}, released: {{format: {format}, folder: {folder}}}}}\n"
        )
        run = snakemake(
            project, "--profile", "profiles/local", "--dry-run", "--printshellcmds",
            "--configfile", "config/config.yaml", str(overlay), "--", *targets,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout[-2000:]
        return run.stdout, set(re.findall(r"^(\w+) +\d+$", run.stdout, re.MULTILINE))

    return make


@pytest.mark.parametrize(
    ("mode", "format", "makes_run", "makers"),
    [
        ("train", "paper", "train", {"train"}),
        ("released", "paper", "released_weights", {"released_weights"}),
        ("released", "latest", "released_weights", {"released_weights"}),
        ("fine-tune", "run", "train", {"train", "released_weights"}),
    ],
)
def test_every_mode_has_one_maker_of_the_run(plan_of_mode, mode, format, makes_run, makers):
    output, jobs = plan_of_mode(mode, format)
    assert jobs & {"train", "released_weights"} == makers
    folder = "--folder results/pretrain/bulkformer_37m "
    (made,) = [line for line in output.splitlines() if folder in f"{line} "]
    assert {"train": "pretrain.train ", "released_weights": "pretrain.released "}[makes_run] in made
    started = "--start results/pretrain/bulkformer_37m_released" in output
    assert started == (mode == "fine-tune")
    released = "--release results/pretrain/bulkformer_37m" in output
    assert released == (mode != "train")
    assert ("--graph results/graph/coexpression.json" in output) == (mode == "train")


def test_a_row_of_the_models_table_compares_released_weights_with_a_run_of_its_own(
    plan_of_mode, project
):
    rows = (project / "config/models.tsv").read_text()
    row = rows.splitlines()[1].replace("bulkformer\t", "published\t", 1)
    row = row.replace("\ttrained\t", "\treleased\t")
    (project / "config/two.tsv").write_text(f"{rows}{row}\n")
    output, jobs = plan_of_mode("train", models="config/two.tsv", targets=["benchmarks"])
    assert {"train", "released_weights"} <= jobs
    folder = "--weights results/pretrain/bulkformer_37m"
    for model, weights in (("bulkformer", folder), ("published", f"{folder}_released")):
        lines = [line for line in output.splitlines() if f"--model {model} " in line]
        assert any(f"{weights} " in line for line in lines), model
    assert "--release results/pretrain/bulkformer_37m_released/provenance.json" in output


def test_released_files_that_a_run_does_not_use_are_neither_sought_nor_listed(plan_of_mode):
    output, _ = plan_of_mode("train", "latest", targets=["data"])
    assert "bulkformer_latest" not in output


def test_no_profile_is_loaded_behind_the_users_back(root):
    assert not (root / "profiles" / "default").exists()
    assert not (root / "workflow" / "profiles").exists()


def jobs_of(output: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+) +(\d+)$", output.split("Job stats:")[1], re.MULTILINE))


def test_the_graph_ablation_trains_every_graph_again_without_a_line_in_the_config(project):
    demo = ["--profile", "profiles/demo", "--dry-run"]
    run = snakemake(project, *demo, "graph_ablation")
    assert run.returncode == 0, run.stdout[-2000:]
    jobs = jobs_of(run.stdout)
    assert jobs["graph_ablation_train"] == jobs["graph_ablation_metrics"] == "10"
    assert jobs["no_graph"] == jobs["compare_graphs"] == "1"
    assert "train" not in jobs
    every = jobs_of(snakemake(project, *demo, "all").stdout)
    assert every["render"] == "1"
    assert not [rule for rule in every if "ablation" in rule or rule == "compare_graphs"]


def test_the_report_shows_the_graph_ablation_only_if_asked_and_null_takes_it_away(project):
    base = ["--configfile", "config/config.yaml", "config/demo.yaml"]
    demo = ["--profile", "profiles/demo", "--dry-run"]
    for section, target, expected in [
        ("{graphs: [none, string], repeats: 2, in_report: true}", "report", "compare_graphs"),
        ("null", "graph_ablation", "set evaluate.imputation and"),
    ]:
        asked = project / "ablation.yaml"
        asked.write_text(f"evaluate:\n  graph_ablation: {section}\n")
        run = snakemake(project, *demo, target, *base, str(asked))
        assert expected in run.stdout + (run.stderr or "")


def test_the_overlay_for_those_who_accept_no_licence_needs_no_file_by_hand(root, project):
    block = re.search(
        r"```yaml\n(# fetched_only\.yaml\n.*?)```", (root / "README.md").read_text(), re.S
    )
    (project / "fetched_only.yaml").write_text(block[1])
    configs = ["--configfile", "config/config.yaml", "fetched_only.yaml"]
    run = snakemake(project, "--profile", "profiles/local", "--dry-run", "all", *configs)
    assert run.returncode == 0, run.stdout[-2000:]
    jobs = re.findall(r"^(\w+) +\d+$", run.stdout.split("Job stats:")[1], re.MULTILINE)
    assert "download" in jobs
    assert "by_hand" not in jobs


def test_a_reference_that_is_no_simple_model_is_refused_before_any_job(project):
    for named in ("prognosi=pca", "imputation=rigde", "prognosis=bulkformer"):
        overlay = f"evaluate: {{comparisons: {{references: ['{named}']}}}}\n"
        (project / "reference.yaml").write_text(overlay)
        configs = ["--configfile", "config/config.yaml", "config/demo.yaml", "reference.yaml"]
        run = snakemake(project, "--profile", "profiles/demo", "--dry-run", *configs)
        assert run.returncode != 0
        assert f"evaluate.comparisons.references: '{named}'" in run.stdout
