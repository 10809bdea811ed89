"""The frozen manifest of a task: which unit is tested in which fold, made before any model runs.

One row a unit, regime and repeat; a unit is tested in its fold and belongs to the training rows of
all the others. Under the strict protocol a group (study, patient, donor, ...) lies in one fold
only; a manifest that breaks this is an error, whoever wrote it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.evaluate.records import split_keys
from bulkformer.expression.components import connected_components
from bulkformer.files import atomic, sha256, write_table

SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("protocol", pa.string()),
        ("regime", pa.string()),
        ("repeat", pa.int32()),
        ("fold", pa.int32()),
        ("role", pa.string()),
        ("cohort", pa.string()),
        ("unit", pa.string()),
        ("group", pa.string()),
        ("group_kind", pa.string()),
        ("stratum", pa.string()),
        ("seed", pa.int64()),
    ]
)
ORDER = ["dataset", "protocol", "regime", "repeat", "fold", "unit"]


@dataclass(frozen=True)
class Units:
    """The units of one dataset, in one order for all fields.

    Attributes
    ----------
    unit : identifiers
    group : what must not lie on both sides of a strict split; `group_kind` says what it is
    stratum : label that folds are balanced by; empty where there is none
    cohort : the cohort that each unit is from
    """

    unit: Sequence[str]
    group: Sequence[str]
    group_kind: str
    stratum: Sequence[str]
    cohort: Sequence[str]

    def take(self, rows: Sequence[int] | np.ndarray) -> "Units":
        """Return the chosen rows."""
        chosen = [
            [values[row] for row in rows]
            for values in (self.unit, self.group, self.stratum, self.cohort)
        ]
        return Units(chosen[0], chosen[1], self.group_kind, chosen[2], chosen[3])


def connected_groups(
    keys: Sequence[str | None],
    units: Sequence[str],
    shared: Mapping[str, Sequence[str | None]] | None = None,
) -> list[str]:
    """Return one group a unit; units that share any key are in one group, also through others.

    Parameters
    ----------
    keys : group key of each unit, or several of them separated by commas (a sample that belongs to
        two series joins both); None or empty for a unit that is a group of its own
    units : identifiers, which name the groups of units without a key
    shared : {column: its value of each unit or None}, which joins units as keys do and names no
        group: two series of one patient are one group

    A group bears the alphabetically first of its keys.
    """
    own = [split_keys(key) or [unit] for key, unit in zip(keys, units, strict=True)]
    for name, values in (shared or {}).items():
        # Behind every letter and digit, so that a group bears the name of a key.
        joined = ([f"~{name}={value}"] if value else [] for value in values)
        own = [one + more for one, more in zip(own, joined, strict=True)]
    return connected_components(own)


def choose_classes(
    strata: Sequence[str], groups: Sequence[str], folds: int, min_groups: int
) -> tuple[list[str], int]:
    """Return the classes that can be tested and the number of folds, by one declared rule.

    A class with fewer than `min_groups` groups is dropped. Then the folds are lowered to the number
    of groups of the smallest class that stays, so that every fold can test every class. No group is
    ever cut to make a fold.
    """
    members: dict[str, set[str]] = {}
    for stratum, group in zip(strata, groups, strict=True):
        members.setdefault(stratum, set()).add(group)
    classes = sorted(name for name, own in members.items() if len(own) >= min_groups)
    return classes, min([folds, *(len(members[name]) for name in classes)])


def assign_folds(
    strata: Sequence[str], groups: Sequence[str], folds: int, rng: np.random.Generator
) -> np.ndarray:
    """Deal whole groups to folds so that each class is spread evenly; int32 [n_units].

    Groups come in the order of the largest share of a class that they hold, ties at random; each
    goes to the fold that holds least of its classes, then to the smallest fold. With every unit a
    group of its own this is stratified k-fold. No fold stays empty if there are `folds` groups.
    """
    names, group_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    classes, class_of = np.unique(np.asarray(strata, dtype=str), return_inverse=True)
    if len(names) < folds:
        raise InputError(f"{len(names)} groups cannot fill {folds} folds; lower the folds")
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (group_of, class_of), 1)
    shares = counts / counts.sum(axis=0)
    order = rng.permutation(len(names))
    order = order[np.argsort(-shares[order].max(axis=1), kind="stable")]
    held = np.zeros((folds, len(classes)))
    sizes = np.zeros(folds)
    fold_of_group = np.empty(len(names), dtype=np.int32)
    for group in order:
        own = np.flatnonzero(counts[group])
        crowding = held[:, own] @ shares[group, own]
        # Rounding keeps the order free of the last bit, which differs between machines.
        fold = np.lexsort((sizes, np.round(crowding, 9)))[0]
        fold_of_group[group] = fold
        held[fold] += shares[group]
        sizes[fold] += counts[group].sum()
    return fold_of_group[group_of]


def manifest(
    units: Units,
    fold: Sequence[int] | np.ndarray,
    *,
    task: str,
    dataset: str,
    protocol: str,
    regime: str,
    repeat: int,
    seed: int,
) -> pa.Table:
    """Return the manifest rows of one dataset, regime and repeat; every unit has the role test."""
    n = len(units.unit)
    constant = {
        "task": task,
        "dataset": dataset,
        "protocol": protocol,
        "regime": regime,
        "repeat": repeat,
        "role": "test",
        "group_kind": units.group_kind,
        "seed": seed,
    }
    columns = {name: [value] * n for name, value in constant.items()} | {
        "fold": np.asarray(fold, dtype=np.int32),
        "cohort": units.cohort,
        "unit": units.unit,
        "group": units.group,
        "stratum": units.stratum,
    }
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def check_groups(table: pa.Table, source: str) -> None:
    """Raise InputError if a unit is tested twice, or a group of a strict split lies in two folds.

    Both are judged within one task, dataset, protocol, regime and repeat; `source` names the table
    in the message.
    """
    keys = ["task", "dataset", "protocol", "regime", "repeat"]
    twice = table.group_by([*keys, "unit"]).aggregate([("fold", "count")])
    twice = twice.filter(pc.greater(twice["fold_count"], 1))
    if twice.num_rows:
        row = twice.sort_by("unit").slice(0, 1).to_pylist()[0]
        raise InputError(
            f"{source}: unit '{row['unit']}' stands {row['fold_count']} times in {row['dataset']}, "
            f"{row['protocol']} {row['regime']}; give each unit one row"
        )
    strict = table.filter(pc.equal(table["protocol"], "strict"))
    spread = strict.group_by([*keys, "group"]).aggregate([("fold", "count_distinct")])
    spread = spread.filter(pc.greater(spread["fold_count_distinct"], 1))
    if spread.num_rows:
        row = spread.sort_by("group").slice(0, 1).to_pylist()[0]
        raise InputError(
            f"{source}: group '{row['group']}' lies in {row['fold_count_distinct']} folds of "
            f"{row['dataset']}, {row['regime']}, repeat {row['repeat']}; "
            "a strict fold holds whole groups, make the split again"
        )


def write_manifest(path: Path, tables: Sequence[pa.Table]) -> None:
    """Check, sort and write the manifest, and its SHA-256 beside it; same units, same bytes.

    `<path>.sha256` is a line that `sha256sum --check` understands.
    """
    table = pa.concat_tables(tables)
    check_groups(table, str(path))
    write_table(path, table.sort_by([(name, "ascending") for name in ORDER]))
    with atomic(_hash_file(path)) as partial:
        partial.write_text(f"{sha256(path)}  {path.name}\n")


def read_manifest(path: Path, task: str, protocol: str) -> pa.Table:
    """Return the rows of one task and protocol, checked anew; raises InputError if there are none.

    A manifest of one's own (published folds, for example) passes the same check. Raises InputError
    too if the manifest is not the one that `<path>.sha256` was written for, where that exists.
    """
    frozen = _hash_file(path)
    if frozen.exists() and frozen.read_text().split()[:1] != [sha256(path)]:
        raise InputError(
            f"{path}: changed since its hash was written to {frozen.name}; make the split again, "
            "or remove that file if the manifest is your own"
        )
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: not a readable manifest ({error}); make it again") from error
    if not table.schema.equals(SCHEMA):
        raise InputError(f"{path}: its columns are not {', '.join(SCHEMA.names)}; make it again")
    chosen = table.filter(
        pc.and_(pc.equal(table["task"], task), pc.equal(table["protocol"], protocol))
    )
    if not chosen.num_rows:
        raise InputError(f"{path}: no row for {task} under the {protocol} protocol; make it again")
    check_groups(chosen, str(path))
    return chosen


def _hash_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
