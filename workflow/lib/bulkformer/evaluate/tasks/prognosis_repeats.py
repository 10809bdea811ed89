"""Prognosis: saved predictions as arrays, one set a repeat, ready to be scored.

Nothing but the file is needed: who trained a fold are the patients of the other folds, and how
long they were followed says how likely anybody was to be censored.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bulkformer.evaluate.survival_measures import Censoring

# Training patients of a cancer, from which on they alone say how such patients are censored. Few
# censored ones are no reason against it: then hardly anybody was lost, which so many patients show.
MIN_PATIENTS = 20


@dataclass(frozen=True)
class Repeat:
    """Out-of-fold predictions of one repeat, arrays [n] in the order of sorted sample ids.

    `group` are codes, alike in all repeats. `reference`, `at_end` and `survival` (one row a
    patient, at the horizons of its fold) are None where the head has none.
    """

    fold: np.ndarray
    group: np.ndarray
    cancer: np.ndarray
    time: np.ndarray
    event: np.ndarray
    risk: np.ndarray
    reference: np.ndarray | None
    at_end: np.ndarray | None
    survival: list[np.ndarray] | None
    horizons: dict[int, np.ndarray]

    def folds(self) -> "Iterator[Fold]":
        """Yield the folds, each with what its training patients say of censoring."""
        for number in np.unique(self.fold):
            training = self.fold != number
            yield Fold(
                self,
                np.flatnonzero(~training),
                Censoring.of(self.time[training], self.event[training]),
                self._usable(int(number), training),
                training,
            )

    def _usable(self, number: int, training: np.ndarray) -> np.ndarray:
        """Return which horizons of a fold lie before the last event of its training patients.

        Later, nothing was there to learn the course from.
        """
        horizons = self.horizons.get(number, np.zeros(0))
        return horizons < self.time[training & self.event].max(initial=0.0)


@dataclass(frozen=True)
class Fold:
    """One fold of a repeat: its `rows`, and what training rows (bool [n]) say of censoring.

    `censoring` is that of all cancers together. `usable` says which of its horizons can be scored.
    """

    repeat: Repeat
    rows: np.ndarray
    censoring: Censoring
    usable: np.ndarray
    training: np.ndarray

    def censoring_of(self, cancer: str) -> Censoring:
        """Return how likely training patients of one cancer were followed.

        Cancers were collected in different years, so that one curve for all would give wrong
        weights within each of them. Those with fewer than MIN_PATIENTS have that curve
        nevertheless.
        """
        own = self.training & (self.repeat.cancer == cancer)
        if own.sum() < MIN_PATIENTS:
            return self.censoring
        return Censoring.of(self.repeat.time[own], self.repeat.event[own])

    @property
    def horizons(self) -> np.ndarray:
        """The days at which survival is scored."""
        return self.repeat.horizons[int(self.repeat.fold[self.rows[0]])][self.usable]

    @property
    def survival(self) -> np.ndarray:
        """Predicted survival of the rows at `horizons`."""
        return np.stack([self.repeat.survival[row] for row in self.rows])[:, self.usable]


def read_repeats(rows: pa.Table) -> tuple[dict[int, Repeat], list[str]]:
    """Split rows by repeat; groups are coded by sorted name, and returned."""
    groups = sorted(rows["group"].unique().to_pylist())
    code = {name: i for i, name in enumerate(groups)}
    repeats = {}
    for number in sorted(rows["repeat"].unique().to_pylist()):
        one = rows.filter(pa.array(rows["repeat"].to_numpy() == number))
        one = one.take(pa.array(np.argsort(np.array(one["sample_id"].to_pylist(), dtype=str))))
        fold = one["fold"].to_numpy().astype(np.int64)
        repeats[number] = Repeat(
            fold=fold,
            group=np.array([code[name] for name in one["group"].to_pylist()]),
            cancer=np.array(one["stratum"].to_pylist()),
            time=one["time"].to_numpy(),
            event=one["event"].to_numpy() == 1,
            risk=one["y_pred"].to_numpy(),
            reference=_known(one, "y_reference"),
            at_end=_known(one, "survival_at_end"),
            survival=_survival(one),
            horizons=_horizons(one, fold),
        )
    return repeats, groups


def _known(rows: pa.Table, column: str) -> np.ndarray | None:
    """Return a column, or None if no row has a value."""
    return None if rows[column].null_count else rows[column].to_numpy()


def _survival(rows: pa.Table) -> list[np.ndarray] | None:
    column = rows["survival"].combine_chunks()
    if column.null_count:
        return None
    values, ends = column.flatten().to_numpy(), np.cumsum(column.value_lengths().to_numpy())
    return np.split(values.astype(np.float64), ends[:-1])


def _horizons(rows: pa.Table, fold: np.ndarray) -> dict[int, np.ndarray]:
    if rows["horizons"].null_count:
        return {}
    texts = rows["horizons"].to_pylist()
    return {
        int(number): np.array(json.loads(texts[int((fold == number).argmax())]))
        for number in np.unique(fold)
    }
