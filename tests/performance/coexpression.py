"""Co-expression at the size of the paper's gene axis, against the bare product of the matrix.

The bare product is all of X X^T in float32 by BLAS, in the same blocks and without looking at it.
Co-expression makes half of it, because it is symmetric, and finds each gene's partners on the way.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import harness
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_info

from bulkformer.expression.store import create_store
from bulkformer.expression.vocabulary import SCHEMA
from bulkformer.graph.coexpression import TrainingValues, coexpression_edges
from bulkformer.graph.correlation import BLOCK_GENES

SIZES = {"full": (20_010, 2_000), "small": (6_000, 2_000)}  # genes, samples
REFERENCE_GENES = 3_000
NEIGHBOURS, MIN_CORRELATION = 20, 0.4
REPEATS = 3
# Of the bare product. On few genes more tiles lie on the diagonal, where nothing is saved and
# no threshold is known yet.
MOST_SECONDS = {"full": 0.75, "small": 1.0}
MOST_MEMORY = 1.5  # GB


def simulate(n_genes: int, n_samples: int) -> np.ndarray:
    """Return ln(TPM + 1) float32 [n_genes, n_samples] of gene programs, noise and true zeros."""
    rng = np.random.default_rng(1)
    programs = n_genes // 150
    loadings = rng.standard_normal((n_genes, programs), dtype=np.float32)
    loadings *= rng.random((n_genes, programs), dtype=np.float32) < 3 / programs
    values = loadings @ rng.standard_normal((programs, n_samples), dtype=np.float32)
    values += rng.standard_normal(values.shape, dtype=np.float32)
    values += rng.uniform(0, 8, (n_genes, 1)).astype(np.float32)
    return np.clip(values, 0, None, out=values)


def bare_product(values: np.ndarray, block: int = BLOCK_GENES) -> None:
    """Multiply every block of genes with every other one."""
    tile = np.empty((block, block), dtype=np.float32)
    for start in range(0, len(values), block):
        left = values[start : start + block]
        for other in range(0, len(values), block):
            right = values[other : other + block]
            np.matmul(left, right.T, out=tile[: len(left), : len(right)])


def edges(values: np.ndarray) -> set[tuple[int, int]]:
    """Return the co-expression graph of `values`, which are overwritten; each edge once."""
    measured = np.ones((1, len(values)), dtype=bool)
    training = TrainingValues(values, measured, [values.shape[1]], [])
    found = coexpression_edges(training, NEIGHBOURS, MIN_CORRELATION)
    return {(int(a), int(b)) for a, b in zip(found.source, found.target, strict=True) if a < b}


def dense_edges(values: np.ndarray) -> set[tuple[int, int]]:
    """Return the same by the book: the whole matrix in double precision, and a sort of each row."""
    strength = np.abs(np.corrcoef(values.astype(np.float64)))
    np.fill_diagonal(strength, 0)
    kept = set()
    for gene, row in enumerate(strength):
        for partner in np.lexsort((np.arange(len(row)), -row))[:NEIGHBOURS]:
            if row[partner] >= MIN_CORRELATION:
                kept.add((min(gene, int(partner)), max(gene, int(partner))))
    return kept


def run_step(values: np.ndarray, folder: Path) -> harness.Usage:
    """Run the step from files to file in a process of its own."""
    n_genes, n_samples = values.shape
    ids = [f"S{number:06d}" for number in range(n_samples)]
    rows = {name: pa.nulls(n_genes, SCHEMA.field(name).type) for name in SCHEMA.names}
    rows["gene_id"] = pa.array([f"ENSG{number:011d}" for number in range(n_genes)])
    rows["length_bp"] = pa.array([1000] * n_genes)
    pq.write_table(pa.table(rows, schema=SCHEMA), folder / "genes.parquet")
    with create_store(folder / "cohort" / "log_tpm.arrow", np.ones(n_genes, bool), "log_tpm") as s:
        s.write(ids, values.T)
    samples = pa.table({"cohort": ["cohort"] * n_samples, "sample_id": ids})
    pq.write_table(samples, folder / "samples.parquet")
    command = harness.python("-m", "bulkformer.graph.coexpression")
    options = {
        "genes": folder / "genes.parquet",
        "samples": folder / "samples.parquet",
        "store": folder / "cohort" / "log_tpm.arrow",
        "neighbours": NEIGHBOURS,
        "min-correlation": MIN_CORRELATION,
        "max-samples": 10 * n_samples,
        "seed": 1,
        "output": folder / "graph.parquet",
        "summary": folder / "graph.json",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return harness.peak_rss_of([*command, *words])


def main() -> None:
    """Measure and print."""
    asked = harness.arguments(__doc__)
    n_genes, n_samples = SIZES[asked.scale]
    values = simulate(n_genes, n_samples)
    with tempfile.TemporaryDirectory() as folder:
        step = run_step(values, Path(folder))
    some = values[:REFERENCE_GENES].copy()
    wrong = dense_edges(some) ^ edges(some)
    edges(values)  # standardises in place: to do so again costs the same
    times = harness.interleaved(
        {"bare": lambda: bare_product(values), "graph": lambda: edges(values)}, REPEATS
    )
    threads = max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
    size = f"{n_genes:,} genes x {n_samples:,} samples"
    harness.finish(
        [
            harness.Row("bare blocked product X X^T", times["bare"], note=f"{threads} threads"),
            harness.Row(f"top {NEIGHBOURS} of every gene", times["graph"], note=size),
            harness.Row("the step, files to file", step.seconds, step.peak_megabytes),
        ],
        [
            harness.Bar(
                "time of the bare product",
                times["graph"] / times["bare"],
                MOST_SECONDS[asked.scale],
            ),
            harness.Bar(
                "peak memory of the step", step.peak_megabytes / 1e3, MOST_MEMORY, unit="GB"
            ),
            harness.Bar(
                f"edges unlike the dense matrix's on {REFERENCE_GENES:,} genes",
                len(wrong),
                0,
                unit="edges",
            ),
        ],
        asked.check,
        f"Co-expression, {size}",
    )


if __name__ == "__main__":
    main()
