"""Pretraining against the straightforward network of performer-pytorch and torch_geometric.

Both hold the same weights and are shown to predict the same and to have the same gradients; they
take turns. On CPU: forward and backward of the smallest preset, time and peak memory, and whether
samples are read faster than it consumes them. Where there is a GPU: the large presets in bfloat16
at the largest batch that fits (`pretrain_gpu.py`).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import harness

sys.path.insert(0, str(harness.LIBRARY))

import torch
from pretrain_reading import reading
from pretrain_work import random_batch, random_graph, train_once
from reference_network import reference_of

from bulkformer.model.bulkformer import PRESETS, BulkFormerConfig, initialise
from bulkformer.pretrain.memory import keep_freed_memory

PRESET, BATCH = "37M", 2
GENES = {"full": 20_010, "small": 2_000}
REPEATS = {"full": 5, "small": 3}
PARTS = ["cpu", "reading", "gpu"]


def both_networks(config: BulkFormerConfig) -> dict[str, torch.nn.Module]:
    """Return ours and the reference with the same weights."""
    graph = random_graph(config.n_genes)
    ours = initialise(config, graph, seed=1, prediction_start=2.0)
    return {"ours": ours, "reference": reference_of(ours, graph)}


def differences(
    networks: dict[str, torch.nn.Module], x: torch.Tensor, values: torch.Tensor
) -> tuple[float, float]:
    """Return the largest difference of a prediction and of a gradient."""
    predictions = [train_once(network, x, values) for network in networks.values()]
    ours, theirs = (dict(network.named_parameters()) for network in networks.values())
    gradients = max(
        float((ours[name].grad - theirs[name].grad).abs().max())
        for name in ours
        if theirs[name].grad is not None
    )
    return float((predictions[0] - predictions[1]).abs().max()), gradients


def train_alone(name: str, scale: str) -> None:
    """Take three steps with one of the networks and end: for the peak memory of a process."""
    config = replace(PRESETS[PRESET], n_genes=GENES[scale])
    network = both_networks(config)[name]
    x, values = random_batch(BATCH, config.n_genes)
    for _ in range(3):
        train_once(network, x, values)


def peak_megabytes(name: str, scale: str) -> float:
    """Return the peak resident memory of a process that trains one network.

    All of it counts: interpreter, libraries (those of the reference for both) and graph as well.
    """
    here = str(Path(__file__).parent)
    code = (
        f"import sys; sys.path.insert(0, {here!r}); import pretrain; "
        f"pretrain.train_alone({name!r}, {scale!r})"
    )
    return harness.peak_rss_of(harness.python("-W", "ignore", "-c", code)).peak_megabytes


def on_cpu(scale: str) -> tuple[list[harness.Row], list[harness.Bar], float]:
    """Compare ours with the reference; also return the samples that ours takes a second."""
    config = replace(PRESETS[PRESET], n_genes=GENES[scale])
    networks = both_networks(config)
    x, values = random_batch(BATCH, config.n_genes)
    prediction, gradient = differences(networks, x, values)
    steps: dict[str, Callable[[], object]] = {
        name: lambda network=network: train_once(network, x, values)
        for name, network in networks.items()
    }
    times = harness.interleaved(steps, REPEATS[scale])
    peaks = {name: peak_megabytes(name, scale) for name in networks}
    # What the train step sets for itself. It cannot be taken back, so it comes last.
    kept = keep_freed_memory()
    for step in steps.values():
        step()
    times_kept = harness.interleaved(steps, REPEATS[scale])
    rows = [
        harness.Row(
            f"{name}, forward and backward of {BATCH} samples",
            times[name],
            peaks[name],
            f"{BATCH / times[name]:.2f} samples/s; {BATCH / times_kept[name]:.2f} with freed "
            f"memory kept{'' if kept else ' (not on this system)'}",
        )
        for name in networks
    ]
    rows.append(
        harness.Row(
            "ratio with freed memory kept on both sides",
            note=f"{times_kept['reference'] / times_kept['ours']:.2f} x",
        )
    )
    bars = [
        harness.Bar("largest difference of predictions", prediction, at_most=1e-5, unit=""),
        harness.Bar("largest difference of gradients", gradient, at_most=1e-4, unit=""),
        harness.Bar("samples a second", times["reference"] / times["ours"], at_least=2.0),
        harness.Bar("peak memory", peaks["ours"] / peaks["reference"], at_most=0.6),
    ]
    return rows, bars, BATCH / min(times["ours"], times_kept["ours"])


def main() -> None:
    """Measure and print."""
    asked = harness.arguments(__doc__, scratch=True, parts=PARTS)
    rows, bars = [], []
    consumed = float("nan")
    if {"cpu", "reading"} & set(asked.only):
        rows, bars, consumed = on_cpu(asked.scale)
    if "reading" in asked.only:
        with tempfile.TemporaryDirectory() as scratch:
            more_rows, more_bars = reading(asked.folder or Path(scratch), asked.scale, consumed)
        rows, bars = rows + more_rows, bars + more_bars
    if "gpu" in asked.only and torch.cuda.is_available():
        from pretrain_gpu import on_gpu

        more_rows, more_bars = on_gpu(asked.scale)
        rows, bars = rows + more_rows, bars + more_bars
    elif "gpu" in asked.only:
        print("no GPU at hand: its bars were not measured; run this again where there is one")
    threads = torch.get_num_threads()
    title = f"Pretraining, {PRESET}, {GENES[asked.scale]:,} genes, {threads} threads"
    harness.finish(rows, bars, asked.check and asked.scale == "full", title)


if __name__ == "__main__":
    main()
