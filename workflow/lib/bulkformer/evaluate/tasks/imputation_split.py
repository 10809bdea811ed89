"""Chooses the test samples of imputation once, before any model runs.

Three regimes answer three questions. `held_out_samples` (legacy): other samples of the same study
were trained on, as in a random split. `held_out_groups` (strict): nothing of the study was seen.
`external` (both): another cohort altogether.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.records import (
    Columns,
    one_primary_per_patient,
    pair,
    read_columns,
    read_kept,
    select,
    split_keys,
)
from bulkformer.evaluate.splits import Units, connected_groups, manifest, write_manifest
from bulkformer.expression.components import connected_components

CORPUS_REGIMES = {"legacy": "held_out_samples", "strict": "held_out_groups"}
GROUP_COLUMNS = {"patient_id": "patient", "donor_id": "donor", "study_id": "study"}
# What must not be shared with training; each is compared with its like only.
IDENTITIES = ("sample_id", *GROUP_COLUMNS)


def imputation_split(
    corpus: Annotated[Path, Option(help="Split corpus, corpus.parquet.")],
    max_samples: Annotated[int, Option(help="Test samples of a regime at the most.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
    cohort: Annotated[list[str] | None, Option(help="External cohorts, if any.")] = None,
    samples: Annotated[list[Path] | None, Option(help="samples.parquet of each, in order.")] = None,
) -> None:
    """Freeze the test samples of every regime."""
    rows = read_columns(corpus, ["cohort", "group", "split", *IDENTITIES])
    parts = []
    for protocol, regime in CORPUS_REGIMES.items():
        held_out = _corpus_units(rows, regime, corpus)
        parts.append((held_out, "corpus", protocol, regime))
    for name, path in pair(cohort or [], samples or [], "--samples").items():
        external = read_kept(path, [], [*GROUP_COLUMNS, "sample_type"])
        if not external["sample_id"]:
            raise InputError(f"{path}: no sample was kept; loosen expression.quality")
        parts.append((external_units(external, name), name, "legacy", "external"))
        unseen = select(external, one_primary_per_patient(external))
        unseen = without_training_samples(
            unseen, rows, name, "evaluate.imputation.external_cohorts"
        )
        parts.append((external_units(unseen, name), name, "strict", "external"))
    write_manifest(
        output,
        [
            manifest(
                _draw(units, max_samples, seed),
                np.zeros(min(max_samples, len(units.unit)), dtype=np.int32),
                task="imputation",
                dataset=dataset,
                protocol=protocol,
                regime=regime,
                repeat=0,
                seed=seed,
            )
            for units, dataset, protocol, regime in parts
        ],
    )


def _corpus_units(rows: Columns, regime: str, corpus: Path) -> Units:
    chosen = select(rows, [i for i, split in enumerate(rows["split"]) if split == regime])
    if not chosen["sample_id"]:
        fraction = regime.removesuffix("s") + "_fraction"
        raise InputError(f"{corpus}: no sample has split '{regime}'; raise {fraction}")
    learned_from = {
        group
        for group, split in zip(rows["group"], rows["split"], strict=True)
        if split in ("train", "validation")
    }
    shared = sorted(learned_from.intersection(chosen["group"]))
    if regime == CORPUS_REGIMES["strict"] and shared:
        raise InputError(
            f"{corpus}: group '{shared[0]}' is held out and trained on; split the corpus again"
        )
    n = len(chosen["sample_id"])
    kind = _group_kind(chosen["group"], corpus)
    return Units(chosen["sample_id"], chosen["group"], kind, [""] * n, chosen["cohort"])


def _group_kind(groups: Sequence[str], corpus: Path) -> str:
    """Return what most groups are, from their names ("study_id:GSE1" is a study).

    A sample that shares nothing is a group by itself; it decides only where all groups are such.
    """
    columns = Counter(group.partition(":")[0] for group in groups)
    nameless = next((group for group in groups if ":" not in group), None)
    if nameless is not None:
        raise InputError(
            f"{corpus}: group '{nameless}' does not say what it is, as 'study_id:GSE1' does; "
            "run the corpus step again"
        )
    shared = sorted(column for column in columns if column != "sample_id")
    kind = max(shared, key=lambda column: columns[column]) if shared else "sample_id"
    return kind.removesuffix("_id")


def external_units(samples: Columns, cohort: str, strata: Sequence[str] = ()) -> Units:
    """Group by the first of patient, donor and study that the cohort knows."""
    column = next((name for name in GROUP_COLUMNS if any(samples[name])), None)
    ids = samples["sample_id"]
    groups = ids if column is None else connected_groups(samples[column], ids)
    kind = "sample" if column is None else GROUP_COLUMNS[column]
    return Units(ids, groups, kind, list(strata) or [""] * len(ids), [cohort] * len(ids))


def without_training_samples(samples: Columns, corpus: Columns, cohort: str, key: str) -> Columns:
    """Drop samples that were trained on, or whose study, patient or donor was; log how many.

    Also through others: a study that shares a sample with one that was trained on goes with it.
    Raises InputError, naming the config's `key`, if no sample is left.
    """
    seen = {
        name: {
            key
            for cell, split in zip(corpus[name], corpus["split"], strict=True)
            if split in ("train", "validation")
            for key in split_keys(cell)
        }
        for name in IDENTITIES
    }
    known = set().union(*(_joined_with(samples[name], seen[name]) for name in IDENTITIES))
    unseen = [row for row in range(len(samples["sample_id"])) if row not in known]
    dropped = len(samples["sample_id"]) - len(unseen)
    if dropped:
        print(
            f"{cohort}: {dropped} samples are left out of the strict split, because they, their "
            "study, patient or donor are in the training corpus",
            file=sys.stderr,
        )
    if not unseen:
        raise InputError(
            f"cohort '{cohort}': every sample, or its study, patient or donor, is in the training "
            f"corpus; name another cohort under {key}"
        )
    return select(samples, unseen)


def _joined_with(cells: Sequence[str | None], seen: set[str]) -> set[int]:
    """Return the rows whose keys of one kind, or those they are joined with, are among `seen`."""
    own = {row: keys for row, cell in enumerate(cells) if (keys := split_keys(cell))}
    component = dict(zip(own, connected_components(list(own.values())), strict=True))
    learned = {component[row] for row, keys in own.items() if not seen.isdisjoint(keys)}
    return {row for row, name in component.items() if name in learned}


def _draw(units: Units, max_samples: int, seed: int) -> Units:
    """Take at most `max_samples` units at random; the draw depends on the sorted units alone."""
    by_name = np.argsort(np.asarray(units.unit, dtype=str), kind="stable")
    chosen = np.random.default_rng(seed).permutation(len(by_name))[:max_samples]
    return units.take(by_name[np.sort(chosen)])


if __name__ == "__main__":
    command(imputation_split)
