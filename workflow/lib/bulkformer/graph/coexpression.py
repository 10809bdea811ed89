"""The coexpression step: connects genes that vary together in training samples.

They are those of the corpus, or those of one fold of an evaluation. Held-out samples take no part
and are not even read: a graph that has seen them would carry their correlations into every model
that convolves over it.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.groups import TRAIN
from bulkformer.expression.store import ExpressionStore
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.files import sha256, write_json
from bulkformer.graph.correlation import BLOCK_GENES, GeneClasses, correlation_tiles
from bulkformer.graph.edges import Edges, statistics, symmetric, write_graph
from bulkformer.graph.partners import StrongestPartners, collect_candidates, settle

MIN_SAMPLES = 10
# Over few samples, r is large by chance, and a gene that only a small cohort measured would become
# everybody's strongest partner: correlations compete only if they rest on most of the samples.
MIN_COMMON_SHARE = 0.5


@dataclass(frozen=True)
class TrainingValues:
    """ln(TPM + 1) of training samples, samples of one pattern of measured genes adjacent.

    Attributes
    ----------
    values : float32 [n_genes, n], NaN where not measured
    measured : bool [n_patterns, n_genes]
    sizes : samples of each pattern
    samples : cohort and sample_id of each column of `values`
    """

    values: np.ndarray
    measured: np.ndarray
    sizes: list[int]
    samples: list[tuple[str, str]]


def coexpression(
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    store: Annotated[list[Path], Option(help="log_tpm.arrow of each cohort of the samples.")],
    neighbours: Annotated[int, Option(help="Strongest partners kept for each gene.")],
    min_correlation: Annotated[float, Option(help="Least |r| of an edge.")],
    max_samples: Annotated[int, Option(help="Training samples at the most.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option(help="Graph to write.")],
    summary: Annotated[Path, Option(help="Its JSON.")],
    corpus: Annotated[Path | None, Option(help="Split corpus; its training samples.")] = None,
    samples: Annotated[
        Path | None, Option(help="In its place, a table of samples: cohort, sample_id.")
    ] = None,
) -> None:
    """Write the graph of each gene's strongest Pearson correlations of ln(TPM + 1)."""
    source = training_source(corpus, samples)
    n_genes = len(Vocabulary.load(genes))
    chosen, n_training = training_samples(source, max_samples, seed)
    training = read_training(chosen, store, n_genes, source.path)
    edges = coexpression_edges(training, neighbours, min_correlation)
    if len(edges.source) == 0:
        raise InputError(
            f"{source.path}: no two genes correlate with |r| >= {min_correlation} over "
            f"{len(training.samples)} training samples; lower graph.coexpression.min_correlation"
        )
    write_graph(output, edges, n_genes)
    ids = sorted(sample_id for _, sample_id in training.samples)
    least = min_common_samples(len(ids))
    samples_of_gene = np.array(training.sizes) @ training.measured
    write_json(
        summary,
        {
            "graph": output.stem,
            "kind": "coexpression",
            "origin": source.origin,
            "split_sha256": source.split_sha256,
            "weight": "|Pearson r| of ln(TPM + 1), over the cohorts that measured both genes",
            "neighbours": neighbours,
            "min_correlation": min_correlation,
            "min_common_samples": least,
            "max_samples": max_samples,
            "seed": seed,
            "cohorts": sorted({cohort for cohort, _ in training.samples}),
            "training_samples": n_training,
            "samples_used": len(ids),
            "samples_sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest(),
            "genes_with_too_few_samples": int((samples_of_gene < least).sum()),
            **statistics(edges, n_genes),
        },
    )
    print(f"{output}: {len(edges.source) // 2} edges among {n_genes} genes", file=sys.stderr)


@dataclass(frozen=True)
class TrainingSource:
    """The table that names the training samples.

    Attributes
    ----------
    origin : what they are, in words
    split_sha256 : of the split that tells them from held-out samples: the corpus, the manifest that
        a fold was taken from, or the table itself
    """

    path: Path
    is_corpus: bool
    origin: str
    split_sha256: str


def training_source(corpus: Path | None, samples: Path | None) -> TrainingSource:
    """Return where training samples are named; raises InputError unless one of both is given.

    A table of samples may say what it is in its metadata, `origin` and `split_sha256`, as the table
    of a fold does.
    """
    if (corpus is None) == (samples is None):
        raise InputError("give either --corpus or --samples: they name the training samples")
    if corpus is not None:
        return TrainingSource(corpus, True, "training samples of the corpus", _hash(corpus))
    try:
        metadata = pq.read_schema(samples).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{samples}: not a readable table of samples ({error}); give a Parquet file with the "
            "columns cohort, sample_id"
        ) from error
    origin = metadata.get(b"origin", f"samples of {samples.name}".encode()).decode()
    split_sha256 = metadata.get(b"split_sha256", b"").decode() or sha256(samples)
    return TrainingSource(samples, False, origin, split_sha256)


