"""Both networks by name, size and gene identity, and what is refused."""

import pytest
import torch

from bulkformer.errors import InputError
from bulkformer.model.bulkformer import BulkFormerConfig
from bulkformer.model.bulkformer_latest import BulkFormerLatestConfig
from bulkformer.model.checkpoint import load_weights
from bulkformer.model.graph_convolution import Graph
from bulkformer.model.variants import (
    PRESETS,
    VARIANTS,
    build,
    gene_table_of,
    initialise_model,
    variant_of,
)

NO_EDGES = Graph(torch.zeros(0, dtype=int), torch.zeros(0, dtype=int), torch.zeros(0))
SIZES = {"preset": None, "dim": 16, "layers": 2, "heads": 4, "features": 7}
N_GENES, GENE_DIM = 30, 10


def trainable(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def on_paper(config):
    """The network of a configuration, without memory for its weights."""
    kind = next(network for network, settings in VARIANTS.values() if type(config) is settings)
    with torch.device("meta"):
        return kind(config, NO_EDGES)


@pytest.fixture(params=["paper", "latest"])
def variant(request):
    return request.param


@pytest.fixture
def gene_table(generator):
    """Protein embeddings of 30 genes; the fourth has no protein."""
    table = torch.randn(N_GENES, GENE_DIM, generator=generator)
    table[3] = 0.0
    return table


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [
        ("37M", 37_009_927),
        ("50M", 50_179_847),
        ("93M", 92_861_447),
        ("127M", 126_893_447),
        ("147M", 146_587_527),
    ],
)
def test_with_protein_embeddings_the_sizes_have_the_parameters_that_name_them(preset, parameters):
    settings = {"variant": "paper", "preset": preset, "gene_identity": "esm2"}
    assert trainable(on_paper(build(settings, n_genes=20_010))) == parameters
    frozen = build(settings | {"gene_identity_trained": False}, n_genes=20_010)
    assert trainable(on_paper(frozen)) == parameters - 20_010 * 1280
    learned = build(settings | {"gene_identity": "learned"}, n_genes=20_010)
    assert learned == PRESETS[preset]


def test_the_latest_size_is_that_of_the_release():
    config = build({"variant": "latest", "preset": "latest"}, n_genes=19_973)
    assert config == BulkFormerLatestConfig()
    assert trainable(on_paper(config)) == 101_323_778


def test_a_setting_by_hand_overrides_the_preset_and_null_does_not():
    settings = {"preset": "50M", "layers": 3, "dim": None, "dropout": 0.1, "graph_dim": None}
    config = build(settings, n_genes=100)
    assert config == BulkFormerConfig(n_genes=100, dim=256, layers=3, heads=8, dropout=0.1)


def test_sizes_by_hand_take_the_defaults_of_their_variant(variant):
    config = build(SIZES | {"variant": variant}, N_GENES)
    assert config == VARIANTS[variant][1](n_genes=N_GENES, dim=16, layers=2, heads=4, features=7)
    assert config.dropout == {"paper": 0.0, "latest": 0.1}[variant]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"variant": "newest"}, "variant: 'newest' is unknown; known are paper, latest"),
        ({"preset": "38M"}, "preset: '38M' is unknown; known are null, 37M"),
        ({"variant": "latest", "preset": "37M"}, "'37M' is no size of the variant 'latest'"),
        ({"variant": "paper", "preset": "latest"}, "its sizes are 37M, 50M, 93M, 127M, 147M"),
        ({"gene_identity": "esm3"}, "gene_identity: 'esm3' is unknown"),
        ({"gene_identity_trained": 1}, "neither true nor false"),
        ({"graph_dim": 8}, "graph_dim: the variant 'paper' has no such setting"),
        ({"attention_dropout": 0.1}, "attention_dropout: the variant 'paper' has no such setting"),
        ({"variant": "latest", "blocks": 2}, "blocks: the variant 'latest' has no such setting"),
        ({"dims": 32}, "dims: no setting of a network; did you mean 'dim'"),
        ({"n_genes": 32}, "n_genes: no setting"),
        ({"dim": 18}, "dim 18 must be even and a multiple of heads 4"),
        ({"layers": 0}, "layers: 0 is not a whole number above 0"),
        ({"dim": "32"}, "dim: '32' is not a whole number"),
        ({"dropout": 1.0}, "dropout: 1.0 is not a share"),
        ({"heads": None, "dim": None}, "without a preset, dim, heads must be given"),
    ],
)
def test_what_a_network_cannot_be_is_refused_by_name(change, says):
    with pytest.raises(InputError, match=r"dim|pretrain\.model") as refusal:
        build(SIZES | {"variant": "paper"} | change, N_GENES)
    assert says in str(refusal.value)


