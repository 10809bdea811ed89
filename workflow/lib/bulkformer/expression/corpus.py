"""The corpus step: joins the kept samples of the corpus cohorts and splits them by group.

The split comes before anything learns. Groups are connected components: samples that share a study,
patient or whatever else `group_by` names, also through other samples, are never torn apart between
training, validation and the strict test.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.groups import Fractions, sample_groups, split_groups
from bulkformer.files import sha256, write_json, write_table

# `log_tpm_sha256` is that of the cohort's store: with it, this file identifies the values that a
# model learns from, and not only the names of the samples.
COLUMNS = [
    *("cohort", "sample_id", "group", "study_id", "patient_id", "donor_id", "split"),
    "log_tpm_sha256",
]
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])


def corpus(
    samples: Annotated[list[Path], Option(help="samples.parquet of each cohort.")],
    coverage: Annotated[list[Path], Option(help="coverage.json of each, in the same order.")],
    cohort: Annotated[list[str], Option(help="Names of the cohorts, in the same order.")],
    group_by: Annotated[list[str], Option(help="Columns whose shared values tie samples.")],
    validation_fraction: Annotated[float, Option()],
    held_out_group_fraction: Annotated[float, Option()],
    held_out_sample_fraction: Annotated[float, Option()],
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
    stores = {
        name: json.loads(path.read_text())["log_tpm_sha256"]
        for name, path in zip(cohort, coverage, strict=True)
    }
    kept = pd.concat(
        [read_kept(path, name, group_by) for path, name in zip(samples, cohort, strict=True)],
        ignore_index=True,
    )
    # The rows of a repeated sample all take part here: they tell which studies share it.
    kept["group"] = sample_groups(kept, group_by)
    repeated = kept["sample_id"].duplicated()
    table = kept[~repeated].reset_index(drop=True)
    fractions = Fractions(validation_fraction, held_out_group_fraction, held_out_sample_fraction)
    table["split"] = split_groups(table["sample_id"], table["group"], fractions, seed)
    table["log_tpm_sha256"] = table["cohort"].map(stores)
    write_table(output, pa.Table.from_pandas(table, SCHEMA, preserve_index=False))

    by_split = Counter(table["split"])
    content = {
        "cohorts": cohort,
        "group_by": group_by,
        "seed": seed,
        "fractions_asked": vars(fractions),
        "samples": len(table),
        "samples_repeated": int(repeated.sum()),
        "samples_by_split": dict(by_split),
        "samples_by_cohort": {name: int((table["cohort"] == name).sum()) for name in cohort},
        "samples_by_cohort_and_split": {
            name: dict(Counter(table.loc[table["cohort"] == name, "split"])) for name in cohort
        },
        "groups": int(table["group"].nunique()),
        "groups_by_split": table.groupby("split")["group"].nunique().to_dict(),
        "largest_group": int(table["group"].value_counts().max()),
        "corpus_sha256": sha256(output),
    }
    write_json(summary, content)
    said = ", ".join(f"{count} {split}" for split, count in sorted(by_split.items()))
    print(f"{len(table)} samples in {content['groups']} groups: {said}", file=sys.stderr)


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
