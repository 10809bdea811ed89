"""FAVOR+ attention on a GPU: streamed PyTorch, Triton and performer-pytorch, forward and backward.

One layer of every preset at 20,010 genes, in bfloat16 and float32. Without a GPU nothing is
measured, and the script says so. The error is that of values and gradients against streamed PyTorch
in float32 from the same inputs.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from functools import partial

import torch
from harness import LIBRARY, MEGABYTE, Bar, Row, arguments, finish

sys.path.insert(0, str(LIBRARY))
from bulkformer.model.attention import KERNELS
from bulkformer.model.attention_features import orthogonal_gaussian_projection
from bulkformer.model.variants import PRESETS

N_GENES, SAMPLES = 20_010, 8
REPEATS, WARM_UP = 10, 3  # the first call of a Triton kernel compiles it
REFERENCE = "performer_pytorch"
# The bars are for the largest heads, in the type that pretraining takes.
LARGEST, FASTER, LEANER = "147M", 3.0, 0.5
ERRORS = {torch.float32: 1e-4, torch.bfloat16: 2e-2}


def attention(kernel: str, tokens: list[torch.Tensor], gradient, projection) -> list[torch.Tensor]:
    """Return the output of one attention, and the gradients of q, k and v."""
    output = KERNELS[kernel](*tokens, projection, None)
    return [output.detach(), *torch.autograd.grad(output, tokens, gradient)]


def milliseconds(function: Callable[[], object]) -> float:
    """Return the median time of `function` on the GPU."""
    for _ in range(WARM_UP):
        function()
    times = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def peak_megabytes(function: Callable[[], object]) -> float:
    """Return what `function` takes of the memory of the GPU beyond what was taken before."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    function()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / MEGABYTE


def relative_error(results: list[torch.Tensor], exact: list[torch.Tensor]) -> float:
    """Return the largest |result - exact| / |exact| of outputs and gradients."""
    return max(
        float((result.float() - expected).norm() / expected.norm())
        for result, expected in zip(results, exact, strict=True)
    )


def measure(preset: str, dtype: torch.dtype, samples: int, n_genes: int):
    """Return the rows of all kernels, and {kernel: (milliseconds, peak megabytes, error)}."""
    config = PRESETS[preset]
    features = getattr(config, "features_per_head", config.features)
    head_dim = config.dim // config.heads
    generator = torch.Generator("cuda").manual_seed(0)
    size = (samples, n_genes, config.dim)
    draw = partial(torch.randn, size, generator=generator, device="cuda", dtype=dtype)
    tokens, gradient = [draw().requires_grad_() for _ in range(3)], draw()
    torch.manual_seed(0)
    projection = orthogonal_gaussian_projection(features, head_dim).cuda()
    same = [t.detach().float().requires_grad_() for t in tokens]
    exact = attention("fused", same, gradient.float(), projection)
    # Forward, two products for q and two for k; backward twice as many.
    operations = 2 * 12 * samples * n_genes * config.heads * features * head_dim
    rows, measured = [], {}
    for kernel in KERNELS:
        name = f"{preset}, {str(dtype).removeprefix('torch.')}, {kernel}"
        once = partial(attention, kernel, tokens, gradient, projection)
        try:
            error = relative_error(once(), exact)
            took, peak = milliseconds(once), peak_megabytes(once)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            rows.append(Row(name, note="does not fit"))
            continue
        measured[kernel] = (took, peak, error)
        note = f"{operations / took / 1e9:.0f} TFLOP/s, error {error:.1e}"
        rows.append(Row(name, took / 1e3, peak, note))
    return rows, measured


def bars(preset: str, dtype: torch.dtype, measured: dict[str, tuple[float, float, float]]):
    """Return the bars of one preset and type: errors always, time and memory of the largest."""
    found = []
    if "triton" in measured:
        took, peak, error = measured["triton"]
        name = f"Triton, {preset}, {str(dtype).removeprefix('torch.')}"
        found.append(Bar(f"{name}: error", error, at_most=ERRORS[dtype], unit=""))
        if (preset, dtype) == (LARGEST, torch.bfloat16) and REFERENCE in measured:
            their_time, their_peak, _ = measured[REFERENCE]
            faster, leaner = their_time / took, peak / their_peak
            found.append(Bar(f"{name}: times as fast as {REFERENCE}", faster, at_least=FASTER))
            found.append(Bar(f"{name}: of its memory", leaner, at_most=LEANER))
    return found


def main() -> None:
    options = arguments(__doc__)
    if not torch.cuda.is_available():
        print("No GPU is at hand: nothing was measured.")
        return
    samples, n_genes = (SAMPLES, N_GENES) if options.scale == "full" else (2, 2000)
    rows, limits = [], []
    for preset in PRESETS:
        for dtype in (torch.bfloat16, torch.float32):
            of_preset, measured = measure(preset, dtype, samples, n_genes)
            rows += of_preset
            limits += bars(preset, dtype, measured)
    device = torch.cuda.get_device_name()
    title = f"Attention forward and backward, {samples} samples, {n_genes:,} genes, one {device}"
    finish(rows, limits, options.check, title)


if __name__ == "__main__":
    main()
