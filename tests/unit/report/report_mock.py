"""Writes the inputs of the report as the other stages write them, with made-up numbers.

The numbers tell the story that the report must be able to show: a gene mean with a high pooled
correlation and strict scores of 0, a trained model above it, and untrained weights close to it.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from report_mock_stages import graph, history_rows, literature, recovery, training

from bulkformer.evaluate.metrics import METRICS

# model: kind, weights, tasks, skill between 0 (knows nothing) and 1
MODELS = {
    "bulkformer": ("foundation", "trained", "imputation,disease_annotation", 0.72),
    "bulkformer_mean": ("foundation", "trained", "disease_annotation", 0.7),
    "bulkformer_random": ("control", "random", "imputation,disease_annotation", 0.12),
    "pca": ("classical", "fitted", "imputation,disease_annotation", 0.6),
    "ridge": ("classical", "fitted", "imputation", 0.75),
    "log_tpm": ("baseline", "none", "disease_annotation", 0.78),
    "tissue_mean": ("baseline", "fitted", "imputation", 0.25),
    "gene_mean": ("baseline", "fitted", "imputation", 0.0),
    "majority": ("control", "none", "disease_annotation", 0.0),
    "permuted_labels": ("control", "none", "disease_annotation", 0.05),
    "study_oracle": ("control", "none", "disease_annotation", 0.02),
}
IMPUTATION_REGIMES = [
    ("corpus", "legacy", "held_out_samples"),
    ("corpus", "strict", "held_out_groups"),
    ("tcga", "legacy", "external"),
    ("tcga", "strict", "external"),
]
DATASETS = {"tcga_cancer_type": "patient", "disignatlas_disease": "study"}
OWN_HEADS = ("majority", "permuted_labels", "study_oracle")
CONDITIONS = ["random 15%", "random 50%"]
CONFIG = {
    "seed": 42,
    "sources": {"mode": "simulate"},
    "pretrain": {"graph": "coexpression", "training": {"mask_fraction": 0.15}},
    "evaluate": {
        "bootstrap": 200,
        "imputation": {"mask_fractions": [0.15, 0.5], "mask_repeats": 2},
        "disease_annotation": {
            "datasets": [],
            "legacy": {"folds": 5, "components": 20, "trees": 100},
            "strict": {
                "folds": 4, "repeats": 2, "trees": 100,
                "heads": ["logistic_regression", "random_forest"],
            },
        },
    },
}  # fmt: skip


def write_inputs(
    folder: Path,
    models: dict[str, dict[str, Any]] | None = None,
    config: dict[str, Any] = CONFIG,
    cohorts: dict[str, Any] | None = None,
    sources: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write all inputs below `folder` and return the arguments of the render step."""
    models = models or described(MODELS)
    cohorts = cohorts or {
        name: {"expression": f"{name}/counts", "description": f"The cohort {name}"}
        for name in ("archs4", "tcga")
    }
    sources = sources or [
        {"source": name, "file": "counts", "version": "v1", "licence": "open", "citation": "A 2020"}
        for name in ("archs4", "tcga")
    ]
    write = folder.joinpath
    write("provenance.json").write_text(
        json.dumps(
            {
                "config": config, "cohorts": cohorts, "models": models, "sources": sources,
                "bulkformer": "0.1.0", "library_sha256": "ab" * 32,
                "git": {"revision": "c0ffee" * 6, "dirty": False}, "python": "3.11.2",
                "platform": "Linux", "packages": {"numpy": "2.4.6", "torch": None},
            }
        )
    )  # fmt: skip
    pq.write_table(metrics_table(models), write("metrics.parquet"))
    pq.write_table(pa.Table.from_pylist(exposure_rows(models, cohorts)), write("exposure.parquet"))
    write("corpus.json").write_text(json.dumps(corpus()))
    for number, name in enumerate(cohorts):
        write(f"{name}.coverage.json").write_text(json.dumps(coverage(name, number)))
    for name in ("coexpression", "string"):
        write(f"{name}.json").write_text(json.dumps(graph()))
        write(f"{name}.recovery.json").write_text(json.dumps(recovery(name)))
    pq.write_table(pa.Table.from_pylist(history_rows()), write("history.parquet"))
    write("training.json").write_text(json.dumps(training()))
    literature().to_csv(write("published.csv"), index=False)
    literature("Somebody et al.").to_csv(write("independent.csv"), index=False)
    return {
        "title": "A report",
        "provenance": write("provenance.json"),
        "metrics": write("metrics.parquet"),
        "exposure": [write("exposure.parquet")],
        "corpus": write("corpus.json"),
        "coverage": [write(f"{name}.coverage.json") for name in cohorts],
        "graph": [write("coexpression.json"), write("string.json")],
        "recovery": [write("coexpression.recovery.json"), write("string.recovery.json")],
        "history": write("history.parquet"),
        "training": write("training.json"),
        "literature": write("published.csv"),
        "independent": write("independent.csv"),
        "page": write("index.html"),
        "metrics_csv": write("metrics.csv"),
        "numbers": [write("imputation.html"), write("disease_annotation.html")],
    }