def test_the_same_seed_and_table_give_the_same_network(variant, graph, gene_table):
    settings = SIZES | {"variant": variant, "gene_identity": "esm2"}
    config = build(settings, N_GENES, GENE_DIM)
    first, again, other = (
        initialise_model(config, graph, seed, 2.0, gene_table).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    plain = initialise_model(build(SIZES | {"variant": variant}, N_GENES), graph, 1, 2.0)
    assert variant_of(plain) == variant


def test_genes_begin_as_their_proteins_say_and_learn_from_there(variant, graph, gene_table, x):
    settings = SIZES | {"variant": variant, "gene_identity": "esm2", "dropout": 0.0}
    model = initialise_model(build(settings, N_GENES, GENE_DIM), graph, 1, 2.0, gene_table)
    known = gene_table.any(dim=1)
    assert torch.equal(gene_table_of(model)[known], gene_table[known])
    before = gene_table_of(model).detach().clone()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(x).square().mean().backward()
    optimiser.step()
    assert not torch.equal(gene_table_of(model), before)


def test_a_frozen_table_stays_is_saved_and_still_tells_genes_apart(variant, graph, gene_table, x):
    settings = SIZES | {"variant": variant, "gene_identity": "esm2", "dropout": 0.0}
    config = build(settings | {"gene_identity_trained": False}, N_GENES, GENE_DIM)
    model = initialise_model(config, graph, 1, 2.0, gene_table)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    model(x).square().mean().backward()
    optimiser.step()
    assert torch.equal(gene_table_of(model), gene_table)
    assert any(torch.equal(tensor, gene_table) for tensor in model.state_dict().values())
    model.eval()
    equal = gene_table.clone()
    equal[1] = equal[0]
    shuffled = initialise_model(config, graph, 1, 2.0, equal).eval()
    with torch.no_grad():
        tokens = shuffled.tokens(torch.full((1, N_GENES), 2.0))[0]
        torch.testing.assert_close(tokens[0], tokens[1])
        assert not torch.allclose(tokens[0], tokens[2], atol=1e-3)


def test_genes_without_a_protein_do_not_swamp_the_gradient(variant, graph, gene_table, x):
    settings = SIZES | {"variant": variant, "gene_identity": "esm2"}
    model = initialise_model(build(settings, N_GENES, GENE_DIM), graph, 1, 2.0, gene_table).eval()
    model(x).square().mean().backward()
    size = gene_table_of(model).grad.norm(dim=1)
    assert size[3] < 10 * size[torch.arange(N_GENES) != 3].max()


def test_only_the_latest_network_with_a_wider_table_has_a_key_more(graph, gene_table):
    by_hand = SIZES | {"variant": "latest"}
    released = initialise_model(build(by_hand, N_GENES), graph, 1, 2.0)
    wider = build(by_hand | {"gene_identity": "esm2"}, N_GENES, GENE_DIM)
    with_proteins = initialise_model(wider, graph, 1, 2.0, gene_table)
    more = with_proteins.state_dict().keys() - released.state_dict().keys()
    assert more == {"gene_projection.weight"}
    assert with_proteins.state_dict()["gene_projection.weight"].shape == (16, GENE_DIM)
    load_weights(with_proteins, with_proteins.state_dict(), "its own")
    with pytest.raises(InputError, match=r"missing: gene_projection\.weight"):
        load_weights(with_proteins, released.state_dict(), "the released")


@pytest.mark.parametrize("wrong", [torch.ones(29, 10), torch.ones(30, 11), torch.ones(10)])
def test_a_table_of_another_shape_is_refused(variant, graph, wrong):
    config = build(SIZES | {"variant": variant, "gene_identity": "esm2"}, N_GENES, GENE_DIM)
    with pytest.raises(InputError, match="compute the protein embeddings again"):
        initialise_model(config, graph, 1, 2.0, wrong)


def test_a_table_with_what_is_no_number_is_refused(variant, graph, gene_table):
    config = build(SIZES | {"variant": variant, "gene_identity": "esm2"}, N_GENES, GENE_DIM)
    gene_table[5, 2] = torch.nan
    with pytest.raises(InputError, match="no finite number"):
        initialise_model(config, graph, 1, 2.0, gene_table)


def test_a_projected_table_is_normalised_in_full_precision(graph, gene_table, x):
    settings = SIZES | {"variant": "latest", "gene_identity": "esm2"}
    model = initialise_model(build(settings, N_GENES, GENE_DIM), graph, 1, 2.0, gene_table).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        tokens = model.tokens(x)
    assert tokens.dtype == torch.float32
    assert not torch.equal(tokens, tokens.bfloat16().float())
