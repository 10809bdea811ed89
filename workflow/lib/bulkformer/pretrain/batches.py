"""Batches of samples from memory-mapped stores, in an order that the seed and the epoch decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bulkformer.expression.store import ExpressionStore
from bulkformer.pretrain.masking import seeded


class CorpusSamples:
    """The samples of one split of the corpus; nothing is read before a batch asks for it.

    Attributes
    ----------
    sample_ids : list of str
    n_genes : int
    """

    def __init__(self, corpus: pd.DataFrame, stores: Sequence[Path], split: str) -> None:
        """Find the samples of `split` in the stores.

        Parameters
        ----------
        corpus : columns cohort, sample_id, split
        stores : one log_tpm store for each cohort; the folder is named after the cohort
        """
        self.sample_ids: list[str] = []
        self._stores: list[ExpressionStore] = []
        places = []
        chosen = corpus[corpus["split"] == split]
        for number, path in enumerate(stores):
            store = ExpressionStore(path)
            ids = chosen.loc[chosen["cohort"] == Path(path).parent.name, "sample_id"].tolist()
            places += [(number, row) for row in store.rows(ids)]
            self.sample_ids += ids
            self._stores.append(store)
        self._places = np.array(places, dtype=np.int64).reshape(-1, 2)
        self.n_genes = self._stores[0].n_genes

    def __len__(self) -> int:
        return len(self.sample_ids)

    def read(self, indices: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Return ln(TPM + 1) float32 [n, n_genes], NaN where a gene was not measured."""
        values = np.empty((len(indices), self.n_genes), dtype=np.float32)
        places = self._places[np.asarray(indices, dtype=np.int64)]
        for number, store in enumerate(self._stores):
            here = np.flatnonzero(places[:, 0] == number)
            if len(here):
                values[here] = store.read(places[here, 1])
        return torch.from_numpy(values)


def epoch_order(n_samples: int, seed: int, epoch: int) -> np.ndarray:
    """Return the permutation of the samples in one epoch."""
    return torch.randperm(n_samples, generator=seeded(seed, epoch)).numpy()


def in_order(n_samples: int, batch_size: int) -> Iterator[np.ndarray]:
    """Yield the indices of all samples, unshuffled, `batch_size` at a time."""
    for start in range(0, n_samples, batch_size):
        yield np.arange(start, min(start + batch_size, n_samples))


def gene_mean(samples: CorpusSamples, batch_size: int = 256) -> torch.Tensor:
    """Return the mean of each gene over the samples that measured it, float32 [n_genes].

    A gene that no sample measured has mean 0.
    """
    total = torch.zeros(samples.n_genes, dtype=torch.float64)
    count = torch.zeros(samples.n_genes, dtype=torch.float64)
    for indices in in_order(len(samples), batch_size):
        values = samples.read(indices)
        total += values.nan_to_num(0.0).sum(0, dtype=torch.float64)
        count += (~values.isnan()).sum(0)
    return (total / count.clamp(min=1)).float()
