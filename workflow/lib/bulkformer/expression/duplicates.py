"""The duplicates step: pairs of corpus samples that are one profile under two names.

GEO holds a sample under several accessions (re-uploads, superseries, cohorts that hold each other),
and a copy on the other side of the split would be a test that the model has seen.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.background import Background
from bulkformer.expression.candidates import bands_for, pairs_between, pairs_within
from bulkformer.expression.profiles import Profiles, correlations, read_profiles
from bulkformer.files import write_table

SAMPLE_ID, BIOSAMPLE, EXPRESSION = "sample_id", "biosample", "expression"
# One library through two pipelines correlates at 0.77 or more, two libraries at 0.4 at the most.
LEAST_LIKENESS = 0.5
SCHEMA = pa.schema(
    [
        ("cohort", pa.string()),
        ("sample_id", pa.string()),
        ("other_cohort", pa.string()),
        ("other_sample_id", pa.string()),
        ("by", pa.string()),
        ("correlation", pa.float32()),
    ]
)


def duplicates(
    samples: Annotated[list[Path], Option(help="samples.parquet of each cohort.")],
    sketch: Annotated[list[Path], Option(help="sketch.parquet of each, in the same order.")],
    store: Annotated[list[Path], Option(help="log_tpm.arrow of each, in the same order.")],
    cohort: Annotated[list[str], Option(help="Names of the cohorts, in the same order.")],
    background: Annotated[Path, Option(help="background.parquet of the corpus.")],
    duplicate_correlation: Annotated[float, Option(help="Within one cohort.")],
    duplicate_correlation_across: Annotated[float, Option(help="Between two cohorts.")],
    output: Annotated[Path, Option(help="duplicates.parquet to write.")],
) -> None:
    """List pairs of kept samples with one accession, one BioSample or one expression profile.

    The first of a pair is the one that comes first by order of the cohorts, then by sample id.
    """
    profiles = read_profiles(cohort, samples, sketch, store)
    common = Background.read(background)
    found: list[Pair] = []
    for place, left in enumerate(profiles):
        for right in profiles[place:]:
            least = duplicate_correlation if right is left else duplicate_correlation_across
            found += shared(left, right, common, least)
    position = {name: place for place, name in enumerate(cohort)}
    found.sort(key=lambda pair: (*_key(pair.first, position), *_key(pair.second, position)))
    write_table(output, pa.Table.from_pylist([pair.as_row() for pair in found], schema=SCHEMA))
    counted = ", ".join(f"{n} by {by}" for by, n in sorted(Counter(p.by for p in found).items()))
    print(f"{len(found)} pairs of duplicates: {counted or 'none'}", file=sys.stderr)
    unlike = [pair for pair in found if pair.by == SAMPLE_ID and pair.correlation < LEAST_LIKENESS]
    if unlike:
        cohorts, sample_id = f"{unlike[0].first[0]} and {unlike[0].second[0]}", unlike[0].first[1]
        print(
            f"warning: {len(unlike)} samples of two cohorts share an id and not their profile, "
            f"first '{sample_id}' of {cohorts}; they are taken for one sample. If these ids are no "
            "accessions, make them different",
            file=sys.stderr,
        )


@dataclass(frozen=True)
class Pair:
    """Two samples, each (cohort, sample_id), that are one; `by` is the first evidence for it."""

    first: tuple[str, str]
    second: tuple[str, str]
    by: str
    correlation: float

    def as_row(self) -> dict[str, object]:
        """Return the row of SCHEMA."""
        return dict(
            zip(
                SCHEMA.names,
                [*self.first, *self.second, self.by, self.correlation],
                strict=True,
            )
        )


def read_duplicates(path: Path) -> list[Pair]:
    """Read duplicates.parquet; raises InputError if it is not one."""
    try:
        rows = pq.read_table(path, schema=SCHEMA).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a list of duplicates ({error}); make it again") from error
    return [
        Pair(
            (row["cohort"], row["sample_id"]),
            (row["other_cohort"], row["other_sample_id"]),
            row["by"],
            row["correlation"],
        )
        for row in rows
    ]


def shared(
    left: Profiles, right: Profiles, background: Background, least_correlation: float
) -> list[Pair]:
    """Return the pairs of a sample of `left` and one of `right` that are the same.

    `left` and `right` may be one cohort: then each pair is listed once, the smaller id first, and
    of many samples with one accession, BioSample or hash of values, each is paired with the first.
    Near copies are pairs whose fingerprints correlate at `least_correlation` or more.
    """
    within = left is right
    evidence: dict[tuple[int, int], str] = {}
    for by, ours, theirs in [
        (SAMPLE_ID, left.sample_ids, right.sample_ids),
        (BIOSAMPLE, left.biosample, right.biosample),
        (EXPRESSION, left.sketches.hashes, right.sketches.hashes),
    ]:
        for pair in _equal(ours, theirs, within):
            evidence.setdefault(pair, by)
    certain = np.array([*evidence], dtype=np.int64).reshape(-1, 2)
    bands = bands_for(least_correlation)
    if within:
        proposed = pairs_within(left.sketches.bits, bands)
    else:
        proposed = pairs_between(left.sketches.bits, right.sketches.bits, bands)
    one_number = [max(len(right.sample_ids), 1), 1]
    near = proposed[~np.isin(proposed @ one_number, certain @ one_number)]
    likeness = correlations(left, right, near, background)
    near, likeness = near[likeness >= least_correlation], likeness[likeness >= least_correlation]
    pairs = np.concatenate([certain, near]).tolist()
    measured = np.concatenate([correlations(left, right, certain, background), likeness]).tolist()
    kinds = [*evidence.values()] + [EXPRESSION] * len(near)
    found = []
    for (row, other), by, correlation in zip(pairs, kinds, measured, strict=True):
        first = (left.cohort, left.sample_ids[row])
        second = (right.cohort, right.sample_ids[other])
        if within and second < first:
            first, second = second, first
        found.append(Pair(first, second, by, correlation))
    return found


def _equal(
    ours: Sequence[Hashable], theirs: Sequence[Hashable], within: bool
) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows with one value, each pair with the first row that has it."""
    if within:
        first: dict[Hashable, int] = {}
        for row, value in enumerate(ours):
            if value and first.setdefault(value, row) != row:
                yield first[value], row
        return
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for row, value in enumerate(ours):
        if value:
            rows[value].append(row)
    for row, value in enumerate(theirs):
        for one in rows.get(value, []):
            yield one, row


def _key(sample: tuple[str, str], position: dict[str, int]) -> tuple[int, str]:
    return position[sample[0]], sample[1]


if __name__ == "__main__":
    command(duplicates)
