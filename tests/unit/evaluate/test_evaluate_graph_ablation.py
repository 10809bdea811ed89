"""A graph is called better only if held-out groups show it and the luck of training does not."""

import json
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.evaluate.exposure import rests_on_samples
from bulkformer.evaluate.graph_ablation import ABLATION, graph_ablation
from bulkformer.evaluate.units import UnitScores, write_units
from bulkformer.graph.controls import control
from bulkformer.graph.edges import Edges, read_graph, symmetric, write_graph

PLACE = {"dataset": "corpus", "regime": "held_out_groups", "condition": "random 15%"}


def provenance(graph: str, repeat: int, **changes: object) -> dict:
    """What a training writes of itself, as far as the comparison reads it."""
    return {
        "mode": "train", "model": {"dim": 32}, "parameters": 10, "revision": 1, "steps": 784,
        "training_samples_sha256": "ab", "validation": {"every_steps": None},
        "inputs": {"corpus": "cd", "genes": "ef", "graph": graph},
        "training": {"epochs": 14, "seed": 42 + repeat}, "best_step": repeat, "graph": graph,
    } | changes  # fmt: skip


def ablate(
    folder: Path,
    runs: list[tuple[str, float]],
    n: int = 30,
    changed: dict[int, dict[str, object]] | None = None,
) -> pd.DataFrame:
    """Compare runs (graph, skill), in this order, on `n` studies that all networks share.

    `changed` are keys of the provenance of single runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study = np.random.default_rng(1).normal(0, 0.2, n)
    units, metrics, records = [], [], []
    for number, (name, skill) in enumerate(runs):
        own = study + np.random.default_rng(number + 2).normal(skill, 0.01, n)
        names = [f"GSE{i:02d}" for i in range(n)]
        part = UnitScores(metric="mse_skill", unit_kind="study", unit=names, value=own, **PLACE)
        units.append(folder / f"{number}.units")
        of = {"task": "imputation", "protocol": "strict", "model": f"bulkformer_{name}"}
        write_units(units[-1], of, [part])
        metrics.append(folder / f"{number}.metrics")
        state = "seen_in_graph" if name == "coexpression" else "clean"
        pd.DataFrame([PLACE | {"exposure": state}]).to_parquet(metrics[-1])
        repeat = sum(name == other for other, _ in runs[:number])
        records.append(folder / f"{number}.json")
        own_changes = (changed or {}).get(number, {})
        records[-1].write_text(json.dumps(provenance(name, repeat, **own_changes)))
    path, names = folder / "ablation.parquet", [name for name, _ in runs]
    graph_ablation(names, units, metrics, records, "strict", 200, 999, 42, path)
    assert pq.read_schema(path).equals(ABLATION)
    return pd.read_parquet(path).set_index("graph")


def test_a_graph_that_helps_is_found_with_its_size(tmp_path: Path) -> None:
    table = ablate(tmp_path, [("none", 0.3), ("none", 0.31), ("string", 0.4), ("string", 0.42)])
    row = table.loc["string"]
    assert row["verdict"] == "better"
    assert row["low"] < 0.105 < row["high"]
    assert row["n_repeats"] == 2
    assert row["sentence"].startswith("Graph 'string' is better than 'none' by mse skill")
    assert table.loc["none", "verdict"] is None


def test_a_difference_within_the_spread_of_repeats_is_not_one_of_graphs(tmp_path: Path) -> None:
    row = ablate(tmp_path, [("none", 0.2), ("none", 0.5), ("string", 0.4), ("string", 0.6)]).loc[
        "string"
    ]
    assert row["low"] > 0  # the means differ on every study ...
    assert row["verdict"] == "no_difference_shown"  # ... as two networks of one graph do
    assert "differ as much among themselves" in row["sentence"]


def test_equal_graphs_are_said_not_to_have_been_shown_to_differ(tmp_path: Path) -> None:
    row = ablate(tmp_path, [("none", 0.3), ("random", 0.3)]).loc["random"]
    assert row["verdict"] == "no_difference_shown"
    assert row["sentence"].startswith("No difference shown between graph 'random' and graph 'none'")


def test_the_value_is_the_mean_over_repeats_and_its_ends_are_shown(tmp_path: Path) -> None:
    table = ablate(tmp_path, [("none", 0.3), ("coexpression", 0.3), ("coexpression", 0.5)])
    row = table.loc["coexpression"]
    assert row["value"] == pytest.approx((row["least_repeat"] + row["greatest_repeat"]) / 2)
    assert row["greatest_repeat"] - row["least_repeat"] == pytest.approx(0.2, abs=0.02)
    assert row["exposure"] == "seen_in_graph"


def test_few_groups_decide_nothing(tmp_path: Path) -> None:
    row = ablate(tmp_path, [("none", 0.1), ("string", 0.9)], n=4).loc["string"]
    assert row["verdict"] == "too_few_units"


def test_a_run_without_scores_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no scores by mse_skill"):
        ablate(tmp_path, [("none", 0.1), ("string", 0.9)], n=0)


TWICE = [("none", 0.3), ("none", 0.31), ("string", 0.4), ("string", 0.42)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 783),
        ("training_samples_sha256", "other"),
        ("model", {"dim": 64}),
        ("training", {"epochs": 15, "seed": 43}),
        ("training", {"epochs": 14, "seed": 42}),
        ("inputs", {"corpus": "other", "genes": "ef", "graph": "string"}),
    ],
)
def test_networks_that_differ_in_more_than_the_graph_are_not_compared(
    tmp_path: Path, key: str, value: object
) -> None:
    # The last run is the second on its graph, and so has the second seed.
    with pytest.raises(InputError, match=r"3\.json: .* but only the graph may differ"):
        ablate(tmp_path, TWICE, changed={3: {key: value}})


@pytest.fixture
def no_graph(tmp_path: Path) -> Path:
    """Write a graph of five genes, and from it the one without edges."""
    one = np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([0.5, 0.6, 0.7])
    write_graph(tmp_path / "coexpression.parquet", symmetric(*one), 5)
    (tmp_path / "coexpression.json").write_text(json.dumps({"origin": "training samples"}))
    control(
        "none",
        tmp_path / "coexpression.parquet",
        tmp_path / "coexpression.json",
        42,
        tmp_path / "none.parquet",
        tmp_path / "none.json",
    )
    return tmp_path / "none.parquet"


def test_no_graph_has_no_edge_and_no_sample_has_shaped_it(no_graph: Path) -> None:
    assert len(read_graph(no_graph, 5).source) == 0
    summary = json.loads(no_graph.with_suffix(".json").read_text())
    assert summary["n_edges"] == 0
    assert summary["isolated_genes"] == 5
    assert not rests_on_samples(no_graph.with_suffix(".json"))


def test_without_edges_no_gene_hears_of_another_and_learning_still_works(no_graph: Path) -> None:
    torch = pytest.importorskip("torch")
    from bulkformer.model.graph_convolution import GraphConvolution

    edges = read_graph(no_graph, 5)
    assert isinstance(edges, Edges)
    layer = GraphConvolution(4, edges, 5)
    torch.nn.init.constant_(layer.bias, 0.25)
    h = torch.randn(2, 5, 4, requires_grad=True)
    heard = layer(h)
    assert (heard == 0.25).all()
    heard.sum().backward()
    assert (h.grad == 0).all()
    assert layer.bias.grad.isfinite().all()


def test_another_graph_leaves_first_weights_order_and_masks_of_a_seed_as_they_are(
    no_graph: Path,
) -> None:
    pytest.importorskip("torch")
    from bulkformer.model.variants import build, initialise_model
    from bulkformer.pretrain.objective import MaskedSamples, planned_step

    config = build({"dim": 8, "layers": 1, "heads": 2, "variant": "paper"}, 5)
    edges = [read_graph(path, 5) for path in (no_graph, no_graph.with_stem("coexpression"))]
    nothing, coexpression = (initialise_model(config, each, 42, 2.0) for each in edges)
    other = initialise_model(config, edges[0], 43, 2.0)
    weights = dict(nothing.named_parameters())
    assert all((weights[name] == value).all() for name, value in coexpression.named_parameters())
    assert any((weights[name] != value).any() for name, value in other.named_parameters())
    # What a step learns from is planned from samples, settings, seed and number: no graph is asked.
    assert set(signature(planned_step).parameters) == {"samples", "training", "seed", "number"}
    assert set(signature(MaskedSamples).parameters) == {"samples", "seed"}