def training_samples(
    source: TrainingSource, max_samples: int, seed: int
) -> tuple[list[tuple[str, str]], int]:
    """Return (cohort, sample_id) of the training samples to use, sorted, and how many there are.

    If there are more than `max_samples`, a random subset is drawn that depends on the seed only.
    """
    path = source.path
    try:
        split = ["split"] if source.is_corpus else []
        table = pd.read_parquet(path, columns=["cohort", "sample_id", *split])
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: not a readable table with the columns cohort, sample_id "
            f"({error}); make it again"
        ) from error
    training = table[table["split"] == TRAIN] if source.is_corpus else table
    samples = sorted(zip(training["cohort"], training["sample_id"], strict=True))
    if repeated := [a for a, b in itertools.pairwise(samples) if a == b]:
        raise InputError(f"{path}: sample '{repeated[0][1]}' stands twice; keep one row")
    if len(samples) < MIN_SAMPLES:
        raise InputError(
            f"{path}: {len(samples)} training samples, and co-expression needs at least "
            f"{MIN_SAMPLES}; add samples or lower the held-out fractions"
        )
    if len(samples) > max_samples:
        chosen = np.random.default_rng(seed).choice(len(samples), max_samples, replace=False)
        return [samples[at] for at in sorted(chosen)], len(samples)
    return samples, len(samples)


def read_training(
    samples: Sequence[tuple[str, str]], stores: Sequence[Path], n_genes: int, source: Path
) -> TrainingValues:
    """Read the values of `samples` from the stores, whose folders bear the names of the cohorts.

    Samples are ordered by measured genes, cohort and sample id, so that the order of samples in the
    files is without consequence. Raises InputError if a cohort has no store, if a sample is not in
    it, or if a store is of another vocabulary.
    """
    opened: dict[str, ExpressionStore] = {}
    for path in stores:
        opened[path.parent.name] = ExpressionStore(path)
        if opened[path.parent.name].n_genes != n_genes:
            raise InputError(
                f"{path}: has {opened[path.parent.name].n_genes} genes, the vocabulary {n_genes}; "
                "run the expression stage again"
            )
    if absent := sorted({cohort for cohort, _ in samples} - opened.keys()):
        raise InputError(
            f"{source}: no store was given for its cohort '{absent[0]}'; give log_tpm.arrow of "
            "every cohort in it, each in a folder that bears the cohort's name"
        )
    pattern = {cohort: opened[cohort].measured.tobytes() for cohort, _ in samples}
    ordered = sorted(samples, key=lambda sample: (pattern[sample[0]], *sample))
    values = np.empty((n_genes, len(ordered)), dtype=np.float32)
    for cohort in pattern:
        place = {sample_id: at for at, (name, sample_id) in enumerate(ordered) if name == cohort}
        opened[cohort].rows(list(place))  # stops if one is not there
        # Blocks are views of the memory map: pages of other samples are not read.
        for sample_ids, block in opened[cohort].blocks():
            here = [at for at, sample_id in enumerate(sample_ids) if sample_id in place]
            values[:, [place[sample_ids[at]] for at in here]] = block[here].T
    patterns = sorted(set(pattern.values()))
    return TrainingValues(
        values,
        np.array([np.frombuffer(bits, dtype=bool) for bits in patterns]),
        [sum(pattern[cohort] == bits for cohort, _ in ordered) for bits in patterns],
        ordered,
    )


def coexpression_edges(
    training: TrainingValues,
    neighbours: int,
    min_correlation: float,
    block_genes: int = BLOCK_GENES,
) -> Edges:
    """Return the union of every gene's strongest partners; `training.values` may be overwritten.

    Genes that too few of the samples measured have no edges.
    """
    n_genes, n_samples = training.values.shape
    classes = GeneClasses(training.measured, training.sizes)
    partners = StrongestPartners(n_genes, neighbours, min_correlation)
    tiles = correlation_tiles(training.values, classes, min_common_samples(n_samples), block_genes)
    with tqdm(total=n_genes**2 // 2, unit="pair", unit_scale=True, mininterval=10) as progress:
        for n_pairs in collect_candidates(tiles, partners):
            progress.update(n_pairs)
    strongest = settle(partners.candidates(), training.values, classes, neighbours, min_correlation)
    return symmetric(*strongest)


def _hash(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}); make it again") from error


def min_common_samples(n_samples: int) -> int:
    """Return how many of `n_samples` two genes must share for an edge."""
    return max(MIN_SAMPLES, math.ceil(MIN_COMMON_SHARE * n_samples))


if __name__ == "__main__":
    command(coexpression)
