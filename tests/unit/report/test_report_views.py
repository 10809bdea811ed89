"""Which rows of the metrics table stand side by side, and what their intervals allow to say."""

import pandas as pd
import pytest
from report_mock import CONFIG, MODELS, described, metrics_table

from bulkformer.errors import InputError
from bulkformer.evaluate.task import load_task
from bulkformer.report.conclusions import card
from bulkformer.report.figures import Estimate
from bulkformer.report.masks import mask_curves
from bulkformer.report.readings import compare
from bulkformer.report.tables import metric_cell
from bulkformer.report.views import (
    Measure,
    comparisons,
    headline_condition,
    overall,
    tasks_of,
)

DESCRIBED = described(MODELS)
KINDS = {name: about["kind"] for name, about in DESCRIBED.items()}


@pytest.fixture(scope="module")
def metrics() -> pd.DataFrame:
    return metrics_table(DESCRIBED).to_pandas()


@pytest.fixture
def corpus(metrics):
    pairs = comparisons(metrics, "imputation", CONFIG)
    return next(pair for pair in pairs if pair.dataset == "corpus")


def test_imputation_comes_first_whatever_the_order_of_the_table(metrics):
    assert tasks_of(metrics) == ["imputation", "disease_annotation"]


def test_only_rows_about_all_of_the_data_are_compared(metrics):
    rows = overall(metrics)
    assert rows[["group", "fold", "repeat"]].isna().all(axis=None)
    assert len(rows) < len(metrics)


def test_legacy_meets_strict_within_one_dataset(corpus):
    assert corpus.regimes == {"legacy": "held_out_samples", "strict": "held_out_groups"}
    assert set(corpus.rows["condition"]) == {"random 15%"}


def test_models_are_ranked_by_the_first_strict_measure(corpus):
    values = [corpus.estimate(model, corpus.strict[0]).value for model in corpus.models()]
    assert values == sorted(values, reverse=True)
    assert corpus.models()[-1] == "gene_mean"


def test_the_best_simple_model_is_a_baseline_or_classical_and_never_the_floor(corpus):
    assert corpus.best_simple(corpus.strict[0], KINDS) == "ridge"
    only_floor = dict.fromkeys(KINDS, "foundation") | {"gene_mean": "baseline"}
    assert corpus.best_simple(corpus.strict[0], only_floor) is None


def test_the_best_simple_model_was_scored_on_the_same_targets(corpus):
    measure, rows = corpus.strict[0], corpus.rows
    rows.loc[rows["model"] == "ridge", "n"] = 100  # the genes that are told best
    assert corpus.best_simple(measure, KINDS, "bulkformer") == "pca"
    assert corpus.best_simple(measure, KINDS) == "pca"
    rows.loc[rows["model"] == "bulkformer", "n"] = 100
    corpus.__dict__.pop("by_measure")
    assert corpus.best_simple(measure, KINDS, "bulkformer") == "ridge"
    rows.loc[rows["model"] == "bulkformer", "gene_coverage"] = 0.5
    corpus.__dict__.pop("by_measure")
    assert corpus.best_simple(measure, KINDS, "bulkformer") is None
    assert corpus.estimates("bulkformer", "ridge", measure)[1] is None


def test_of_several_heads_of_a_model_those_scored_on_most_targets_answer(metrics):
    pair = comparisons(metrics, "disease_annotation", CONFIG)[0]
    heads = pair.rows["head"].isin(["logistic_regression"]) & (pair.rows["model"] == "log_tpm")
    pair.rows.loc[heads, ["n", "value"]] = [10, 0.99]
    measure = Measure("strict", "macro_f1", "pooled")
    assert pair.row("log_tpm", measure)["head"] == "random_forest"
    assert pair.row("log_tpm", measure, {"n": 10, "gene_coverage": None})["value"] == 0.99


def test_the_condition_shown_first_is_the_one_that_was_declared(metrics):
    settings = {"evaluate": {"imputation": {"mask_fractions": [0.5, 0.15]}}}
    declared = load_task("imputation").declared("strict", "condition")
    pairs = comparisons(metrics, "imputation", settings)
    assert {pair.condition for pair in pairs} == set(declared)


