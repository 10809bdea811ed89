"""Pairs every treated profile with its controls, once, before any split or model.

A change is a difference from control wells. If two profiles are compared with the same wells, the
noise of those wells is in both changes, and a model can "predict" the one from the other. Control
wells are therefore dealt to two halves: what a model is given and what the truth is measured
against, and the truths of training and of test rows, never share a well under the strict protocol.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.compounds import inchikey14, scaffold
from bulkformer.evaluate.records import Columns, as_key, read_columns, select
from bulkformer.evaluate.tasks.perturbation_controls import (
    COMPOUND,
    Pairs,
    Set,
    pair_with_controls,
    set_name,
)
from bulkformer.evaluate.tasks.perturbation_profiles import ALL, sample_name
from bulkformer.expression.store import create_store
from bulkformer.files import write_table
from bulkformer.outcomes.perturbation import read_genes

KEYS = ["profile_id", "perturbagen", "perturbagen_id", "perturbagen_type", "smiles", "dose_um"]
PLACE = ["time_h", "cell_id", "plate", "kind", "controls"]
# Columns of the table of treated profiles, beside `values`; text but for the two numbers.
TREATED = ["profile_id", "compound", "scaffold", "perturbagen", "perturbagen_id", "smiles"]
TREATED += ["cell_id", "plate", "controls", "control_set", "control_plates", "published_split"]
NUMBERS = ["time_h", "dose_um"]
ROWS_AT_A_TIME = 8192  # profiles in memory while a file of any length is read


def perturbation_pairs(
    profiles: Annotated[Path, Option(help="perturbation.parquet of the outcomes.")],
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    settings: Annotated[str, Option(help="Section perturbation of the config, as JSON.")],
    seed: Annotated[int, Option()],
    treated: Annotated[Path, Option(help="Treated profiles to write.")],
    controls: Annotated[Path, Option(help="Mean control profiles to write.")],
    store: Annotated[Path, Option(help="The same on the vocabulary, for embedding, to write.")],
    samples: Annotated[Path, Option(help="Samples table of that store, to write.")],
) -> None:
    """Choose the treated profiles that can be compared with controls, and average those."""
    chosen = json.loads(settings)
    split_column = chosen["legacy"]["split_column"]
    table = read_columns(profiles, [*KEYS, *PLACE], [split_column] if split_column else [])
    if split_column and not any(table[split_column]):
        raise InputError(
            f"{profiles}: no column '{split_column}'; correct "
            "evaluate.perturbation.legacy.split_column, or set it to null"
        )
    complete = _complete(profiles)
    pairs = pair_with_controls(table, complete)
    _report(table, complete, pairs)
    if not pairs.treated:
        raise InputError(
            f"{profiles}: no compound has a structure and two control wells; add structures "
            "(outcomes.perturbation.perturbagens) or controls (outcomes.perturbation.types)"
        )
    keys = _keys(profiles, table, pairs.treated)
    rows = _draw(table, pairs.treated, keys, chosen["max_profiles"], seed)
    used = sorted({pairs.set_of[row] for row in rows}, key=set_name)
    wells = {well for place in used for well in pairs.wells[place][ALL]}
    values = _read_values(profiles, wells.union(rows))
    _write_treated(treated, profiles, table, (rows, keys, pairs), values, split_column)
    means = [
        (place, half, own, values.mean(own))
        for place in used
        for half, own in pairs.wells[place].items()
    ]
    _write_controls(controls, means)
    _write_store(store, samples, means, profiles, genes, chosen["log_base"])


@dataclass(frozen=True)
class _Values:
    """Values of the rows that are used, float32 [k, g]; `at` is the place of a table row."""

    at: dict[int, int]
    values: np.ndarray

    def of(self, row: int) -> np.ndarray:
        return self.values[self.at[row]]

    def mean(self, rows: list[int]) -> np.ndarray:
        places = [self.at[row] for row in rows]
        return self.values[places].mean(axis=0, dtype=np.float64).astype(np.float32)


def _batches(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of the first row and the values float32 [b, g] of some rows at a time."""
    start = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_A_TIME, columns=["values"]):
            column = batch.column(0)
            values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
            yield start, values
            start += len(column)


def _complete(path: Path) -> np.ndarray:
    """Return bool [n]: profiles without a missing value. No value is kept in memory."""
    return np.concatenate([np.isfinite(values).all(axis=1) for _, values in _batches(path)])


def _read_values(path: Path, rows: set[int]) -> _Values:
    """Read the values of the chosen rows, which are few where all profiles would not fit."""
    wanted = np.array(sorted(rows), dtype=np.int64)
    parts = []
    for start, values in _batches(path):
        here = wanted[(wanted >= start) & (wanted < start + len(values))]
        parts.append(values[here - start])
    at = {row: place for place, row in enumerate(wanted.tolist())}
    return _Values(at, np.concatenate(parts))


def _keys(profiles: Path, table: Columns, treated: list[int]) -> dict[str, tuple[str, str]]:
    """Return {SMILES: (InChIKey skeleton, scaffold)} of the treated rows."""
    first: dict[str, int] = {}
    for row in treated:
        first.setdefault(table["smiles"][row], row)
    keys = {}
    for smiles, row in sorted(first.items()):
        try:
            keys[smiles] = inchikey14(smiles), scaffold(smiles)
        except InputError as error:
            raise InputError(
                f"{profiles}: profile '{table['profile_id'][row]}', compound "
                f"'{table['perturbagen'][row]}': {error}"
            ) from error
    return keys


