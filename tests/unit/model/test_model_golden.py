"""Agreement with what the authors' networks computed, to 1e-5 in float32 on CPU."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bulkformer.model.graph_convolution import Graph
from bulkformer.model.released import load_latest_bundle, load_paper_checkpoint

pytestmark = pytest.mark.golden


def arrays(path: Path) -> dict[str, Tensor]:
    with np.load(path) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive}


def agree(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("chunk", [None, 33])
@pytest.mark.parametrize("name", ["state_dict.safetensors", "checkpoint_ddp.pt"])
@torch.no_grad()
def test_the_papers_network_computes_what_the_authors_network_computes(golden, name, chunk):
    reference = arrays(golden / "bulkformer" / "io.npz")
    graph = Graph(*reference["edge_index"], reference["edge_weight"])
    model = load_paper_checkpoint(golden / "bulkformer" / name, graph, chunk)
    x, mask_fraction = reference["x"], reference["mask_prob"]
    agree(model(x, mask_fraction), reference["pred"])
    agree(model.embed(x, mask_fraction), reference["embedding"])
    agree(model(x), reference["pred_no_mask_prob"])


@torch.no_grad()
def test_a_transposed_graph_changes_what_the_released_weights_predict(golden):
    reference = arrays(golden / "bulkformer" / "io.npz")
    graph = Graph(*reference["edge_index"], reference["edge_weight"])
    path = golden / "bulkformer" / "state_dict.safetensors"
    transposed = load_paper_checkpoint(path, graph.transposed())
    difference = transposed(reference["x"], reference["mask_prob"]) - reference["pred"]
    assert difference.abs().max() > 1e-3


@pytest.mark.parametrize("chunk", [None, 33])
@torch.no_grad()
def test_the_latest_network_computes_what_the_published_definition_computes(golden, chunk):
    reference = arrays(golden / "bulkformer_latest" / "io.npz")
    model, genes = load_latest_bundle(golden / "bulkformer_latest", chunk)
    agree(model(reference["x"]), reference["pred"])
    agree(model.embed(reference["x"]), reference["gene_embedding"])
    agree(model.embed_samples(reference["x"]), reference["sample_embedding"])
    assert len(genes) == reference["x"].shape[1]
