"""Treated profiles as a head is asked about them: joined with their controls and their vectors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.evaluate.compounds import morgan
from bulkformer.evaluate.perturbation_questions import Questions
from bulkformer.evaluate.records import Columns, read_columns
from bulkformer.evaluate.vectors import read_vectors

COLUMNS = ["profile_id", "compound", "smiles", "cell_id", "time_h", "dose_um", "control_set"]
COLUMNS += ["controls"]
ALL = "all"  # both halves of the control wells


def sample_name(control_set: str, half: str) -> str:
    """Return the sample id of the mean profile of one half of a set of controls."""
    return f"{control_set} {half}"


@dataclass(frozen=True)
class Seen:
    """All profiles seen with one half of the controls; `change` [n, g] is against the other."""

    questions: Questions
    change: np.ndarray
    control: np.ndarray

    def take(self, rows: np.ndarray) -> Questions:
        """Return the questions of the chosen rows."""
        return Questions(**{name: value[rows] for name, value in vars(self.questions).items()})


@dataclass(frozen=True)
class Profiles:
    """Treated profiles with the means of their controls.

    `level` [n, g]; `control` and `vector` by half of the controls, [n, g] and [n, d]; `fingerprint`
    [n, bits]; `genes` names what the g values are of, `n_measured` of them are in the vocabulary.
    """

    table: Columns
    level: np.ndarray
    control: dict[str, np.ndarray]
    vector: dict[str, np.ndarray]
    fingerprint: np.ndarray
    genes: list[str]
    n_measured: int

    def seen_with(self, asked: str, answered: str) -> Seen:
        """Return what a head is asked with one half, answered against the other."""
        dose = np.array([_or_nan(value) for value in self.table["dose_um"]])
        time = np.array([_or_nan(value) for value in self.table["time_h"]])
        with np.errstate(divide="ignore", invalid="ignore"):
            condition = np.column_stack([np.log10(dose), time])
        questions = Questions(
            compound=np.array(self.table["compound"]),
            cell=np.array(self.table["cell_id"]),
            fingerprint=self.fingerprint,
            condition=np.where(np.isfinite(condition), condition, 0.0),
            control=self.control[asked],
            vector=self.vector[asked],
        )
        return Seen(questions, self.level - self.control[answered], self.control[answered])


def read_profiles(
    treated: Path, controls: Path, vectors: Path | None, with_fingerprints: bool
) -> Profiles:
    """Join profiles, controls and vectors by name; raises InputError for a missing vector."""
    table = read_columns(treated, COLUMNS)
    means = read_columns(controls, ["control_set", "half"])
    names = [sample_name(*pair) for pair in zip(means["control_set"], means["half"], strict=True)]
    levels = dict(zip(names, _matrix(controls, "values"), strict=True))
    embedded = dict.fromkeys(names, np.zeros(0, dtype=np.float32))
    if vectors is not None:
        embedded = dict(zip(names, read_vectors(vectors, names), strict=True))
    fingerprint = np.zeros((len(table["smiles"]), 0), dtype=np.float32)
    if with_fingerprints:
        smiles, code = np.unique(table["smiles"], return_inverse=True)
        try:
            fingerprint = morgan(smiles.tolist())[code]
        except InputError as error:
            raise InputError(f"{treated}: {error}") from error
    genes = json.loads(pq.read_schema(treated).metadata[b"genes"])

    def of_half(content: dict[str, np.ndarray], half: str) -> np.ndarray:
        return np.stack([content[sample_name(name, half)] for name in table["control_set"]])

    halves = sorted(set(means["half"]))
    return Profiles(
        table=table,
        level=_matrix(treated, "values"),
        control={half: of_half(levels, half) for half in halves},
        vector={half: of_half(embedded, half) for half in halves},
        fingerprint=fingerprint,
        genes=[gene["symbol"] or gene["gene_id"] or gene["entrez"] for gene in genes],
        n_measured=sum(gene["gene_id"] is not None for gene in genes),
    )


def _matrix(path: Path, name: str) -> np.ndarray:
    column = pq.read_table(path, columns=[name])[name].combine_chunks()
    # By this way of the two, pandas is not imported.
    return np.from_dlpack(column.flatten()).reshape(len(column), -1)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
