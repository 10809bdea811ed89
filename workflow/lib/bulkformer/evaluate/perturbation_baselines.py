"""Simple predictions of what a compound changes: means, additive effects, and similar compounds.

None of them looks at expression; a model that does has to be better than these. They hold the
controls of openproblems' perturbation benchmark: `zeros` is no_change, `mean_outcome` mean_delta,
`mean_across_compounds` (the mean over compounds in one cell) cell_mean_delta, `sample`
training_profile; `mean_across_celltypes`, the mean over cells of one compound, is the first thing
that compound_neighbours and cell_plus_compound say of a compound that training knows.
"""

from dataclasses import dataclass

import numpy as np

from bulkformer.evaluate.compounds import tanimoto
from bulkformer.evaluate.perturbation_questions import (
    ChangeSettings,
    FittedChange,
    Questions,
    TrainingChanges,
)

BACKFITTING_ROUNDS = 20
IDENTICAL = 1 - 1e-9  # Tanimoto similarity of one compound with itself


@dataclass(frozen=True)
class NoChange:
    """Nothing happens."""

    n_genes: int

    def predict(self, asked: Questions) -> np.ndarray:
        return np.zeros((len(asked.compound), self.n_genes))


@dataclass(frozen=True)
class Effects:
    """`overall` change [g], plus what is added for a cell or a compound that training knows."""

    overall: np.ndarray
    of_cell: dict[str, np.ndarray]
    of_compound: dict[str, np.ndarray]

    def predict(self, asked: Questions) -> np.ndarray:
        nothing = np.zeros_like(self.overall)
        return self.overall + np.stack(
            [
                self.of_cell.get(cell, nothing) + self.of_compound.get(compound, nothing)
                for cell, compound in zip(asked.cell, asked.compound, strict=True)
            ]
        )


@dataclass(frozen=True)
class TrainingProfiles:
    """Changes [n, g] of training profiles, of which each question gets one at random."""

    change: np.ndarray
    seed: int

    def predict(self, asked: Questions) -> np.ndarray:
        """Return changes of training profiles, with all their noise."""
        rng = np.random.default_rng(self.seed)
        return self.change[rng.integers(len(self.change), size=len(asked.compound))]


@dataclass(frozen=True)
class CompoundNeighbours:
    """Mean changes [k, g] of the training compounds, and their fingerprints [k, bits]."""

    overall: np.ndarray
    fingerprint: np.ndarray
    change: np.ndarray
    neighbours: int

    def predict(self, asked: Questions) -> np.ndarray:
        """Return the mean change of the most similar compounds, weighted by similarity.

        A compound that training knows is its own neighbour and needs no others; one that resembles
        none changes what compounds change on average.
        """
        similarity = tanimoto(asked.fingerprint, self.fingerprint)
        known = similarity.max(axis=1, keepdims=True) > IDENTICAL
        similarity = np.where(known & (similarity <= IDENTICAL), 0.0, similarity)
        # Rounding keeps ties free of the last bit; of equals the first by name is nearer.
        order = np.argsort(-np.round(similarity, 9), axis=1, kind="stable")
        nearest = order[:, : self.neighbours]
        weights = np.take_along_axis(similarity, nearest, axis=1)
        total = weights.sum(axis=1, keepdims=True)
        mean = np.einsum("mk,mkg->mg", weights, self.change[nearest])
        return np.where(total > 0, mean / np.where(total > 0, total, 1), self.overall)


def no_change(rows: TrainingChanges, settings: ChangeSettings, seed: int) -> FittedChange:
    """Control: what "nothing happens" is worth; high wherever levels are compared."""
    return NoChange(rows.change.shape[1])


def mean_delta(rows: TrainingChanges, settings: ChangeSettings, seed: int) -> FittedChange:
    """The mean change of all training profiles, whatever the compound."""
    return Effects(_overall(rows), {}, {})


def training_profile(rows: TrainingChanges, settings: ChangeSettings, seed: int) -> FittedChange:
    """Control: the change of any training profile, what a mere look of the data is worth."""
    return TrainingProfiles(rows.change, seed)


def cell_mean_delta(rows: TrainingChanges, settings: ChangeSettings, seed: int) -> FittedChange:
    """The mean change of the training profiles of the same cell line; else of all."""
    overall = _overall(rows)
    return Effects(overall, _means(rows.change - overall, rows.questions.cell), {})


def cell_plus_compound(rows: TrainingChanges, settings: ChangeSettings, seed: int) -> FittedChange:
    """An effect of the cell line plus one of the compound, by least squares; unknown ones are 0."""
    overall = _overall(rows)
    left = rows.change - overall
    cells, cell = np.unique(rows.questions.cell, return_inverse=True)
    compounds, compound = np.unique(rows.questions.compound, return_inverse=True)
    counts = np.zeros((len(cells), len(compounds)))
    np.add.at(counts, (cell, compound), 1)
    of_cell = _group_means(left, cell, len(cells))
    of_compound = _group_means(left, compound, len(compounds))
    share_of_cell = counts / counts.sum(axis=1, keepdims=True)
    share_of_compound = counts.T / counts.sum(axis=0)[:, None]
    cell_effect, compound_effect = np.zeros_like(of_cell), of_compound
    for _ in range(BACKFITTING_ROUNDS):
        cell_effect = of_cell - share_of_cell @ compound_effect
        compound_effect = of_compound - share_of_compound @ cell_effect
    return Effects(
        overall,
        dict(zip(cells.tolist(), cell_effect, strict=True)),
        dict(zip(compounds.tolist(), compound_effect, strict=True)),
    )


def compound_neighbours(rows: TrainingChanges, settings: ChangeSettings, seed: int) -> FittedChange:
    """The changes of the most similar training compounds, by Tanimoto similarity."""
    known, first, code = np.unique(rows.questions.compound, return_index=True, return_inverse=True)
    return CompoundNeighbours(
        _overall(rows),
        rows.questions.fingerprint[first],
        _group_means(rows.change, code, len(known)),
        settings.neighbours,
    )


def _overall(rows: TrainingChanges) -> np.ndarray:
    """Return the mean change, to the last bit the one that truths are compared with."""
    return rows.change.mean(axis=0, dtype=np.float64)


def _means(values: np.ndarray, names: np.ndarray) -> dict[str, np.ndarray]:
    known, code = np.unique(names, return_inverse=True)
    return dict(zip(known.tolist(), _group_means(values, code, len(known)), strict=True))


def _group_means(values: np.ndarray, code: np.ndarray, n: int) -> np.ndarray:
    """Return means [n, g] of the rows of each code."""
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(n))
    counts = np.bincount(code, minlength=n)
    return np.add.reduceat(values[order].astype(np.float64), starts, axis=0) / counts[:, None]