def _draw(
    table: Columns, treated: list[int], keys: dict[str, tuple[str, str]], most: int, seed: int
) -> list[int]:
    """Return at most `most` treated rows, whole compounds at a time, sorted by profile.

    The draw ends at the first compound that does not fit: to go on would fill what is left with
    compounds that have few profiles.
    """
    of_compound: dict[str, list[int]] = {}
    for row in treated:
        of_compound.setdefault(keys[table["smiles"][row]][0], []).append(row)
    names = sorted(of_compound)
    rows: list[int] = []
    for number in np.random.default_rng(seed).permutation(len(names)):
        own = of_compound[names[number]]
        if len(rows) + len(own) > most:
            break
        rows += own
    if not rows:
        raise InputError(
            f"evaluate.perturbation.max_profiles: {most} is less than the {len(own)} profiles of "
            f"the first compound drawn, {names[number]}; allow more"
        )
    if len(rows) < len(treated):
        print(f"{len(rows)} of {len(treated)} treated profiles drawn", file=sys.stderr)
    return sorted(rows, key=lambda row: table["profile_id"][row])


def _write_treated(
    path: Path,
    profiles: Path,
    table: Columns,
    chosen: tuple[list[int], dict[str, tuple[str, str]], Pairs],
    values: _Values,
    split_column: str | None,
) -> None:
    rows, keys, pairs = chosen
    columns: dict[str, list[Any]] = select(table, rows)
    places = [pairs.set_of[row] for row in rows]
    columns["compound"] = [keys[smiles][0] for smiles in columns["smiles"]]
    columns["scaffold"] = [keys[smiles][1] for smiles in columns["smiles"]]
    columns["control_set"] = [set_name(place) for place in places]
    plates = {
        place: ",".join(sorted({as_key(table["plate"][row]) for row in own[ALL]} - {""}))
        for place, own in pairs.wells.items()
    }
    columns["control_plates"] = [plates[place] for place in places]
    columns["controls"] = ["plate" if len(place) == 3 else "cell_and_time" for place in places]
    columns["published_split"] = columns.get(split_column or "", [None] * len(rows))
    arrays = [pa.array(columns[name], pa.string()) for name in TREATED]
    arrays += [pa.array(columns[name], pa.float64()) for name in NUMBERS]
    arrays.append(_lists([values.of(row) for row in rows]))
    schema = pa.schema(
        [
            (name, array.type)
            for name, array in zip([*TREATED, *NUMBERS, "values"], arrays, strict=True)
        ],
        metadata={"genes": json.dumps(read_genes(profiles), sort_keys=True)},
    )
    write_table(path, pa.table(arrays, schema=schema))


def _write_controls(path: Path, means: list[tuple[Set, str, list[int], np.ndarray]]) -> None:
    table = {
        "control_set": [set_name(place) for place, *_ in means],
        "half": [half for _, half, *_ in means],
        "n_wells": [len(wells) for *_, wells, _ in means],
        "values": _lists([mean for *_, mean in means]),
    }
    write_table(path, pa.table(table))


def _write_store(
    path: Path,
    samples: Path,
    means: list[tuple[Set, str, list[int], np.ndarray]],
    profiles: Path,
    genes: Path,
    log_base: float,
) -> None:
    """Write control profiles as a cohort is written: natural logarithms, genes by identifier.

    What was not measured is absent. It is no expression in TPM: levels are intensities.
    """
    vocabulary = pq.read_table(genes, columns=["gene_id"])["gene_id"].to_pylist()
    column = {gene: number for number, gene in enumerate(vocabulary)}
    measured = [column.get(gene["gene_id"], -1) for gene in read_genes(profiles)]
    known = np.array(measured) >= 0
    if not known.any():
        raise InputError(f"{genes}: has none of the genes of {profiles}; make both again")
    ids = [sample_name(set_name(place), half) for place, half, *_ in means]
    values = np.full((len(means), len(vocabulary)), np.nan, dtype=np.float32)
    at = np.array(measured)[known]
    values[:, at] = np.stack([mean for *_, mean in means])[:, known] * np.log(log_base)
    is_measured = np.zeros(len(vocabulary), dtype=bool)
    is_measured[at] = True
    with create_store(path, is_measured, "log_intensity") as writer:
        writer.write(ids, values)
    n = len(ids)
    table = {"sample_id": ids, "kept": [True] * n, "reason": pa.nulls(n, pa.string())}
    # The ledger of exposure asks which cell lines they are of.
    cells = pa.array([place[0] for place, *_ in means], pa.string())
    write_table(samples, pa.table(table | {"study_id": pa.nulls(n, pa.string()), "cell_id": cells}))


def _lists(rows: list[np.ndarray]) -> pa.Array:
    values = np.stack(rows).astype(np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _report(table: Columns, complete: np.ndarray, pairs: Pairs) -> None:
    """Say on stderr what was left out and why; each profile by the first reason."""
    reasons = {"no structure": 0, "missing values": 0, "no two control wells": 0}
    kept = set(pairs.treated)
    for row, kind in enumerate(table["perturbagen_type"]):
        if kind == COMPOUND and row not in kept:
            if not table["smiles"][row]:
                reasons["no structure"] += 1
            elif not complete[row]:
                reasons["missing values"] += 1
            else:
                reasons["no two control wells"] += 1
    print(f"{len(kept)} treated profiles; left out: {reasons}", file=sys.stderr)


if __name__ == "__main__":
    command(perturbation_pairs)
