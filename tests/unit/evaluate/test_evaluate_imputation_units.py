"""A model that knows no value of a group, a repeat or a condition does not disturb the others."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.evaluate.metrics import _of_file
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import Scoring, open_predictions
from bulkformer.evaluate.tasks.imputation_genes import SPREADS
from bulkformer.evaluate.tasks.imputation_scores import PREDICTIONS, TASK

N_GROUPS, N_SAMPLES, N_GENES = 12, 6, 20  # a group has half as many samples as there are here
SCORING = Scoring("strict", {}, {("d", "held_out_groups"): "study"}, Bootstrap(50, 1))


def write(path: Path, unknown: dict[int, list[int]], repeats: int = 2) -> pd.DataFrame:
    """Write predictions that lack, in each repeat, all values of the groups of `unknown`."""
    rng = np.random.default_rng(0)
    genes = [f"g{gene:02d}" for gene in range(N_GENES)]
    schema = PREDICTIONS.with_metadata({SPREADS: json.dumps(dict.fromkeys(genes, 1.0))})
    parts = []
    with pq.ParquetWriter(path, schema) as writer:
        for repeat in range(repeats):
            sample, gene = (
                each.ravel() for each in np.indices((N_GROUPS * N_SAMPLES // 2, N_GENES))
            )
            group = sample % N_GROUPS
            truth = rng.normal(size=len(sample))
            told = truth + rng.normal(size=len(sample))
            told[np.isin(group, unknown.get(repeat, []))] = np.nan
            rows = pd.DataFrame(
                {
                    "task": "imputation", "dataset": "d", "protocol": "strict",
                    "regime": "held_out_groups", "condition": "random 15%", "model": "narrow",
                    "fold": 0, "seed": 1, "repeat": repeat,
                    "sample_id": [f"s{each}" for each in sample],
                    "group": [f"GSE{each:02d}" for each in group],
                    "target_id": [genes[each] for each in gene],
                    "y_true": truth, "y_pred": told, "y_reference": 0.0,
                }
            )  # fmt: skip
            parts.append(rows)
            writer.write_table(pa.Table.from_pandas(rows, schema=schema, preserve_index=False))
    return pd.concat(parts)


def found(path: Path) -> tuple[dict, dict]:
    """Return {(metric, repeat): score} of pooled scores, and {metric: units}."""
    saved = open_predictions(path, TASK)
    scores = [each for each in TASK.score(saved, SCORING) if each.group is None]
    pooled = {(each.metric, each.repeat): each for each in scores if each.aggregation == "pooled"}
    units = {each.metric: dict(zip(each.unit, each.value, strict=True)) for each in _units(saved)}
    return pooled, units


def _units(saved: pq.ParquetFile):
    return TASK.units(saved, SCORING)


def test_a_group_of_which_one_repeat_knows_nothing_is_scored_on_the_other(tmp_path):
    path = tmp_path / "predictions.parquet"
    rows = write(path, {0: [3, 5], 1: [5]})
    pooled, units = found(path)
    skill = units["mse_skill"]
    assert list(skill) == [f"GSE{group:02d}" for group in range(N_GROUPS)]
    assert [name for name, value in skill.items() if np.isnan(value)] == ["GSE05"]
    own = rows[(rows["group"] == "GSE03") & rows["y_pred"].notna()]
    assert set(own["repeat"]) == {1}
    error = ((own["y_true"] - own["y_pred"]) ** 2).sum()
    assert skill["GSE03"] == pytest.approx(1 - error / (own["y_true"] ** 2).sum(), rel=1e-4)
    assert [pooled["mse", repeat].n_groups for repeat in (None, 0, 1)] == [10, 10, 11]
    first = rows[(rows["repeat"] == 0) & rows["y_pred"].notna()]
    mse = ((first["y_true"] - first["y_pred"]) ** 2).mean()
    assert pooled["mse", 0].estimate.value == pytest.approx(mse, rel=1e-4)
    r = first["y_true"].corr(first["y_pred"], method="spearman")
    assert pooled["spearman", 0].estimate.value == pytest.approx(r)


def test_a_repeat_of_which_nothing_is_known_is_left_out_and_named(tmp_path, capsys):
    path = tmp_path / "predictions.parquet"
    write(path, {0: list(range(N_GROUPS))})
    pooled, _ = found(path)
    assert pooled["mse", None].n_seeds == 1
    assert "model 'narrow' predicts none" in capsys.readouterr().err


def test_a_model_that_knows_nothing_hidden_is_named_with_file_and_condition(tmp_path):
    path = tmp_path / "predictions.parquet"
    write(path, {0: list(range(N_GROUPS))}, repeats=1)
    scores = TASK.score(open_predictions(path, TASK), SCORING)
    with pytest.raises(
        InputError, match=r"predictions\.parquet: model 'narrow' .* of d, .*, random 15%"
    ):
        list(_of_file(path, scores))
