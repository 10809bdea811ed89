"""Columns of a chunked HDF5 matrix, decompressed by several threads.

The HDF5 library works under one lock, so a corpus of gzip chunks would be read by one processor.
Here it only says where the chunks lie; reading and inflating them needs no lock. What this cannot
do, such as other filters, h5py does.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import Executor
from dataclasses import dataclass

import h5py
import numpy as np

SHUFFLED = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE)
UNDERSTOOD = {(), SHUFFLED[1:], SHUFFLED}


class DamagedChunk(OSError):
    """A chunk that does not hold what the file says it holds."""


class ChunkedMatrix:
    """Reads rows x columns of a two-dimensional dataset of an open file; to be closed after use.

    Attributes
    ----------
    chunks : (rows, columns) of a chunk; of a dataset without chunks one column
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self.chunks: tuple[int, int] = dataset.chunks or (dataset.shape[0], 1)
        self._filters = _filters(dataset)
        self._handle = os.open(dataset.file.filename, os.O_RDONLY)

    def memory(self, rows: np.ndarray) -> int:
        """Return the bytes that reading `rows` of one column takes."""
        n_rows = self._dataset.shape[0] if self._filters is None else max(1, len(rows))
        return n_rows * self._dataset.dtype.itemsize

    def close(self) -> None:
        """Give back the descriptor of the file."""
        os.close(self._handle)

    def read(self, rows: np.ndarray, columns: np.ndarray, pool: Executor) -> np.ndarray:
        """Return the values of `rows` and `columns`, both ascending, as [n_columns, n_rows].

        Each chunk that holds any of them is decompressed once; the others are not read. Raises
        OSError for a damaged file.
        """
        values = np.empty((len(columns), len(rows)), dtype=self._dataset.dtype)
        if not values.size:
            return values
        if self._filters is None:
            # h5py selects a range far faster than single columns.
            for part in self._ranges(columns):
                first, last = int(columns[part][0]), int(columns[part][-1])
                read = self._dataset[:, first : last + 1].T
                values[part] = read[np.ix_(columns[part] - first, rows)]
            return values
        jobs = [
            pool.submit(self._place, values, chunk, rows[chunk.rows], columns[chunk.columns])
            for chunk in self._chunks_of(rows, columns)
        ]
        for job in jobs:
            job.result()
        return values

    def _ranges(self, columns: np.ndarray) -> list[slice]:
        """Return runs of `columns` to read as one range: those of a chunk, or without gaps."""
        if self._dataset.chunks:
            return [part for _, part in _groups(columns, self.chunks[1])]
        ends = [*(np.flatnonzero(np.diff(columns) > 1) + 1).tolist(), len(columns)]
        return [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]

    def _chunks_of(self, rows: np.ndarray, columns: np.ndarray) -> list[_Chunk]:
        """Return the chunks that hold any of `rows` and `columns`."""
        found = []
        for row, of_rows in _groups(rows, self.chunks[0]):
            for column, of_columns in _groups(columns, self.chunks[1]):
                address = self._dataset.id.get_chunk_info_by_coord((row, column))
                found.append(_Chunk(row, column, of_rows, of_columns, address))
        return found

    def _place(
        self, values: np.ndarray, chunk: _Chunk, rows: np.ndarray, columns: np.ndarray
    ) -> None:
        """Decompress one chunk and put its part of `rows` and `columns` where it belongs."""
        if chunk.address.byte_offset is None:  # never written
            values[chunk.columns, chunk.rows] = self._dataset.fillvalue
            return
        dtype, (height, width) = self._dataset.dtype, self.chunks
        size = height * width * dtype.itemsize
        data = os.pread(self._handle, chunk.address.size, chunk.address.byte_offset)
        shuffled = False
        for number, code in reversed(list(enumerate(self._filters))):
            if chunk.address.filter_mask >> number & 1:  # this chunk went without the filter
                continue
            if code == h5py.h5z.FILTER_DEFLATE:
                data = _inflate(data, size)
            shuffled |= code == h5py.h5z.FILTER_SHUFFLE
        if len(data) != size:
            raise DamagedChunk(
                f"the chunk at row {chunk.row}, column {chunk.column} has {len(data)} bytes and "
                f"not {size}"
            )
        rows, columns = rows - chunk.row, columns - chunk.column
        if shuffled:
            # First all lowest bytes, then all second bytes, and so on.
            planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, height, width)
            wanted = np.empty((len(rows), width, dtype.itemsize), np.uint8)
            for byte, plane in enumerate(planes):
                wanted[:, :, byte] = _taken(plane, rows)
            wanted = wanted.reshape(len(rows), -1).view(dtype)
        else:
            wanted = _taken(np.frombuffer(data, dtype).reshape(height, width), rows)
        values[chunk.columns, chunk.rows] = _taken(wanted.T, columns)


@dataclass(frozen=True)
class _Chunk:
    """A chunk: its first row and column, which of those asked for it holds, and where it lies."""

    row: int
    column: int
    rows: slice
    columns: slice
    address: h5py.h5d.StoreInfo


def _filters(dataset: h5py.Dataset) -> tuple[int, ...] | None:
    """Return the filters of a dataset in the order of writing, None where only HDF5 can undo them.

    A user block before the HDF5 content would shift the addresses of the chunks.
    """
    if dataset.chunks is None or dataset.dtype.kind not in "iuf" or dataset.file.userblock_size:
        return None
    properties = dataset.id.get_create_plist()
    codes = tuple(properties.get_filter(at)[0] for at in range(properties.get_nfilters()))
    return codes if codes in UNDERSTOOD else None


def _inflate(data: bytes, size: int) -> bytes:
    try:
        # Bounded, because the length that a file from outside states need not be true.
        return zlib.decompressobj().decompress(data, size)
    except zlib.error as error:
        raise DamagedChunk(str(error)) from error


def _groups(positions: np.ndarray, width: int) -> list[tuple[int, slice]]:
    """Return (first position of the chunk, which of `positions` lie in it) of ascending ones."""
    chunk = positions // width
    starts = np.flatnonzero(np.diff(chunk, prepend=-1))
    ends = [*starts[1:], len(positions)]
    return [
        (int(chunk[a]) * width, slice(int(a), int(b))) for a, b in zip(starts, ends, strict=True)
    ]


def _taken(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return rows of a matrix: a view if they are consecutive."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == len(rows):
        return matrix[first : last + 1]
    return matrix[rows]


def stripes(columns: np.ndarray, width: int, most: int, target: int) -> list[tuple[int, int]]:
    """Cut ascending `columns` into runs that end with a chunk, to be read one after the other.

    Parameters
    ----------
    width : columns of a chunk
    most : columns that fit in memory; a chunk with more of them is read in parts
    target : columns that are worth a run

    Returns (start, end) of each run in `columns`. Where the runs lie depends on nothing else.
    """
    runs: list[tuple[int, int]] = []
    start = 0
    for _, group in _groups(columns, width) if len(columns) else []:
        if group.stop - start > most and group.start > start:
            runs.append((start, group.start))
            start = group.start
        while group.stop - start > most:
            runs.append((start, start + most))
            start += most
        if group.stop - start >= target:
            runs.append((start, group.stop))
            start = group.stop
    if start < len(columns):
        runs.append((start, len(columns)))
    return runs
