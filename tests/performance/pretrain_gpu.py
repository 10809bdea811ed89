"""The GPU side of `pretrain.py`: large presets in bfloat16 at the largest batch that fits.

Ours runs with each kernel of attention, compiled and not; the reference as it comes. A step is
forward, backward and the fused AdamW. Every contender searches its own largest batch, since the
memory of a GPU decides what it is worth.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from harness import Bar, Row
from pretrain_work import MASK_FRACTION, random_batch, random_graph
from reference_network import reference_of

from bulkformer.errors import InputError
from bulkformer.model import bulkformer, bulkformer_latest
from bulkformer.model.attention import set_attention
from bulkformer.model.bulkformer import PRESETS
from bulkformer.model.bulkformer_latest import BulkFormerLatestConfig
from bulkformer.model.cost import matrix_rate, parameters, training_flops

LARGE = {
    "93M": PRESETS["93M"],
    "147M": PRESETS["147M"],
    "latest": BulkFormerLatestConfig(),
}
CONTENDERS = (("fused", False), ("fused", True), ("triton", False), ("triton", True))
PROFILES, EPOCHS = 522_769, 30  # of the paper's pretraining
AUTHORS_HOURS = 350  # on A800, in total
MOST_SAMPLES = 1024
STEPS = 5
FASTER, LARGER_BATCH, UTILISED = 3.0, 2.0, 0.4


@dataclass(frozen=True)
class Measured:
    """One contender: its name, largest batch, samples a second and peak memory of the device."""

    name: str
    batch: int
    samples_per_second: float
    gigabytes: float


def largest_batch(step: Callable[[int], object], most: int = MOST_SAMPLES) -> int:
    """Return the largest batch for which `step(batch)` does not run out of memory; 0 if none.

    The batch is doubled until it fails, then the gap is halved. The result is within a sixteenth of
    the limit, which the allocator does not hold exactly either.
    """
    fits, fails = 0, None
    while fits < most and (fails is None or fails - fits > max(1, fits // 16)):
        tried = min(most, max(1, 2 * fits)) if fails is None else (fits + fails) // 2
        if enough_memory(step, tried):
            fits = tried
        else:
            fails = tried
    return fits


def enough_memory(step: Callable[[int], object], batch: int) -> bool:
    """Say whether a step runs through; afterwards its memory is free again."""
    try:
        step(batch)
    except torch.OutOfMemoryError:
        return False
    finally:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
    return True


def training_step(
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    n_genes: int,
    device: torch.device,
    batch: int,
) -> None:
    """Take one step on `batch` samples under bfloat16 autocast, loss in float32."""
    x, values = random_batch(batch, n_genes, device)
    hidden = x == -10
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast(device.type, torch.bfloat16):
        prediction = network(x, torch.full((batch,), MASK_FRACTION, device=device))
    ((prediction.float() - values).square() * hidden).sum().div(hidden.sum()).backward()
    optimiser.step()


def measure(name: str, network: torch.nn.Module, n_genes: int, device: torch.device) -> Measured:
    """Find the largest batch of a network, and its speed at that batch."""
    network = network.to(device).train()
    on_gpu = device.type == "cuda"
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=on_gpu)

    def step(batch: int) -> None:
        for _ in range(2):  # the second meets the moments of the optimiser
            training_step(network, optimiser, n_genes, device, batch)

    batch = largest_batch(step)
    while batch:
        # What fitted once may not fit twice: fragments of memory are left over.
        took = []
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(device)
        if enough_memory(lambda size, took=took: took.extend(seconds_of_steps(step, size)), batch):
            break
        batch = min(batch - 1, int(0.95 * batch))
    gigabytes = torch.cuda.max_memory_allocated(device) / 1e9 if on_gpu and batch else 0.0
    rate = 2 * batch / statistics.median(took) if batch else 0.0
    return Measured(name, batch, rate, gigabytes)


def seconds_of_steps(step: Callable[[int], object], batch: int) -> list[float]:
    """Return the wall times of a few turns of two steps, after one to warm up."""
    took = []
    for _ in range(1 + STEPS):
        start = time.perf_counter()
        step(batch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        took.append(time.perf_counter() - start)
    return took[1:]


def contenders(config, n_genes: int, neighbours: int, device: torch.device) -> list[Measured]:
    """Measure the reference, then ours in every way that this machine can run."""
    module = bulkformer_latest if isinstance(config, BulkFormerLatestConfig) else bulkformer
    graph = random_graph(n_genes, neighbours)
    ours = module.initialise(config, graph, seed=1, prediction_start=2.0)
    found = [measure("reference", reference_of(ours, graph), n_genes, device)]
    for kernel, compiled in CONTENDERS:
        network = module.initialise(config, graph, seed=1, prediction_start=2.0)
        set_attention(network, kernel)
        if compiled:
            network.compile(dynamic=False)
        name = f"ours, {kernel}{', compiled' if compiled else ''}"
        try:
            found.append(measure(name, network, n_genes, device))
        except (InputError, torch._dynamo.exc.TorchDynamoException) as error:
            print(f"{name}: not measured, {str(error).splitlines()[0]}")
        torch._dynamo.reset()
    return found


def on_gpu(scale: str) -> tuple[list[Row], list[Bar]]:
    """Measure the large presets and hold the best of ours against the reference."""
    device = torch.device("cuda")
    torch.backends.cuda.matmul.allow_tf32 = True  # for both: what bfloat16 leaves in float32
    rate = matrix_rate(device, torch.bfloat16)
    gpu = torch.cuda.get_device_name(device)
    rows, bars = [Row(f"bfloat16 matrix rate of {gpu}", note=f"{rate / 1e12:,.0f} TFLOP/s")], []
    names = list(LARGE) if scale == "full" else ["93M"]
    for name in names:
        config = LARGE[name]
        neighbours = 20 if name != "latest" else 34  # 671,000 edges in the release
        flops = training_flops(config, config.n_genes * neighbours)
        found = contenders(config, config.n_genes, neighbours, device)
        rows += [row_of(name, parameters(config), one, flops, rate) for one in found]
        reference, *ours = found
        best = max(ours, key=lambda one: one.samples_per_second)
        bars += bars_of(name, best, reference, flops, rate)
    return rows, bars


def row_of(preset: str, size: int, one: Measured, flops: float, rate: float) -> Row:
    """Say what one contender did, and what the paper's pretraining would take on this device."""
    if not one.batch:
        return Row(f"{preset} ({size / 1e6:.0f}M), {one.name}", note="not one sample fits")
    hours = PROFILES * EPOCHS / one.samples_per_second / 3600
    return Row(
        f"{preset} ({size / 1e6:.0f}M), {one.name}",
        one.batch / one.samples_per_second,
        1e3 * one.gigabytes,
        f"batch {one.batch}, {one.samples_per_second:.1f} samples/s, MFU "
        f"{flops * one.samples_per_second / rate:.0%}, the paper's pretraining {hours:,.0f} "
        f"GPU-hours (the authors: about {AUTHORS_HOURS} on A800)",
    )


def bars_of(
    preset: str, best: Measured, reference: Measured, flops: float, rate: float
) -> list[Bar]:
    """Hold the best of ours against the reference."""
    speed = best.samples_per_second / max(reference.samples_per_second, 1e-9)
    return [
        Bar(f"{preset}: samples a second on a GPU", speed, at_least=FASTER),
        Bar(f"{preset}: batch", best.batch / max(reference.batch, 1), at_least=LARGER_BATCH),
        Bar(
            f"{preset}: MFU ({best.name})",
            flops * best.samples_per_second / rate,
            at_least=UTILISED,
            unit="of the bf16 rate",
        ),
    ]
