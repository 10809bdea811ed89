"""A planted linear relation between genes: ridge recovers it, an untrained network does not."""

import json

import numpy as np
import pandas as pd
import pytest
from evaluate_world import World, split_imputation

from bulkformer.embed.registry import fit
from bulkformer.embed.training import read_training_data
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import Scoring, load_task, open_predictions
from bulkformer.evaluate.tasks.imputation import imputation
from bulkformer.graph.edges import read_graph
from bulkformer.model.bulkformer import BulkFormerConfig, initialise
from bulkformer.model.checkpoint import save_run

N_GENES, N_TRAINING, N_TEST = 40, 400, 150
SLOPE, NOISE = 0.8, 0.5
# A child is SLOPE x parent + noise, its parent has variance 1: what a linear model can reach.
ANALYTIC = SLOPE / np.sqrt(SLOPE**2 + NOISE**2)


@pytest.fixture
def planted(world: World) -> World:
    """Even genes are parents, each following odd gene its child; the panel shows the parents."""
    world.n_genes = N_GENES
    world.__post_init__()
    rng = np.random.default_rng(11)
    n = N_TRAINING + 2 * N_TEST
    parents = rng.normal(size=(n, N_GENES // 2))
    children = SLOPE * parents + rng.normal(0, NOISE, parents.shape)
    values = np.stack([parents, children], axis=2).reshape(n, N_GENES) + rng.uniform(4, 9, N_GENES)
    study = np.arange(N_TRAINING + N_TEST) // 10
    cohort = values[: N_TRAINING + N_TEST]
    world.cohort("corpus", {"study_id": [f"GSE{s}" for s in study]}, cohort)
    split = np.where(study < N_TRAINING // 10, "train", "held_out_groups").astype(object)
    split[5] = "held_out_samples"
    world.split_corpus("corpus", split)
    world.cohort("external", {"study_id": ["X"] * N_TEST}, values[N_TRAINING + N_TEST :])
    (world.root / "panel.txt").write_text("\n".join(world.gene_ids[::2]))
    return world


def scores(world: World, model: str, settings: dict, weights, monkeypatch) -> dict[str, float]:
    """{metric: mean over genes or pooled} of the children, parents visible."""
    shown = np.arange(N_GENES) % 2 == 0
    monkeypatch.setattr("bulkformer.evaluate.tasks.imputation.read_panel", lambda *_: shown)
    path = world.root / f"{model}.parquet"
    imputation(
        "strict", model, model, json.dumps(settings), split_imputation(world, N_TEST), world.genes,
        ["corpus", "external"], [world.samples(c) for c in ("corpus", "external")],
        [world.store(c) for c in ("corpus", "external")], world.reference, [0.5], 1, 42, 16, path,
        weights=weights, mask_kinds=["panel"], panel=world.root / "panel.txt",
    )  # fmt: skip
    kinds = {("corpus", "held_out_groups"): "study", ("external", "external"): "study"}
    task = load_task("imputation")
    found = task.score(open_predictions(path, task), Scoring("strict", {}, kinds, Bootstrap(0, 1)))
    return {
        score.metric: score.estimate.value
        for score in found
        if score.dataset == "corpus"
        and score.group is None
        and score.aggregation in ("mean_over_groups", "pooled")
    }


def test_ridge_recovers_a_planted_relation_as_well_as_anything_can(planted, monkeypatch) -> None:
    settings = {"predictors": 5, "penalty": 0.1}
    paths = [planted.samples("corpus")], [planted.store("corpus")]
    training = read_training_data(planted.corpus, *paths)
    weights = planted.root / "ridge.safetensors"
    fit("ridge", json.dumps(settings), training, 0, weights)
    found = scores(planted, "ridge", settings, weights, monkeypatch)
    assert found["per_gene_pearson_deviation"] == pytest.approx(ANALYTIC, abs=0.05)
    assert found["centred_per_sample_pearson"] == pytest.approx(ANALYTIC, abs=0.05)
    # The best linear prediction saves the share of variance that the parent explains.
    assert found["mse_skill"] == pytest.approx(ANALYTIC**2, abs=0.05)


def test_an_untrained_network_does_not(planted, monkeypatch) -> None:
    edges = pd.DataFrame({"source": [0, 1, 2, 3], "target": [1, 0, 3, 2], "weight": 0.5})
    graph = planted.root / "graph.parquet"
    edges.to_parquet(graph)
    config = BulkFormerConfig(n_genes=N_GENES, dim=8, layers=1, heads=2)
    model = initialise(config, read_graph(graph, N_GENES), seed=3, prediction_start=2.0)
    run = planted.root / "run"
    save_run(run, model, graph, planted.genes, {"epochs": 1})
    found = scores(planted, "bulkformer", {"weights": "random"}, run, monkeypatch)
    assert abs(found["per_gene_pearson_deviation"]) < 0.3
    assert found["mse_skill"] < 0


def test_the_gene_mean_knows_nothing_and_pools_high(planted, monkeypatch) -> None:
    found = scores(planted, "gene_mean", {}, planted.reference, monkeypatch)
    assert found["pearson"] > 0.7
    for metric in ("mse_skill", "per_gene_pearson_deviation", "centred_per_sample_pearson"):
        assert found[metric] == 0
