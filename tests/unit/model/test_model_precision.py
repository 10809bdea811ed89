"""How a network is computed changes nothing: precision, memory, kernels of attention, compiler."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from bulkformer.errors import InputError
from bulkformer.model import attention, bulkformer, bulkformer_latest
from bulkformer.model.attention import FastAttention, Portion, set_attention
from bulkformer.model.graph_convolution import GraphConvolution


@pytest.fixture(params=["paper", "latest"])
def network(request, config, latest_config, graph):
    """A network of either variant that drops units in training."""
    module, shape = {
        "paper": (bulkformer, replace(config, dropout=0.2)),
        "latest": (bulkformer_latest, latest_config),
    }[request.param]
    return module.initialise(shape, graph, 1, prediction_start=2.0)


def gradients(model, x, seed=3):
    """Return predictions and gradients of one step, its dropout drawn from `seed`."""
    torch.manual_seed(seed)
    model.zero_grad(set_to_none=True)
    prediction = model(x, 0.2)
    prediction.square().mean().backward()
    return prediction.detach(), [p.grad for p in model.parameters() if p.grad is not None]


def test_half_precision_predicts_nearly_the_same_in_float32(network, x):
    model = network.eval()
    exact, expected = gradients(model, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(x, 0.2)
        loss = half.square().mean()
    loss.backward()
    assert half.dtype == loss.dtype == torch.float32
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half.detach(), exact, rtol=0.02, atol=0.05)
    ours = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert F.cosine_similarity(ours, torch.cat([g.flatten() for g in expected]), dim=0) > 0.99


@torch.no_grad()
def test_half_precision_stays_finite_for_large_tokens(network, x):
    attention_of_one_head = FastAttention(head_dim=8, features=11)
    q, k, v = (100 * torch.randn(1, 200, 16) for _ in range(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert attention_of_one_head(q.bfloat16(), k.bfloat16(), v.bfloat16()).isfinite().all()
        assert network(100 * x.relu()).isfinite().all()


def test_attention_of_halves_is_that_of_the_same_numbers_in_float32():
    """Sums over genes lose nothing: only the result is rounded, to 8 bits."""
    torch.manual_seed(0)
    layer = FastAttention(head_dim=8, features=11)
    halves = [torch.randn(2, 3000, 16).bfloat16().requires_grad_() for _ in range(3)]
    exact = [tensor.detach().float().requires_grad_() for tensor in halves]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(*halves)
    expected = layer(*exact)
    assert output.dtype == torch.bfloat16
    assert torch.equal(output, expected.bfloat16())
    output.sum().backward()
    expected.sum().backward()
    for half, whole in zip(halves, exact, strict=True):
        assert F.cosine_similarity(half.grad.float().flatten(), whole.grad.flatten(), dim=0) > 0.99


def test_messages_of_a_thousand_neighbours_are_summed_in_float32():
    """In halves a sum of ones stops at 256."""
    n_genes = 1001
    everyone = torch.arange(1, n_genes)
    hub = bulkformer.Graph(torch.zeros_like(everyone), everyone, torch.ones(n_genes - 1))
    back = bulkformer.Graph(everyone, torch.zeros_like(everyone), torch.ones(n_genes - 1))
    star = bulkformer.Graph(*(torch.cat(ends) for ends in zip(hub, back, strict=True)))
    layer = GraphConvolution(1, star, n_genes)
    torch.nn.init.ones_(layer.lin.weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        received = layer(torch.ones(1, n_genes, 1))
    torch.testing.assert_close(received[0, 0, 0], torch.tensor(1000 / 1000**0.5), rtol=1e-4, atol=0)


def test_normalisation_of_halves_takes_its_statistics_in_float32():
    tokens = (100 + torch.randn(4, 512)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = torch.nn.LayerNorm(512)(tokens)
    exact = F.layer_norm(tokens.float(), (512,))
    torch.testing.assert_close(ours.float(), exact, rtol=0.01, atol=0.02)


def test_activation_checkpointing_changes_no_gradient_and_no_dropped_unit(network, x):
    model = network.train()
    assert not model.activation_checkpointing
    prediction, expected = gradients(model, x)
    again, same = gradients(model, x)
    assert torch.equal(prediction, again)
    assert all(map(torch.equal, same, expected))  # nothing else is random
    model.activation_checkpointing = True
    assert model.activation_checkpointing
    checkpointed, ours = gradients(model, x)
    assert torch.equal(checkpointed, prediction)
    assert all(map(torch.equal, ours, expected))


def test_activation_checkpointing_keeps_less_for_the_gradient(network, x):
    def kept(wanted):
        network.train().activation_checkpointing = wanted
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor
        ):
            network(x)
        return sum(sizes)

    assert kept(True) < 0.7 * kept(False)


def test_every_kernel_of_attention_gives_the_same(network, x):
    model = network.eval()
    expected = gradients(model, x)
    set_attention(model, "performer_pytorch")
    prediction, ours = gradients(model, x)
    torch.testing.assert_close(prediction, expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours, expected[1], rtol=1e-4, atol=1e-5)


def test_an_unknown_kernel_is_refused_with_those_that_are_known(network):
    with pytest.raises(InputError, match="'flash' is none of fused, triton, performer_pytorch"):
        set_attention(network, "flash")


@pytest.mark.parametrize("kernel", ["triton", "performer_pytorch"])
def test_a_kernel_whose_package_is_absent_is_refused_by_name(kernel, network, x, monkeypatch):
    for module in ("triton", "performer_pytorch.performer_pytorch"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    set_attention(network, kernel)
    with pytest.raises(InputError, match=kernel):
        network(x)


def test_an_accelerator_takes_all_samples_at_once_within_the_memory_that_is_lent():
    projection = torch.empty(266, 64)
    cpu = Portion.fitting(torch.empty(4, 20_010, 512), projection, None)
    assert cpu.samples == 1
    assert cpu.tokens * 8 * 266 <= attention.CACHED_FEATURES
    other = Portion.fitting(torch.empty(4, 20_010, 512, device="meta"), projection, None)
    assert other.samples == 4
    assert 0.9 < 4 * other.tokens * 8 * 266 / attention.STREAMED_FEATURES <= 1
    assert Portion.fitting(torch.empty(4, 9, 512), projection, 33).tokens == 33


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # these two are the compiler's own
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_a_compiled_network_gives_the_same_numbers(config, graph, x):
    model = bulkformer.initialise(replace(config, layers=1), graph, 1, 2.0).eval()
    expected = gradients(model, x)
    torch._dynamo.reset()
    model.compile(backend="aot_eager", fullgraph=False)
    torch.testing.assert_close(gradients(model, x), expected, rtol=1e-5, atol=1e-5)


def test_a_network_that_is_not_compiled_loads_no_compiler():
    program = (
        "import sys, torch\n"
        "from bulkformer.model.variants import build, initialise_model\n"
        "from bulkformer.model.graph_convolution import Graph\n"
        "graph = Graph(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.ones(2))\n"
        "config = build({'dim': 8, 'layers': 1, 'heads': 2}, 5)\n"
        "model = initialise_model(config, graph, 1, 2.0).eval()\n"
        "model(torch.rand(1, 5), torch.zeros(1))\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
