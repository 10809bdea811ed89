"""Pairs every model with its opponents, place by place, on the units that both have.

A place is a {dataset, regime, condition, metric, unit_kind}. Scores are laid out there as a matrix
of units by models, so that thousands of comparisons cost no more than their tests do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from bulkformer.evaluate.comparison_arms import NULL, REFERENCE, Arm, Chooser, Opponent
from bulkformer.evaluate.paired_tests import PairedTest, PairTester
from bulkformer.evaluate.task import Task, first_declared
from bulkformer.evaluate.units import FOLD

PLACE = ["dataset", "regime", "condition", "metric", "unit_kind"]
FOUNDATION = "foundation"  # the kind of model about which the primary family asks


@dataclass(frozen=True)
class Pairing:
    """One model against one opponent in one place.

    `pairs` float [n, 2]: the scores of both on the units that both have; `repeat` [n] is the repeat
    of each; `n_units` how many units the two have by themselves.
    """

    place: Mapping[str, str | None]
    arm: Arm
    opponent: Opponent
    pairs: np.ndarray
    repeat: np.ndarray
    n_units: tuple[int, int]
    primary: bool


def pair_up(scores: pa.Table, chooser: Chooser) -> Iterator[Pairing]:
    """Pair every arm with its opponents; `scores` are rows of units.parquet of one task, protocol.

    Raises ValueError if an arm has two scores of one fold, which would be no pairs.
    """
    declared = headline_places(scores, chooser.task, chooser.protocol)
    for place, arms, repeat, values in _matrices(scores):
        column = {arm: number for number, arm in enumerate(arms)}
        known = np.isfinite(values)
        n_units = known.sum(axis=0).tolist()
        in_headline = tuple(place.values()) in declared
        for arm, own in column.items():
            where = place["dataset"], place["regime"], place["condition"]
            for opponent in chooser.opponents(*where, arm):
                other = column.get(opponent.arm)
                if other is None:
                    continue
                both = known[:, own] & known[:, other]
                yield Pairing(
                    place=place,
                    arm=arm,
                    opponent=opponent,
                    pairs=values[both][:, [own, other]],
                    repeat=repeat[both],
                    n_units=(n_units[own], n_units[other]),
                    primary=in_headline
                    and opponent.role in (REFERENCE, NULL)
                    and chooser.kinds.get(arm.model) == FOUNDATION,
                )


def headline_places(scores: pa.Table, task: Task, protocol: str) -> set[tuple[str | None, ...]]:
    """Return the places (in the order of PLACE) whose comparisons were declared the primary ones.

    Of each dataset: the declared metric, one regime, one condition and one kind of units.
    """
    places = [dict(zip(PLACE, names, strict=True)) for names in _combinations(scores, PLACE)[0]]
    places = [place for place in places if place["metric"] == task.paired.get(protocol)]
    for name, within in (("regime", ["dataset"]), ("condition", ["dataset", "regime"])):
        names = task.declared(protocol, name)
        places = _first_of(places, name, within, lambda place, names=names: names)
    within = ["dataset", "regime", "condition"]
    places = _first_of(
        places, "unit_kind", within, lambda place: task.paired_units.get(place["regime"], ())
    )
    return {tuple(place.values()) for place in places}


def _first_of(
    places: list[dict[str, str | None]],
    name: str,
    within: list[str],
    declared: Callable[[dict[str, str | None]], Sequence[str]],
) -> list[dict[str, str | None]]:
    """Keep places with the first declared value of `name` among those that agree in `within`."""

    def group(place: dict[str, str | None]) -> tuple[str | None, ...]:
        return tuple(place[key] for key in within)

    present: dict[tuple[str | None, ...], set[str | None]] = {}
    for place in places:
        present.setdefault(group(place), set()).add(place[name])
    kept = []
    for place in places:
        first = first_declared(declared(place), present[group(place)])
        if first in (None, place[name]):
            kept.append(place)
    return kept


def tests_of(pairings: list[Pairing], tester: PairTester) -> list[PairedTest]:
    """Return the test of each pairing, in order.

    Where one score has units of several kinds (the compounds and the wells that profiles share), a
    difference has to show over each: the largest p counts for all, and one kind with too few units
    leaves it open.
    """
    differences = [pairing.pairs[:, 0] - pairing.pairs[:, 1] for pairing in pairings]
    of_units = [number for number, each in enumerate(pairings) if each.place["unit_kind"] != FOLD]
    tests = tester.each_over_units([differences[number] for number in of_units])
    found = dict(zip(of_units, tests, strict=True))
    for numbers in _over_several_kinds(pairings, of_units):
        together = [found[number] for number in numbers]
        undecided = any(test.p is None for test in together)
        largest = None if undecided else max(test.p for test in together)
        for number in numbers:
            decided_by = None if undecided else found[number].decided_by
            found[number] = replace(found[number], p_wilcoxon=largest, decided_by=decided_by)
    return [
        found[number] if number in found else tester.over_folds(differences[number], pairing.repeat)
        for number, pairing in enumerate(pairings)
    ]


def _over_several_kinds(pairings: list[Pairing], of_units: list[int]) -> list[list[int]]:
    """Return the pairings of one score that differ in nothing but the kind of their units."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for number in of_units:
        pairing = pairings[number]
        place = (value for name, value in pairing.place.items() if name != "unit_kind")
        alike.setdefault((*place, pairing.arm, pairing.opponent), []).append(number)
    return [numbers for numbers in alike.values() if len(numbers) > 1]


