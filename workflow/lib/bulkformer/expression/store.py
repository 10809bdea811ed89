"""The expression store: one Arrow IPC file of samples by genes that is read through a memory map.

Pages of the map are given back once they were read: the system may keep them, but a process that
goes through 500,000 samples does not count 40 GB as its own.

Rows are samples, columns are the genes of the vocabulary in model order. Which genes a cohort did
not measure is said once, in the schema metadata; their values are NaN, so that arithmetic that
forgets the mask shows it at once instead of treating absent genes as zero.
"""

import base64
import hashlib
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from bulkformer.errors import InputError
from bulkformer.files import atomic

BATCH_SAMPLES = 64  # whole samples a record batch: 5 MB at 20,000 genes
ROWS_AT_ONCE = 256  # that the disk is asked for together
MAGIC_BYTES = 8  # "ARROW1" and padding; after them a file is a stream, until its footer


class ExpressionStore:
    """Read access to one store.

    Attributes
    ----------
    sample_ids : list of str, in row order
    measured : bool array [n_genes], False where the cohort did not measure the gene
    n_genes : int
    """

    def __init__(self, path: Path) -> None:
        """Open `path`; raises InputError if it is absent or not a store."""
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            content = pa.py_buffer(self._map)
            table = pa.ipc.open_file(pa.BufferReader(content)).read_all()
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise InputError(
                f"{self.path}: not a readable expression store ({error}); "
                "delete it and run the expression stage again"
            ) from error
        metadata = table.schema.metadata or {}
        if b"measured" not in metadata:
            raise InputError(f"{self.path}: no 'measured' bitmap; run the expression stage again")
        self.n_genes = table.schema.field("values").type.list_size
        bits = np.frombuffer(base64.b64decode(metadata[b"measured"]), dtype=np.uint8)
        self.measured = np.unpackbits(bits, count=self.n_genes).astype(bool)
        self.sample_ids: list[str] = table["sample_id"].to_pylist()
        # Views of the memory map, one a record batch; Arrow's own `take` would copy the whole file.
        self._blocks = [
            chunk.flatten().to_numpy(zero_copy_only=True).reshape(-1, self.n_genes)
            for chunk in table["values"].chunks
        ]
        self._ends = np.cumsum([len(block) for block in self._blocks], dtype=np.int64)
        self._start = content.address
        self._map.madvise(mmap.MADV_DONTNEED)

    def __len__(self) -> int:
        return len(self.sample_ids)

    def rows(self, sample_ids: Sequence[str]) -> np.ndarray:
        """Return the row numbers of `sample_ids`; raises InputError for an id that is not here."""
        position = {sample_id: row for row, sample_id in enumerate(self.sample_ids)}
        absent = [sample_id for sample_id in sample_ids if sample_id not in position]
        if absent:
            raise InputError(
                f"{self.path}: {len(absent)} samples are not in this store, first '{absent[0]}'; "
                "the tables and the store come from different runs, run the expression stage again"
            )
        return np.array([position[sample_id] for sample_id in sample_ids], dtype=np.int64)

    def read(self, rows: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Return float32 values [n_samples, n_genes]; NaN where a gene was not measured.

        Only those rows are read from disk, and many at a time: reading one after the other would
        wait for the disk as often as there are rows.
        """
        wanted = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64)
        values = np.empty((len(wanted), self.n_genes), dtype=np.float32)
        batch_of = np.searchsorted(self._ends, wanted, side="right")
        for start in range(0, len(wanted), ROWS_AT_ONCE):
            now = slice(start, start + ROWS_AT_ONCE)
            blocks = [self._blocks[number] for number in batch_of[now]]
            from_end = wanted[now] - self._ends[batch_of[now]]
            sources = [block[row] for block, row in zip(blocks, from_end, strict=True)]
            for source in sources:
                self._advise(mmap.MADV_WILLNEED, source)
            for value, source, block in zip(values[now], sources, blocks, strict=True):
                value[:] = source
                # The whole batch: with a page, the system maps some of its neighbours.
                self._advise(mmap.MADV_DONTNEED, block)
        return values

    def blocks(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yield (sample ids, values [n, n_genes]) a record batch at a time, without copying.

        Only what is read of `values` is read from disk.
        """
        start = 0
        for block in self._blocks:
            yield self.sample_ids[start : start + len(block)], block
            start += len(block)
            self._advise(mmap.MADV_DONTNEED, block)

    def _advise(self, advice: int, view: np.ndarray) -> None:
        """Ask for the pages behind a view, or let go of them; then it would be read again."""
        offset = view.ctypes.data - self._start
        page = offset - offset % mmap.PAGESIZE
        self._map.madvise(advice, page, offset + view.nbytes - page)


class StoreWriter:
    """Appends samples to a new file, or to what a process that was killed left of one.

    Attributes
    ----------
    sha256 : of the file, once `close` is done; None unless asked for
    """

    def __init__(
        self, path: Path, measured: np.ndarray, unit: str, kept: int = 0, hashed: bool = False
    ) -> None:
        """Open `path`; of a file that is there, the first `kept` bytes stay.

        `kept` is what `flush` returned. `measured` and `unit` are as for `create_store`.
        """
        self.sha256: str | None = None
        self._schema = _schema(measured, unit)
        self._sink = _Sink(path, kept, hashed)
        self._writer = pa.ipc.new_file(pa.PythonFile(self._sink, mode="w"), self._schema)
        if kept:
            # Arrow writes its footer from what it wrote itself, so it gets the old batches again;
            # the sink only lets them pass.
            with pa.OSFile(str(path), "rb") as before:
                before.seek(MAGIC_BYTES)
                batches = pa.ipc.open_stream(before)
                while self._sink.position < kept:
                    self._writer.write_batch(batches.read_next_batch())

    def write(self, sample_ids: Sequence[str], values: np.ndarray) -> None:
        """Append `values` float [n, n_genes] in batches of BATCH_SAMPLES."""
        values = np.ascontiguousarray(values, dtype=np.float32)
        for start in range(0, len(sample_ids), BATCH_SAMPLES):
            block = values[start : start + BATCH_SAMPLES]
            arrays = [
                pa.array(list(sample_ids[start : start + BATCH_SAMPLES]), type=pa.string()),
                pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), block.shape[1]),
            ]
            self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def flush(self) -> int:
        """Put all batches on disk and return how many bytes they are."""
        self._sink.flush()
        os.fsync(self._sink.fileno())
        return self._sink.position

    def close(self) -> None:
        """End the file, so that it can be read; a second call does nothing."""
        if self._sink.closed:
            return
        self._writer.close()
        self._sink.close()
        self.sha256 = self._sink.sha256()

    def abandon(self) -> None:
        """Close the file as it is; only a StoreWriter can make use of it."""
        self._sink.close()


