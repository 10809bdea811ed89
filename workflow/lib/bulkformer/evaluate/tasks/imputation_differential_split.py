"""Chooses the samples between which genes are called different, before any model runs.

Two classes of one labelled cohort, of which training has seen no sample, study, patient or donor.
Each patient of an external cohort counts once, because repeats of a patient are no replicates; of a
cohort of the corpus, the groups that were held out serve as they are.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.records import (
    Columns,
    one_primary_per_patient,
    read_columns,
    read_kept,
    select,
)
from bulkformer.evaluate.splits import manifest, write_manifest
from bulkformer.evaluate.tasks.imputation_split import (
    CORPUS_REGIMES,
    GROUP_COLUMNS,
    IDENTITIES,
    external_units,
    without_training_samples,
)

TASK, SECTION = "imputation_differential", "evaluate.imputation_differential"
MIN_SAMPLES = 3  # a class; with fewer, DESeq2 judges the spread of a gene by other genes alone


def imputation_differential_split(
    corpus: Annotated[Path, Option(help="Split corpus, corpus.parquet.")],
    samples: Annotated[Path, Option(help="samples.parquet of the cohort.")],
    settings: Annotated[str, Option(help="Section imputation_differential, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
) -> None:
    """Freeze the samples of both classes."""
    section = json.loads(settings)
    cohort, label, classes = section["cohort"], section["label"], section["classes"]
    rows = read_columns(corpus, ["cohort", "group", "split", *IDENTITIES])
    kept = read_kept(samples, [label], [*GROUP_COLUMNS, "sample_type"])
    kept = select(kept, [row for row, name in enumerate(kept[label]) if name in classes])
    regime = CORPUS_REGIMES["strict"] if cohort in rows["cohort"] else "external"
    if regime == "external":
        kept = select(kept, one_primary_per_patient(kept))
    else:
        held_out = _held_out(rows, cohort)
        kept = select(kept, [row for row, own in enumerate(kept["sample_id"]) if own in held_out])
    if kept["sample_id"]:
        kept = without_training_samples(kept, rows, cohort, f"{SECTION}.cohort")
    # By name, so that the draw does not hang on the order of the table.
    ids = np.asarray(kept["sample_id"], dtype=str)
    kept = select(kept, np.argsort(ids, kind="stable").tolist())
    chosen = []
    for number, name in enumerate(classes):
        members = [row for row, own in enumerate(kept[label]) if own == name]
        if len(members) < MIN_SAMPLES:
            raise InputError(
                f"{samples}: {len(members)} samples with {label} '{name}' that training has not "
                f"seen, {MIN_SAMPLES} are needed; change {SECTION}.classes or its cohort"
            )
        drawn = np.random.default_rng([seed, number]).permutation(members)[: section["max_samples"]]
        chosen += drawn.tolist()
    kept = select(kept, sorted(chosen))
    table = manifest(
        external_units(kept, cohort, kept[label]),
        np.zeros(len(chosen), dtype=np.int32),
        task=TASK,
        dataset=cohort,
        protocol="strict",
        regime=regime,
        repeat=0,
        seed=seed,
    )
    write_manifest(output, [table])


def _held_out(rows: Columns, cohort: str) -> set[str]:
    """Return the samples of a cohort of the corpus that lie in groups that were held out."""
    return {
        sample
        for sample, of, split in zip(rows["sample_id"], rows["cohort"], rows["split"], strict=True)
        if of == cohort and split == CORPUS_REGIMES["strict"]
    }


if __name__ == "__main__":
    command(imputation_differential_split)
