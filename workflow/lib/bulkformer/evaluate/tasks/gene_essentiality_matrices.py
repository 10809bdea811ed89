"""Gene essentiality: saved predictions as matrices of lines by genes, ready to be scored."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate.essentiality_measures import within_cells

BY_GENE = "held_out_genes"  # the regime in which a model is asked about some genes only


@dataclass(frozen=True)
class Arm:
    """Out-of-fold predictions of one regime and head over all repeats.

    Attributes
    ----------
    lines, genes : sample ids [n] and gene ids [t], sorted
    groups, group : names, and the place of each line's own int [n]
    lineage : codes int [n]
    truth : float32 [n, t], NaN where unknown
    dependent : int8 [n, t], 1 or 0, -1 where unknown
    predicted, train_mean : float32 [n_repeats, n, t], NaN where nothing was predicted
    fold : int16 [n_repeats, n, t]
    coverage : share of the genes that this head predicts: of all with known effects, or where
        genes are held out of those that any head of the model does
    trials : settings that the head chose among
    """

    dataset: str
    regime: str
    head: str
    lines: list[str]
    genes: list[str]
    groups: list[str]
    group: np.ndarray
    lineage: np.ndarray
    truth: np.ndarray
    dependent: np.ndarray
    predicted: np.ndarray
    train_mean: np.ndarray
    fold: np.ndarray
    coverage: float
    trials: int

    @property
    def n_repeats(self) -> int:
        return len(self.predicted)

    def raw(self, repeat: int) -> tuple[np.ndarray, np.ndarray]:
        """Return truth and prediction as they are."""
        return self.truth, self.predicted[repeat]

    def deviations(self, repeat: int) -> tuple[np.ndarray, np.ndarray]:
        """Return truth and prediction less the training mean of their fold."""
        mean = self.train_mean[repeat]
        return self.truth - mean, self.predicted[repeat] - mean

    def centred(self, repeat: int, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return truth and prediction less their means over the lines of each cell, int [n]."""
        known = ~(np.isnan(self.truth) | np.isnan(self.predicted[repeat]))
        return within_cells(self.truth, known, cell), within_cells(
            self.predicted[repeat], known, cell
        )

    def fold_of_line(self, repeat: int, by_gene: bool) -> np.ndarray:
        """Return the fold of every line [n]; 0 for all where folds are of genes."""
        if by_gene:
            return np.zeros(len(self.lines), dtype=np.int64)
        return self.fold[repeat].max(axis=1).astype(np.int64)

    def cells(self, repeat: int, by_gene: bool) -> np.ndarray:
        """Return codes [n] of the lines of one lineage that were predicted by one fit."""
        fold = self.fold_of_line(repeat, by_gene)
        return np.unique(self.lineage * (fold.max() + 1) + fold, return_inverse=True)[1]


def read_arms(predictions: pq.ParquetFile) -> Iterator[Arm]:
    """Yield the arms of a file of predictions, sorted; only one is held in memory."""
    known = int((predictions.metadata.metadata or {}).get(b"n_genes", 0))
    groups: dict[tuple[str, str, str], list[int]] = {}
    genes: dict[tuple[str, str], set[str]] = {}
    for number in range(predictions.num_row_groups):
        table = predictions.read_row_group(
            number, columns=["dataset", "regime", "head", "target_id"]
        )
        key = tuple(table[name][0].as_py() for name in ("dataset", "regime", "head"))
        groups.setdefault(key, []).append(number)
        genes.setdefault(key[:2], set()).update(table["target_id"].unique().to_pylist())
    for key in sorted(groups):
        n_genes = len(genes[key[:2]])
        yield _arm(predictions, key, groups[key], max(n_genes, 0 if key[1] == BY_GENE else known))


def _arm(file: pq.ParquetFile, key: tuple[str, str, str], numbers: list[int], n_genes: int) -> Arm:
    names: dict[str, set[str]] = {name: set() for name in ("sample_id", "target_id", "repeat")}
    group_of: dict[str, str] = {}
    lineage_of: dict[str, str] = {}
    for number in numbers:
        table = file.read_row_group(number, columns=[*names, "group", "lineage"])
        lines = table.group_by(["sample_id", "group", "lineage"]).aggregate([]).to_pylist()
        for line in lines:
            group_of[line["sample_id"]] = line["group"]
            lineage_of[line["sample_id"]] = line["lineage"]
        names["sample_id"].update(line["sample_id"] for line in lines)
        names["target_id"].update(table["target_id"].unique().to_pylist())
        names["repeat"].update(table["repeat"].unique().to_pylist())
    lines, genes, repeats = (sorted(names[name]) for name in ("sample_id", "target_id", "repeat"))
    shape = (len(repeats), len(lines), len(genes))
    truth = np.full(shape[1:], np.nan, dtype=np.float32)
    dependent = np.full(shape[1:], -1, dtype=np.int8)
    predicted, train_mean = (np.full(shape, np.nan, dtype=np.float32) for _ in range(2))
    fold = np.zeros(shape, dtype=np.int16)
    row_of, column_of = (
        {name: place for place, name in enumerate(known)} for known in (lines, genes)
    )
    for number in numbers:
        table = file.read_row_group(number)
        repeat = repeats.index(table["repeat"][0].as_py())
        at = _codes(table["sample_id"], row_of), _codes(table["target_id"], column_of)
        truth[at] = table["y_true"].to_numpy()
        called = table["dependent"].cast(pa.int8()).fill_null(-1)
        dependent[at] = called.to_numpy()
        predicted[repeat][at] = table["y_pred"].to_numpy()
        train_mean[repeat][at] = table["train_mean"].to_numpy()
        fold[repeat][at] = table["fold"].to_numpy()
    groups, group = np.unique([group_of[line] for line in lines], return_inverse=True)
    lineage = np.unique([lineage_of[line] for line in lines], return_inverse=True)[1]
    dataset, regime, head = key
    return Arm(
        dataset,
        regime,
        head,
        lines,
        genes,
        groups.tolist(),
        group,
        lineage,
        truth,
        dependent,
        predicted,
        train_mean,
        fold,
        len(genes) / n_genes,
        file.read_row_group(numbers[0], columns=["tuning_trials"])["tuning_trials"][0].as_py(),
    )


def _codes(column: pa.ChunkedArray, place_of: dict[str, int]) -> np.ndarray:
    parts = []
    for chunk in column.chunks:
        places = np.array([place_of[name] for name in chunk.dictionary.to_pylist()])
        parts.append(places[chunk.indices.to_numpy()])
    return np.concatenate(parts)
