"""How fast counts become ln(TPM + 1), and an ARCHS4 file both stores; how much memory that takes.

The kernel is compared with the straightforward pandas way on one frame of 60,000 genes, the
conversion with barely reading and decompressing the same file with h5py in the same run.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from harness import (
    LIBRARY,
    Bar,
    Row,
    arguments,
    finish,
    interleaved,
    peak_rss_of,
    python,
)

sys.path.insert(0, str(LIBRARY))

from bulkformer.expression.conversion import ROWS
from bulkformer.expression.genes import vocabulary_table
from bulkformer.expression.identifiers import map_genes
from bulkformer.expression.normalise import Normaliser, choose_denominator
from bulkformer.expression.vocabulary import Vocabulary

N_GENES, N_CODING = 60_000, 20_000
DISTINCT = 1_500  # samples that are simulated; larger files repeat their compressed chunks
CHUNKS = (500, 500)  # genes x samples; upstream states none
THREADS = 2
CORPUS = 700_000  # samples of the whole of ARCHS4
KERNEL_SAMPLES = 256
KERNEL_TURNS = 25  # of hundredths of a second each: a median of few would be luck

READ_BARELY = """
import sys, h5py
with h5py.File(sys.argv[1]) as file:
    expression = file["data/expression"]
    width = expression.chunks[1]
    for start in range(0, expression.shape[1], width):
        expression[:, start : start + width]
"""


def simulated_counts(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Return negative binomial counts uint32 [genes, samples]: half of the genes are seen."""
    typical = np.exp(rng.normal(1.5, 2.6, N_GENES)) * (rng.random(N_GENES) < 0.8)
    depth = np.exp(rng.normal(0, 0.5, n_samples))
    counts = np.empty((N_GENES, n_samples), dtype=np.uint32)
    for start in range(0, N_GENES, 2_000):
        part = slice(start, start + 2_000)
        biology = rng.standard_gamma(1.2, (len(typical[part]), n_samples)) / 1.2
        counts[part] = rng.poisson(biology * typical[part, None] * depth)
    return counts


def write_annotation(folder: Path) -> tuple[Path, Path]:
    """Write genes.parquet, every third gene, and annotation.parquet, all of them."""
    rng = np.random.default_rng(1)
    coding = np.arange(N_GENES) % 3 == 0
    annotation = pd.DataFrame(
        {
            "gene_id": gene_ids(),
            "symbol": [f"GENE{number}" for number in range(N_GENES)],
            "entrez": [str(number + 1) for number in range(N_GENES)],
            "length_bp": rng.integers(200, 12_000, N_GENES),
            "biotype": np.where(coding, "protein_coding", "lncRNA"),
            "chromosome": "1",
        }
    )
    paths = folder / "genes.parquet", folder / "annotation.parquet"
    for path, biotypes in zip(paths, (["protein_coding"], None), strict=True):
        pq.write_table(vocabulary_table(annotation, None, biotypes, "simulated"), path)
    return paths


def gene_ids() -> list[str]:
    """Return Ensembl ids in the order of the file, which is not that of the vocabulary."""
    order = np.random.default_rng(2).permutation(N_GENES)
    return [f"ENSG{number + 1:011d}" for number in order]


def write_archs4(path: Path, counts: np.ndarray, n_samples: int) -> None:
    """Write an ARCHS4 file whose compressed chunks repeat those of `counts` until it is full."""
    width = CHUNKS[1]
    with h5py.File(path, "w") as file:
        shape = (N_GENES, n_samples)
        settings = {"chunks": CHUNKS, "compression": "gzip", "compression_opts": 4}
        expression = file.create_dataset("data/expression", shape, np.uint32, **settings)
        distinct = min(n_samples, counts.shape[1])
        expression[:, :distinct] = counts[:, :distinct]
        for column in range(distinct, n_samples, width):
            for row in range(0, N_GENES, CHUNKS[0]):
                _, chunk = expression.id.read_direct_chunk((row, column % distinct))
                expression.id.write_direct_chunk((row, column), chunk)
        file["meta/genes/ensembl_gene"] = gene_ids()
        samples = range(n_samples)
        for field, values in {
            "geo_accession": [f"GSM{number}" for number in samples],
            "series_id": [f"GSE{number // 30},GSE{number // 90}" for number in samples],
            "characteristics_ch1": [f"tissue: liver,donor: {number}" for number in samples],
            "library_source": ["transcriptomic"] * n_samples,
            "singlecellprobability": np.zeros(n_samples),
        }.items():
            file[f"meta/samples/{field}"] = values


