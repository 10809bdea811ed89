"""What slow and special heads of drug response are asked, and what stands beside their scores."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from response_world import NOISE, SLOPE, ResponseWorld, plant, settings

from bulkformer.errors import InputError
from bulkformer.evaluate.response_inputs import panel_columns
from bulkformer.evaluate.tasks.drug_response import drug_response
from bulkformer.outcomes.tables import RESPONSE

TEXT = settings()


def test_slow_heads_are_asked_about_the_drugs_of_most_lines(responses, tmp_path):
    other = ResponseWorld(tmp_path)
    plant(other, n_lines=40)
    rows = pq.read_table(other.table("response")).to_pylist()
    # All drugs but two lack a line.
    rows = [
        row
        for row in rows
        if row["drug_id"] in ("X:00", "X:07") or row["cell_line_id"] != "ACH-000003"
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=RESPONSE), other.table("response"))
    text = settings(single_targets=2, strict={"regimes": ["held_out_lines"]})
    other.split(text)
    told = other.predict(text, "strict", "elastic_net", "factorisation")
    drugs = told.groupby("head", observed=True)["drug_id"].unique()
    assert set(drugs["elastic_net"]) == {"X:00", "X:07"}
    assert len(drugs["factorisation"]) == 12
    scores = other.scores(text, "strict")
    metric = "per_drug_pearson_over_drugs"
    found = scores["held_out_lines", "elastic_net", metric, "mean_over_groups"]
    assert found.estimate.value > 0.7
    assert found.n_groups == 2


def test_the_settings_that_a_head_chose_among_are_told(response_scores):
    _, scores = response_scores
    for regime, head, trials in [
        ("held_out_lines", "ridge", 6),
        ("held_out_scaffolds", "two_step_ridge", 12),
        ("held_out_lines", "drug_mean", 1),
    ]:
        assert scores[regime, head, "tuning_trials", "fold_mean"].estimate.value == trials


def test_two_screens_of_a_drug_say_how_well_it_can_be_known(response_scores):
    rows, scores = response_scores
    ceiling = scores["held_out_lines", "ridge", "replicate_screens_pearson", "mean_over_groups"]
    assert ceiling.n_groups == 1  # one drug was screened twice
    own = rows[(rows["regime"] == "held_out_lines") & (rows["head"] == "ridge")]
    wide = own[own["drug_id"] == "X:00"].pivot(
        index=["fold", "sample_id"], columns="target_id", values="y_true"
    )
    wide = wide[["one:00", "two:00"]].astype(float)
    r = [part.corr().iloc[0, 1] for _, part in wide.groupby("fold")]
    n = wide.groupby("fold").size()
    assert ceiling.estimate.value == pytest.approx(np.average(r, weights=n), abs=1e-6)
    assert ceiling.estimate.value == pytest.approx(SLOPE**2 / (SLOPE**2 + NOISE**2), abs=0.08)


def test_a_panel_sees_its_genes_alone(responses, tmp_path, monkeypatch):
    shown = np.arange(20) < 8
    module = "bulkformer.evaluate.response_inputs"
    monkeypatch.setattr(f"{module}.read_panel", lambda panel, genes: shown)
    path = tmp_path / "any"
    assert panel_columns(path, path, "log_tpm", 20).tolist() == list(range(8))
    with pytest.raises(InputError, match=r"any: 20 genes, but vectors of log_tpm have 21"):
        panel_columns(path, path, "log_tpm", 21)
    with pytest.raises(InputError, match=r"not those of 'pca'.* embedder log_tpm"):
        panel_columns(path, path, "pca", 20)  # as wide as the vocabulary, and no expression
    with pytest.raises(InputError, match=r"evaluate\.drug_response\.panel"):
        responses.predict(TEXT, "strict", "panel_ridge")

    def told(model, head, **more):
        drug_response(
            "strict", model, "log_tpm", responses.table("split"), **responses.inputs(),
            settings=TEXT, seed=42, embeddings=responses.table(model), output=tmp_path / "told",
            head=[head], **more,
        )  # fmt: skip
        return pq.read_table(tmp_path / "told")["y_pred"].to_numpy()

    vectors = np.stack(pq.read_table(responses.table("model"))["embedding"].to_pylist())
    lines = pq.read_table(responses.table("model"))["cell_line_id"].to_pylist()
    responses.embed(lines, vectors[:, shown], "some")
    assert (told("model", "panel_ridge", genes=path, panel=path) == told("some", "ridge")).all()


def test_a_line_that_loses_its_last_screen_in_one_repeat_counts_in_the_others(tmp_path):
    world = ResponseWorld(tmp_path)
    plant(world, n_lines=40)
    text = settings(strict={"regimes": ["held_out_lines"], "repeats": 2})
    world.split(text)
    rows = world.predict(text, "strict", "drug_mean")
    metric = "held_out_lines", "drug_mean", "per_line_ndcg_10", "mean_over_groups"
    n_lines = world.scores(text, "strict")[metric].n_groups
    line = "sample of ACH-000000"
    table = pq.read_table(world.table("predictions"))
    lost = (rows["sample_id"] == line) & (rows["repeat"] == 1)
    pq.write_table(table.filter(pa.array(~lost.to_numpy())), world.table("predictions"))
    assert world.scores(text, "strict")[metric].n_groups == n_lines > 30
