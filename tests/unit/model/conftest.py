"""Small networks and graphs for the tests of the model."""

import pytest
import torch

from bulkformer.model.bulkformer import BulkFormer, BulkFormerConfig, initialise
from bulkformer.model.bulkformer_latest import BulkFormerLatestConfig
from bulkformer.model.graph_convolution import Graph


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20)


@pytest.fixture
def graph(generator: torch.Generator) -> Graph:
    """A directed, weighted graph over 30 genes, with repeated edges and a gene without any."""
    source = torch.randint(29, (120,), generator=generator)
    target = torch.randint(29, (120,), generator=generator)
    return Graph(source, target, torch.rand(120, generator=generator))


@pytest.fixture
def config() -> BulkFormerConfig:
    return BulkFormerConfig(n_genes=30, dim=16, layers=2, heads=4, features=7)


@pytest.fixture
def latest_config() -> BulkFormerLatestConfig:
    return BulkFormerLatestConfig(
        n_genes=30, dim=16, layers=2, heads=4, features=7, graph_dim=6, graph_scale_start=0.5
    )


@pytest.fixture
def model(config: BulkFormerConfig, graph: Graph) -> BulkFormer:
    return initialise(config, graph, seed=1, prediction_start=2.0).eval()


@pytest.fixture
def x(generator: torch.Generator) -> torch.Tensor:
    """Five samples of 30 genes: measured, measured as zero, and masked (-10)."""
    values = 5 * torch.rand(5, 30, generator=generator)
    values[torch.rand(5, 30, generator=generator) < 0.2] = 0.0
    values[torch.rand(5, 30, generator=generator) < 0.2] = -10.0
    return values