def conversion_of(path: Path, folder: Path, genes: Path) -> list[str]:
    """Return the command of the cohort step."""
    options = {
        "cohort": "archs4",
        "expression": path,
        "format": "archs4",
        "gene-ids": "ensembl",
        "unit": "counts",
        "min-shared-vocabulary": 0.5,
        "min-detected-genes": 1000,
        "min-library-size": 1000,
        "max-single-cell-probability": 0.5,
        "genes": genes,
        "counts": folder / "counts.arrow",
        "log-tpm": folder / "log_tpm.arrow",
        "samples-output": folder / "samples.parquet",
        "coverage": folder / "coverage.json",
        "threads": THREADS,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return python("-m", "bulkformer.expression.cohort", *words)


def measure_kernel(
    counts: np.ndarray, genes: Path, annotation: Path, repeats: int
) -> tuple[list[Row], list[Bar]]:
    """Compare the kernel with pandas; `counts` is [genes, samples]."""
    names, vocabulary = gene_ids(), Vocabulary.load(genes)
    every = Vocabulary.load(annotation)
    block = np.ascontiguousarray(counts[:, :KERNEL_SAMPLES].T)
    frame = pd.DataFrame(block, columns=names)
    lengths = pd.Series(every.length_bp, index=every.gene_ids)[names]
    mapping = map_genes(names, "ensembl", vocabulary)

    def with_pandas(columns: list[str]) -> np.ndarray:
        rate = frame.div(lengths, axis=1)
        total = rate.sum(axis=1) if columns is names else rate[columns].sum(axis=1)
        share = rate.div(total, axis=0) * 1e6
        return np.log1p(share).reindex(columns=vocabulary.gene_ids).to_numpy()

    def ours(name: str) -> Callable[[], np.ndarray]:
        denominator = choose_denominator(name, names, mapping, vocabulary, every)
        normaliser = Normaliser(vocabulary.length_bp, mapping.measured, denominator)
        result = np.empty((len(block), len(vocabulary)), np.float32)
        starts = range(0, len(block), ROWS)

        def align(start: int) -> None:
            part = slice(start, start + ROWS)
            of_file = block[part].astype(np.float32)
            counts = mapping.project(of_file)
            normaliser.log_tpm(counts, normaliser.further(of_file), result[part])

        def run() -> np.ndarray:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(align, starts))
            return result

        return run

    ways = {
        "pandas, TPM of the vocabulary": partial(with_pandas, vocabulary.gene_ids),
        "ours, TPM of the vocabulary": ours("vocabulary"),
        "pandas, TPM of all genes": partial(with_pandas, names),
        "ours, TPM of all genes": ours("all_supplied"),
    }
    took = interleaved(ways, repeats)
    rows = [
        Row(f"kernel, {name}", seconds, note=f"{len(block) / seconds:,.0f} samples/s")
        for name, seconds in took.items()
    ]
    bars = []
    for genes_of, least in {"the vocabulary": 12, "all genes": 8}.items():
        pandas, own = (f"{who}, TPM of {genes_of}" for who in ["pandas", "ours"])
        difference = float(np.abs(ways[own]() - ways[pandas]()).max())
        bars += [
            Bar(f"kernel, TPM of {genes_of}", took[pandas] / took[own], at_least=least),
            Bar(f"difference, TPM of {genes_of}", difference, at_most=1e-6, unit=""),
        ]
    return rows, bars


def measure_conversion(
    small: Path, large: Path, genes: Path, folder: Path, repeats: int
) -> tuple[list[Row], list[Bar]]:
    """Compare the conversion of `large` with reading it, and its memory with that of `small`."""
    read, converted, peaks = [], [], {}
    out = folder / "out"
    for path in [small, *[large] * repeats]:
        out.mkdir()
        barely = peak_rss_of(python("-c", READ_BARELY, path))
        usage = peak_rss_of(conversion_of(path, out, genes))
        shutil.rmtree(out)
        peaks[path] = max(usage.peak_megabytes, peaks.get(path, 0))
        if path == large:
            read.append(barely.seconds)
            converted.append(usage.seconds)
    with h5py.File(large) as file:
        n_large, ratio = file["data/expression"].shape[1], file["data/expression"].nbytes
    with h5py.File(small) as file:
        n_small = file["data/expression"].shape[1]
    ratio /= large.stat().st_size
    bare, ours = float(np.median(read)), float(np.median(converted))
    hours = ours / n_large * CORPUS / 3600
    rows = [
        Row(f"read {n_large:,} samples barely", bare, note=f"gzip {ratio:.1f} times smaller"),
        Row(f"convert {n_large:,} samples", ours, peaks[large], f"{n_large / ours:,.0f} samples/s"),
        Row(f"convert {n_small:,} samples", None, peaks[small]),
        Row(f"convert {CORPUS:,} samples", hours * 3600, note=f"projected: {hours:.2f} hours"),
    ]
    bars = [
        Bar("conversion against bare reading", ours / bare, at_most=1.5),
        Bar("peak memory", peaks[large] / 1000, at_most=2, unit="GB"),
        Bar(f"memory at {n_large:,} / {n_small:,}", peaks[large] / peaks[small], at_most=1.15),
    ]
    return rows, bars


def main() -> None:
    options = arguments(__doc__, scratch=True)
    full = options.scale == "full"
    sizes = (2_000, 20_000) if full else (2_000, 4_000)
    scratch = Path(tempfile.mkdtemp(prefix="expression-", dir=options.folder))
    kept = options.folder or scratch
    try:
        genes, annotation = write_annotation(scratch)
        start = time.perf_counter()
        counts = simulated_counts(np.random.default_rng(0), DISTINCT)
        files = [kept / f"archs4_{n_samples}.h5" for n_samples in sizes]
        for path, n_samples in zip(files, sizes, strict=True):
            if not path.exists():
                partial = path.with_suffix(".partial")
                write_archs4(partial, counts, n_samples)
                partial.rename(path)
        rows = [Row("simulate the files", time.perf_counter() - start)]
        kernel_rows, kernel_bars = measure_kernel(counts, genes, annotation, KERNEL_TURNS)
        del counts
        small, large = files
        more_rows, more_bars = measure_conversion(small, large, genes, scratch, 3 if full else 1)
    finally:
        shutil.rmtree(scratch)
    title = f"Counts to ln(TPM + 1), {N_GENES:,} genes, {THREADS} threads"
    finish(rows + kernel_rows + more_rows, kernel_bars + more_bars, options.check, title)


if __name__ == "__main__":
    main()
