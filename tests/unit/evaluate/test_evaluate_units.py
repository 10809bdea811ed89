"""Scores of units are what the metrics table is made of: recomputed here from saved predictions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from evaluate_world import World, split_imputation
from test_evaluate_imputation import predict

from bulkformer.errors import InputError
from bulkformer.evaluate.statistics import Bootstrap, Estimate
from bulkformer.evaluate.task import Score, Scoring, load_task, open_predictions
from bulkformer.evaluate.tasks.disease_annotation_units import units_of_folds
from bulkformer.evaluate.units import UNITS, UnitScores, read_units, write_units

OF = {"task": "t", "protocol": "strict", "model": "m"}


def part(**changes: object) -> UnitScores:
    content = {
        "dataset": "d", "regime": "r", "metric": "skill", "unit_kind": "drug",
        "unit": ["b", "a", "c"], "value": np.array([2.0, 1.0, np.nan]),
    }  # fmt: skip
    return UnitScores(**content | changes)


def test_units_are_sorted_and_those_without_a_score_left_out(tmp_path: Path) -> None:
    write_units(tmp_path / "units.parquet", OF, [part()])
    table = read_units(tmp_path / "units.parquet")
    assert table.schema.equals(UNITS)
    assert table["unit"].to_pylist() == ["a", "b"]
    assert table["value"].to_pylist() == [1.0, 2.0]
    assert table["model"].to_pylist() == ["m", "m"]
    assert table["head"].to_pylist() == [None, None]


def test_a_task_without_scores_of_units_writes_an_empty_table(tmp_path: Path) -> None:
    write_units(tmp_path / "units.parquet", OF, ())
    assert read_units(tmp_path / "units.parquet").num_rows == 0


def test_a_unit_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 units, or one twice"):
        write_units(tmp_path / "units.parquet", OF, [part(unit=["a", "a", "b"])])
    assert not (tmp_path / "units.parquet").exists()


def test_a_foreign_table_is_refused(tmp_path: Path) -> None:
    pq.write_table(read_table(tmp_path).drop_columns(["unit"]), tmp_path / "foreign.parquet")
    with pytest.raises(InputError, match="its columns are not task"):
        read_units(tmp_path / "foreign.parquet")
    with pytest.raises(InputError, match="no readable scores"):
        read_units(tmp_path / "absent.parquet")


def read_table(folder: Path) -> object:
    write_units(folder / "units.parquet", OF, [part()])
    return read_units(folder / "units.parquet")


def test_imputation_is_paired_by_held_out_groups_and_genes(imputation_world: World) -> None:
    manifest = split_imputation(imputation_world)
    path = predict(imputation_world, "strict", "visible_mean", manifest)
    task = load_task("imputation")
    kinds = pq.read_table(manifest).to_pandas()
    kinds = {(r.dataset, r.regime): r.group_kind for r in kinds.itertuples()}
    scoring = Scoring("strict", {}, kinds, Bootstrap(50, 1))
    saved = pd.read_parquet(path).astype({"group": str, "dataset": str, "condition": str})
    saved = saved[saved["y_pred"].notna()]
    found = {
        (each.dataset, each.condition, each.metric): each
        for each in task.units(open_predictions(path, task), scoring)
    }
    own = found["corpus", "random 15%", "mse_skill"]
    assert own.unit_kind == "study"
    assert own.metric == task.paired["strict"]
    rows = saved[(saved["dataset"] == "corpus") & (saved["condition"] == "random 15%")]
    for group, value in zip(own.unit, own.value, strict=True):
        of_group = rows[rows["group"] == group].astype({"y_true": float, "y_pred": float})
        error = ((of_group["y_pred"] - of_group["y_true"]) ** 2).sum()
        floor = ((of_group["y_reference"] - of_group["y_true"]) ** 2).sum()
        assert value == pytest.approx(1 - error / floor, rel=1e-4)
    assert found["external", "random 15%", "mse_skill"].unit_kind == "patient"
    genes = found["corpus", "random 15%", "per_gene_pearson_deviation"]
    assert genes.unit_kind == "gene"
    assert set(genes.unit) <= set(imputation_world.gene_ids)


def test_annotation_is_paired_by_folds_of_each_repeat_and_by_no_single_class() -> None:
    def score(fold: int | None, repeat: int, value: float, **more: object) -> Score:
        return Score("d", "r", "macro_f1", "pooled", Estimate(value), 9, 3, head="h", fold=fold,
                     repeat=repeat, **more)  # fmt: skip

    scores = [score(0, 0, 0.5), score(1, 0, 0.7), score(0, 1, 0.6), score(None, 0, 0.9)]
    scores.append(score(0, 0, 0.1, group_kind="class", group="BRCA"))
    found = list(units_of_folds(scores))
    assert [(each.repeat, each.unit, each.value.tolist()) for each in found] == [
        (0, ["0", "1"], [0.5, 0.7]),
        (1, ["0"], [0.6]),
    ]
