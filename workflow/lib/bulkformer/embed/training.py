"""The training samples of the corpus, and nothing else: what a `fit` is allowed to see.

Read in blocks from the memory-mapped stores, so that a corpus larger than memory can be averaged;
models that need a matrix take a seeded subsample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.expression.store import ExpressionStore


@dataclass(frozen=True)
class TrainingData:
    """Training samples in a fixed order.

    Attributes
    ----------
    samples : one row a sample
    n_genes : columns of every block
    read : returns an iterator of float32 blocks [m, n_genes], ln(TPM + 1) with NaN for genes that
        were not measured, whose rows together are those of `samples`
    """

    samples: pd.DataFrame
    n_genes: int
    read: Callable[[], Iterator[np.ndarray]]

    def __len__(self) -> int:
        return len(self.samples)

    @classmethod
    def of(cls, values: np.ndarray, samples: pd.DataFrame) -> TrainingData:
        """Wrap a matrix [n, G] that is already in memory."""
        values = np.asarray(values, dtype=np.float32)
        return cls(samples.reset_index(drop=True), values.shape[1], lambda: iter([values]))

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (rows of `samples`, values [m, G])."""
        start = 0
        for values in self.read():
            yield slice(start, start + len(values)), values
            start += len(values)

    def matrix(self, max_samples: int, seed: int) -> np.ndarray:
        """Return at most `max_samples` samples, float32 [m, G]; drawn without replacement."""
        n_samples = min(max_samples, len(self))
        chosen = np.zeros(len(self), dtype=bool)
        chosen[np.random.default_rng(seed).permutation(len(self))[:n_samples]] = True
        result = np.empty((n_samples, self.n_genes), dtype=np.float32)
        filled = 0
        for rows, values in self.blocks():
            block = values[chosen[rows]]
            result[filled : filled + len(block)] = block
            filled += len(block)
        return result


def read_training_data(corpus: Path, samples: list[Path], stores: list[Path]) -> TrainingData:
    """Open the rows of `corpus` whose split is "train".

    Parameters
    ----------
    corpus : Parquet with cohort, sample_id and split
    samples, stores : one samples table and one log_tpm store a cohort, in the same order; the
        folder of a store bears the name of its cohort

    Raises InputError if a training sample is missing from its store or its samples table, if a
    cohort has no store, or if there is no training sample at all.
    """
    table = pd.read_parquet(corpus, columns=["cohort", "sample_id", "split"])
    training = table[table["split"] == "train"]
    if training.empty:
        raise InputError(f"{corpus}: no row has split 'train'; nothing can be fitted")
    if len(samples) != len(stores):
        raise InputError(
            f"{len(samples)} samples tables for {len(stores)} stores; give one --samples for each "
            "--store, in the same order"
        )
    without = sorted(set(training["cohort"]) - {path.parent.name for path in stores})
    if without:
        raise InputError(
            f"{corpus}: no store for cohort '{without[0]}'; give --store "
            f"…/{without[0]}/log_tpm.arrow and its --samples"
        )
    frames, opened = [], []
    for samples_path, store_path in zip(samples, stores, strict=True):
        rows = training.loc[training["cohort"] == store_path.parent.name, "sample_id"]
        if rows.empty:
            continue
        store = ExpressionStore(store_path)
        chosen = np.zeros(len(store), dtype=bool)
        chosen[store.rows(list(rows))] = True
        ids = [i for i, keep in zip(store.sample_ids, chosen, strict=True) if keep]
        frames.append(_rows_of(samples_path, ids))
        opened.append((store, chosen))
    sizes = {store.n_genes for store, _ in opened}
    if len(sizes) > 1:
        raise InputError(
            f"the stores have {sorted(sizes)} genes; they come from different vocabularies, run "
            "the expression stage again"
        )

    def read() -> Iterator[np.ndarray]:
        for store, chosen in opened:
            yield from _chosen_blocks(store, chosen)

    return TrainingData(pd.concat(frames, ignore_index=True), sizes.pop(), read)


def _rows_of(path: Path, sample_ids: list[str]) -> pd.DataFrame:
    table = pd.read_parquet(path)
    # An id may stand in several rows, of which at most one was kept.
    table = table[table["kept"]].set_index("sample_id", drop=False)
    absent = [sample_id for sample_id in sample_ids if sample_id not in table.index]
    if absent:
        raise InputError(
            f"{path}: {len(absent)} training samples were not kept, first '{absent[0]}'; run the "
            "expression stage again"
        )
    return table.loc[sample_ids].reset_index(drop=True)


def _chosen_blocks(store: ExpressionStore, chosen: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows that `chosen` (bool [n]) marks, in blocks and in the order of the store."""
    start = 0
    for ids, values in store.blocks():
        block = values[chosen[start : start + len(ids)]]
        start += len(ids)
        if len(block):
            yield block
