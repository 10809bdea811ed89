"""The overlap step: which samples of a cohort occur in the corpus, under whatever name.

A benchmark on samples that a model learned from measures memory. Accessions show the plain cases;
the same specimen through another pipeline or under another accession shows only in its expression.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.background import Background
from bulkformer.expression.candidates import bands_for
from bulkformer.expression.components import connected_components
from bulkformer.expression.duplicates import (
    BIOSAMPLE,
    EXPRESSION,
    SAMPLE_ID,
    Pair,
    read_duplicates,
    shared,
)
from bulkformer.expression.profiles import read_profiles
from bulkformer.files import write_json, write_table

KINDS = [SAMPLE_ID, BIOSAMPLE, EXPRESSION]
SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("corpus_cohort", pa.string()),
        ("corpus_sample_id", pa.string()),
        ("corpus_split", pa.string()),
        ("by", pa.string()),
        ("correlation", pa.float32()),
    ]
)


def overlap(
    cohort: Annotated[str, Option(help="Name of the cohort to look up.")],
    samples: Annotated[Path, Option(help="Its samples.parquet.")],
    sketch: Annotated[Path, Option(help="Its sketch.parquet.")],
    store: Annotated[Path, Option(help="Its log_tpm.arrow.")],
    corpus: Annotated[Path, Option(help="Split corpus, corpus.parquet.")],
    found: Annotated[Path, Option(help="duplicates.parquet of the corpus cohorts.")],
    corpus_cohort: Annotated[list[str], Option(help="Names of the corpus cohorts.")],
    corpus_samples: Annotated[list[Path], Option(help="samples.parquet of each, same order.")],
    corpus_sketch: Annotated[list[Path], Option(help="sketch.parquet of each, same order.")],
    corpus_store: Annotated[list[Path], Option(help="log_tpm.arrow of each, same order.")],
    background: Annotated[Path, Option(help="background.parquet of the corpus.")],
    correlation: Annotated[float, Option(help="Least correlation of a copy.")],
    output: Annotated[Path, Option(help="overlap table to write.")],
    summary: Annotated[Path, Option(help="overlap JSON to write.")],
) -> None:
    """List which samples of one cohort are in the corpus, by which evidence, on which side."""
    if cohort in corpus_cohort:
        raise InputError(
            f"{cohort} is a cohort of the corpus (expression.corpus.cohorts): all its samples are "
            "in it; look up other cohorts"
        )
    files = [(cohort, *corpus_cohort), (samples, *corpus_samples), (sketch, *corpus_sketch)]
    ours, *learned = read_profiles(*files, (store, *corpus_store))
    split = read_split(corpus)
    standing = representatives(read_duplicates(found), split)
    common = Background.read(background)

    best: dict[tuple[str, tuple[str, str]], Pair] = {}
    for theirs in learned:
        for pair in shared(ours, theirs, common, correlation):
            for place in standing.get(pair.second, [pair.second]):
                if place not in split:
                    raise InputError(
                        f"{corpus}: neither sample '{place[1]}' of {place[0]} nor a copy of it is "
                        "there; the files come from different runs, run the expression stage again"
                    )
                _keep_best(best, replace(pair, second=place))
    pairs = sorted(best.values(), key=lambda pair: (pair.first, pair.second))
    write_table(output, pa.Table.from_pylist([_row(pair, split) for pair in pairs], SCHEMA))
    content = summarise(pairs, split, correlation)
    content |= {"cohort": cohort, "n_samples": len(ours.sample_ids)}
    write_json(summary, content)
    print(
        f"{cohort}: {content['n_shared']} of {content['n_samples']} samples are in the corpus",
        file=sys.stderr,
    )


def read_split(path: Path) -> dict[tuple[str, str], str]:
    """Return {(cohort, sample_id): split} of corpus.parquet."""
    try:
        table = pq.read_table(path, columns=["cohort", "sample_id", "split"])
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable corpus ({error}); make it again") from error
    cohorts, ids, splits = (column.to_pylist() for column in table.columns)
    return dict(zip(zip(cohorts, ids, strict=True), splits, strict=True))


def representatives(
    pairs: list[Pair], split: dict[tuple[str, str], str]
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return {sample that left the corpus as a copy: its copies that stayed}.

    A sample that stayed stands for itself and has no entry.
    """
    samples = list(dict.fromkeys(sample for pair in pairs for sample in (pair.first, pair.second)))
    key = {sample: f"{number:012d}" for number, sample in enumerate(samples)}
    links = [[key[pair.first], key[pair.second]] for pair in pairs]
    heads = connected_components([[key[sample]] for sample in samples] + links)[: len(samples)]
    family = dict(zip(samples, heads, strict=True))
    stayed = defaultdict(list)
    for sample in samples:
        if sample in split:
            stayed[family[sample]].append(sample)
    return {sample: sorted(stayed[family[sample]]) for sample in samples if sample not in split}


def summarise(
    pairs: list[Pair], split: dict[tuple[str, str], str], correlation: float
) -> dict[str, Any]:
    """Return counts of shared samples; a sample with several copies counts once a kind and split.

    `accession_pairs_found_by_expression` says how well expression alone would have done: the share
    of pairs with one accession or BioSample whose correlation reaches the threshold.
    """
    by_kind, by_split = defaultdict(set), defaultdict(set)
    for pair in pairs:
        by_kind[pair.by].add(pair.first)
        by_split[split[pair.second]].add(pair.first)
    named = [pair.correlation for pair in pairs if pair.by != EXPRESSION]
    return {
        "n_shared": len({pair.first for pair in pairs}),
        "n_shared_by_kind": {kind: len(by_kind[kind]) for kind in KINDS},
        "n_shared_by_split": {name: len(ids) for name, ids in sorted(by_split.items())},
        "correlation": correlation,
        "bands_find": bands_for(correlation).found,
        "accession_pairs": len(named),
        "accession_pairs_found_by_expression": sum(r >= correlation for r in named),
        "accession_pairs_median_correlation": statistics.median(named) if named else None,
    }


def _keep_best(best: dict[tuple[str, tuple[str, str]], Pair], pair: Pair) -> None:
    """Keep the strongest evidence for each pair: accession before BioSample before expression."""
    key = (pair.first[1], pair.second)
    if key not in best or KINDS.index(pair.by) < KINDS.index(best[key].by):
        best[key] = pair


def _row(pair: Pair, split: dict[tuple[str, str], str]) -> dict[str, object]:
    values = [pair.first[1], *pair.second, split[pair.second], pair.by, pair.correlation]
    return dict(zip(SCHEMA.names, values, strict=True))


if __name__ == "__main__":
    command(overlap)