def test_a_model_with_its_own_head_answers_for_every_head(metrics):
    pair = comparisons(metrics, "disease_annotation", CONFIG)[0]
    assert [measure.head for measure in pair.strict] == ["logistic_regression", "random_forest"]
    assert len({pair.row("majority", measure)["value"] for measure in pair.strict}) == 1
    assert len({pair.row("log_tpm", measure)["value"] for measure in pair.strict}) == 2


def test_two_rows_that_claim_the_same_place_are_an_error(metrics):
    twice = pd.concat([metrics, metrics[metrics["model"] == "ridge"]], ignore_index=True)
    pair = comparisons(twice, "imputation", CONFIG)[0]
    with pytest.raises(InputError, match="2 rows for imputation, corpus"):
        pair.estimate("ridge", pair.legacy)


def test_a_missing_value_counts_as_not_run(corpus):
    corpus.rows.loc[corpus.rows["model"] == "ridge", "value"] = float("nan")
    assert corpus.estimate("ridge", corpus.legacy) is None
    assert corpus.models()[-1] == "ridge"


@pytest.mark.parametrize(
    ("conditions", "chosen"),
    [
        ([("legacy", "random 5%"), ("strict", "random 15%")], "random 5%"),
        ([("legacy", "random 5%"), ("legacy", "b"), ("strict", "b")], "b"),
        ([("legacy", None), ("strict", None)], None),
    ],
)
def test_without_a_declared_headline_it_is_a_condition_that_both_protocols_have(conditions, chosen):
    rows = pd.DataFrame(conditions, columns=["protocol", "condition"])
    assert headline_condition(rows) == chosen


def test_the_first_declared_condition_that_is_there_is_the_headline():
    rows = pd.DataFrame(
        [("legacy", "auc"), ("strict", "ln_ic50")], columns=["protocol", "condition"]
    )
    assert headline_condition(rows, ["ln_ic50", "auc"]) == "ln_ic50"


def test_mask_curves_ascend_and_leave_out_other_masks(metrics, corpus):
    rows = metrics[(metrics["dataset"] == "corpus") & (metrics["condition"] == "random 50%")]
    more = pd.concat([metrics, rows.assign(condition="panel L1000")], ignore_index=True)
    points = mask_curves(more, corpus, corpus.strict[0])["bulkformer"]
    assert [share for share, _ in points] == [15, 50]


def test_measures_are_named_in_words_even_if_unknown():
    assert Measure("strict", "macro_f1", "pooled").title == "Strict: macro F1"
    assert Measure("legacy", "new_metric", "fold_mean").name == "new metric, fold mean"


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        (Estimate(0.5, 0.4, 0.6), Estimate(0.2, 0.1, 0.3), "above"),
        (Estimate(0.2, 0.1, 0.3), Estimate(0.5, 0.4, 0.6), "below"),
        (Estimate(0.5, 0.3, 0.7), Estimate(0.4, 0.2, 0.6), "overlap"),
        (Estimate(0.5, 0.4, 0.6), Estimate(0.3, 0.2, 0.4), "overlap"),
        (Estimate(0.9), Estimate(0.1, 0.0, 0.2), "unknown"),
        (None, Estimate(0.1, 0.0, 0.2), "unknown"),
    ],
)
def test_a_reading_says_no_more_than_the_intervals_allow(one, other, verdict):
    assert compare(one, other) == verdict


def test_a_card_is_about_the_model_named_bulkformer(metrics):
    pair = comparisons(metrics, "disease_annotation", CONFIG)[0]
    shown = card(pair, "card", DESCRIBED)
    assert shown.subject == "bulkformer"
    assert {reading.verdict for reading in shown.readings} <= {"above", "below", "overlap"}
    texts = " ".join(reading.text for reading in shown.readings)
    assert "permuted_labels, the floor" in texts
    assert "log_tpm, the best simple model" in texts
    assert "bulkformer_random, its untrained architecture" in texts


