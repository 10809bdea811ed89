"""Batches of samples from memory-mapped stores, in an order that the seed and the epoch decide."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import torch

from bulkformer.errors import InputError
from bulkformer.expression.store import ExpressionStore
from bulkformer.pretrain.masking import seeded

if TYPE_CHECKING:
    from bulkformer.pretrain.distributed import World


class CorpusSamples:
    """The samples of one split of the corpus; nothing is read before a batch asks for it.

    Attributes
    ----------
    sample_ids : list of str
    n_genes : int, genes of the model
    measured_counts : int64 [n_samples], how many genes of the model each sample measured
    """

    def __init__(
        self,
        corpus: pd.DataFrame,
        stores: Sequence[Path],
        split: str,
        gene_ids: Sequence[str] | None = None,
        vocabulary: Sequence[str] | None = None,
    ) -> None:
        """Find the samples of `split` in the stores.

        Parameters
        ----------
        corpus : columns cohort, sample_id, split
        stores : one log_tpm store for each cohort; the folder is named after the cohort
        gene_ids : genes of the model, in its order; None means those of the stores
        vocabulary : genes of the stores, in their order; needed with gene_ids. A gene of the model
            that the stores lack is not measured in any sample.
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
        self._columns = _matched(gene_ids, vocabulary, self._stores)
        self.n_genes = self._stores[0].n_genes if self._columns is None else len(self._columns)
        counts = [self._in_model(store.measured[None], False).sum() for store in self._stores]
        self.measured_counts = np.array(counts, dtype=np.int64)[self._places[:, 0]]

    def __len__(self) -> int:
        return len(self.sample_ids)

    def read(self, indices: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Return ln(TPM + 1) float32 [n, n_genes], NaN where a gene was not measured."""
        values = np.empty((len(indices), self.n_genes), dtype=np.float32)
        places = self._places[np.asarray(indices, dtype=np.int64)]
        for number, store in enumerate(self._stores):
            here = np.flatnonzero(places[:, 0] == number)
            if len(here):
                values[here] = self._in_model(store.read(places[here, 1]), np.nan)
        return torch.from_numpy(values)

    def _in_model(self, values: np.ndarray, absent: float | bool) -> np.ndarray:
        """Return columns [n, genes of the stores] as [n, genes of the model]."""
        if self._columns is None:
            return values
        chosen = values[:, self._columns]
        chosen[:, self._columns < 0] = absent
        return chosen


def _matched(
    gene_ids: Sequence[str] | None,
    vocabulary: Sequence[str] | None,
    stores: Sequence[ExpressionStore],
) -> np.ndarray | None:
    """Return the column of each gene of the model, -1 where there is none; None: as they are."""
    if gene_ids is None:
        return None
    if vocabulary is None or len(vocabulary) != stores[0].n_genes:
        raise InputError(
            f"{stores[0].path}: {stores[0].n_genes} genes, but the vocabulary has "
            f"{0 if vocabulary is None else len(vocabulary)}; run the expression stage again"
        )
    column = {gene: number for number, gene in enumerate(vocabulary)}
    columns = np.array([column.get(gene, -1) for gene in gene_ids], dtype=np.int64)
    if (columns < 0).all():
        raise InputError(
            f"no gene of the model, first '{gene_ids[0]}', is in the vocabulary, first "
            f"'{vocabulary[0]}'; both must be Ensembl genes without version"
        )
    return None if np.array_equal(columns, np.arange(len(vocabulary))) else columns


def epoch_order(n_samples: int, seed: int, epoch: int) -> np.ndarray:
    """Return the permutation of the samples in one epoch."""
    return torch.randperm(n_samples, generator=seeded(seed, epoch)).numpy()


def in_order(n_samples: int, batch_size: int) -> Iterator[np.ndarray]:
    """Yield the indices of all samples, unshuffled, `batch_size` at a time."""
    for start in range(0, n_samples, batch_size):
        yield np.arange(start, min(start + batch_size, n_samples))


class Readable(Protocol):
    """Gives what belongs to one batch, such as the values of its samples."""

    def read(self, batch: Any) -> Any:
        """Read one batch; called in another thread."""


def prefetched(
    samples: Readable,
    plan: Iterable[Any],
    prepare: Callable[[Any, Any], Any] | None = None,
    ahead: int = 2,
    pinned: bool = False,
) -> Iterator[Any]:
    """Yield (batch, what `samples` reads of it) for each batch of `plan`, read ahead of the loop.

    One thread reads up to `ahead` batches beyond the one that was yielded. It ends with the
    iterator, also if that is closed early. What reading raises is raised here, in its turn.

    Parameters
    ----------
    plan : what to read, such as the indices of samples; asked for its next in the caller's thread
    prepare : also done in the thread; what it makes of the pair is yielded in its place
    pinned : put the tensors where a GPU can fetch them without waiting (`non_blocking=True`)
    """

    def fetch(batch: Any) -> Any:
        pair = (batch, samples.read(batch))
        result = pair if prepare is None else prepare(*pair)
        return _pinned(result) if pinned else result

    # A new thread starts on the first GPU; pinning there would cost each process memory on it.
    begin = partial(torch.cuda.set_device, torch.cuda.current_device()) if pinned else None
    with ThreadPoolExecutor(1, "prefetch", initializer=begin) as reader:
        batches = iter(plan)
        waiting: deque[Future[Any]] = deque()
        try:
            waiting.extend(reader.submit(fetch, batch) for batch in islice(batches, ahead))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(reader.submit(fetch, batch) for batch in islice(batches, 1))
                yield result
                del result  # before the next one is waited for: memory for one batch less
        finally:
            for reading in waiting:
                reading.cancel()


def _pinned(result: Any) -> Any:
    if isinstance(result, torch.Tensor):
        return result.pin_memory()
    if type(result) in (tuple, list):
        return type(result)(map(_pinned, result))
    return result


def gene_mean(samples: CorpusSamples, world: World, batch_size: int = 256) -> torch.Tensor:
    """Return the mean of each gene over the samples that measured it, float32 [n_genes].

    A gene that no sample measured has mean 0. Each process reads its share. Raises InputError if
    a value is infinite.
    """
    indices = world.share(len(samples))
    total = torch.zeros(samples.n_genes, dtype=torch.float64)
    count = torch.zeros(samples.n_genes, dtype=torch.float64)
    for places in in_order(len(indices), batch_size):
        values = samples.read(indices[places])
        check_finite(samples, indices[places], values)
        total += values.nan_to_num(0.0).sum(0, dtype=torch.float64)
        count += (~values.isnan()).sum(0)
    return (world.sum(total) / world.sum(count).clamp(min=1)).float()


def check_finite(samples: CorpusSamples, indices: np.ndarray, values: torch.Tensor) -> None:
    """Raise InputError if `values`, those of the samples `indices`, hold an infinite one."""
    infinite = values.isinf().any(1)
    if infinite.any():
        sample_id = samples.sample_ids[indices[int(infinite.nonzero()[0])]]
        raise InputError(
            f"sample '{sample_id}' has an infinite value in its log_tpm store; correct its counts, "
            "or leave it out of the cohort, and run the expression stage again"
        )
