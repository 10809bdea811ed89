"""The corpus step: joins the kept samples of the corpus cohorts and splits them by group.

The split comes before anything learns. Groups are connected components: samples that share a study,
patient or whatever else `group_by` names, also through other samples, and samples of which one is a
copy of the other, are never torn apart between training, validation and the strict test.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.components import connected_components
from bulkformer.expression.duplicates import Pair, read_duplicates
from bulkformer.expression.groups import Fractions, sample_groups, split_groups
from bulkformer.files import sha256, write_json, write_table

# `log_tpm_sha256` is that of the cohort's store: with it, this file identifies the values that a
# model learns from, and not only the names of the samples.
COLUMNS = [
    *("cohort", "sample_id", "group", "study_id", "patient_id", "donor_id", "split"),
    "log_tpm_sha256",
]
DROP, GROUP = "drop", "group"
LARGE_GROUP = 0.2  # share of the corpus in one group that deserves a look
EXAMPLES = 10  # pairs of duplicates of each kind that the summary names
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])


def corpus(
    samples: Annotated[list[Path], Option(help="samples.parquet of each cohort.")],
    coverage: Annotated[list[Path], Option(help="coverage.json of each, in the same order.")],
    cohort: Annotated[list[str], Option(help="Names of the cohorts, in the same order.")],
    found: Annotated[Path, Option(help="duplicates.parquet of these cohorts.")],
    duplicates: Annotated[str, Option(help="drop | group: what becomes of copies.")],
    group_by: Annotated[list[str], Option(help="Columns whose shared values tie samples.")],
    validation_fraction: Annotated[float, Option()],
    held_out_group_fraction: Annotated[float, Option()],
    held_out_sample_fraction: Annotated[float, Option()],
    validation_sample_fraction: Annotated[float, Option()],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option(help="corpus.parquet to write.")],
    summary: Annotated[Path, Option(help="corpus.json to write.")],
) -> None:
    """Write which samples make up the corpus, in which group and on which side of the split."""
    if not len(samples) == len(coverage) == len(cohort):
        raise InputError(
            f"{len(cohort)} cohorts, {len(samples)} sample tables, {len(coverage)} coverage files; "
            "give one of each for every cohort"
        )
    if duplicates not in (DROP, GROUP):
        raise InputError(
            f"config, expression.corpus.duplicates: '{duplicates}' is unknown; write {DROP} or "
            f"{GROUP}"
        )
    stores = {
        name: json.loads(path.read_text())["log_tpm_sha256"]
        for name, path in zip(cohort, coverage, strict=True)
    }
    kept = pd.concat(
        [read_kept(path, name, group_by) for path, name in zip(samples, cohort, strict=True)],
        ignore_index=True,
    )
    pairs = read_duplicates(found)
    check_pairs(pairs, kept, found)
    # The rows of repeated samples and copies all take part here: they tie the studies they are in.
    kept["group"] = sample_groups(
        kept, group_by, [(pair.first[1], pair.second[1]) for pair in pairs]
    )
    repeated = kept["sample_id"].duplicated()
    # One accession has one row, whatever becomes of copies under others.
    copies = kept["sample_id"].isin(later_copies(pairs) if duplicates == DROP else set())
    table = kept[~repeated & ~copies].reset_index(drop=True)
    fractions = Fractions(
        validation_fraction,
        held_out_group_fraction,
        held_out_sample_fraction,
        validation_sample_fraction,
    )
    table["split"] = split_groups(
        table["sample_id"], table["group"], fractions, seed, remaining_copies(pairs, table)
    )
    table["log_tpm_sha256"] = table["cohort"].map(stores)
    write_table(output, pa.Table.from_pandas(table, SCHEMA, preserve_index=False))

    content = {
        "group_by": group_by,
        "seed": seed,
        "fractions_asked": vars(fractions),
        "samples_repeated": int(repeated.sum()),
        "samples_dropped_as_copies": int((copies & ~repeated).sum()),
        "duplicates": duplicates,
        "duplicate_pairs": describe(pairs),
        "largest_group_without_copies": largest(pd.Series(sample_groups(kept, group_by))),
        "corpus_sha256": sha256(output),
        **sizes(table, cohort),
    }
    write_json(summary, content)
    if content["largest_group"] > LARGE_GROUP * len(table):
        print(f"warning: {of_large_group(content)}", file=sys.stderr)
    by_split = sorted(content["samples_by_split"].items())
    said = ", ".join(f"{count} {split}" for split, count in by_split)
    print(f"{len(table)} samples in {content['groups']} groups: {said}", file=sys.stderr)


def later_copies(pairs: list[Pair]) -> set[str]:
    """Return the ids of every family of copies but the first by order of cohorts and ids.

    A family is what pairs join, also through others. The first pair of a family, in their order,
    has its first sample in front.
    """
    ids = dict.fromkeys(sample[1] for pair in pairs for sample in (pair.first, pair.second))
    place = {sample_id: f"{number:012d}" for number, sample_id in enumerate(ids)}
    joined = [[place[pair.first[1]], place[pair.second[1]]] for pair in pairs]
    first = connected_components(joined)
    return {
        sample[1]
        for pair, head in zip(pairs, first, strict=True)
        for sample in (pair.first, pair.second)
        if place[sample[1]] != head
    }


def remaining_copies(pairs: list[Pair], table: pd.DataFrame) -> set[str]:
    """Return the ids of samples of the corpus that have a copy there under another id."""
    present = set(table["sample_id"])
    ids = [{pair.first[1], pair.second[1]} for pair in pairs]
    return {one for both in ids if len(both) > 1 and both <= present for one in both}


def sizes(table: pd.DataFrame, cohorts: list[str]) -> dict[str, Any]:
    """Return how many samples and groups the corpus has, by split and by cohort."""
    split_of = {name: table.loc[table["cohort"] == name, "split"] for name in cohorts}
    return {
        "cohorts": cohorts,
        "samples": len(table),
        "samples_by_split": dict(Counter(table["split"])),
        "samples_by_cohort": {name: len(split) for name, split in split_of.items()},
        "samples_by_cohort_and_split": {
            name: dict(Counter(split)) for name, split in split_of.items()
        },
        "groups": int(table["group"].nunique()),
        "groups_by_split": table.groupby("split")["group"].nunique().to_dict(),
        "largest_group": largest(table["group"]),
    }


def largest(groups: pd.Series) -> int:
    """Return the number of samples of the largest group."""
    return int(groups.value_counts().max())


def of_large_group(content: dict[str, Any]) -> str:
    """Say that one group holds much of the corpus, what tied it, and what could be done."""
    return (
        f"one group has {content['largest_group']} of {content['samples']} samples, and validation "
        "and held-out groups come from the others. Without ties by copies the largest would have "
        f"{content['largest_group_without_copies']}: if that is much less, raise "
        "expression.corpus.duplicate_correlation or duplicate_correlation_across; if not, "
        f"samples share {', '.join(content['group_by'])} (expression.corpus.group_by)"
    )


def check_pairs(pairs: list[Pair], kept: pd.DataFrame, path: Path) -> None:
    """Raise InputError if a pair of `path` names a sample that was not kept."""
    known = set(zip(kept["cohort"], kept["sample_id"], strict=True))
    for pair in pairs:
        for cohort, sample_id in (pair.first, pair.second):
            if (cohort, sample_id) not in known:
                raise InputError(
                    f"{path}: sample '{sample_id}' of {cohort} is not among the kept samples; the "
                    "files come from different runs, run the expression stage again"
                )


def describe(pairs: list[Pair]) -> dict[str, Any]:
    """Return {kind of evidence: number of pairs, the first of them}; kinds are alphabetical."""
    return {
        by: {
            "pairs": len(of_kind),
            "examples": [pair.as_row() for pair in of_kind[:EXAMPLES]],
        }
        for by in sorted({pair.by for pair in pairs})
        for of_kind in [[pair for pair in pairs if pair.by == by]]
    }


def read_kept(path: Path, cohort: str, group_by: list[str]) -> pd.DataFrame:
    """Return who the kept samples are (cohort, sample, study, patient, donor) and `group_by`.

    Raises InputError if a column is absent, if the table is of another cohort, or if no sample was
    kept.
    """
    try:
        present = pq.read_schema(path).names
        if absent := sorted(set(group_by) - set(present)):
            raise InputError(
                f"{path}: no column {', '.join(absent)} to group samples by; the columns are "
                f"{', '.join(present)}. Correct expression.corpus.group_by, or name the column in "
                "sample_columns of the cohorts table"
            )
        columns = dict.fromkeys([*COLUMNS[:2], *COLUMNS[3:6], "kept", *group_by])
        table = pd.read_parquet(path, columns=list(columns))
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: not a readable sample table ({error}); run the expression stage again"
        ) from error
    if set(table["cohort"]) - {cohort}:
        raise InputError(
            f"{path}: holds the cohort '{table['cohort'].iloc[0]}' and not '{cohort}'; give sample "
            "tables in the order of the cohorts"
        )
    table = table[table["kept"]].drop(columns="kept").reset_index(drop=True)
    if table.empty:
        raise InputError(f"{path}: no sample of {cohort} was kept; loosen expression.quality")
    return table


if __name__ == "__main__":
    command(corpus)
