"""What every reader of perturbation profiles hands over: who was treated with what, and values."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.errors import InputError

# Columns of `Profiles.table`; what a source does not say is None, or NaN for the two numbers.
COLUMNS = [
    "profile_id",
    "perturbagen",  # name
    "perturbagen_id",  # the provider's; several may be one compound
    "perturbagen_type",
    "smiles",
    "dose_um",
    "time_h",
    "cell_id",
    "plate",
    "kind",  # treated or control
]
NUMERIC = ["dose_um", "time_h"]
READ_BYTES = 256 * 2**20  # of values held at once
COPY_BYTES = 16 * 2**20

Blocks = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Profiles:
    """Perturbation profiles of one file.

    Attributes
    ----------
    table : COLUMNS and, after them, columns of the source that benchmarks need (its own splits)
    genes : entrez, symbol (str or None), one row a measured gene
    blocks : bool [n_profiles] of the wanted ones -> runs of (rows of `table`, float32
        [n, n_genes]), in the order of `table`; a missing value is NaN
    left_out : what is in only one of the files of the source, {reason: number}
    """

    table: pd.DataFrame
    genes: pd.DataFrame
    blocks: Callable[[np.ndarray], Blocks] = field(repr=False)
    left_out: dict[str, int] = field(default_factory=dict)


def stripes(chosen: np.ndarray, row_bytes: int, chunk: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of runs of rows that hold a chosen one, at most READ_BYTES each.

    Runs begin and end at multiples of `chunk` where a chunk is affordable, so that each chunk of a
    compressed file is unpacked once.
    """
    affordable = max(1, READ_BYTES // max(1, row_bytes))
    width = affordable // chunk * chunk or affordable
    for start in range(0, len(chosen), width):
        wanted = np.flatnonzero(chosen[start : start + width])
        if len(wanted):
            yield start + int(wanted[0]), start + int(wanted[-1]) + 1


@contextmanager
def unpacked(path: Path, folder: Path) -> Iterator[Path]:
    """Yield `path`, or a scratch copy of what a gzip file holds, below `folder`.

    HDF5 needs to jump about in a file, which gzip does not allow. The copy is written in small
    pieces and removed at the end; what a killed run left of it is overwritten, so that tens of GB
    never lie there twice. Raises InputError if the stream is damaged or the disk is full.
    """
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    if not zipped:
        yield path
        return
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f".{path.name}.unpacked"
    try:
        try:
            with gzip.open(path) as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, COPY_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"{path}: cannot be unpacked to {folder} ({error}); fetch it again if it is "
                "damaged, or make room on that disk"
            ) from error
        yield copy
    finally:
        copy.unlink(missing_ok=True)
