"""Finds the control wells that each treated profile is compared with.

Wells are dealt to two halves, and a well belongs to one half wherever it serves: so what a model is
given and what its answer is measured against never share the noise of a well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bulkformer.evaluate.records import Columns
from bulkformer.evaluate.tasks.perturbation_profiles import ALL

COMPOUND, SOLVENT = "trt_cp", "ctl_vehicle"
HALVES = ("a", "b")
Set = tuple[str | None, ...]


@dataclass(frozen=True)
class Pairs:
    """Which rows are treated, and where each finds its controls.

    Attributes
    ----------
    treated : rows that have a structure and controls in both halves, in the order of the table
    set_of : {treated row: its set of controls}
    wells : {set: {half: rows of its control wells}}; "all" holds both halves
    """

    treated: list[int]
    set_of: dict[int, Set]
    wells: dict[Set, dict[str, list[int]]]


def pair_with_controls(table: Columns, complete: np.ndarray) -> Pairs:
    """Find the solvent wells that each compound is compared with, of the same cell line and time.

    They are on its own plate where the column `controls` says so and both halves have a well there,
    else on any plate. A well belongs to one half wherever it serves: wells of a cell line and time
    are dealt in the order of plate and profile id. Rows that are not `complete` bool [n], because
    values are missing, are neither treated profiles nor controls.
    """
    by_condition: dict[Set, list[int]] = {}
    for row, kind in enumerate(table["perturbagen_type"]):
        if kind == SOLVENT and table["kind"][row] == "control" and complete[row]:
            by_condition.setdefault(_condition(table, row), []).append(row)
    wells: dict[Set, dict[str, list[int]]] = {}
    for condition, rows in by_condition.items():
        rows.sort(key=lambda row: (table["plate"][row] or "", table["profile_id"][row]))
        for number, row in enumerate(rows):
            half = HALVES[number % 2]
            for place in {condition, _on_plate(table, row)}:
                wells.setdefault(place, {}).setdefault(half, []).append(row)
    wells = {place: own for place, own in wells.items() if len(own) == len(HALVES)}
    treated, set_of = [], {}
    for row, kind in enumerate(table["perturbagen_type"]):
        if kind != COMPOUND or table["kind"][row] != "treated" or not table["smiles"][row]:
            continue
        places = [_condition(table, row)]
        if table["controls"][row] == "plate":
            places.insert(0, _on_plate(table, row))
        place = next((place for place in places if place in wells), None)
        if place is not None and complete[row]:
            treated.append(row)
            set_of[row] = place
    for own in wells.values():
        own[ALL] = sorted(own["a"] + own["b"])
    return Pairs(treated, set_of, wells)


def _condition(table: Columns, row: int) -> Set:
    time = table["time_h"][row]
    return table["cell_id"][row], None if time is None or np.isnan(time) else f"{time:g}h"


def _on_plate(table: Columns, row: int) -> Set:
    plate = table["plate"][row]
    return (*_condition(table, row), plate) if plate else _condition(table, row)


def set_name(place: Set) -> str:
    return "|".join(part or "?" for part in place)
