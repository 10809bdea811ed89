"""Run the Triton kernels of attention in Triton's interpreter, on the CPU, and save what they give.

A process of its own: TRITON_INTERPRET must be set before anything imports triton, and would reach
every later test. `python interpreted_attention.py <file>`; the tests import the inputs from here.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from bulkformer.model.attention_features import orthogonal_gaussian_projection


class Case(NamedTuple):
    samples: int
    genes: int
    heads: int
    head_dim: int
    features: int
    dtype: torch.dtype


# The widths of all presets, and two that no preset has; genes that fill no block and no split.
SHAPES = [
    (1, 150, 2, 16, 44),
    (1, 70, 1, 32, 110),
    (1, 40, 1, 64, 256),
    (1, 40, 1, 64, 266),
    (2, 40, 1, 80, 350),
    (1, 1, 1, 8, 11),
    (1, 33, 1, 24, 50),
]
CASES = [Case(*shape, dtype) for shape in SHAPES for dtype in (torch.float32, torch.bfloat16)]
BATCH = Case(2, 70, 2, 16, 44, torch.bfloat16)
GENES_IN_A_SPLIT = 64


def inputs(case: Case, common: float = 0.0) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return q, k, v, the gradient of the output, and a projection.

    `common` is added to all values, as a bias of the network would be.
    """
    torch.manual_seed(0)
    size = (case.samples, case.genes, case.heads * case.head_dim)
    q, k, v, gradient = (torch.randn(size) for _ in range(4))
    projection = orthogonal_gaussian_projection(case.features, case.head_dim)
    tokens = [t.to(case.dtype) for t in (q, k, v + common)]
    return tokens, gradient.to(case.dtype), projection


def attend(function, tokens: list[Tensor], gradient: Tensor, projection: Tensor) -> list[Tensor]:
    """Return the output of an attention and the gradients of q, k and v."""
    leaves = [t.detach().requires_grad_() for t in tokens]
    output = function(*leaves, projection)
    return [output.detach(), *torch.autograd.grad(output, leaves, gradient)]


def mend_interpreter() -> None:
    """Let the interpreter treat bfloat16 as a GPU does, and not waste half of its time.

    That of Triton 3.9 multiplies bfloat16 as if the bits were integers, and cuts bits off where a
    GPU rounds to the nearest. It also replaces the language anew in every function.
    """
    import numpy as np
    import triton.language as tl
    from triton.runtime import interpreter
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    cast, patch_language = InterpreterBuilder.cast_impl, interpreter._patch_lang
    patched = set()

    def cast_rounding(self, source, target):
        if (source.dtype.scalar, target.scalar) != (tl.float32, tl.bfloat16):
            return cast(self, source, target)
        bits = np.ascontiguousarray(source.data, np.float32).view(np.uint32).astype(np.uint64)
        to_even = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return TensorHandle(to_even.astype(np.uint16), tl.bfloat16)

    def dot(self, a, b, total, *_):
        a, b = (
            cast(self, t, tl.float32).data if t.dtype.scalar == tl.bfloat16 else t.data
            for t in (a, b)
        )
        return TensorHandle(np.matmul(a, b) + total.data, total.dtype.scalar)

    def patch_language_once(function):
        module = function.__globals__["__name__"]
        if module not in patched:
            patch_language(function)
            patched.add(module)
        return interpreter._LangPatchScope()  # holds nothing to undo

    InterpreterBuilder.cast_impl = cast_rounding
    InterpreterBuilder.create_dot = dot
    interpreter._patch_lang = patch_language_once


def main(path: Path) -> None:
    from bulkformer.model import attention_triton

    imported_before_use = "triton" in sys.modules
    mend_interpreter()
    attention_triton.GENES_IN_A_SPLIT = GENES_IN_A_SPLIT
    ours = attention_triton.linear_attention
    tokens, gradient, projection = inputs(BATCH)
    side_by_side = torch.cat(tokens, dim=-1).chunk(3, dim=-1)
    from_one = gradient[:, :, :1].expand_as(gradient)  # of a sum, say: nothing is contiguous
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    results = {
        "imported before use": imported_before_use,
        "cases": [attend(ours, *inputs(case)) for case in CASES],
        "common": attend(ours, *inputs(BATCH, common=3.0)),
        "batch": attend(ours, tokens, gradient, projection),
        "alone": attend(ours, [t[1:] for t in tokens], gradient[1:], projection),
        "contiguous": attend(ours, tokens, from_one.contiguous(), projection),
        "strided": attend(ours, side_by_side, from_one, projection),
        "compiled": attend(compiled, tokens, gradient, projection),
        "stabilisers": torch.ops.bulkformer.linear_attention(*tokens, projection)[3],
    }
    torch.save(results, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
