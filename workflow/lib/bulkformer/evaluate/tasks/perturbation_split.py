"""Freezes which treated profiles are tested in which fold, for both protocols.

Legacy: compounds at random, as PRnet draws them; a salt or a relative of a tested compound may be
learned from. Strict: whole families of compounds, whole cell lines, both at once, or whole sets of
plates. Plates are joined by the control wells that their profiles share, because those carry their
noise along.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.records import Columns, as_key, read_columns
from bulkformer.evaluate.splits import (
    Units,
    assign_folds,
    connected_groups,
    manifest,
    write_manifest,
)

TASK = "perturbation"
COHORT = "perturbation"  # of the ledger: no cohort of the config, its samples are the controls
COLUMNS = ["profile_id", "compound", "scaffold", "perturbagen", "perturbagen_id", "cell_id"]
PLACE = ["plate", "control_plates", "control_set"]
LEGACY_REGIME = "random_compounds"
GROUP_KINDS = {
    "held_out_compounds": "compound_family",
    "held_out_cells": "cell",
    "held_out_plates": "plates",
}
BOTH = "held_out_compounds_and_cells"


def perturbation_split(
    treated: Annotated[Path, Option(help="Treated profiles, paired with controls.")],
    settings: Annotated[str, Option(help="Section perturbation of the config, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
) -> None:
    """Freeze the folds of every regime; a group in two strict folds is an error."""
    chosen = json.loads(settings)
    profiles = read_columns(treated, [*COLUMNS, *PLACE, "published_split"])
    about = {"task": TASK, "dataset": chosen["dataset"], "seed": seed}
    tables = [_legacy(profiles, treated, chosen["legacy"], about)]
    for regime in chosen["strict"]["regimes"]:
        make = _of_both if regime == BOTH else _strict
        tables += make(profiles, regime, chosen["strict"], about)
    if len(tables) == 1:
        raise InputError(
            f"{treated}: no regime of evaluate.perturbation.strict has two groups; add compounds, "
            "cell lines or plates"
        )
    write_manifest(output, tables)


def group_keys(profiles: Columns, regime: str) -> list[str]:
    """Return what each profile must not be parted from, keys joined by commas, as `splits` wants.

    A compound goes with all of its scaffold, with its salts and isomers, and with whatever shares
    an identifier or a name. A profile goes with its plate and those of its controls, and, where
    nobody knows the plates, with all that are compared with the same controls.
    """
    if regime == "held_out_cells":
        return [as_key(cell) for cell in profiles["cell_id"]]
    if regime == "held_out_plates":
        places = zip(*(profiles[name] for name in PLACE), strict=True)
        return [
            ",".join(filter(None, [as_key(plate), controls, f"controls {as_key(of)}"]))
            for plate, controls, of in places
        ]
    kinds = ["scaffold", "compound", "perturbagen_id", "perturbagen"]
    return [
        ",".join(
            f"{kind} {as_key(value)}" for kind, value in zip(kinds, values, strict=True) if value
        )
        for values in zip(*(profiles[kind] for kind in kinds), strict=True)
    ]


def _strict(
    profiles: Columns, regime: str, settings: dict[str, Any], about: dict[str, Any]
) -> list[pa.Table]:
    """Return the rows of one regime, one table a repeat; none if it has a single group."""
    ids = profiles["profile_id"]
    groups = connected_groups(group_keys(profiles, regime), ids)
    units = Units(ids, groups, GROUP_KINDS[regime], [""] * len(ids), [COHORT] * len(ids))
    n_groups = len(set(groups))
    if n_groups < 2:
        print(f"{regime}: left out, all profiles are one group", file=sys.stderr)
        return []
    folds = min(settings["folds"], n_groups)
    print(f"{regime}: {n_groups} groups in {folds} folds", file=sys.stderr)
    return [
        manifest(
            units,
            assign_folds(
                units.stratum, groups, folds, np.random.default_rng([about["seed"], repeat])
            ),
            protocol="strict",
            regime=regime,
            repeat=repeat,
            **about,
        )
        for repeat in range(settings["repeats"])
    ]


def _of_both(
    profiles: Columns, regime: str, settings: dict[str, Any], about: dict[str, Any]
) -> list[pa.Table]:
    """Return rows in which a tested profile has a family of compounds and a cell that are both new.

    Families and cells are dealt to as many folds each; what lies in the same fold of both is tested
    there. All other profiles have the role train and a fold that nobody tests. A group is a family
    and a cell, joined by a comma: what shares either with a tested profile does not train for it.
    """
    ids = profiles["profile_id"]
    families, cells = (
        connected_groups(group_keys(profiles, kind), ids)
        for kind in ("held_out_compounds", "held_out_cells")
    )
    groups = [f"{family},cell {cell}" for family, cell in zip(families, cells, strict=True)]
    units = Units(ids, groups, "compound_family_and_cell", [""] * len(ids), [COHORT] * len(ids))
    folds = min(settings["folds"], len(set(families)), len(set(cells)))
    tables = []
    for repeat in range(settings["repeats"] if folds > 1 else 0):
        of_family, of_cell = (
            assign_folds(
                units.stratum, each, folds, np.random.default_rng([about["seed"], repeat, number])
            )
            for number, each in enumerate((families, cells))
        )
        turned = [(of_cell + turn) % folds for turn in range(folds)]
        full = [_full_folds(of_family, each, folds) for each in turned]
        # Which fold of cells meets which of families is free: the turn that tests most profiles.
        tested = [
            int(((of_family == each) & np.isin(each, own)).sum())
            for each, own in zip(turned, full, strict=True)
        ]
        of_cell, full = turned[np.argmax(tested)], full[np.argmax(tested)]
        number = {fold: at for at, fold in enumerate(full)}
        fold = [
            number.get(own, len(full)) if own == other else len(full)
            for own, other in zip(of_family.tolist(), of_cell.tolist(), strict=True)
        ]
        if full:
            table = manifest(units, fold, protocol="strict", regime=regime, repeat=repeat, **about)
            tables.append(_with_roles(table, [own < len(full) for own in fold]))
    if tables:
        print(f"{regime}: {folds} folds of families by cells", file=sys.stderr)
    else:
        print(f"{regime}: left out, no fold can be both tested and trained for", file=sys.stderr)
    return tables


def _full_folds(of_family: np.ndarray, of_cell: np.ndarray, folds: int) -> list[int]:
    """Return the folds that hold profiles to test, and leave some to train on."""
    return [
        fold
        for fold in range(folds)
        if ((of_family == fold) & (of_cell == fold)).any()
        and ((of_family != fold) & (of_cell != fold)).any()
    ]


def _legacy(
    profiles: Columns, treated: Path, settings: dict[str, Any], about: dict[str, Any]
) -> pa.Table:
    """Return random folds of compounds, or the one split that the data came with.

    A profile that a published split calls "test" is tested in fold 0. All others are in fold 1 and
    have the role train, which nobody tests.
    """
    ids, compounds = profiles["profile_id"], profiles["compound"]
    units = Units(ids, compounds, "compound", [""] * len(ids), [COHORT] * len(ids))
    about = about | {"protocol": "legacy", "regime": LEGACY_REGIME, "repeat": 0}
    if settings["split_column"]:
        tested = [value == "test" for value in profiles["published_split"]]
        if len(set(tested)) < 2:
            raise InputError(
                f"{treated}: column {settings['split_column']} needs both 'test' and other "
                "profiles; correct evaluate.perturbation.legacy.split_column"
            )
        return _with_roles(manifest(units, [0 if test else 1 for test in tested], **about), tested)
    folds = min(settings["folds"], len(set(compounds)))
    rng = np.random.default_rng(about["seed"])
    return manifest(units, assign_folds(units.stratum, compounds, folds, rng), **about)


def _with_roles(table: pa.Table, tested: list[bool]) -> pa.Table:
    """Return a manifest in which only some profiles are tested."""
    roles = pa.array(["test" if test else "train" for test in tested])
    return table.set_column(table.schema.get_field_index("role"), "role", roles)


if __name__ == "__main__":
    command(perturbation_split)
