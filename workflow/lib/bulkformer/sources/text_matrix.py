"""Streams tables of numbers that are text: a header line, one label a row, many columns.

Such a table of 60,000 genes by 20,000 samples is some 10 GB, so it is parsed by Arrow and never
held whole. Where genes are rows, whole samples need whole columns: the file is passed over once for
each group of samples that fits in memory.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from bulkformer.errors import InputError
from bulkformer.sources.counts import MEMORY_BYTES, Blocks, check_values

PARSE_BYTES = 32 * 2**20  # must hold one whole row; the widest have some 60,000 values
csv.field_size_limit(PARSE_BYTES)

# What reading a damaged file raises: cut or corrupt gzip streams, bytes that are not UTF-8.
UNREADABLE = (OSError, EOFError, zlib.error, UnicodeDecodeError)


def delimiter(path: Path) -> str:
    """Return "," for names that end in .csv or .csv.gz and a tab for all others."""
    return "," if path.name.lower().removesuffix(".gz").endswith(".csv") else "\t"


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a plain or gzipped file, told apart by its first bytes and not by its name."""
    with path.open("rb") as raw:
        zipped = raw.peek(2)[:2] == b"\x1f\x8b"
        with gzip.open(raw) if zipped else raw as handle:
            yield handle


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open a plain or gzipped UTF-8 text file; a byte order mark is dropped."""
    with (
        open_bytes(path) as handle,
        io.TextIOWrapper(handle, encoding="utf-8-sig", newline="") as text,
    ):
        yield text


@dataclass(frozen=True)
class TextMatrix:
    """Where things stand in one file.

    Attributes
    ----------
    header_line : number of the header line, counted from 0; data follow
    columns : names of all columns, with an empty name for row names without a header
    label : position of the column with the row's identifier
    values : positions of the columns of numbers
    """

    path: Path
    header_line: int
    columns: list[str]
    label: int
    values: list[int]

    def labels(self) -> list[str]:
        """Return the identifiers of all rows; reads the file once."""
        found: list[str] = []
        for batch in self._batches([]):
            found += [label.strip() for label in batch.column(0).to_pylist()]
        return found

    def rows(self) -> Iterator[np.ndarray]:
        """Yield values float64 [n, n_values] for runs of rows in file order."""
        for batch in self._batches(self.values):
            yield np.stack([_numbers(column) for column in batch.columns[1:]], axis=1)

    def transposed(self, values: Sequence[int], n_rows: int) -> np.ndarray:
        """Return float64 [len(values), n_rows]: the columns `values` of the file as rows."""
        result = np.empty((len(values), n_rows))
        start = 0
        for batch in self._batches(values):
            stop = start + batch.num_rows
            for row, column in enumerate(batch.columns[1:]):
                result[row, start:stop] = _numbers(column)
            start = stop
        return result

    def _batches(self, values: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Yield the label column and the columns `values`, which Arrow knows by their position."""
        types = {str(self.label): pa.string()} | {str(at): pa.float64() for at in values}
        try:
            with open_bytes(self.path) as handle:
                yield from pa.csv.open_csv(
                    handle,
                    read_options=pa.csv.ReadOptions(
                        use_threads=False,
                        block_size=PARSE_BYTES,
                        skip_rows=self.header_line + 1,
                        column_names=[str(at) for at in range(len(self.columns))],
                    ),
                    parse_options=pa.csv.ParseOptions(delimiter=delimiter(self.path)),
                    convert_options=pa.csv.ConvertOptions(
                        include_columns=list(types), column_types=types
                    ),
                )
        except UNREADABLE as error:
            raise InputError(
                f"{self.path}: cannot be read to its end ({error}); fetch it again"
            ) from error
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{self.path}: {self._first_bad_value(values, error)}; give one header line and "
                "then as many numbers in every row"
            ) from error

    def _first_bad_value(self, values: Sequence[int], error: pa.ArrowInvalid) -> str:
        """Find the cell that is no number to Arrow, which names neither gene nor sample."""
        if "conversion error" not in str(error) or "UTF8" in str(error):
            return str(error)
        with open_text(self.path) as handle:
            rows = csv.reader(handle, delimiter=delimiter(self.path))
            for number, row in enumerate(rows):
                if number <= self.header_line or len(row) != len(self.columns):
                    continue
                for at in values:
                    try:
                        float(row[at] or "nan")
                    except ValueError:
                        return (
                            f"'{row[at]}' in row '{row[self.label]}' (line {number + 1}), column "
                            f"'{self.columns[at]}' is not a number"
                        )
        return str(error)


def read_header(path: Path, header_line: int = 0) -> list[str]:
    """Return the column names; a leading "" stands for R's row names, which have no header.

    Raises InputError if the file is not text or ends before the first row of data.
    """
    try:
        with open_text(path) as handle:
            rows = csv.reader(handle, delimiter=delimiter(path))
            first = [row for row, _ in zip(rows, range(header_line + 2), strict=False)][
                header_line:
            ]
    except (*UNREADABLE, csv.Error) as error:
        raise InputError(f"{path}: not a readable text table ({error}); fetch it again") from error
    if len(first) < 2:
        raise InputError(f"{path}: no data below the header line; fetch the file again")
    header, row = ([cell.strip() for cell in line] for line in first)
    return ["", *header] if len(row) == len(header) + 1 else header


def sample_blocks(
    matrix: TextMatrix,
    chosen: Sequence[int],
    sample_ids: Sequence[str],
    gene_ids: Sequence[str],
    max_samples: int,
    memory: int = MEMORY_BYTES,
) -> Blocks:
    """Yield blocks of samples from a file whose rows are genes.

    `chosen` are the file's columns of the samples `sample_ids`; at most `memory` bytes of values
    are held, in as many passes over the file as that takes.
    """
    width = max(1, memory // (8 * max(1, len(gene_ids))))
    for start in range(0, len(chosen), width):
        values = matrix.transposed(chosen[start : start + width], len(gene_ids))
        ids = list(sample_ids[start : start + width])
        check_values(values, ids, gene_ids, matrix.path)
        for row in range(0, len(ids), max_samples):
            yield ids[row : row + max_samples], values[row : row + max_samples]


def _numbers(column: pa.Array) -> np.ndarray:
    """Return float64 with NaN for an empty cell or a spelling of "not available"."""
    return column.to_numpy(zero_copy_only=False)
