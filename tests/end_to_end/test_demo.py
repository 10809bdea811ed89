"""The demo, from simulated raw counts to the report, and what its known truth lets us ask."""

import hashlib
import json
import re
import time

import pandas as pd
import pytest

from checkout import DEMO, snakemake

pytestmark = pytest.mark.end_to_end

BENCHMARKS = ["imputation", "disease_annotation", "prognosis", "drug_response", "perturbation"]
BENCHMARKS += ["gene_essentiality", "benchmarks"]


def one(metrics, **where):
    """Return the value of the single row that `where` describes."""
    chosen = metrics
    for column, value in where.items():
        chosen = chosen[chosen[column].isna() if value is None else chosen[column] == value]
    assert len(chosen) == 1, (where, len(chosen))
    return chosen["value"].iloc[0]


def strict_imputation(metrics, model, metric, aggregation):
    return one(
        metrics,
        task="imputation",
        protocol="strict",
        regime="held_out_groups",
        condition="random 15%",
        model=model,
        metric=metric,
        aggregation=aggregation,
        repeat=None,
        group=None,
    )


def nothing_to_be_done(project, *targets):
    run = snakemake(project, *DEMO, "--dry-run", *targets)
    assert run.returncode == 0, run.stdout
    return "Nothing to be done" in run.stdout


def test_a_second_run_has_nothing_to_do_also_after_the_library_was_touched(project):
    assert nothing_to_be_done(project)
    time.sleep(0.01)
    for path in (project / "workflow/lib").rglob("*.py"):
        path.touch()
    assert nothing_to_be_done(project)


def test_no_benchmark_has_anything_to_do_after_the_demo(project):
    assert nothing_to_be_done(project, *BENCHMARKS)


def test_a_changed_training_setting_trains_again_and_execution_or_title_do_not(project):
    def planned(overlay):
        (project / "overlay.yaml").write_text(overlay)
        configs = ["config/config.yaml", "config/demo.yaml", "overlay.yaml"]
        run = snakemake(project, *DEMO, "--dry-run", "--configfile", *configs)
        assert run.returncode == 0, run.stdout
        return re.findall(r"^rule (\w+):", run.stdout, re.MULTILINE)

    assert "train" in planned("pretrain: {revision: 2}")
    # The report says under which configuration it was made; nothing else depends on it.
    page_alone = ["provenance", "render", "all"]
    assert planned("pretrain: {execution: {checkpoint_minutes: 7, batch_size: 2}}") == page_alone
    retitled = planned("report: {title: another}")
    assert "render" in retitled
    assert "train" not in retitled


def test_the_coexpression_graph_recovers_planted_edges(results):
    recovery = json.loads((results / "graph/coexpression.recovery.json").read_text())
    assert recovery["correlation_auroc"] > 0.9
    assert recovery["precision"] > 10 * recovery["precision_by_chance"]


def test_groups_are_on_one_side_of_the_split(results):
    corpus = pd.read_parquet(results / "expression/corpus.parquet")
    by_split = corpus.groupby("split")["group"].agg(set)
    assert not by_split["train"] & by_split["held_out_groups"]
    assert not by_split["train"] & by_split["validation"]
    assert not by_split["validation"] & by_split["held_out_groups"]
    assert by_split["held_out_samples"] <= by_split["train"]


def test_graph_and_model_say_that_they_were_made_from_the_training_samples_alone(results):
    corpus = pd.read_parquet(results / "expression/corpus.parquet")
    training = sorted(corpus.loc[corpus["split"] == "train", "sample_id"])
    expected = hashlib.sha256("\n".join(training).encode()).hexdigest()
    model = json.loads((results / "pretrain/bulkformer_demo/provenance.json").read_text())
    assert model["training_samples_sha256"] == expected
    graph = json.loads((results / "graph/coexpression.json").read_text())
    assert graph["samples_used"] == len(training)
    assert graph["samples_sha256"] == expected


def test_the_trained_model_beats_the_gene_mean_on_held_out_studies(metrics):
    assert strict_imputation(metrics, "bulkformer", "mse_skill", "pooled") > 0
    assert (
        strict_imputation(metrics, "bulkformer", "per_gene_pearson_deviation", "mean_over_groups")
        > 0.3
    )


def test_the_trained_model_beats_its_untrained_self(metrics):
    for metric, aggregation in (
        ("mse_skill", "pooled"),
        ("per_gene_pearson_deviation", "mean_over_groups"),
    ):
        trained = strict_imputation(metrics, "bulkformer", metric, aggregation)
        untrained = strict_imputation(metrics, "bulkformer_random", metric, aggregation)
        assert trained > untrained


def test_a_null_model_looks_good_pooled_and_scores_nothing_in_strict_metrics(metrics):
    assert strict_imputation(metrics, "gene_mean", "pearson", "pooled") > 0.7
    assert (
        strict_imputation(metrics, "gene_mean", "per_gene_pearson_deviation", "mean_over_groups")
        == 0
    )
    assert abs(strict_imputation(metrics, "gene_mean", "mse_skill", "pooled")) < 1e-6


def test_every_number_says_on_what_it_rests(metrics):
    for column in ("n", "seed", "exposure", "split_sha256", "config_sha256", "weights"):
        assert metrics[column].notna().all(), column
    assert (metrics.loc[metrics["model"] == "bulkformer_random", "weights"] == "random").all()


def test_the_report_is_one_page_that_shows_both_protocols_and_every_model(results, metrics):
    page = (results / "report/index.html").read_text()
    assert len(page) < 3_000_000
    for word in ("legacy", "strict", "simulated", *metrics["model"].unique()):
        assert word in page, word
    for task in metrics["task"].unique():  # all numbers stand on a page of each task
        assert 0 < (results / f"report/{task}.html").stat().st_size < 3_000_000, task


def test_absent_genes_of_a_cohort_stay_absent(results):
    coverage = json.loads((results / "expression/disignatlas/coverage.json").read_text())
    assert 0.5 < coverage["vocabulary_share"] < 1
