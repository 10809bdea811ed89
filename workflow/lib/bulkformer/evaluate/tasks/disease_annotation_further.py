"""Further strict folds of annotation: few-shot curves, studies held out one by one, and probes for
what else a vector tells.

A benchmark of labels cannot say why a label is told. If the same vectors and the same head name the
study, the depth of sequencing or the platform of a sample, then they may have told the label by it.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from bulkformer.evaluate.records import Columns
from bulkformer.evaluate.splits import Units, assign_folds, choose_classes, manifest

TASK = "disease_annotation"
FEW_SHOT = "grouped_folds_few_shot"
STUDIES = "held_out_studies"
PROBE = "probe_"
NEVER_TESTED = -1  # fold of units that are always in training
DECILES = 10
MIN_GROUPS = 3  # as for labels: a class of fewer groups is no class
MAX_CLASSES = 50  # the largest studies or platforms that a probe tells apart


def probe_name(column: str) -> str:
    """Return the regime that probes vectors for a sample column."""
    return PROBE + column.removesuffix("_id")


def few_shot(folds: Sequence[pa.Table]) -> list[pa.Table]:
    """Return the grouped folds once more, for heads that learn from a share of their groups."""
    return [
        table.set_column(
            table.schema.get_field_index("regime"),
            "regime",
            pa.array([FEW_SHOT] * len(table), pa.string()),
        )
        for table in folds
    ]


def held_out_studies(units: Units, dataset: str, at_most: int, seed: int) -> list[pa.Table]:
    """Return a fold for each study; with more than `at_most`, for that many that hold two classes.

    Those are drawn at random; the samples of the others are training rows of every fold. `units`
    are those of the strict folds, grouped by study. None if there is nothing to hold out.
    """
    names, group_of = np.unique(units.group, return_inverse=True)
    strata = np.asarray(units.stratum)
    tested = np.arange(len(names))
    if len(names) > at_most:
        mixed = [g for g in tested if len(set(strata[group_of == g])) > 1]
        drawn = np.random.default_rng([seed, len(names)]).permutation(mixed)[:at_most]
        tested = np.sort(drawn.astype(np.int64))
    if len(tested) < 2:
        print(
            f"{dataset}: no study is held out by itself, as {len(tested)} of {len(names)} hold two "
            "classes",
            file=sys.stderr,
        )
        return []
    fold_of_group = np.full(len(names), NEVER_TESTED)
    fold_of_group[tested] = np.arange(len(tested))
    fold = fold_of_group[group_of]
    table = manifest(
        units,
        fold,
        task=TASK,
        dataset=dataset,
        protocol="strict",
        regime=STUDIES,
        repeat=0,
        seed=seed,
    )
    roles = pa.array(np.where(fold == NEVER_TESTED, "train", "test").tolist(), pa.string())
    return [table.set_column(table.schema.get_field_index("role"), "role", roles)]


def probes(
    units: Units, samples: Columns, columns: Sequence[str], dataset: str, folds: int, seed: int
) -> list[pa.Table]:
    """Return random folds in which the stratum is another column of the samples than the label.

    Patients and donors stay whole in datasets that are grouped by them. Studies do not, because a
    study that training never saw cannot be named: where they are the groups, every sample is dealt
    by itself. A column of numbers is cut into tenths of the samples. A column that has fewer than
    two classes, or that says the same as the label, is left out and reported.
    """
    tables = []
    for column in columns:
        classes, rows = _classes(samples[column])
        name = f"{dataset}, probe of {column}"
        own = units.take(rows)
        if own.group_kind == "study":
            own = Units(own.unit, own.unit, "sample", own.stratum, own.cohort)
        kept, n_folds = choose_classes(classes, own.group, folds, MIN_GROUPS)
        kept = _largest(classes, kept)
        if len(kept) < 2:
            print(f"{name}: left out, {len(kept)} classes to tell apart", file=sys.stderr)
            continue
        if (
            len(set(zip(classes, own.stratum, strict=True)))
            == len(set(classes))
            == len(set(own.stratum))
        ):
            print(f"{name}: left out, it says the same as the label", file=sys.stderr)
            continue
        inside = [row for row, value in enumerate(classes) if value in kept]
        own = own.take(inside)
        strata = [classes[row] for row in inside]
        tables.append(
            manifest(
                Units(own.unit, own.group, own.group_kind, strata, own.cohort),
                assign_folds(strata, own.group, n_folds, np.random.default_rng([seed, 0])),
                task=TASK,
                dataset=dataset,
                protocol="strict",
                regime=probe_name(column),
                repeat=0,
                seed=seed,
            )
        )
    return tables


def _classes(values: Sequence[Any]) -> tuple[list[str], list[int]]:
    """Return the class of every sample that has a value, and the rows of those samples."""
    rows = [row for row, value in enumerate(values) if value not in (None, "")]
    numbers = [values[row] for row in rows]
    if not numbers or not all(isinstance(value, int | float) for value in numbers):
        return [str(value) for value in numbers], rows
    finite = [row for row in rows if np.isfinite(values[row])]
    numbers = np.array([values[row] for row in finite], dtype=float)
    edges = np.quantile(numbers, np.arange(1, DECILES) / DECILES)
    tenths = np.searchsorted(edges, numbers, side="right") + 1
    return [f"tenth {tenth:02d}" for tenth in tenths], finite


def _largest(classes: Sequence[str], kept: Sequence[str]) -> set[str]:
    """Return those of `kept` that have most samples, MAX_CLASSES of them, ties by name."""
    sizes = {name: classes.count(name) for name in kept}
    return set(sorted(kept, key=lambda name: (-sizes[name], name))[:MAX_CLASSES])
