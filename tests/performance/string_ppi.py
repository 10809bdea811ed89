"""STRING at its real size becomes a graph: in at most 4 times the bare read, in less than 3 GB.

The bare read is one pass that only decompresses the links. The step is a process of its own, from
the start of Python to the written graph, the names of proteins included.
"""

import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from harness import Bar, Row, arguments, finish, interleaved, peak_rss_of, python

SEED = 42
PROTEINS = 19_600
# Rows of protein.links and of protein.aliases of the human proteome in STRING v12.
ROWS = {"full": (13_700_000, 4_000_000), "small": (700_000, 200_000)}
CHUNK = 500_000
BAR_TIME, BAR_MEMORY_GB = 4, 3


def main() -> None:
    """Simulate the files, measure, print."""
    given = arguments(__doc__, scratch=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        n_links, n_aliases = ROWS[given.scale]
        n_proteins = PROTEINS if given.scale == "full" else PROTEINS // 8
        links = folder / f"{n_links}.protein.links.txt.gz"
        aliases = folder / f"{n_aliases}.protein.aliases.txt.gz"
        genes = folder / f"{n_proteins}.genes.parquet"
        if not genes.exists():
            rng = np.random.default_rng(SEED)
            proteins = np.sort(rng.choice(900_000, n_proteins, replace=False)) + 100_000
            write_links(links, proteins, n_links // 2, rng)
            write_aliases(aliases, proteins, n_aliases, rng)
            write_vocabulary(genes, n_proteins)
        step = python("-m", "bulkformer.graph.string_ppi", "--genes", genes, "--links", links)
        step += ["--aliases", str(aliases), "--format", "string", "--min-combined-score", "700"]
        step += ["--output", str(folder / "string.parquet")]
        step += ["--summary", str(folder / "string.json")]
        peaks: list[float] = []
        took = interleaved(
            {
                "read": lambda: read(links),
                "graph": lambda: peaks.append(peak_rss_of(step).peak_megabytes),
            }
        )
        rows = [
            Row("reading the links, decompressed", took["read"], note=f"{n_links:,} rows"),
            Row(
                "links and aliases to a graph", took["graph"], max(peaks), f"{n_aliases:,} aliases"
            ),
        ]
        bars = [
            Bar("graph / bare read", took["graph"] / took["read"], at_most=BAR_TIME),
            Bar("peak memory", max(peaks) / 1000, at_most=BAR_MEMORY_GB, unit="GB"),
        ]
        if given.scale == "small":  # the start of Python would be most of the time
            bars = bars[1:]
        finish(rows, bars, given.check, "STRING to a graph")


def read(path: Path) -> None:
    """Decompress a file and do nothing with it."""
    with gzip.open(path) as handle:
        while handle.read(2**20):
            pass


def write_links(path: Path, proteins: np.ndarray, n_pairs: int, rng: np.random.Generator) -> None:
    """Write each pair in both directions, sorted by protein, most scores near 150, as STRING."""
    n = len(proteins)
    every = rng.choice(n * (n - 1) // 2, n_pairs, replace=False)
    high = ((1 + np.sqrt(1 + 8 * every)) / 2).astype(np.int64)
    low = np.clip(every - high * (high - 1) // 2, 0, high - 1)
    score = np.minimum(999, 150 + rng.exponential(170, n_pairs)).astype(np.int64)
    one, other = np.concatenate([low, high]), np.concatenate([high, low])
    order = np.argsort(one * n + other)
    score = np.concatenate([score, score])[order]
    names = text(lambda at: f"9606.ENSP00000{at} ", proteins)
    numbers = text(lambda at: f"{at:03d}\n", range(1000))
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(b"protein1 protein2 combined_score\n")
        for start in range(0, len(order), CHUNK):
            rows = order[start : start + CHUNK]
            cells = [names[one[rows]], names[other[rows]], numbers[score[start : start + CHUNK]]]
            file.write(np.concatenate(cells, axis=1).tobytes())


def write_aliases(path: Path, proteins: np.ndarray, n_rows: int, rng: np.random.Generator) -> None:
    """Write one Ensembl gene a protein among many other names."""
    names = text(lambda at: f"9606.ENSP00000{at}\t", proteins)
    other = text(lambda at: f"NAME{at:06d}\tEnsembl_UniProt_DR_RefS\n", range(200_000))
    gene = text(lambda at: f"ENSG00000{at:06d}\tEnsembl_gene\n", range(len(proteins)))
    each = n_rows // len(proteins)
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(b"#string_protein_id\talias\tsource\n")
        for at in range(len(proteins)):
            chosen = other[rng.integers(0, len(other), each - 1)]
            file.write(names[at].tobytes() + gene[at].tobytes())
            repeated = np.broadcast_to(names[at], (each - 1, names.shape[1]))
            file.write(np.concatenate([repeated, chosen], axis=1).tobytes())


def write_vocabulary(path: Path, n_genes: int) -> None:
    """Write a vocabulary of the genes of the aliases."""
    from bulkformer.expression.vocabulary import SCHEMA
    from bulkformer.files import write_table

    columns = {name: pa.nulls(n_genes, SCHEMA.field(name).type) for name in SCHEMA.names}
    for name in ["aliases", "ambiguous"]:
        columns[name] = [[]] * n_genes
    columns["gene_id"] = columns["symbol"] = [f"ENSG00000{at:06d}" for at in range(n_genes)]
    write_table(path, pa.table(columns, schema=SCHEMA))


def text(form: Callable[[int], str], values: range | np.ndarray) -> np.ndarray:
    """Return the texts of `values`, all of one length, as rows of bytes."""
    lines = [form(int(value)).encode() for value in values]
    return np.frombuffer(b"".join(lines), dtype=np.uint8).reshape(len(lines), -1)


if __name__ == "__main__":
    main()
