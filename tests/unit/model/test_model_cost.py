"""What a network costs: published sizes, and operations as PyTorch itself counts them."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bulkformer.model import bulkformer, bulkformer_latest, cost
from bulkformer.model.bulkformer import PRESETS
from bulkformer.model.bulkformer_latest import BulkFormerLatestConfig

sys.path.append(str(Path(__file__).resolve().parents[2] / "performance"))
from reference_network import reference_of

EDGES = 400_000


@pytest.mark.parametrize(
    ("name", "learned", "esm2"),
    [
        ("37M", 13_368_583, 37_009_927),
        ("50M", 28_641_031, 50_179_847),
        ("93M", 75_920_903, 92_861_447),
        ("127M", 112_448_647, 126_893_447),
        ("147M", 132_142_727, 146_587_527),
    ],
)
def test_presets_have_the_published_parameters(name, learned, esm2):
    config = PRESETS[name]
    with_proteins = replace(config, gene_dim=1280, gene_table_trained=False)
    assert (cost.parameters(config), cost.parameters(with_proteins)) == (learned, esm2)


def test_the_latest_network_has_the_published_parameters():
    assert cost.parameters(BulkFormerLatestConfig()) == 101_323_778


@pytest.fixture(params=["paper", "latest"])
def network(request, config, latest_config, graph):
    module, shape = {
        "paper": (bulkformer, replace(config, dim=32, features=None)),
        "latest": (bulkformer_latest, replace(latest_config, dim=32)),
    }[request.param]
    model = module.initialise(shape, graph, 1).eval()
    return shape, reference_of(model, graph)


def test_operations_are_those_of_a_network_of_plain_products(network, x):
    """PyTorch counts no gather and scatter, so the graph has no edges here; the rest within 2 %."""
    config, reference = network
    with FlopCounterMode(display=False) as forward:
        prediction = reference(x)
    with FlopCounterMode(display=False) as backward:
        prediction.sum().backward()
    counted = forward.get_total_flops()
    assert cost.forward_flops(config, 0, len(x)) * len(x) == pytest.approx(counted, rel=0.02)
    both = counted + backward.get_total_flops()
    assert cost.training_flops(config, 0, len(x)) * len(x) == pytest.approx(both, rel=0.02)


def test_an_edge_costs_a_multiplication_and_an_addition_for_each_column():
    for config, width in ((PRESETS["50M"], 256), (BulkFormerLatestConfig(), 192)):
        difference = cost.forward_flops(config, EDGES) - cost.forward_flops(config, 0)
        assert difference == 2 * EDGES * width


def test_the_gene_table_is_projected_once_for_a_batch():
    alone, many = (cost.forward_flops(PRESETS["37M"], EDGES, n) for n in (1, 1_000_000))
    assert alone > 1.2 * many
    assert many == pytest.approx(cost.forward_flops(PRESETS["37M"], EDGES), rel=1e-4)


def test_memory_falls_with_half_precision_and_with_checkpointing_and_grows_with_the_batch():
    config = PRESETS["147M"]
    whole = cost.memory_bytes(config, 8)
    assert cost.memory_bytes(config, 8, "bfloat16") < 0.7 * whole
    assert cost.memory_bytes(config, 8, checkpointing=True) < 0.4 * whole
    assert cost.memory_bytes(config, 8, device="cpu") < whole < cost.memory_bytes(config, 9)
    assert whole > 16 * cost.parameters(config)


def test_the_rate_of_this_machine_is_one_that_machines_have():
    assert 1e8 < cost.matrix_rate("cpu", torch.float32, seconds=0.05) < 1e14
