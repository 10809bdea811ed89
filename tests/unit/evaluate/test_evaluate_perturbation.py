"""The perturbation task finds what was planted, and nothing where nothing was."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from perturbation_world import PerturbationWorld, Wells, overall
from scipy.stats import pearsonr

from bulkformer.errors import InputError

REGIMES = ["held_out_compounds", "held_out_cells", "held_out_plates"]
BASELINES = ["no_change", "mean_delta", "cell_mean_delta", "cell_plus_compound"]
PRIMARY = "pearson_delta_beyond_mean"


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """What a compound changes depends on its group, on four rings; nothing is common to all."""
    return PerturbationWorld(tmp_path_factory.mktemp("planted")).ready(Wells())


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    """All compounds make the same change."""
    wells = Wells(common=1.0, specific=0.0)
    return PerturbationWorld(tmp_path_factory.mktemp("common")).ready(wells)


@pytest.fixture(scope="module")
def inert(tmp_path_factory):
    """No compound changes anything, and every set of controls is two noisy wells."""
    wells = Wells(specific=0.0, n_controls=2, n_plates=3, noise=0.5, seed=9)
    return PerturbationWorld(tmp_path_factory.mktemp("inert")).ready(wells)


def test_no_change_has_high_levels_and_no_change(planted):
    for protocol, regimes in (("strict", REGIMES), ("legacy", ["random_compounds"])):
        scores = planted.score("no_change", protocol)
        for regime in regimes:
            values = overall(scores, regime)
            assert values["pearson_level"] > 0.8
            assert values["pearson_delta"] == values["pearson_delta_top_genes"] == 0
            assert values[PRIMARY] == 0
            assert values["mae_skill"] == values["weighted_mse_skill"] == 0
            assert values["retrieval"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("protocol", ["legacy", "strict"])
def test_the_truth_scores_one_on_every_metric(planted, protocol):
    scores = planted.score("ground_truth", protocol)
    for regime in set(scores["regime"]):
        values = overall(scores, regime)
        assert values.pop("mae") == 0
        assert len(values) == 11
        assert values == pytest.approx(dict.fromkeys(values, 1.0), abs=1e-6)


def test_the_mean_change_predicts_only_what_is_common_to_all(planted, common):
    found = overall(common.score("mean_delta"), "held_out_compounds")
    assert found["pearson_delta"] > 0.8
    assert found[PRIMARY] == found["pearson_delta_deviation"] == 0
    assert found["retrieval"] == 0.5


def test_without_a_common_change_the_mean_change_predicts_nothing(inert):
    scores = inert.score("mean_delta")
    for regime in REGIMES:
        values = overall(scores, regime)
        assert abs(values["pearson_delta"]) < 0.05
        assert values[PRIMARY] == 0


def test_noise_of_shared_controls_is_no_skill_under_the_strict_protocol(inert):
    head = "cell_mean_delta"
    # Plates of one line share no plate effect here: all that is common is the noise of controls.
    assert overall(inert.score(head, "legacy"), "random_compounds")["pearson_delta"] > 0.15
    strict = overall(inert.score(head), "held_out_compounds")
    assert abs(strict["pearson_delta"]) < 0.07
    assert abs(strict[PRIMARY]) < 0.07


@pytest.mark.parametrize("head", ["ridge", "compound_neighbours"])
def test_a_held_out_family_is_predicted_from_its_structure(planted, head):
    values = overall(planted.score(head), "held_out_compounds")
    assert values[PRIMARY] > 0.6
    assert values["retrieval"] > 0.8
    assert values["signed_de_auprc"] > 0.5
    assert values["mae_skill"] > 0.2


@pytest.mark.parametrize("head", ["ridge", "compound_neighbours", "cell_plus_compound"])
def test_a_known_compound_is_predicted_in_a_held_out_line(planted, head):
    values = overall(planted.score(head), "held_out_cells")
    assert values[PRIMARY] > 0.6
    assert values["retrieval"] > 0.8


def test_permuted_changes_teach_nothing(planted):
    values = overall(planted.score("permuted_changes"), "held_out_compounds")
    assert abs(values[PRIMARY]) < 0.25
    mean = overall(planted.score("mean_delta"), "held_out_compounds")
    assert values["mae_skill"] < mean["mae_skill"] + 0.02


def test_effects_of_unknown_compounds_and_lines_are_the_mean_change(planted):
    scores = {head: overall(planted.score(head), "held_out_cells") for head in BASELINES}
    assert scores["cell_mean_delta"] == scores["mean_delta"]
    by_compound = overall(planted.score("cell_plus_compound"), "held_out_compounds")
    assert by_compound == pytest.approx(
        overall(planted.score("cell_mean_delta"), "held_out_compounds"), abs=0.03
    )


def test_the_published_network_predicts_levels_well_without_knowing_a_compound(planted):
    values = overall(planted.score("level_network", "legacy"), "random_compounds")
    assert values["pearson_level"] > 0.5
    assert values["pearson_level"] > values["pearson_delta"] + 0.2


def test_what_became_of_a_test_profile_reaches_no_head(planted, tmp_path):
    wells = Wells()
    treated = pd.read_parquet(planted.treated)
    manifest = pd.read_parquet(planted.manifest)
    fold = manifest[(manifest["regime"] == "held_out_cells") & (manifest["fold"] == 0)]
    table = wells.table()
    tested = table["profile_id"].isin(fold["unit"]).to_numpy()
    levels = wells.levels.copy()
    levels[tested] = np.random.default_rng(0).normal(8, 3, levels[tested].shape)
    other = PerturbationWorld(tmp_path / "noise").ready(Wells())
    other.write(table, levels)
    other.pair()
    assert pd.read_parquet(other.treated)["profile_id"].equals(treated["profile_id"])
    for head in ("ridge", "cell_plus_compound", "compound_neighbours"):
        before, after = (pd.read_parquet(world.predict(head)) for world in (planted, other))
        here = (before["regime"] == "held_out_cells") & (before["fold"] == 0)
        assert len(before[here]) == len(fold)
        for column in ("y_pred", "train_mean"):
            same = zip(before.loc[here, column], after.loc[here, column], strict=True)
            assert all(np.array_equal(one, two) for one, two in same)


def test_training_and_test_answers_are_against_different_wells(planted):
    controls = pd.read_parquet(planted.controls).set_index(["control_set", "half"])["values"]
    treated = pd.read_parquet(planted.treated).set_index("profile_id")
    predictions = pd.read_parquet(planted.predict("mean_delta"))
    manifest = pd.read_parquet(planted.manifest)
    row = predictions[predictions["regime"] == "held_out_cells"].iloc[0]
    level = treated.loc[row["sample_id"], "values"]
    own = controls[treated.loc[row["sample_id"], "control_set"], "b"]
    np.testing.assert_allclose(row["y_true"], level - own, atol=1e-5)
    np.testing.assert_allclose(row["control"], own)
    here = manifest[manifest["regime"] == "held_out_cells"]
    train = treated.loc[here.loc[here["fold"] != row["fold"], "unit"]]
    answers = [
        values - controls[place, "a"]
        for values, place in zip(train["values"], train["control_set"], strict=True)
    ]
    np.testing.assert_allclose(row["train_mean"], np.mean(answers, axis=0), atol=1e-5)


def test_metrics_are_those_of_the_saved_predictions(planted):
    scores = planted.score("ridge")
    table = pd.read_parquet(planted.predict("ridge"))
    table["r"] = [
        pearsonr(t - m, p - m)[0]
        for t, p, m in zip(table["y_true"], table["y_pred"], table["train_mean"], strict=True)
    ]
    table["level"] = [
        pearsonr(t + c, p + c)[0]
        for t, p, c in zip(table["y_true"], table["y_pred"], table["control"], strict=True)
    ]
    for regime, unit in zip(REGIMES, ["compound", "cell_id", "group"], strict=True):
        rows = table[table["regime"] == regime].astype({unit: str})
        means = rows.groupby(unit)[["r", "level"]].mean()
        values = overall(scores, regime)
        assert values["pearson_delta_deviation"] == pytest.approx(means["r"].mean(), abs=1e-6)
        assert values["pearson_level"] == pytest.approx(means["level"].mean(), abs=1e-6)
        pooled = scores[(scores["regime"] == regime) & (scores["aggregation"] == "pooled")]
        pooled = pooled.set_index("metric")["value"]["pearson_delta"]
        both = [np.concatenate(rows[name].tolist()) for name in ("y_true", "y_pred")]
        assert pooled == pytest.approx(pearsonr(*both)[0], abs=1e-6)


def test_every_row_says_that_the_model_reads_a_foreign_modality(planted):
    scores = planted.score("ridge")
    assert set(scores["condition"]) == {"intensities, 55 of 75 genes"}
    share = scores[scores["metric"] == "share_of_genes_measured"]["value"]
    assert share.to_numpy() == pytest.approx(55 / 75)


def test_scores_come_by_strength_of_response_and_by_controls(planted):
    scores = planted.score("ridge")
    rows = scores[(scores["metric"] == PRIMARY) & (scores["regime"] == "held_out_cells")]
    by = rows.dropna(subset="group").groupby("group_kind")["group"].agg(list).to_dict()
    assert by == {"response_strength": ["middle", "strong", "weak"], "controls": ["plate"]}
    assert rows["ci_unit"].unique().tolist() == ["cell and compound"]


def test_the_schema_names_the_genes_of_the_values(planted):
    metadata = pq.read_schema(planted.predict("ridge")).metadata
    assert json.loads(metadata[b"genes"]) == [f"S{g}" for g in range(60)]


def test_the_same_inputs_give_the_same_bytes(planted):
    for protocol, head in (("strict", "ridge"), ("legacy", "level_network")):
        first = planted.predict(head, protocol).read_bytes()
        assert planted.predict(head, protocol, "again").read_bytes() == first


def test_an_unknown_head_is_named_with_the_known_ones(planted):
    with pytest.raises(
        InputError, match="unknown head 'oracle'; known are no_change, training_profile"
    ):
        planted.predict("oracle")


def test_a_profile_of_the_manifest_that_is_not_there_is_named_with_its_file(tmp_path):
    world = PerturbationWorld(tmp_path / "lost").ready(Wells(n_cells=3, n_plates=2))
    kept = pq.read_table(world.treated)
    lost = kept["profile_id"][0].as_py()
    pq.write_table(kept.slice(1), world.treated)
    with pytest.raises(InputError, match=rf"manifest\.parquet: 1 profiles, first '{lost}'"):
        world.predict("no_change")


def test_a_ridge_on_the_compound_alone_says_the_same_in_every_line(planted):
    """Intensities have no library size; that is the control in its place."""
    saved = pq.read_table(planted.predict("compound_ridge")).to_pandas()
    saved = saved[saved["regime"] == "held_out_compounds"]
    told = np.stack(saved["y_pred"])
    for _, rows in saved.assign(row=range(len(saved))).groupby(
        ["compound", "time_h"], observed=True
    ):
        own = told[rows["row"]]
        assert rows["cell_id"].nunique() > 1
        np.testing.assert_allclose(own, np.broadcast_to(own[0], own.shape), atol=1e-6)
    assert overall(planted.score("compound_ridge"), "held_out_cells")[PRIMARY] > 0.5


def test_every_repeat_starts_from_another_state(tmp_path):
    world = PerturbationWorld(tmp_path)
    world.settings["strict"] |= {"repeats": 2, "regimes": ["held_out_cells"]}
    world.ready(Wells(n_genes=12))
    manifest = pq.read_table(world.manifest)
    of_second = pc.and_(pc.equal(manifest["protocol"], "strict"), pc.equal(manifest["repeat"], 1))
    first = manifest.filter(pc.invert(of_second))
    strict = first.filter(pc.equal(first["protocol"], "strict"))
    repeat = manifest.schema.get_field_index("repeat")
    again = strict.set_column(repeat, "repeat", pa.array([1] * len(strict), pa.int32()))
    pq.write_table(pa.concat_tables([first, again]), world.manifest)
    Path(f"{world.manifest}.sha256").unlink(missing_ok=True)
    for head, same in {"mean_delta": True, "training_profile": False}.items():
        rows = pd.read_parquet(world.predict(head))
        one, two = (np.stack(rows.loc[rows["repeat"] == each, "y_pred"]) for each in (0, 1))
        assert np.array_equal(one, two) == same  # the folds are the same ones