def _matrices(
    scores: pa.Table,
) -> Iterator[tuple[dict[str, str | None], list[Arm], np.ndarray, np.ndarray]]:
    """Yield each place with its arms, the repeat of each row and scores [rows, arms].

    A row is a unit, and of folds a unit in one repeat: repeats of others are no further units, so
    their scores are averaged. NaN where an arm has no score.
    """
    places, place_of = _combinations(scores, PLACE)
    arms, arm_of = _combinations(scores, ["model", "head"])
    units, unit_of = _codes(scores, "unit")
    repeat_of = scores["repeat"].fill_null(0).to_numpy().astype(np.int64)
    value_of = scores["value"].to_numpy()
    order = np.argsort(place_of, kind="stable")
    ends = np.cumsum(np.bincount(place_of, minlength=len(places)))
    for names, rows in zip(places, np.split(order, ends[:-1]), strict=True):
        place = dict(zip(PLACE, names, strict=True))
        of_folds = place["unit_kind"] == FOLD
        key = unit_of[rows] + len(units) * (repeat_of[rows] if of_folds else 0)
        own, row = np.unique(key, return_inverse=True)
        present, column = np.unique(arm_of[rows], return_inverse=True)
        shape = len(own), len(present)
        cell = row * len(present) + column
        count = np.bincount(cell, minlength=shape[0] * shape[1])
        if of_folds and count.max() > 1:
            raise ValueError(f"{place}: a model has two scores of one fold")
        total = np.bincount(cell, weights=value_of[rows], minlength=len(count))
        mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        here = [Arm(*arms[code]) for code in present]
        yield place, here, own // max(len(units), 1), mean.reshape(shape)


def _combinations(
    scores: pa.Table, names: list[str]
) -> tuple[list[tuple[str | None, ...]], np.ndarray]:
    """Return the combinations of values that occur in columns, sorted, and the one of each row."""
    columns = [_codes(scores, name) for name in names]
    flat = np.zeros(len(scores), dtype=np.int64)
    for values, code in columns:
        flat = flat * (len(values) + 1) + code + 1
    found, first, of_row = np.unique(flat, return_index=True, return_inverse=True)
    known = [[None, *values] for values, _ in columns]
    codes = [code[first] + 1 for _, code in columns]
    return [
        tuple(own[code[number]] for own, code in zip(known, codes, strict=True))
        for number in range(len(found))
    ], of_row


def _codes(scores: pa.Table, name: str) -> tuple[list[str], np.ndarray]:
    """Return the sorted values of a dictionary column, and the place of each row's among them (-1
    for none)."""
    column = scores[name].combine_chunks()
    values = column.dictionary.to_pylist()
    names = sorted(values)
    place = {value: number for number, value in enumerate(names)}
    rank = np.array([*(place[value] for value in values), -1], dtype=np.int64)
    return names, rank[column.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)]
