"""The page repeats what the paired comparisons say, word for word, and hides none of them."""

import html
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_mock import CONFIG, described, metrics_table, write_inputs
from report_mock_paired import (
    SETTINGS,
    WORSE,
    comparison,
    comparisons_table,
    line_models,
    response_metrics,
    write_paired,
)

from bulkformer.errors import InputError
from bulkformer.evaluate.comparisons import COMPARISONS
from bulkformer.report.conclusions import comparison_title
from bulkformer.report.paired import sentences
from bulkformer.report.render import render
from bulkformer.report.views import comparisons

EVALUATE = CONFIG["evaluate"] | {"drug_response": SETTINGS}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Imputation and drug response on one page, with comparisons and ablation."""
    folder = tmp_path_factory.mktemp("paired")
    shown = described(["bulkformer", "ridge", "gene_mean"])
    models = {name: row | {"tasks": "imputation"} for name, row in shown.items()}
    config = CONFIG | {"evaluate": EVALUATE}
    arguments = write_inputs(folder, models=models | line_models(), config=config)
    both = pa.concat_tables([metrics_table(models), response_metrics()])
    pq.write_table(both, arguments["metrics"])
    render(**arguments, **write_paired(folder))
    return html.unescape(arguments["page"].read_text())


def test_every_sentence_of_a_foundation_model_by_the_main_score_stands_on_the_page(
    page: str,
) -> None:
    assert f"gdsc, held out lines: {WORSE}" in page


def test_only_the_reference_the_primary_score_and_foundation_models_make_the_headline() -> None:
    said = sentences(comparisons_table().to_pandas(), "drug_response", line_models())
    assert [(each.verdict, WORSE in each.text) for each in said] == [("below", True)]


def test_the_best_of_each_stands_behind_the_same_head_and_only_in_the_headline() -> None:
    rows = [
        comparison("bulkformer", "worse", "One.", role="best_of_each", primary=False,
                   opponent_head="forest"),
        comparison("bulkformer", "worse", "Said.", role="best_of_each", primary=False),
        comparison("bulkformer", "better", "Elsewhere.", role="best_of_each", primary=False,
                   regime="held_out_tissues"),
        comparison("bulkformer", "worse", "Two."),
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=COMPARISONS).to_pandas()
    said = [each.text for each in sentences(table, "drug_response", line_models())]
    assert said == ["gdsc, held out lines: Two.", "gdsc, held out lines, best head of each: One."]


def test_a_strict_regime_is_compared_by_the_heads_that_it_fits_beside_the_one_legacy_regime() -> (
    None
):
    pairs = comparisons(response_metrics().to_pandas(), "drug_response", {"evaluate": EVALUATE})
    titles = [comparison_title(pair) for pair in pairs]
    assert titles == ["gdsc, held out lines", "gdsc, held out scaffolds"]
    assert [measure.head for measure in pairs[1].strict] == ["two_step_ridge", "gradient_boosting"]
    assert all(pair.regimes["legacy"] == "random_pairs" for pair in pairs)
    assert pairs[1].row("bulkformer", pairs[1].strict[0])["value"] == 0.31


def test_a_model_with_several_heads_of_its_own_is_shown_by_the_better_one() -> None:
    pair = comparisons(response_metrics().to_pandas(), "drug_response", {"evaluate": EVALUATE})[0]
    assert pair.row("drug_mean", pair.strict[0])["value"] == 0.0
    twice = pd.concat([pair.rows, pair.rows])
    object.__setattr__(pair, "rows", twice)
    pair.__dict__.pop("by_measure")
    with pytest.raises(InputError, match="rows for drug_response"):
        pair.row("bulkformer", pair.strict[0])


def test_the_ablation_stands_with_the_graphs_and_says_what_it_shows(page: str) -> None:
    assert "Does the graph matter?" in page
    assert "Graph 'string' is better than 'none'." in page


def test_what_a_task_cannot_say_stands_in_the_methods(page: str) -> None:
    assert "Response in a dish" in page
    assert "Nadeau and Bengio" in page
    assert "Perturbation: another modality" not in page


def test_perturbation_has_a_banner_about_its_modality(tmp_path: Path) -> None:
    config = CONFIG | {"evaluate": {"perturbation": {"strict": {"heads": ["ridge"]}}}}
    arguments = write_inputs(tmp_path, models=line_models(), config=config)
    table = response_metrics().to_pandas().assign(task="perturbation")
    table["metric"] = "pearson_level"
    pq.write_table(
        pa.Table.from_pandas(table.iloc[:1], schema=response_metrics().schema), arguments["metrics"]
    )
    render(**arguments)
    assert "Perturbation: another modality" in arguments["page"].read_text()


def test_without_comparisons_the_page_has_none(tmp_path: Path) -> None:
    arguments = write_inputs(tmp_path, models=described(["bulkformer", "gene_mean"]))
    render(**arguments)
    assert "Better than the best simple model?" not in arguments["page"].read_text()


def test_a_comparisons_table_without_a_column_is_refused(tmp_path: Path) -> None:
    arguments = write_inputs(tmp_path, models=described(["bulkformer", "gene_mean"]))
    broken = tmp_path / "broken.parquet"
    pq.write_table(comparisons_table().drop_columns(["sentence"]), broken)
    with pytest.raises(InputError, match="no column sentence"):
        render(**arguments, comparisons=broken)
