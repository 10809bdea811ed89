"""A vector is compared under the same head; which head to use is a question of its own."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bulkformer.evaluate.comparisons import comparisons
from bulkformer.evaluate.task import load_task
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


VALUES = {
    ("bulkformer", "ridge"): 0.4, ("bulkformer", "token_mlp"): 0.7, ("pca", "ridge"): 0.45,
    ("ridge", "elastic_net"): 0.8,
}  # fmt: skip


def test_an_arm_that_was_scored_on_a_part_of_the_targets_meets_only_its_like(
    tmp_path: Path,
) -> None:
    # The chosen genes have the highest r by construction: elastic net and tokens know no more.
    part = {arm: {"n": 10} for arm in (("bulkformer", "token_mlp"), ("ridge", "elastic_net"))}
    rows = compare_heads(tmp_path, VALUES, part)
    best = rows[rows["role"] == "best_of_each"].set_index(["model", "head"])
    met = best[["opponent", "opponent_head"]].agg(tuple, 1).to_dict()
    assert met["bulkformer", "token_mlp"] == ("ridge", "elastic_net")
    assert met["bulkformer", "ridge"] == ("pca", "ridge")
    assert "of those scored on the same targets" in best.iloc[0]["opponent_rule"]
    # With all on the same targets each model has one best head.
    (tmp_path / "all").mkdir()
    alike = compare_heads(tmp_path / "all", VALUES)
    best = alike[alike["role"] == "best_of_each"].set_index(["model", "head"])
    assert best["opponent_head"].to_dict()["bulkformer", "token_mlp"] == "elastic_net"
    assert ("bulkformer", "ridge") not in best.index


def test_without_a_simple_model_on_the_same_targets_there_is_no_comparison(tmp_path: Path) -> None:
    rows = compare_heads(tmp_path, VALUES, {("bulkformer", "token_mlp"): {"n": 10}})
    assert "token_mlp" not in set(rows["head"])
    assert "bulkformer" in set(rows["model"])


def test_where_models_know_other_genes_their_skills_are_not_compared(tmp_path: Path) -> None:
    value = {("bulkformer", "ridge"): 0.4, ("pca", "ridge"): 0.45, ("ridge", "ridge"): 0.41}
    rows = compare_heads(tmp_path, value, {("pca", "ridge"): {"gene_coverage": 0.9}}, 1.0)
    assert rows[["model", "opponent"]].drop_duplicates().values.tolist() == [
        ["bulkformer", "ridge"]
    ]
    (tmp_path / "all").mkdir()
    alike = compare_heads(tmp_path / "all", value, None, 1.0)
    assert set(alike["opponent"]) == {"pca"}


def test_a_comparison_of_too_few_units_does_not_count_in_its_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "foundation_2", "foundation")
    value = {("bulkformer", "ridge"): 0.4, ("foundation_2", "ridge"): 0.3, ("pca", "ridge"): 0.45}
    rows = compare_heads(tmp_path, value, names={("foundation_2", "ridge"): 1})
    rows = rows[rows["role"] == "reference"].set_index("model")
    assert np.isnan(rows.loc["foundation_2", "p_adjusted"])
    assert rows.loc["bulkformer", "p_adjusted"] < 0.05
    assert set(rows["n_family"]) == {1}


@pytest.mark.parametrize("name", ["disease_annotation", "gene_essentiality"])
def test_folds_that_rank_models_are_those_of_the_declared_headline(name: str) -> None:
    task = load_task(name)
    for protocol, regime in task.ranked.items():
        assert task.declared(protocol, "regime")[0] == regime


def folds(model: str, value: float, head: str, n: int = 5) -> UnitScores:
    """Macro-F1 of the folds of one repeat."""
    noise = np.random.default_rng(len(model)).normal(value, 0.01, n)
    names = [str(fold) for fold in range(n)]
    return UnitScores("d", "patient", "macro_f1", "fold", names, noise, head=head, repeat=0)


def compare_heads(
    folder: Path,
    value: dict[tuple[str, str], float],
    on: dict[tuple[str, str], dict[str, float]] | None = None,
    coverage: float | None = None,
    names: dict[tuple[str, str], int] | None = None,
) -> pd.DataFrame:
    """Compare models that have several heads each, on folds.

    `on` is what the metrics table says of n and coverage; `names` how many folds a model has.
    """
    paths, rows = [], []
    for model in dict.fromkeys(name for name, _ in value):
        heads = {head: of for (name, head), of in value.items() if name == model}
        paths.append(folder / f"{model}.parquet")
        about = {"task": "disease_annotation", "protocol": "strict", "model": model}
        parts = [
            folds(model, of, head, (names or {}).get((model, head), 5))
            for head, of in heads.items()
        ]
        write_units(paths[-1], about, parts)
        rows += [
            about
            | {"dataset": "d", "regime": "patient", "head": head, "metric": "macro_f1"}
            | {"aggregation": "pooled", "value": of, "exposure": "clean"}
            | {"n": 72, "gene_coverage": coverage}
            | (on or {}).get((model, head), {})
            | dict.fromkeys(["group", "fold", "repeat", "condition"])
            for head, of in heads.items()
        ]
    pd.DataFrame(rows).to_parquet(folder / "metrics.parquet")
    output = folder / "comparisons.parquet"
    comparisons(folder / "metrics.parquet", paths, json.dumps(KINDS), 50, 99, 1, output)
    return pd.read_parquet(output)
