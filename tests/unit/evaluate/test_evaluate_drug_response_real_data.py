"""GDSC as published: 170 drugs on 580 lines, with the expression of 706 cancer genes as vectors.

The vectors are z-scores over all 580 lines, test lines among them, and the 706 genes were chosen
because they matter in cancer: the values show wiring and floors, and judge no model.
"""

import numpy as np
import pandas as pd
import pytest
from response_world import ResponseWorld, settings

from bulkformer.outcomes.cell_lines import cell_lines
from bulkformer.outcomes.drugs import drugs
from bulkformer.outcomes.response import response

pytestmark = pytest.mark.real_data
TEXT = settings(min_lines=30, strict={"regimes": ["held_out_lines"], "folds": 5})


@pytest.fixture(scope="module")
def world(tmp_path_factory, development_data):
    found = ResponseWorld(tmp_path_factory.mktemp("gdsc"))

    def places(name):
        return {"output": found.table(name), "summary": found.root / f"{name}.json"}

    folder = development_data / "drug_response"
    passports = development_data / "essentiality/cell_models.csv.gz"
    cell_lines(passports=passports, **places("cell_lines"))
    drugs(
        compounds=folder / "drug_smiles_tgsa.csv", format="table", dataset="TGSA",
        columns="name=drug_name;pubchem_cid=CID;smiles=IsomericSMILES", **places("drugs"),
    )  # fmt: skip
    response(
        curves=[folder / "gdsc_lnic50_tgsa.parquet"], format="table", dataset="TGSA",
        drugs=found.table("drugs"), cell_lines=found.table("cell_lines"),
        columns="cell_line=depmap_id", **places("response"),
    )  # fmt: skip
    expression = pd.read_parquet(folder / "ccle_580x706_expr_zscore.parquet")
    found.embed(expression.index.tolist(), expression.to_numpy())
    found.split(TEXT)
    return found


def test_the_drug_mean_pools_to_its_floor_and_knows_nothing_of_lines(world):
    rows = world.predict(TEXT, "strict", "drug_mean", "ridge")
    scores = world.scores(TEXT, "strict")

    def value(head, metric, aggregation):
        return scores["held_out_lines", head, metric, aggregation].estimate

    assert rows["drug_id"].nunique() == 170
    assert value("drug_mean", "pearson", "pooled").value == pytest.approx(0.834, abs=0.005)
    assert value("drug_mean", "per_drug_pearson", "mean_over_groups").value == 0
    # What pooling out-of-fold means without deviations makes of nothing.
    naive = value("drug_mean", "per_drug_pearson_raw", "mean_over_groups").value
    assert -0.25 < naive < -0.05

    ridge = value("ridge", "per_drug_pearson", "mean_over_groups")
    assert 0.2 < ridge.low < ridge.value < ridge.high < 0.6
    pooled = value("ridge", "pearson", "pooled").value
    print(f"per-drug PCC of ridge {ridge}, pooled {pooled:.3f}, naive drug mean {naive:.3f}")
    assert value("ridge", "interaction_pearson", "pooled").low > 0
    assert value("drug_mean", "interaction_pearson", "pooled").value == 0
    # Much better lines by line, hardly better pooled.
    assert 0 < pooled - value("drug_mean", "pearson", "pooled").value < 0.06


def test_in_random_pairs_a_line_is_known_without_its_expression(world):
    world.predict(TEXT, "legacy", "drug_line_means", "drug_mean")
    scores = world.scores(TEXT, "legacy")
    additive = scores["random_pairs", "drug_line_means", "pearson", "pooled"].estimate.value
    assert additive == pytest.approx(0.902, abs=0.005)
    by_drug = scores["random_pairs", "drug_line_means", "per_drug_pearson", "mean_over_groups"]
    assert by_drug.estimate.value == pytest.approx(0.64, abs=0.01)


def test_no_scaffold_of_real_drugs_lies_in_two_folds(world):
    world.split(settings(min_lines=30, strict={"regimes": ["held_out_scaffolds"], "folds": 5}))
    folds = world.folds("strict", "held_out_scaffolds")
    assert len(folds) == 170
    assert folds.groupby("group")["fold"].nunique().max() == 1
    assert np.ptp(folds["fold"].value_counts()) < 10