def test_without_a_foundation_model_a_card_says_so(metrics, corpus):
    simple = {name: about for name, about in DESCRIBED.items() if "bulkformer" not in name}
    shown = card(corpus, "card", simple)
    assert shown.readings[0].text == "No foundation model was run on this dataset."


def test_a_collapse_at_another_mask_stands_in_the_card(metrics):
    hard = (metrics["condition"] == "random 50%") & (metrics["model"] == "bulkformer")
    hard &= metrics["metric"] == "mse_skill"
    worse = metrics.assign(
        **{name: metrics[name].where(~hard, -2.0) for name in ("value", "ci_low", "ci_high")}
    )
    shown = card(comparisons(worse, "imputation", CONFIG)[0], "card", DESCRIBED, 0.15)
    (said,) = (each.text for each in shown.elsewhere)
    assert said == "with random 50% of genes hidden: below gene_mean"


def test_the_higher_floor_of_a_measure_is_the_one_that_counts(metrics):
    pair = comparisons(metrics, "disease_annotation", CONFIG)[0]
    assert pair.higher_floor(pair.strict[0]) == "permuted_labels"
    without = comparisons(metrics[metrics["model"] != "permuted_labels"], pair.task, CONFIG)[0]
    assert without.higher_floor(without.strict[0]) == "majority"


def test_a_card_shows_every_strict_head_both_floors_and_the_study_oracle(metrics):
    pair = comparisons(metrics, "disease_annotation", CONFIG)[0]
    shown = card(pair, "card", DESCRIBED)
    headings = [column.label for column in shown.table.columns]
    assert "Macro F1, logistic_regression" in headings
    assert "Macro F1, random_forest" in headings
    rows = {row[0].text: row[0].note for row in shown.table.rows}
    assert {"bulkformer", "bulkformer_random", "majority", "permuted_labels"} <= set(rows)
    assert "the label is the study" in rows["study_oracle"]


def test_groups_are_named_and_a_label_that_is_the_study_is_said(metrics):
    oracle = (metrics["model"] == "study_oracle") & (metrics["dataset"] == "tcga_cancer_type")
    known = metrics.assign(value=metrics["value"].where(~oracle, 1.0))
    cards = {
        pair.dataset: card(pair, "card", DESCRIBED)
        for pair in comparisons(known, "disease_annotation", CONFIG)
    }
    assert cards["tcga_cancer_type"].facts[0] == "Groups of this dataset: patients."
    assert "one study may lie on both sides" in cards["tcga_cancer_type"].facts[1]
    assert cards["tcga_cancer_type"].cautions[0].startswith("The label is the study: study_oracle")
    assert cards["disignatlas_disease"].facts == ["Groups of this dataset: studies."]
    assert cards["disignatlas_disease"].cautions == []


def test_only_external_cohorts_bear_the_footnote_on_unmeasured_genes(metrics):
    shown = {
        pair.dataset: card(pair, "card", DESCRIBED)
        for pair in comparisons(metrics, "imputation", CONFIG)
    }
    assert shown["corpus"].footnotes == []
    assert "as zeros" in shown["tcga"].footnotes[0]


@pytest.mark.parametrize(
    ("change", "note", "flag"),
    [
        ({"n_groups": 12}, "[0.400, 0.600]", ""),
        ({"n_groups": 3}, "[0.400, 0.600]", "3 studies"),
        ({"n_groups": 1}, "[0.400, 0.600]", "1 study"),
        ({"n_groups": 3, "ci_low": None, "ci_high": None}, "no interval: only 3 groups", ""),
    ],
)
def test_an_interval_over_few_groups_says_over_how_many(change, note, flag):
    row = {
        "value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 40, "ci_unit": "study", "n_boot": 200,
        "n_seeds": 1, "exposure": "clean", "split_sha256": "ab" * 32, "head": None,
    }  # fmt: skip
    cell = metric_cell(row | change)
    assert (cell.note, cell.flag) == (note, flag)
