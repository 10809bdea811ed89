"""Made-up rows of the tasks on cell lines, of paired comparisons and of the graph ablation."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from report_mock import metric

from bulkformer.evaluate.comparisons import COMPARISONS
from bulkformer.evaluate.graph_ablation import ABLATION
from bulkformer.evaluate.metrics import METRICS

LINE_MODELS = {  # model: kind, weights, per-drug correlation
    "bulkformer": ("foundation", "trained", 0.31),
    "pca": ("classical", "fitted", 0.33),
    "log_tpm": ("baseline", "none", 0.36),
    "drug_mean": ("baseline", "none", 0.0),
    "permuted": ("control", "none", 0.01),
}
STRICT = {
    "held_out_lines": ["ridge", "gradient_boosting"],
    "held_out_scaffolds": ["two_step_ridge", "gradient_boosting"],
}
SETTINGS = {
    "legacy": {"folds": 5},
    "strict": {
        "folds": 4,
        "repeats": 1,
        "regimes": list(STRICT),
        "heads": ["ridge", "two_step_ridge", "gradient_boosting"],
    },
}


def line_models() -> dict[str, dict[str, Any]]:
    """Return their rows of the models table."""
    return {
        name: {"kind": kind, "weights": weights, "tasks": "drug_response", "description": name}
        for name, (kind, weights, _) in LINE_MODELS.items()
    }


def response_metrics() -> pa.Table:
    """Return rows of drug response: one legacy regime, two strict ones with heads of their own."""
    rows = []
    for model, (_, weights, skill) in LINE_MODELS.items():
        about = {
            "task": "drug_response", "dataset": "gdsc", "model": model, "weights": weights,
            "exposure": "unknown" if model == "bulkformer" else "clean",
        }  # fmt: skip
        own = [["drug_mean"], ["drug_mean", "drug_mean_of_line"]] if model == "drug_mean" else None
        for head in own[0] if own else ["mlp"]:
            about |= {"protocol": "legacy", "regime": "random_pairs", "head": head}
            rows.append(metric(0.83 + skill / 10, metric="pearson", aggregation="pooled", **about))
        for regime, heads in STRICT.items():
            for number, head in enumerate(own[1] if own else heads):
                about |= {"protocol": "strict", "regime": regime, "head": head, "ci_unit": "drug"}
                value = max(skill - 0.02 * number, 0.0)
                for name, joined in [
                    ("per_drug_pearson", "mean_over_groups"),
                    ("interaction_pearson", "pooled"),
                    ("pearson", "pooled"),
                ]:
                    rows.append(metric(value, metric=name, aggregation=joined, **about))
    return pa.Table.from_pylist(rows, schema=METRICS)


def comparison(model: str, verdict: str, said: str, **more: Any) -> dict[str, Any]:
    """Return one row of the comparisons table."""
    return {
        "task": "drug_response", "protocol": "strict", "dataset": "gdsc",
        "regime": "held_out_lines", "metric": "per_drug_pearson", "unit_kind": "drug",
        "role": "reference", "model": model, "head": "ridge", "opponent": "log_tpm",
        "opponent_head": "ridge", "opponent_rule": "the best simple one", "primary": True,
        "n_units": 170, "n_units_model": 170, "n_units_opponent": 170, "value_model": 0.31,
        "value_opponent": 0.36, "mean_difference": -0.05, "mean_low": -0.07, "mean_high": -0.03,
        "median_difference": -0.04, "win_rate": 0.21, "decided_by": "wilcoxon",
        "correction": "holm", "n_family": 12, "p_adjusted": 0.0004, "verdict": verdict,
        "exposure": "unknown", "opponent_exposure": "clean", "sentence": said,
    } | more  # fmt: skip


WORSE = "bulkformer with ridge is worse than log_tpm with ridge by per drug pearson."
NOTHING = "No difference shown between pca with ridge and log_tpm with ridge."
FEW = "Too few to decide: bulkformer with ridge against drug_mean."


def comparisons_table() -> pa.Table:
    """Return a comparison of each kind; one has no interval, p, or correction."""
    undecided = dict.fromkeys(
        ["mean_low", "mean_high", "p_adjusted", "correction", "decided_by", "win_rate"]
    )
    rows = [
        comparison("bulkformer", "worse", WORSE),
        comparison("pca", "no_difference_shown", NOTHING),
        comparison("bulkformer", "too_few_units", FEW, primary=False, n_units=3, **undecided),
    ]
    return pa.Table.from_pylist(rows, schema=COMPARISONS)


def ablation_rows() -> pa.Table:
    """Return an ablation of three graphs, the first of which the others are compared with."""
    about = {
        "protocol": "strict", "dataset": "corpus", "regime": "held_out_groups",
        "condition": "random 15%", "metric": "mse_skill", "unit_kind": "study", "n_repeats": 3,
        "n_units": 24, "reference": "none", "exposure": "clean",
    }  # fmt: skip
    values = np.array([0.41, 0.42, 0.46])
    rows = [
        about | {"graph": name, "value": value, "least_repeat": value - 0.01,
                 "greatest_repeat": value + 0.01}
        for name, value in zip(["none", "random", "string"], values, strict=True)
    ]  # fmt: skip
    rows[1] |= {"mean_difference": 0.01, "low": -0.01, "high": 0.03, "p_adjusted": 0.4}
    rows[1] |= {"verdict": "no_difference_shown", "sentence": "No difference shown between graphs."}
    rows[2] |= {"mean_difference": 0.05, "low": 0.03, "high": 0.07, "p_adjusted": 0.001}
    rows[2] |= {"verdict": "better", "sentence": "Graph 'string' is better than 'none'."}
    return pa.Table.from_pylist(rows, schema=ABLATION)


def write_paired(folder: Path) -> dict[str, Path]:
    """Write both tables and return the arguments of the render step that name them."""
    pq.write_table(comparisons_table(), folder / "comparisons.parquet")
    pq.write_table(ablation_rows(), folder / "ablation.parquet")
    return {
        "comparisons": folder / "comparisons.parquet",
        "ablation": folder / "ablation.parquet",
    }
