"""Streams tables of numbers that are text: a header line, one label a row, many columns.

Such a table of 60,000 genes by 20,000 samples is some 10 GB, so it is parsed by Arrow and never
held whole. It is passed over twice: once for the identifiers of the rows, once for the values;
where genes are rows, tiles turn them into whole samples.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from bulkformer.errors import InputError
from bulkformer.sources.counts import Blocks
from bulkformer.sources.tiles import Tiles

# What is parsed at once must hold whole rows, and enough of them that columns are not too short.
PARSE_BYTES = 8 * 2**20
PARSE_BYTES_A_COLUMN = 2**11
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
        return self.texts([self.label])[0]

    def texts(self, positions: Sequence[int]) -> list[list[str]]:
        """Return the cells of the columns at `positions`, stripped; reads the file once."""
        found: list[list[str]] = [[] for _ in positions]
        for batch in self._batches(texts=positions):
            for cells, column in zip(found, batch.columns, strict=True):
                cells += [cell.strip() for cell in column.to_pylist()]
        for cell in itertools.chain(*found):
            if "\n" in cell:
                raise InputError(
                    f"{self.path}: a stray quotation mark joins the rows from {cell[:40]!r} on; "
                    "remove it"
                )
        return found

    def rows(self) -> Iterator[np.ndarray]:
        """Yield values float64 [n, n_values] for runs of rows in file order."""
        for batch in self._batches(numbers=self.values):
            yield np.stack([_numbers(column) for column in batch.columns], axis=1)

    def fill(self, tiles: Tiles, values: Sequence[int]) -> None:
        """Add the columns `values` of the file to `tiles` as samples; reads the file once."""
        for batch in self._batches(numbers=values):
            tiles.append(np.stack([_numbers(column) for column in batch.columns]))

    def _batches(
        self, *, texts: Sequence[int] = (), numbers: Sequence[int] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield the columns `texts` and `numbers` of runs of rows, in that order."""
        try:
            with open_bytes(self.path) as handle:
                yield from parse(
                    handle,
                    len(self.columns),
                    skip=self.header_line + 1,
                    texts=texts,
                    numbers=numbers,
                    separator=delimiter(self.path),
                )
        except UNREADABLE as error:
            raise InputError(
                f"{self.path}: cannot be read to its end ({error}); fetch it again"
            ) from error
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{self.path}: {self._first_bad_value(numbers, error)}; give one header line and "
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


def parse(
    handle: io.BufferedIOBase,
    n_columns: int,
    *,
    skip: int,
    texts: Sequence[int] = (),
    numbers: Sequence[int] = (),
    separator: str = "\t",
) -> Iterator[pa.RecordBatch]:
    """Yield runs of rows below the first `skip` lines: the columns `texts`, then `numbers`.

    Arrow knows columns by their position, because names may repeat. It gets one piece of the file
    at a time: its own streaming reads up to 32 blocks ahead, which for many columns are gigabytes.
    Raises what Arrow raises, with the line of the file.
    """
    types = {str(at): pa.string() for at in texts} | {str(at): pa.float64() for at in numbers}
    names = [str(at) for at in range(n_columns)]
    separated = pa.csv.ParseOptions(delimiter=separator)
    converted = pa.csv.ConvertOptions(include_columns=list(types), column_types=types)
    lines = 0
    for piece in _pieces(handle, max(PARSE_BYTES, n_columns * PARSE_BYTES_A_COLUMN)):
        options = pa.csv.ReadOptions(
            use_threads=False,
            block_size=len(piece),
            skip_rows=0 if lines else skip,
            column_names=names,
        )
        try:
            table = pa.csv.read_csv(pa.BufferReader(piece), options, separated, converted)
        except pa.ArrowInvalid as error:
            raise pa.ArrowInvalid(_with_line(str(error), lines)) from error
        yield from table.combine_chunks().to_batches()
        lines += piece.count(b"\n")


def _pieces(handle: io.BufferedIOBase, size: int) -> Iterator[bytes]:
    """Yield whole lines, about `size` bytes at a time; the next piece is read meanwhile."""

    def read() -> Iterator[bytes]:
        rest = b""
        while block := handle.read(size):
            piece, newline, after = (rest + block).rpartition(b"\n")
            rest = after
            if piece.strip():
                yield piece + newline
        if rest.strip():
            yield rest

    pieces = read()
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(next, pieces, None)
        while (piece := ahead.result()) is not None:
            ahead = pool.submit(next, pieces, None)
            yield piece


def _with_line(message: str, lines_before: int) -> str:
    return re.sub(r"Row #(\d+)", lambda row: f"line {lines_before + int(row[1])}", message)


def read_header(path: Path, header_line: int = 0) -> list[str]:
    """Return the column names; a leading "" stands for R's row names, which have no header.

    Raises InputError if the file is not text, ends before the first row of data, or has only one
    column.
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
    columns = ["", *header] if len(row) == len(header) + 1 else header
    if len(columns) < 2:
        raise InputError(
            f"{path}: its header is one column, '{header[0][:40] if header else ''}'; give a table "
            "of numbers with tabs between its columns (commas in .csv)"
        )
    return columns


def sample_blocks(
    matrix: TextMatrix, chosen: Sequence[int], sample_ids: Sequence[str], max_samples: int
) -> Blocks:
    """Yield blocks of samples from a file whose rows are genes.

    `chosen` are the file's columns of the samples `sample_ids`.
    """
    with Tiles() as tiles:
        matrix.fill(tiles, chosen)
        for start in range(0, len(sample_ids), max_samples):
            ids = list(sample_ids[start : start + max_samples])
            yield ids, tiles.samples(start, start + len(ids))


def chosen_rows(
    runs: Iterator[np.ndarray], positions: Sequence[int], labels: Sequence[str], max_samples: int
) -> Blocks:
    """Yield the samples at `positions` of a file whose rows are samples, called `labels`.

    `runs` are consecutive rows of the file, [n, n_genes].
    """
    start = 0
    for run in runs:
        here = [at - start for at in positions if start <= at < start + len(run)]
        for first in range(0, len(here), max_samples):
            part = here[first : first + max_samples]
            yield [labels[start + at] for at in part], run[part]
        start += len(run)


def _numbers(column: pa.Array) -> np.ndarray:
    """Return float64 with NaN for an empty cell or a spelling of "not available"."""
    return column.to_numpy(zero_copy_only=False)
