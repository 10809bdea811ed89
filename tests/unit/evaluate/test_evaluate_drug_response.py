"""Drug response from split to scores: floors are where they must be, planted signal is found."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from response_world import NOISE, SLOPE, ResponseWorld, plant, settings
from scipy.stats import pearsonr, spearmanr

from bulkformer.errors import InputError
from bulkformer.outcomes.tables import RESPONSE

TEXT = settings()
KEYS = ["cell_line", "target_id"]


def of(rows, regime, head):
    return rows[(rows["regime"] == regime) & (rows["head"] == head)]


def by_drug(rows, measure):
    """Mean over drugs of a correlation within folds; each drug the mean of its screens."""
    keys = [rows[name].astype(str) for name in ("drug_id", "target_id", "fold")]
    cells = rows.groupby(keys)[["y_true", "y_pred"]]
    found, n = cells.apply(lambda own: measure(own["y_true"], own["y_pred"])[0]), cells.size()
    found = (found * n).groupby(level=[0, 1]).sum() / n.groupby(level=[0, 1]).sum()
    return found.groupby(level=0).mean().mean()


def residual(rows, column):
    """What least squares on drugs and lines of each fold leaves of a column."""
    left = np.empty(len(rows))
    for fold in rows["fold"].unique():
        own = (rows["fold"] == fold).to_numpy()
        terms = [
            pd.get_dummies(rows.loc[own, name].astype(str)) for name in ("target_id", "sample_id")
        ]
        terms = np.concatenate(terms, axis=1).astype(float)
        values = rows.loc[own, column].to_numpy(dtype=float)
        left[own] = values - terms @ np.linalg.lstsq(terms, values, rcond=None)[0]
    return left


def test_the_drug_mean_pools_to_the_square_root_of_eta_squared(response_scores):
    rows, scores = response_scores
    truth = of(rows, "held_out_lines", "drug_mean")
    level = truth.groupby(truth["target_id"].astype(str))["y_true"].transform("mean")
    eta = ((level - level.mean()) ** 2).sum() / ((truth["y_true"] - level.mean()) ** 2).sum()
    pooled = scores["held_out_lines", "drug_mean", "pearson", "pooled"].estimate.value
    assert pooled == pytest.approx(np.sqrt(eta), abs=0.01)
    for regime in ("held_out_lines", "held_out_tissues", "held_out_scaffolds"):
        for aggregation in ("mean_over_groups", "median_over_groups"):
            nothing = scores[regime, "drug_mean", "per_drug_pearson", aggregation].estimate
            assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
    # Pooled without deviations, the same predictions look worse than nothing.
    naive = scores["held_out_lines", "drug_mean", "per_drug_pearson_raw", "mean_over_groups"]
    assert naive.estimate.high < 0


def test_drug_and_line_means_are_the_drug_mean_where_lines_are_held_out(response_scores):
    rows, _ = response_scores
    for regime in ("held_out_lines", "held_out_tissues"):
        one, other = (of(rows, regime, head)["y_pred"] for head in ("drug_mean", "drug_line_means"))
        assert (one.to_numpy() == other.to_numpy()).all()


def test_ridge_finds_what_each_drug_acts_by(response_scores):
    _, scores = response_scores
    best = SLOPE / np.hypot(SLOPE, NOISE)
    for regime in ("held_out_lines", "held_out_tissues"):
        found = scores[regime, "ridge", "per_drug_pearson", "mean_over_groups"]
        assert best - 0.12 < found.estimate.value
        assert found.estimate.low < best
        assert found.estimate.low > 0.7
        assert found.n_groups == (48 if regime == "held_out_lines" else 8)


def test_the_interval_says_what_other_lines_would_change_and_another_what_other_drugs_would(
    response_scores,
):
    _, scores = response_scores
    drugs, lines = (
        scores["held_out_lines", "ridge", metric, "mean_over_groups"]
        for metric in ("per_drug_pearson_over_drugs", "per_drug_pearson")
    )
    assert lines.estimate.value == pytest.approx(drugs.estimate.value, abs=1e-6)
    assert lines.estimate.low < lines.estimate.value < lines.estimate.high
    assert (lines.ci_unit, lines.n_groups) == ("patient", 48)
    assert (drugs.ci_unit, drugs.n_groups) == ("drug", 12)
    floor = scores["held_out_lines", "drug_mean", "per_drug_pearson", "mean_over_groups"]
    assert (floor.estimate.low, floor.estimate.high) == (0, 0)
    assert not any(key[0] == "held_out_scaffolds" and "over_drugs" in key[2] for key in scores)
    unseen = scores["held_out_scaffolds", "two_step_ridge", "per_drug_pearson", "mean_over_groups"]
    assert unseen.ci_unit == "drug"


def test_a_compound_never_seen_responds_as_those_that_are_like_it(response_scores):
    _, scores = response_scores
    key = "per_drug_pearson", "mean_over_groups"
    found = scores["held_out_scaffolds", "two_step_ridge", *key].estimate
    line = scores["held_out_scaffolds", "drug_line_means", *key].estimate
    assert found.value > 0.7
    assert found.low > line.value


def test_random_vectors_find_nothing(responses, tmp_path):
    lines = pq.read_table(responses.table("model"))["cell_line_id"].to_pylist()
    noise = np.random.default_rng(9).normal(size=(len(lines), 20))
    responses.embed(lines, noise, "random")
    responses.predict(TEXT, "strict", "ridge", model="random")
    found = responses.scores(TEXT, "strict")
    key = "ridge", "per_drug_pearson", "mean_over_groups"
    null = found["held_out_lines", *key].estimate
    assert null.low < 0 < null.high


def test_lines_that_exchange_their_vectors_are_known_by_name_only(responses):
    responses.predict(TEXT, "strict", "shuffled_lines_ridge")
    found = responses.scores(TEXT, "strict")
    key = "shuffled_lines_ridge", "per_drug_pearson", "mean_over_groups"
    null = found["held_out_lines", *key].estimate
    assert null.low < 0 < null.high


def test_random_pairs_reward_knowing_the_line_without_its_expression(responses):
    rows = responses.predict(TEXT, "legacy", "mlp", "drug_line_means", "drug_mean")
    scores = responses.scores(TEXT, "legacy")
    key = "per_drug_pearson", "mean_over_groups"
    assert scores["random_pairs", "drug_line_means", *key].estimate.low > 0.3
    assert scores["random_pairs", "drug_mean", *key].estimate.value == 0
    assert scores["random_pairs", "mlp", *key].estimate.low > 0.5
    assert scores["random_pairs", "mlp", "pearson", "pooled"].estimate.value > 0.9
    assert rows["target_id"].nunique() == 12  # screens of a drug are averaged
    # Of which drugs suit a line, knowing the line says nothing.
    for metric in ("interaction_pearson", "pearson_less_training_means"):
        additive = scores["random_pairs", "drug_line_means", metric, "pooled"]
        assert additive.estimate.value == 0
    own = of(rows, "random_pairs", "mlp")
    t, p = own["y_true"] - own["additive"], own["y_pred"] - own["additive"]
    of_training = scores["random_pairs", "mlp", "pearson_less_training_means", "pooled"]
    assert of_training.estimate.value == pytest.approx(pearsonr(t, p)[0], abs=1e-5)
    t, p = (residual(own, name) for name in ("y_true", "y_pred"))
    interaction = scores["random_pairs", "mlp", "interaction_pearson", "pooled"]
    assert interaction.estimate.value == pytest.approx(pearsonr(t, p)[0], abs=1e-5)


def test_scores_are_those_of_the_saved_predictions(response_scores):
    rows, scores = response_scores
    own = of(rows, "held_out_lines", "ridge").copy()

    def value(metric, aggregation="pooled", regime="held_out_lines", head="ridge"):
        return scores[regime, head, metric, aggregation].estimate.value

    assert value("per_drug_pearson", "mean_over_groups") == pytest.approx(
        by_drug(own, pearsonr), abs=1e-6
    )
    assert value("per_drug_spearman", "mean_over_groups") == pytest.approx(
        by_drug(own, spearmanr), abs=1e-6
    )
    assert value("pearson") == pytest.approx(pearsonr(own["y_true"], own["y_pred"])[0], abs=1e-6)
    assert value("spearman") == pytest.approx(spearmanr(own["y_true"], own["y_pred"])[0], abs=1e-6)
    own["error"] = (own["y_true"] - own["y_pred"]).astype(float) ** 2
    own["floor"] = (own["y_true"] - own["train_mean"]).astype(float) ** 2
    assert value("mse_skill") == pytest.approx(
        1 - own["error"].sum() / own["floor"].sum(), abs=1e-6
    )
    keys = [own["drug_id"].astype(str), own["target_id"].astype(str)]
    rmse = np.sqrt(own.groupby(keys)["error"].mean()).groupby(level=0).mean()
    assert value("per_drug_rmse", "mean_over_groups") == pytest.approx(rmse.mean(), abs=1e-6)
    assert value("per_drug_rmse", "median_over_groups") == pytest.approx(rmse.median(), abs=1e-6)
    rest = [residual(own, name) for name in ("y_true", "y_pred")]
    assert value("interaction_pearson") == pytest.approx(pearsonr(*rest)[0], abs=1e-6)


def test_the_training_mean_is_that_of_the_other_folds(responses, response_scores):
    rows, _ = response_scores
    own = of(rows, "held_out_lines", "ridge")
    for (fold, target), part in own.groupby(["fold", own["target_id"].astype(str)]):
        others = own[(own["fold"] != fold) & (own["target_id"] == target)]["y_true"]
        assert part["train_mean"].to_numpy() == pytest.approx(others.mean(), abs=1e-4)


def test_what_a_fold_tests_does_not_shape_what_is_said_of_it(responses, response_scores, tmp_path):
    rows, _ = response_scores
    other = ResponseWorld(tmp_path)
    for name in ("drugs", "cell_lines", "model", "split"):
        other.table(name).write_bytes(responses.table(name).read_bytes())
    lines = responses.folds("strict", "held_out_lines").set_index("unit")["fold"]
    table = pq.read_table(responses.table("response")).to_pylist()
    for row in table:
        if lines[row["cell_line_id"]] == 0:
            row["ln_ic50"] = 100 - 3 * row["ln_ic50"]
    pq.write_table(pa.Table.from_pylist(table, schema=RESPONSE), other.table("response"))
    changed = other.predict(TEXT, "strict", "ridge")
    for column in ("y_pred", "train_mean", "additive"):
        before, after = (
            each[each["fold"] == 0][column].to_numpy()
            for each in (
                of(rows, "held_out_lines", "ridge"),
                of(changed, "held_out_lines", "ridge"),
            )
        )
        assert (before == after).all()


def test_the_same_seed_gives_the_same_bytes(responses):
    path = responses.table("predictions")
    responses.predict(TEXT, "strict", "ridge", "two_step_ridge", "gradient_boosting")
    first = path.read_bytes()
    responses.predict(TEXT, "strict", "ridge", "two_step_ridge", "gradient_boosting")
    assert path.read_bytes() == first


def test_ridge_a_drug_is_not_asked_about_drugs_never_seen(response_scores):
    rows, _ = response_scores
    heads = rows.groupby("regime", observed=True)["head"].unique()
    assert "ridge" not in set(heads["held_out_scaffolds"])
    assert "two_step_ridge" not in set(heads["held_out_lines"])


def test_a_drug_of_one_tissue_cannot_be_asked_where_that_is_held_out(responses, tmp_path, capsys):
    other = ResponseWorld(tmp_path)
    plant(other)
    lineage = pd.read_parquet(other.table("cell_lines")).set_index("cell_line_id")["lineage"]
    rows = [
        row
        for row in pq.read_table(other.table("response")).to_pylist()
        if row["screen_id"] != "one:05" or lineage[row["cell_line_id"]] == "lineage 2"
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=RESPONSE), other.table("response"))
    text = settings(min_lines=5)
    other.split(text)
    told = other.predict(text, "strict", "ridge")
    asked = told.groupby("regime", observed=True)["target_id"].unique()
    assert "one:05" in set(asked["held_out_lines"])
    assert "one:05" not in set(asked["held_out_tissues"])
    assert "held_out_tissues, fold" in capsys.readouterr().err


def test_heads_that_serve_no_regime_of_the_protocol_are_named(responses):
    with pytest.raises(InputError, match=r"heads mlp serves held_out_lines, .*strict protocol"):
        responses.predict(TEXT, "strict", "mlp")


def test_a_unit_of_an_older_split_is_named(responses, tmp_path):
    other = ResponseWorld(tmp_path)
    plant(other, n_lines=40)
    other.table("split").write_bytes(responses.table("split").read_bytes())
    with pytest.raises(InputError, match=r"unit 'ACH-0000\d\d' .* make the split again"):
        other.predict(TEXT, "strict", "ridge")


def test_the_response_auc_is_a_condition_of_its_own(responses, tmp_path):
    other = ResponseWorld(tmp_path)
    plant(other, n_lines=40)
    table = pd.read_parquet(other.table("response"))
    rows = table.assign(auc=1 / (1 + np.exp(-table["ln_ic50"]))).to_dict("records")
    pq.write_table(pa.Table.from_pylist(rows, schema=RESPONSE), other.table("response"))
    text = settings(targets=["ln_ic50", "auc"], strict={"regimes": ["held_out_lines"]})
    other.split(text)
    told = other.predict(text, "strict", "ridge")
    assert set(told["measure"]) == {"ln_ic50", "auc"}
    assert told[told["measure"] == "auc"]["y_true"].between(0, 1).all()
    assert json.loads(text)["targets"] == ["ln_ic50", "auc"]
