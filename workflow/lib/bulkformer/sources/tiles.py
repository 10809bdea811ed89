"""Turns a matrix that arrives as runs of genes into whole samples, in one pass and little memory.

A text file or a sparse matrix by columns gives a few genes of all samples at a time, and the stages
want all genes of a few samples. Each run becomes a tile in a scratch file, from which any range of
samples is read in a few contiguous pieces.
"""

from __future__ import annotations

import tempfile
from types import TracebackType

import numpy as np

from bulkformer.errors import InputError

IN_MEMORY_BYTES = 64 * 2**20  # what larger matrices hold in memory before they go to the disk


class Tiles:
    """Runs of genes of all samples, to be read back as whole samples.

    The scratch file lies where TMPDIR says, has no name there, and is gone when the process ends,
    however it ends. Whole numbers below 2^32 take four bytes, all other values eight.
    """

    def __init__(self, in_memory: int = IN_MEMORY_BYTES) -> None:
        self._file = tempfile.SpooledTemporaryFile(in_memory)  # noqa: SIM115 -- see __exit__
        self._tiles: list[tuple[int, int, np.dtype]] = []  # offset, number of genes, type
        self._end = 0
        self.n_genes = 0

    def __enter__(self) -> Tiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, values: np.ndarray) -> None:
        """Add the next genes, [n_samples, n]. Raises InputError if the scratch file cannot grow."""
        tile = np.ascontiguousarray(_narrowed(values))
        try:
            self._file.seek(self._end)
            self._file.write(tile.data.cast("B") if tile.size else b"")
        except OSError as error:
            raise InputError(
                f"the scratch file in {tempfile.gettempdir()} cannot grow beyond {self._end} bytes "
                f"({error}); free space there, or set TMPDIR to a folder with more"
            ) from error
        self._tiles.append((self._end, tile.shape[1], tile.dtype))
        self._end += tile.nbytes
        self.n_genes += tile.shape[1]

    def samples(self, start: int, stop: int) -> np.ndarray:
        """Return float64 [stop - start, n_genes]."""
        result = np.empty((stop - start, self.n_genes))
        column = 0
        for offset, width, dtype in self._tiles:
            self._file.seek(offset + start * width * dtype.itemsize)
            content = self._file.read((stop - start) * width * dtype.itemsize)
            tile = np.frombuffer(content, dtype).reshape(stop - start, width)
            result[:, column : column + width] = tile
            column += width
        return result


def _narrowed(values: np.ndarray) -> np.ndarray:
    """Return `values` as uint32 where that loses nothing, else as float64."""
    if values.size and values.min() >= 0 and values.max() < 2**32:
        narrow = values.astype(np.uint32)
        if values.dtype.kind in "iu" or (narrow == values).all():
            return narrow
    return values.astype(np.float64, copy=False)
