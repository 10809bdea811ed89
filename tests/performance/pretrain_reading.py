"""Reading shuffled batches from a store of 20,000 samples: speed against training, and memory."""

from __future__ import annotations

import time
from pathlib import Path

import harness
import numpy as np
import pandas as pd

from bulkformer.expression.store import create_store
from bulkformer.pretrain.batches import CorpusSamples, epoch_order, prefetched

SIZES = {"full": (20_010, 20_000, 2_000), "small": (2_000, 2_000, 500)}  # genes, samples, fewer
READ_BATCH = 4  # samples that the train step reads at a time by default
FASTER, GROWTH = 5, 1.15


def write_store(path: Path, n_genes: int, n_samples: int) -> None:
    """Write ln(TPM + 1) of so many samples, unless the file is there already."""
    if path.exists():
        return
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with create_store(path, np.ones(n_genes, bool), "log_tpm") as store:
        for start in range(0, n_samples, 512):
            ids = [f"S{number:06d}" for number in range(start, min(start + 512, n_samples))]
            store.write(ids, rng.gamma(1, 2, (len(ids), n_genes)).astype(np.float32))


def read_epoch(path: Path, n_samples: int) -> None:
    """Read every sample once in the order of an epoch, and print the samples a second."""
    ids = [f"S{number:06d}" for number in range(n_samples)]
    corpus = pd.DataFrame({"cohort": path.parent.name, "sample_id": ids, "split": "train"})
    samples = CorpusSamples(corpus, [path], "train")
    order = epoch_order(len(samples), seed=0, epoch=0)
    plan = [order[start : start + READ_BATCH] for start in range(0, n_samples, READ_BATCH)]
    total, start = 0.0, time.perf_counter()
    for _, values in prefetched(samples, plan):
        total += float(values[:, 0].sum())  # touches what was read
    print(n_samples / (time.perf_counter() - start))


def reading(
    folder: Path, scale: str, consumed: float
) -> tuple[list[harness.Row], list[harness.Bar]]:
    """Measure reading against `consumed`, the samples that training takes a second."""
    n_genes, many, few = SIZES[scale]
    rows, rates, peaks = [], {}, {}
    here = str(Path(__file__).parent)
    for n_samples in (few, many):
        path = folder / f"samples_{n_samples}_{n_genes}" / "log_tpm.arrow"
        write_store(path, n_genes, n_samples)
        code = (
            f"import sys; sys.path.insert(0, {here!r}); from pathlib import Path; "
            f"import pretrain_reading as p; p.read_epoch(Path({str(path)!r}), {n_samples})"
        )
        usage = harness.peak_rss_of(harness.python("-W", "ignore", "-c", code))
        rates[n_samples] = float(usage.output.split()[-1])
        peaks[n_samples] = usage.peak_megabytes
        rows.append(
            harness.Row(
                f"{n_samples:,} samples read in shuffled batches of {READ_BATCH}",
                n_samples / rates[n_samples],
                usage.peak_megabytes,
                f"{rates[n_samples]:,.0f} samples/s",
            )
        )
    bars = [
        harness.Bar("samples read for one consumed", rates[many] / consumed, at_least=FASTER),
        harness.Bar(
            f"memory at {many:,} against {few:,} samples", peaks[many] / peaks[few], at_most=GROWTH
        ),
    ]
    return rows, bars
