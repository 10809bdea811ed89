"""Freezes the folds of disease, cancer and tissue annotation, for both protocols.

Legacy: every labelled sample, random stratified folds; normals, repeated aliquots and samples of
one study lie on both sides, as in the paper. Strict: one primary aliquot a patient, whole groups;
then studies held out one by one, and probes for what else the vectors tell.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.records import (
    Columns,
    one_primary_per_patient,
    pair,
    read_kept,
    select,
)
from bulkformer.evaluate.splits import (
    Units,
    assign_folds,
    choose_classes,
    connected_groups,
    manifest,
    write_manifest,
)
from bulkformer.evaluate.tasks.disease_annotation_further import (
    few_shot,
    held_out_studies,
    probes,
)

TASK = "disease_annotation"
REGIMES = {"legacy": "random_folds", "strict": "grouped_folds"}
SAME_PERSON = ("patient_id", "donor_id", "biosample")
MIN_STRICT_GROUPS = 3  # fewer studies of a class, and a fold tests one study against another


def disease_annotation_split(
    cohort: Annotated[list[str], Option()],
    samples: Annotated[list[Path], Option(help="samples.parquet of each cohort, same order.")],
    settings: Annotated[str, Option(help="Section disease_annotation of the config, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
) -> None:
    """Freeze the folds of every dataset; a group in two strict folds is an error."""
    chosen = json.loads(settings)
    paths = pair(cohort, samples, "--samples")
    tables = []
    for dataset in chosen["datasets"]:
        if dataset["cohort"] not in paths:
            raise InputError(
                f"dataset '{dataset['name']}': no --samples for cohort '{dataset['cohort']}'"
            )
        path = paths[dataset["cohort"]]
        legacy, strict, further = chosen["legacy"], chosen["strict"], chosen["further"]
        units, _ = _units(dataset, path, (), strict=False)
        tables += _folds(units, dataset, path, "legacy", legacy["folds"], 1, seed)[1]
        units, samples = _units(dataset, path, further["probes"], strict=True)
        tested, folds = _folds(
            units, dataset, path, "strict", strict["folds"], strict["repeats"], seed
        )
        tables += folds + (few_shot(folds) if further["few_shot"] else [])
        if tested.group_kind == "study" and further["held_out_studies"]:
            tables += held_out_studies(tested, dataset["name"], further["held_out_studies"], seed)
        tables += probes(units, samples, further["probes"], dataset["name"], strict["folds"], seed)
    write_manifest(output, tables)


def _folds(
    units: Units,
    dataset: dict[str, Any],
    path: Path,
    protocol: str,
    folds: int,
    repeats: int,
    seed: int,
) -> tuple[Units, list[pa.Table]]:
    """Return the units whose class can be tested, and their manifest rows, one table a repeat."""
    if protocol == "strict":
        bound, min_groups, what = units.group, MIN_STRICT_GROUPS, units.group_kind
    else:
        bound, min_groups, what = units.unit, folds, "sample"
    classes, n_folds = choose_classes(units.stratum, bound, folds, min_groups)
    name = f"{dataset['name']}, {protocol}"
    dropped = sorted(set(units.stratum) - set(classes))
    if dropped:
        print(
            f"{name}: dropped {len(dropped)} of {len(set(units.stratum))} classes that have fewer "
            f"than {min_groups} {what} groups: {', '.join(dropped)}",
            file=sys.stderr,
        )
    if len(classes) < 2:
        kept = ", where strict keeps one sample of a patient" if protocol == "strict" else ""
        raise InputError(
            f"{path}: {len(classes)} classes of '{dataset['label']}' have at least {min_groups} "
            f"{what} groups{kept}, two are needed for dataset {name}; add samples, lower its "
            "folds, group by another column, or take the dataset out of "
            "evaluate.disease_annotation.datasets"
        )
    if n_folds < folds:
        print(f"{name}: {n_folds} folds, as the smallest class has no more groups", file=sys.stderr)
    units = units.take([row for row, label in enumerate(units.stratum) if label in classes])
    bound = units.group if protocol == "strict" else units.unit
    return units, [
        manifest(
            units,
            assign_folds(units.stratum, bound, n_folds, np.random.default_rng([seed, repeat])),
            task=TASK,
            dataset=dataset["name"],
            protocol=protocol,
            regime=REGIMES[protocol],
            repeat=repeat,
            seed=seed,
        )
        for repeat in range(repeats)
    ]


def _units(
    dataset: dict[str, Any], path: Path, further: Sequence[str], strict: bool
) -> tuple[Units, Columns]:
    """Return the labelled samples, and the columns `further` of them; absent ones are all None.

    A sample without a group key is a group of its own. Groups that share a patient, a donor or a
    BioSample are one: series are deposited twice under other names.
    """
    label, group_by = dataset["label"], dataset["group_by"]
    samples = read_kept(path, [label, group_by], [*SAME_PERSON, "sample_type", *further])
    samples = select(samples, [row for row, value in enumerate(samples[label]) if value])
    if strict and group_by == "patient_id":
        samples = select(samples, one_primary_per_patient(samples))
    ids = samples["sample_id"]
    shared = {name: samples[name] for name in SAME_PERSON if name != group_by}
    groups = connected_groups(samples[group_by], ids, shared)
    labels = [str(value) for value in samples[label]]
    cohorts = [dataset["cohort"]] * len(ids)
    return Units(ids, groups, group_by.removesuffix("_id"), labels, cohorts), samples


if __name__ == "__main__":
    command(disease_annotation_split)
