"""What each size of network costs to train, as a Markdown table for docs/scaling.md.

Parameters, operations and memory follow from the shape of a network. Samples a second are measured
where a network trains on this CPU within a few gigabytes, and computed elsewhere from the share of
the matrix rate that the measured ones reach. Every cell says which.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import harness

sys.path.insert(0, str(harness.LIBRARY))

import torch
from pretrain_work import random_batch, random_graph, train_once

from bulkformer.model import bulkformer, bulkformer_latest
from bulkformer.model.bulkformer import PRESETS
from bulkformer.model.bulkformer_latest import BulkFormerLatestConfig
from bulkformer.model.cost import matrix_rate, memory_bytes, parameters, training_flops
from bulkformer.pretrain.memory import keep_freed_memory

NETWORKS = {**PRESETS, "latest": BulkFormerLatestConfig()}
# Turns after the first one, at batch 1 on a CPU: half a minute each for the last.
MEASURED = {"full": {"37M": 3, "50M": 3, "93M": 1}, "small": {"37M": 3}}
PROTEIN_WIDTH = 1280  # columns of an ESM2 embedding


@dataclass(frozen=True)
class Trained:
    """What was measured: wall seconds of one sample's step, and peak memory of its process."""

    seconds: float
    gigabytes: float


def edges_of(name: str) -> int:
    """Return the edges of a usual graph: 20 neighbours a gene, the released graph for `latest`."""
    return NETWORKS[name].n_genes * (34 if name == "latest" else 20)


def train_alone(name: str, repeats: int) -> None:
    """Take a few optimiser steps on one sample, and print the median of their seconds."""
    keep_freed_memory()
    config = NETWORKS[name]
    module = bulkformer_latest if name == "latest" else bulkformer
    graph = random_graph(config.n_genes, edges_of(name) // config.n_genes)
    network = module.initialise(config, graph, seed=1, prediction_start=2.0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    x, values = random_batch(1, config.n_genes)
    took = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        train_once(network, x, values)
        optimiser.step()
        took.append(time.perf_counter() - start)
    print(statistics.median(took[1:]))


def measure(name: str, repeats: int) -> Trained:
    """Train one network in a process of its own."""
    here = str(Path(__file__).parent)
    code = (
        f"import sys; sys.path.insert(0, {here!r}); import scaling; "
        f"scaling.train_alone({name!r}, {repeats})"
    )
    usage = harness.peak_rss_of(harness.python("-W", "ignore", "-c", code))
    return Trained(float(usage.output.split()[-1]), usage.peak_megabytes / 1e3)


def line(name: str, trained: Trained | None, rate: float, share: float) -> str:
    """Return one row; `share` is what the measured networks reach of the matrix rate."""
    config = NETWORKS[name]
    flops = training_flops(config, edges_of(name), batch_size=1)
    proteins = replace(config, gene_dim=PROTEIN_WIDTH, gene_table_trained=False)
    estimate = memory_bytes(config, 1, device="cpu") / 1e9
    memory = (
        f"{trained.gigabytes:.1f} GB (measured), {estimate:.1f} GB (computed)"
        if trained
        else f"{estimate:.1f} GB (computed)"
    )
    speed = (
        f"{1 / trained.seconds:.2g} (measured)"
        if trained
        else f"{share * rate / flops:.2g} (computed)"
    )
    cells = (
        name,
        f"{parameters(config) / 1e6:.1f} M",
        f"{parameters(proteins) / 1e6:.1f} M",
        f"{flops / 1e12:.2f} T",
        memory,
        f"{memory_bytes(config, 16, 'bfloat16') / 1e9:.0f} GB",
        f"{memory_bytes(config, 16, 'bfloat16', checkpointing=True) / 1e9:.0f} GB",
        speed,
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table, and below it what the computed cells rest on."""
    asked = harness.arguments(__doc__)
    rate = statistics.median(matrix_rate("cpu") for _ in range(3))
    trained = {name: measure(name, turns) for name, turns in MEASURED[asked.scale].items()}
    shares = {
        name: training_flops(NETWORKS[name], edges_of(name), batch_size=1) / one.seconds / rate
        for name, one in trained.items()
    }
    share = list(shares.values())[-1]  # of the largest one, which is most like those not measured
    print(
        "| preset | parameters, learned table (computed) | parameters, ESM2 table (computed) | "
        "FLOPs to train on a sample (computed) | CPU, one sample, float32 | "
        "GPU, 16 samples, bfloat16 (computed) | the same with activation checkpointing "
        "(computed) | samples a second on this CPU |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name in NETWORKS:
        print(line(name, trained.get(name), rate, share))
    reached = ", ".join(f"{name} {value:.0%}" for name, value in shares.items())
    threads = torch.get_num_threads()
    print(
        f"\nFloat32 matrix rate {rate / 1e9:,.0f} GFLOP/s on {threads} threads; reached: {reached}."
    )


if __name__ == "__main__":
    main()
