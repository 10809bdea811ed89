"""Each benchmark has a target of its own, which plans what that benchmark needs and no more."""

import re

import pytest
import yaml

from checkout import copy_project, snakemake

pytestmark = pytest.mark.workflow

# Cohorts whose samples are read, whose samples become vectors, and tables of outcomes.
NEEDS = {
    "imputation": ({"archs4", "tcga"}, set(), set()),
    "disease_annotation": (
        {"archs4", "tcga", "gtex", "disignatlas"},
        {"tcga", "gtex", "disignatlas"},
        set(),
    ),
    "prognosis": ({"archs4", "tcga"}, {"tcga"}, {"survival", "clinical"}),
    "drug_response": ({"archs4", "depmap"}, {"depmap"}, {"cell_lines", "drugs", "response"}),
    "perturbation": ({"archs4"}, set(), {"perturbation"}),
    "gene_essentiality": ({"archs4", "depmap"}, {"depmap"}, {"cell_lines", "dependency"}),
}
# Of the rule files that tasks have, those whose rules a target may plan beside its own.
STEPS_OF = {"imputation": {"imputation", "imputation_differential"}}
DEMO = ["--profile", "profiles/demo", "--dry-run"]


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    return copy_project(root, tmp_path_factory.mktemp("targets") / "project")


@pytest.fixture(scope="module")
def plans(project):
    """{task: (what a dry run of its target printed, planned rules)}."""
    found = {}
    for task in NEEDS:
        run = snakemake(project, *DEMO, "--printshellcmds", task)
        assert run.returncode == 0, run.stdout[-2000:]
        jobs = re.findall(r"^(\w+) +\d+$", run.stdout.split("Job stats:")[1], re.MULTILINE)
        found[task] = run.stdout, set(jobs) - {"total"}
    return found


def rules_of(project, task):
    text = (project / f"workflow/rules/{task}.smk").read_text()
    return set(re.findall(r"^ *rule (\w+):", text, re.MULTILINE))


@pytest.mark.parametrize("task", NEEDS)
def test_a_benchmark_alone_plans_no_rule_of_another(project, plans, task):
    _, jobs = plans[task]
    own = STEPS_OF.get(task, {task})
    assert any(rules_of(project, step) & jobs for step in own)
    for other in {*NEEDS, "imputation_differential"} - own:
        assert not rules_of(project, other) & jobs, other
    assert not jobs & {"collect_metrics", "comparisons", "render", "export"}


@pytest.mark.parametrize("task", NEEDS)
def test_a_benchmark_alone_reads_no_cohort_and_embeds_none_that_it_does_not_test(plans, task):
    text, _ = plans[task]
    cohorts, embedded, outcomes = NEEDS[task]
    assert set(re.findall(r"results/demo/expression/(\w+)/log_tpm", text)) == cohorts
    assert set(re.findall(r"results/demo/embed/\w+/(\w+)/samples\.parquet", text)) == embedded
    assert set(re.findall(r"results/demo/outcomes/(\w+)\.parquet", text)) == outcomes


@pytest.mark.parametrize("task", NEEDS)
def test_a_benchmark_alone_scores_only_models_of_its_own_rows(project, plans, task):
    text, _ = plans[task]
    header, *lines = (project / "config/models.tsv").read_text().splitlines()
    rows = [dict(zip(header.split("\t"), line.split("\t"), strict=False)) for line in lines]
    steps = STEPS_OF.get(task, {task})
    evaluate = yaml.safe_load((project / "config/demo.yaml").read_text())["evaluate"]
    own = {
        row["model"]
        for row in rows
        for step in steps & set(row["tasks"].split(","))
        if row["model"] not in evaluate[step].get("without", [])
    }
    scored = re.findall(r"results/demo/evaluate/(\w+)/\w+/(\w+)/metrics\.parquet", text)
    assert {name for name, _ in scored} == steps
    assert {model for _, model in scored} == own


@pytest.mark.parametrize(
    "task", ["prognosis", "drug_response", "perturbation", "gene_essentiality"]
)
def test_the_target_of_a_benchmark_that_was_left_out_names_the_key(project, task):
    (project / "without.yaml").write_text(yaml.safe_dump({"evaluate": {task: None}}))
    configs = ["config/config.yaml", "config/demo.yaml", "without.yaml"]
    run = snakemake(project, *DEMO, task, "--configfile", *configs)
    assert run.returncode != 0
    assert f"evaluate.{task} is null" in run.stdout


def test_benchmarks_that_are_left_out_hinder_no_other(project):
    further = ["prognosis", "drug_response", "perturbation", "gene_essentiality"]
    without = dict.fromkeys([*further, "imputation_differential"])
    (project / "left_out.yaml").write_text(yaml.safe_dump({"evaluate": without}))
    configs = ["config/config.yaml", "config/demo.yaml", "left_out.yaml"]
    run = snakemake(project, *DEMO, "imputation", "report", "--configfile", *configs)
    assert run.returncode == 0, run.stdout[-2000:]
    jobs = run.stdout.split("Job stats:")[1]
    assert "imputation_predictions" in jobs
    assert not [task for task in without if f"{task}_predictions" in jobs]
