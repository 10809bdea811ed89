"""A vector is compared under the same head; which head to use is a question of its own."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.evaluate.comparisons import comparisons
from bulkformer.evaluate.units import UnitScores, write_units

KINDS = {"bulkformer": "foundation", "ridge": "classical", "pca": "classical"}


def test_an_encoder_meets_the_best_simple_one_of_its_own_head_and_its_best_head_the_best(
    tmp_path: Path,
) -> None:
    value = {
        ("bulkformer", "random_forest"): 0.5, ("bulkformer", "logistic_regression"): 0.6,
        ("bulkformer", "own_head"): 0.4, ("pca", "random_forest"): 0.55,
        ("ridge", "random_forest"): 0.52, ("ridge", "logistic_regression"): 0.3,
    }  # fmt: skip
    rows = compare_heads(tmp_path, value)
    roles = rows.set_index(["role", "model", "head"])[["opponent", "opponent_head"]].agg(tuple, 1)
    same = roles["reference"]["bulkformer"].to_dict()
    assert same == {
        "random_forest": ("pca", "random_forest"),
        "logistic_regression": ("ridge", "logistic_regression"),
    }
    best = roles["best_of_each"]
    assert best["bulkformer"].to_dict() == {"logistic_regression": ("pca", "random_forest")}
    assert not rows.loc[rows["role"] == "best_of_each", "primary"].any()
    assert rows["opponent_rule"].str.contains("these test splits, which favours it").all()


def folds(model: str, value: float, head: str) -> UnitScores:
    """Macro-F1 of five folds of one repeat."""
    noise = np.random.default_rng(len(model)).normal(value, 0.01, 5)
    names = [str(fold) for fold in range(5)]
    return UnitScores("d", "patient", "macro_f1", "fold", names, noise, head=head, repeat=0)


def compare_heads(folder: Path, value: dict[tuple[str, str], float]) -> pd.DataFrame:
    """Compare models that have several heads each, on folds."""
    paths, rows = [], []
    for model in dict.fromkeys(name for name, _ in value):
        heads = {head: of for (name, head), of in value.items() if name == model}
        paths.append(folder / f"{model}.parquet")
        about = {"task": "disease_annotation", "protocol": "strict", "model": model}
        write_units(paths[-1], about, [folds(model, of, head) for head, of in heads.items()])
        rows += [
            about
            | {"dataset": "d", "regime": "patient", "head": head, "metric": "macro_f1"}
            | {"aggregation": "pooled", "value": of, "exposure": "clean"}
            | dict.fromkeys(["group", "fold", "repeat"])
            for head, of in heads.items()
        ]
    pd.DataFrame(rows).to_parquet(folder / "metrics.parquet")
    output = folder / "comparisons.parquet"
    comparisons(folder / "metrics.parquet", paths, json.dumps(KINDS), 50, 99, 1, output)
    return pd.read_parquet(output)