@contextmanager
def create_store(path: Path, measured: np.ndarray, unit: str) -> Iterator[StoreWriter]:
    """Open a new store for writing; it appears under `path` only when the block ends well.

    Parameters
    ----------
    measured : bool array [n_genes]
    unit : what the values are: "log_tpm", or the unit of a cohort such as "counts"
    """
    with atomic(Path(path)) as partial:
        writer = StoreWriter(partial, measured, unit)
        try:
            yield writer
            writer.close()
        finally:
            writer.abandon()


def _schema(measured: np.ndarray, unit: str) -> pa.Schema:
    bitmap = base64.b64encode(np.packbits(measured.astype(bool)).tobytes())
    return pa.schema(
        [
            ("sample_id", pa.string()),
            ("values", pa.list_(pa.float32(), len(measured))),
        ],
        metadata={"measured": bitmap, "unit": unit},
    )


class _Sink:
    """A file whose first `kept` bytes are there already: what is written to them only passes."""

    def __init__(self, path: Path, kept: int, hashed: bool) -> None:
        self.position = 0
        self._kept = kept
        self._digest = hashlib.sha256() if hashed else None
        self._file = path.open("r+b" if kept else "wb")
        self._file.truncate(kept)
        self._file.seek(kept)

    def write(self, data: pa.Buffer | bytes) -> int:
        view = memoryview(data)
        if self._digest:
            self._digest.update(view)
        self._file.write(view[max(0, self._kept - self.position) :])
        self.position += view.nbytes
        return view.nbytes

    def sha256(self) -> str | None:
        return self._digest.hexdigest() if self._digest else None

    def tell(self) -> int:
        return self.position

    def fileno(self) -> int:
        return self._file.fileno()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed
