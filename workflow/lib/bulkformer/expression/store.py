"""The expression store: one Arrow IPC file of samples by genes that is read through a memory map.

Rows are samples, columns are the genes of the vocabulary in model order. Which genes a cohort did
not measure is said once, in the schema metadata; their values are NaN, so that arithmetic that
forgets the mask shows it at once instead of treating absent genes as zero.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from bulkformer.errors import InputError
from bulkformer.files import atomic

BATCH_SAMPLES = 64  # whole samples a record batch: 5 MB at 20,000 genes


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
            table = pa.ipc.open_file(pa.memory_map(str(self.path))).read_all()
        except (OSError, pa.ArrowInvalid) as error:
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

        Only the record batches that hold `rows` are touched, and only those rows are copied.
        """
        wanted = np.arange(len(self)) if rows is None else np.asarray(rows, dtype=np.int64)
        values = np.empty((len(wanted), self.n_genes), dtype=np.float32)
        batch_of = np.searchsorted(self._ends, wanted, side="right")
        for number in np.unique(batch_of):
            here = np.flatnonzero(batch_of == number)
            block = self._blocks[number]
            values[here] = block[wanted[here] - (self._ends[number] - len(block))]
        return values

    def blocks(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yield (sample ids, values [n, n_genes]) a record batch at a time, without copying."""
        start = 0
        for block in self._blocks:
            yield self.sample_ids[start : start + len(block)], block
            start += len(block)


class StoreWriter:
    """Appends samples to a store that `create_store` opened."""

    def __init__(self, writer: pa.RecordBatchFileWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema

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


@contextmanager
def create_store(path: Path, measured: np.ndarray, unit: str) -> Iterator[StoreWriter]:
    """Open a new store for writing; it appears under `path` only when the block ends well.

    Parameters
    ----------
    measured : bool array [n_genes]
    unit : what the values are: "counts", "expected_counts", "scaled_counts" or "log_tpm"
    """
    bitmap = base64.b64encode(np.packbits(measured.astype(bool)).tobytes())
    schema = pa.schema(
        [
            ("sample_id", pa.string()),
            ("values", pa.list_(pa.float32(), len(measured))),
        ],
        metadata={"measured": bitmap, "unit": unit},
    )
    with (
        atomic(Path(path)) as partial,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        yield StoreWriter(writer, schema)
