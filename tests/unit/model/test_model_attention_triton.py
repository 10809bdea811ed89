"""Attention in Triton: the numbers of plain attention, by kernels that compile for the GPU.

No GPU is needed: Triton's interpreter runs the kernels, and its compiler makes code for a device
that is not there. Both in processes of their own (`interpreted_attention`, `compiled_attention`).
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from interpreted_attention import BATCH, CASES, attend, inputs

from bulkformer.errors import InputError
from bulkformer.model.attention import fused
from bulkformer.model.attention_features import project
from bulkformer.model.attention_triton import check_available, column_pieces, linear_attention

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None,
    reason="Triton is not installed (pip install --no-deps triton==3.9.0)",
)


def run(program: str, *arguments: str | Path, **environment: str) -> str:
    """Run a program beside this file and return what it printed."""
    command = [sys.executable, str(Path(__file__).with_name(program)), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the kernels gave in the interpreter."""
    path = tmp_path_factory.mktemp("triton") / "results.pt"
    run("interpreted_attention.py", path, TRITON_INTERPRET="1")
    return torch.load(path, weights_only=True)


def exactly(tokens, gradient, projection):
    """Attention and its gradients by PyTorch, in float32 from the same inputs."""
    tokens = [t.float() for t in tokens]
    return attend(lambda *args: fused(*args, chunk=None), tokens, gradient.float(), projection)


def relative_errors(results, expected) -> list[float]:
    return [
        float((result.float() - exact).norm() / exact.norm())
        for result, exact in zip(results, expected, strict=True)
    ]


@needs_triton
@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: str(CASES[number][:-1]))
def test_values_and_gradients_are_those_of_plain_attention(interpreted, number):
    case, results = CASES[number], interpreted["cases"][number]
    assert {t.dtype for t in results} == {case.dtype}
    # bfloat16: 2^-9 for rounding the result, and as much again for each factor of its products.
    limit = 1e-5 if case.dtype == torch.float32 else 1e-2
    expected = exactly(*inputs(case))
    if case.genes == 1:  # whoever attends to a single gene is given its value, whatever q and k
        expected, results = (results[:1] + results[3:] for results in (expected, results))
    assert max(relative_errors(results, expected)) < limit


@needs_triton
def test_what_all_genes_share_does_not_drown_the_gradient_of_queries(interpreted):
    # The gradient of q is in how the outputs of genes differ, a thousandth of what they share here.
    assert max(relative_errors(interpreted["common"], exactly(*inputs(BATCH, common=3.0)))) < 1e-2


@needs_triton
def test_stabilisers_of_bfloat16_tokens_are_as_exact_as_float32(interpreted):
    (_, keys, _), _, projection = inputs(BATCH)
    by_head = keys.float().unflatten(-1, (BATCH.heads, -1)).transpose(1, 2)
    expected = project(by_head, projection).amax((-2, -1)).flatten()
    rounded = project(by_head, projection.bfloat16().float()).amax((-2, -1)).flatten()
    stabilisers = interpreted["stabilisers"]
    assert (stabilisers - expected).abs().max() < 1e-4
    assert (rounded - expected).abs().max() > 2e-3  # what a rounded projection would do


@needs_triton
def test_the_same_input_gives_the_same_bits_alone_in_a_batch_or_compiled(interpreted):
    batch = interpreted["batch"]
    assert all(map(torch.equal, interpreted["alone"], [t[1:] for t in batch]))
    assert all(map(torch.equal, interpreted["compiled"], batch))


@needs_triton
def test_the_layout_in_memory_does_not_matter(interpreted):
    assert all(map(torch.equal, interpreted["strided"], interpreted["contiguous"]))


@needs_triton
def test_kernels_compile_for_an_h100_and_fit_into_it(tmp_path):
    # The largest head: 80 columns and 350 features. Two programs share the 228 KB of an SM.
    shape = "80,350,bfloat16"
    lines = run("compiled_attention.py", "90", shape, TRITON_CACHE_DIR=str(tmp_path)).splitlines()
    kernels = [json.loads(line) for line in lines]
    assert len(kernels) == 5
    assert all(kernel["shared"] <= 100_000 for kernel in kernels)
    assert all(kernel["spilled"] <= 64 for kernel in kernels)


@needs_triton
def test_triton_is_imported_on_first_use(interpreted):
    assert not interpreted["imported before use"]


def test_without_triton_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(InputError, match=r"pretrain\.execution\.attention.*set it to 'fused'"):
        check_available(torch.device("cuda"))


@needs_triton
def test_on_a_cpu_the_remedy_is_named(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    tokens, _, projection = inputs(BATCH)
    with pytest.raises(InputError, match=r"pretrain\.execution\.attention.*set it to 'fused'"):
        linear_attention(*tokens, projection)


def test_mixed_and_other_types_are_refused():
    (q, k, v), _, projection = inputs(BATCH)
    for tokens in ((q.float(), k, v), (q.half(), k.half(), v.half())):
        with pytest.raises(TypeError, match="float32 or bfloat16"):
            linear_attention(*tokens, projection)


@pytest.mark.parametrize(
    ("head_dim", "pieces"),
    [(8, (16,)), (16, (16,)), (24, (32,)), (64, (64,)), (80, (64, 16)), (112, (128,))],
)
def test_a_head_is_split_into_powers_of_two(head_dim, pieces):
    assert column_pieces(head_dim) == pieces
