"""Rows of the models table that a task leaves out are not planned, and a misspelt one is named."""

import pytest
import yaml

from checkout import copy_project, snakemake

pytestmark = pytest.mark.workflow
CONFIGS = ["config/config.yaml", "config/demo.yaml", "left_out.yaml"]


def plan(project, without):
    content = {"evaluate": {"drug_response": {"without": without}}}
    (project / "left_out.yaml").write_text(yaml.safe_dump(content))
    return snakemake(
        project, "--profile", "profiles/demo", "--dry-run", "--printshellcmds", "drug_response",
        "--configfile", *CONFIGS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    return copy_project(root, tmp_path_factory.mktemp("left_out") / "project")


def test_slow_baselines_can_be_asked_for_and_the_panel_goes_to_its_row_alone(project):
    run = plan(project, ["log_tpm_elastic_net"])
    assert run.returncode == 0, run.stdout[-2000:]
    assert "drug_response/strict/log_tpm_forest/predictions.parquet" in run.stdout
    assert "/log_tpm_elastic_net/" not in run.stdout
    given = [line for line in run.stdout.splitlines() if " --panel " in line]
    assert len(given) == 2  # both protocols
    assert all("--model log_tpm_l1000 " in line for line in given)


def test_a_row_that_does_not_exist_cannot_be_left_out(project):
    run = plan(project, ["log_tmp_forest"])
    assert run.returncode != 0
    assert "evaluate.drug_response.without: 'log_tmp_forest' is unknown" in run.stdout
