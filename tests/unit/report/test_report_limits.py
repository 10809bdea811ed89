"""What the data do not allow to say is read from what the stages wrote, and said."""

from types import SimpleNamespace
from typing import Any

import pytest
from report_mock import CONFIG, MODELS, described, metrics_table, write_inputs

from bulkformer.report.limits import few_of, limits
from bulkformer.report.render import render
from bulkformer.report.views import comparisons

SURVIVAL = {"table": "survival", "patients": 96, "events": {"OS": 58, "PFI": 140}}
RESPONSE = {"table": "response", "cell_lines": 580, "drugs": 170}
DEPENDENCY = {"table": "dependency", "binary": True, "joined": {"cell_lines": 380, "genes": 15000}}
PERTURBATION = {
    "table": "perturbation", "treated": 79, "perturbagens": 70, "cell_lines": 5, "controls": 500,
    "joined": {"genes": 978},
}  # fmt: skip


def inputs(task: str, settings: dict[str, Any], outcomes=(), coverage=()) -> Any:
    config = {"evaluate": {task: settings}}
    return SimpleNamespace(provenance={"config": config}, outcomes=outcomes, coverage=coverage)


def said(*of: Any) -> list[tuple[str, bool]]:
    return [(limit.text, limit.grave) for limit in limits(*of, [])]


def test_events_and_not_patients_decide_whether_survival_is_small() -> None:
    for endpoint, events, grave in (("OS", "58 events of OS", True), ("PFI", "140 events", False)):
        known = inputs("prognosis", {"endpoint": endpoint}, [SURVIVAL])
        ((text, is_grave),) = said(known, "prognosis")
        assert events in text
        assert is_grave is grave


def test_calls_in_place_of_effects_are_said() -> None:
    found = said(inputs("gene_essentiality", {}, [DEPENDENCY]), "gene_essentiality")
    assert ("380 cell lines were screened for 15,000 genes.", False) in found
    assert any("calls, needed or not" in text and grave for text, grave in found)
    effects = DEPENDENCY | {"binary": False}
    assert len(said(inputs("gene_essentiality", {}, [effects]), "gene_essentiality")) == 1


def test_few_treated_profiles_and_their_intensities_are_said() -> None:
    found = said(inputs("perturbation", {}, [PERTURBATION]), "perturbation")
    assert found[0][0].startswith("79 treated profiles of 70 compounds in 5 cell lines")
    assert found[0][1]
    assert "intensities and not as reads" in found[1][0]


@pytest.mark.parametrize(("lines", "grave"), [(580, False), (39, True)])
def test_lines_and_drugs_are_counted(lines: int, grave: bool) -> None:
    ((text, is_grave),) = said(
        inputs("drug_response", {}, [RESPONSE | {"cell_lines": lines}]), "drug_response"
    )
    assert text == f"{lines} cell lines and 170 drugs have a response."
    assert is_grave is grave


def test_a_cohort_that_is_small_no_counts_or_lacks_genes_is_said_of_its_tasks_alone() -> None:
    cohort = {
        "cohort": "lines", "unit": "z_score", "transform": "log2(x+1)", "samples_kept": 40,
        "vocabulary_share": 0.04, "genes_measured": 706, "vocabulary_genes": 20010,
    }  # fmt: skip
    other = cohort | {"cohort": "other"}
    full = {"cohort": "lines", "unit": "counts", "samples_kept": 400, "vocabulary_share": 0.99}
    task = "drug_response"
    texts = [text for text, _ in said(inputs(task, {"cohort": "lines"}, (), [cohort, other]), task)]
    assert texts == [
        "lines: 40 samples.",
        "lines: the file states z score as log2(x+1), not counts: neither library size nor what "
        "was left out of the sum is known.",
        "lines: 706 of 20,010 genes of the vocabulary were measured.",
    ]
    assert said(inputs(task, {"cohort": "lines"}, (), [full]), task) == []


def test_few_groups_behind_the_headline_are_said_and_flagged() -> None:
    metrics = metrics_table(described(MODELS)).to_pandas()
    for groups, flag in ((6, "6 studies"), (60, "")):
        pairs = comparisons(metrics.assign(n_groups=groups), "imputation", CONFIG)
        known = inputs("imputation", {})
        assert few_of(known, "imputation", pairs) == flag
        assert bool(limits(known, "imputation", pairs)) == bool(flag)


def test_limits_stand_in_the_section_of_the_task(tmp_path) -> None:
    arguments = write_inputs(tmp_path, models=described(["bulkformer", "ridge", "gene_mean"]))
    outcome = tmp_path / "survival.json"
    outcome.write_text('{"patients": 96, "events": {"OS": 58}}')
    coverage = tmp_path / "tcga.coverage.json"
    coverage.write_text('{"cohort": "tcga", "unit": "tpm", "samples_kept": 30}')
    config = CONFIG["evaluate"]["imputation"] | {"external_cohorts": ["tcga"]}
    arguments |= write_inputs(
        tmp_path, models=described(["bulkformer", "ridge", "gene_mean"]),
        config=CONFIG | {"evaluate": CONFIG["evaluate"] | {"imputation": config}},
    )  # fmt: skip
    coverage.write_text('{"cohort": "tcga", "unit": "tpm", "samples_kept": 30}')
    render(**arguments, outcome=[outcome])
    page = arguments["page"].read_text()
    section = page[page.index('<section id="imputation">') :]
    assert "tcga: the file states TPM, not counts" in section
    assert "tcga: 30 samples." in section
