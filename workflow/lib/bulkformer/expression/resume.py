"""A conversion that goes on where a killed one was.

The stores of a large cohort take hours. While they are written they lie in a hidden folder beside
their place, together with a journal of what is surely on disk. The name of the folder says what
goes into the stores, so that what was made of other inputs is never continued, only removed.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bulkformer.errors import InputError
from bulkformer.expression.store import StoreWriter
from bulkformer.files import write_json

CHECKPOINT_SECONDS = 20.0
RECORD = np.dtype(
    [
        ("total", "<f8"),  # counts in vocabulary genes
        ("n_genes_detected", "<i8"),
        ("reason", "<i8"),  # place in quality.REASONS, -1 for samples that are kept
    ]
)


class Conversion:
    """The two stores of a cohort on their way, and one record a sample.

    Attributes
    ----------
    largest : largest value of all samples so far
    """

    def __init__(
        self, folder: Path, counts: StoreWriter, log_tpm: StoreWriter, journal: dict | None
    ) -> None:
        self.counts, self.log_tpm = counts, log_tpm
        self.largest = journal["largest"] if journal else 0.0
        self._folder = folder
        self._records = [_read_records(folder, journal["samples"])] if journal else []
        self._saved = len(self._records)
        self._last = time.monotonic()

    @property
    def samples(self) -> int:
        """How many samples are done."""
        return sum(map(len, self._records))

    def records(self) -> np.ndarray:
        """Return one RECORD a sample, in the order of reading."""
        return np.concatenate([*self._records, np.empty(0, RECORD)])

    def add(self, records: np.ndarray, largest: float) -> None:
        """Count in a block of samples whose kept ones were written to both stores."""
        self._records.append(records)
        self.largest = max(self.largest, largest)
        if time.monotonic() - self._last >= CHECKPOINT_SECONDS:
            self._save()
            self._last = time.monotonic()

    def close(self) -> str:
        """End both stores and return the SHA-256 of the one of ln(TPM + 1)."""
        self.counts.close()
        self.log_tpm.close()
        return self.log_tpm.sha256

    def _save(self) -> None:
        with (self._folder / "records").open("ab") as file:
            file.write(np.concatenate(self._records[self._saved :]).tobytes())
            file.flush()
            os.fsync(file.fileno())
        self._saved = len(self._records)
        content = {
            "samples": self.samples,
            "largest": self.largest,
            "bytes": {"counts": self.counts.flush(), "log_tpm": self.log_tpm.flush()},
        }
        write_json(self._folder / "journal.json", content)  # last: it vouches for the others


@contextmanager
def conversion(
    counts: Path,
    log_tpm: Path,
    measured: np.ndarray,
    unit: str,
    key: str,
    can_skip: bool,
) -> Iterator[Conversion]:
    """Open the stores of a cohort, or those that a killed process left for the same `key`.

    Parameters
    ----------
    counts, log_tpm : where the stores will be
    measured, unit : as for `create_store`
    key : a hash of all that goes into the stores
    can_skip : whether reading can start in the middle; else it starts anew

    The stores get their names when the block ends well. If it fails with an InputError, nothing is
    left; after anything else the next run continues.
    """
    for output in (counts, log_tpm):
        output.parent.mkdir(parents=True, exist_ok=True)
    folder = counts.with_name(f".{counts.name}.{key[:16]}.conversion")
    for other in counts.parent.glob(f".{counts.name}.*.conversion"):
        if other != folder or not can_skip:
            shutil.rmtree(other)
    journal = _read_journal(folder)
    if journal is None and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(exist_ok=True)
    kept = journal["bytes"] if journal else {"counts": 0, "log_tpm": 0}
    writers: list[StoreWriter] = []

    try:
        for name, of_values in {"counts": unit, "log_tpm": "log_tpm"}.items():
            writers.append(
                StoreWriter(folder / name, measured, of_values, kept[name], name == "log_tpm")
            )
        yield Conversion(folder, *writers, journal)
        for writer, name, output in zip(writers, kept, (counts, log_tpm), strict=True):
            writer.close()
            os.replace(folder / name, output)
    except InputError:
        shutil.rmtree(folder)
        raise
    finally:
        for writer in writers:
            writer.abandon()
    shutil.rmtree(folder)


def _read_journal(folder: Path) -> dict | None:
    """Return the journal, None where there is none or its files are not what it says."""
    path = folder / "journal.json"
    if not path.exists():
        return None
    journal = json.loads(path.read_text())
    wanted = journal["bytes"] | {"records": journal["samples"] * RECORD.itemsize}
    for name, size in wanted.items():
        file = folder / name
        if not file.exists() or file.stat().st_size < size:
            return None
    return journal


def _read_records(folder: Path, samples: int) -> np.ndarray:
    """Return the first `samples` records and cut off what a killed process wrote after them."""
    path = folder / "records"
    os.truncate(path, samples * RECORD.itemsize)
    return np.fromfile(path, RECORD)