def described(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return rows of the models table for models of MODELS."""
    rows = {}
    for name in names:
        kind, weights, tasks, _ = MODELS[name]
        rows[name] = {
            "kind": kind, "weights": weights, "tasks": tasks, "description": f"What {name} is",
        }  # fmt: skip
    return rows


def metrics_table(models: dict[str, dict[str, Any]]) -> pa.Table:
    """Return a metrics table with every model in each of its tasks."""
    rng = np.random.default_rng(0)
    rows = []
    for model, about in models.items():
        skill = MODELS[model][3] if model in MODELS else 0.3 + 0.4 * rng.random()
        if "imputation" in about["tasks"]:
            rows += imputation_rows(model, about["weights"], skill)
        if "disease_annotation" in about["tasks"]:
            rows += annotation_rows(model, about["weights"], skill)
    return pa.Table.from_pylist(rows, schema=METRICS).sort_by(
        [(name, "ascending") for name in ("task", "protocol", "dataset", "regime", "condition")]
    )


def metric(value: float, half: float | None = 0.02, **more: Any) -> dict[str, Any]:
    """Return one row of the metrics table."""
    interval = {} if half is None else {"ci_low": value - half, "ci_high": value + half}
    return {
        "value": value, **interval, "n": 7200, "n_groups": 12, "n_seeds": 1, "ci_unit": "study",
        "n_boot": 200, "seed": 42, "exposure": "clean", "split_sha256": "5e" * 32,
    } | more  # fmt: skip


def imputation_rows(model: str, weights: str, skill: float) -> list[dict[str, Any]]:
    """Return rows in which pooled correlation is high for every model and strict ones tell."""
    rows = []
    for dataset, protocol, regime in IMPUTATION_REGIMES:
        for condition in CONDITIONS:
            hidden = float(condition.removeprefix("random ").removesuffix("%")) / 100
            known = skill * (1.05 - 0.5 * hidden**2) * (0.85 if regime == "external" else 1)
            about = {
                "task": "imputation", "dataset": dataset, "protocol": protocol, "regime": regime,
                "condition": condition, "model": model, "weights": weights,
                "exposure": "seen_unlabelled"
                if regime == "held_out_samples" and weights in ("trained", "fitted")
                else "clean",
            }  # fmt: skip
            null = 0.02 if skill else 0.0
            for name, aggregation, value, half, more in [
                ("pearson", "pooled", 0.86 + 0.1 * known, 0.01, {}),
                ("mse_skill", "pooled", 0.8 * known - 0.02 * (skill > 0), null, {}),
                ("per_gene_pearson_deviation", "mean_over_groups", known, null,
                 {"n": 1904, "n_groups": 1904, "ci_unit": "gene"}),
                ("per_gene_pearson_deviation", "median_over_groups", known, null,
                 {"n": 1904, "n_groups": 1904, "ci_unit": "gene"}),
                ("centred_per_sample_pearson", "mean_over_groups", 0.9 * known, null, {}),
            ]:  # fmt: skip
                more = more | {"n_seeds": 2 if protocol == "strict" else 1}
                row = metric(value, half, metric=name, aggregation=aggregation, **about, **more)
                rows.append(row)
                if protocol == "strict":
                    rows += [row | {"repeat": repeat} for repeat in (0, 1)]
    return rows


def annotation_rows(model: str, weights: str, skill: float) -> list[dict[str, Any]]:
    """Return rows with a legacy head, two strict heads, and a head of its own for `majority`."""
    rows = []
    for dataset, kind in DATASETS.items():
        for protocol, regime in (("legacy", "random_folds"), ("strict", "grouped_folds")):
            heads = CONFIG["evaluate"]["disease_annotation"]["strict"]["heads"]
            heads = ["pca_random_forest"] if protocol == "legacy" else heads
            for number, head in enumerate([model] if model in OWN_HEADS else heads):
                known = 0.08 + (0.85 if protocol == "legacy" else 0.6 - 0.03 * number) * skill
                about = {
                    "task": "disease_annotation", "dataset": dataset, "protocol": protocol,
                    "regime": regime, "model": model, "weights": weights, "head": head,
                    "ci_unit": kind, "n": 72, "n_seeds": 1 if protocol == "legacy" else 2,
                }  # fmt: skip
                for name, aggregation, value in [
                    ("weighted_f1", "fold_mean", known + 0.05),
                    ("weighted_f1", "pooled", known + 0.04),
                    ("macro_f1", "pooled", known),
                    ("balanced_accuracy", "pooled", known + 0.02),
                ]:
                    row = metric(value, 0.06, metric=name, aggregation=aggregation, **about)
                    rows += [row, row | {"fold": 0, "repeat": 0, "ci_low": None, "ci_high": None}]
                rows.append(
                    metric(
                        known, 0.1, metric="f1", aggregation="pooled", group_kind="class",
                        group="BRCA", **about,
                    )
                )  # fmt: skip
                if kind == "study":
                    rows.append(
                        metric(
                            0.5 + 0.3 * skill, 0.1, metric="within_study_disease_auc",
                            aggregation="weighted", **about,
                        )
                    )  # fmt: skip
    return rows


def exposure_rows(models: dict[str, Any], cohorts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ledger; the corpus cohort has a row for each held-out part."""
    places = [(name, "all_samples") for name in cohorts]
    places += [("archs4", "held_out_samples"), ("archs4", "held_out_groups")]
    rows = []
    for model, about in models.items():
        for cohort, regime in places:
            learns = about["weights"] in ("trained", "fitted") and cohort == "archs4"
            seen = learns and regime != "held_out_groups"
            rows.append(
                {
                    "model": model, "weights": about["weights"], "cohort": cohort, "regime": regime,
                    "exposure": "seen_unlabelled" if seen else "clean",
                    "evidence": "learned from this cohort: 36 of 36 share a study with it"
                    if seen else "none of 96 samples, their patients or studies is in the corpus",
                    "n_samples": 96,
                }
            )  # fmt: skip
    return rows


def corpus() -> dict[str, Any]:
    """Return corpus.json."""
    split = {"train": 240, "validation": 42, "held_out_groups": 50, "held_out_samples": 28}
    return {
        "cohorts": ["archs4"], "group_by": ["study_id"], "seed": 42, "samples": 360,
        "samples_repeated": 3, "samples_by_split": split, "samples_by_cohort": {"archs4": 360},
        "samples_by_cohort_and_split": {"archs4": split}, "groups": 24, "largest_group": 31,
        "groups_by_split": {"train": 16, "validation": 3, "held_out_groups": 4,
                            "held_out_samples": 14},
        "corpus_sha256": "cd" * 32,
    }  # fmt: skip


def coverage(cohort: str, number: int) -> dict[str, Any]:
    """Return coverage.json of a cohort."""
    return {
        "cohort": cohort, "genes_measured": 1950 - number, "vocabulary_genes": 2000,
        "samples": 380 - 90 * number, "samples_kept": 360 - 90 * number,
        "samples_dropped": {"few_detected_genes": 12, "single_cell": 8},
        "median_library_size": 812345.0, "median_genes_detected": 1612.0,
    }  # fmt: skip
