"""What every reader hands over: counts of whole samples, block by block, with ids.

A reader keeps identifiers, gene order and values as the file has them. Bringing them onto one gene
axis, summing duplicates and judging quality belong to the expression stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.errors import InputError

Blocks = Iterator[tuple[list[str], np.ndarray]]


@dataclass(frozen=True)
class CohortFiles:
    """Where a cohort lies and how its row in the cohorts table says it is to be read.

    Attributes
    ----------
    expression : the file of counts
    samples : the sample table, or None where the format needs none
    orientation : "genes_in_rows" or "samples_in_rows"; only the format matrix asks
    columns : our name of a sample column -> its name in the sample table
    part : which matrix of the file, where a format has several and the table names one after a
        colon ("h5ad:layers/counts")
    """

    expression: Path
    samples: Path | None = None
    orientation: str = "genes_in_rows"
    columns: dict[str, str] = field(default_factory=dict)
    part: str = ""


@dataclass(frozen=True)
class Part:
    """What a reader that can skip is asked for.

    Attributes
    ----------
    genes : ascending rows of the file; the values have these columns and no others
    start : the first sample to read; after it, blocks end where they end without it if an earlier
        block of the same `max_samples` ended here
    max_samples : samples in a block at the most
    threads : how many threads may decompress
    """

    genes: np.ndarray
    start: int = 0
    max_samples: int = 256
    threads: int = 1


@dataclass(frozen=True)
class Counts:
    """An opened cohort.

    Attributes
    ----------
    gene_ids : n_genes identifiers as in the file, with versions and repeats
    samples : one row a sample with a plain 0..n-1 index. Always there: `sample_id`, `study_id`,
        `patient_id`; others as far as the provider states them. Text is str or None (unknown);
        `single_cell_probability` and `aligned_reads` are floats, NaN if unknown.
    """

    gene_ids: list[str]
    samples: pd.DataFrame
    _read: Callable[[int], Blocks]
    _read_part: Callable[[Part], Blocks] | None = None

    @property
    def can_skip(self) -> bool:
        """Whether `part` is there: reading may start anywhere and leave genes out."""
        return self._read_part is not None

    def part(self, part: Part) -> Blocks:
        """Yield what `blocks` yields, of some samples and genes only; raises as `blocks` does."""
        if self._read_part is None:
            raise ValueError("this reader cannot skip; ask can_skip before")
        return self._read_part(part)

    def blocks(self, max_samples: int = 256) -> Blocks:
        """Yield (sample ids, counts [n, n_genes]) in the order of `samples`, n <= `max_samples`.

        As `open_cohort` returns them, counts are finite and not negative; their dtype is the
        file's own, float64 for text and where a logarithm was undone. Raises InputError for a value
        that is no count, naming file, gene and sample.
        """
        if max_samples < 1:
            raise ValueError(f"max_samples is {max_samples}; a block holds one sample or more")
        return self._read(max_samples)


def check_values(
    values: np.ndarray, sample_ids: Sequence[str], gene_ids: Sequence[str], path: Path
) -> None:
    """Raise InputError for the first missing, infinite or negative value of [n, n_genes]."""
    if values.dtype.kind == "u" or values.size == 0:
        return
    # NaN fails both comparisons, so two reductions find all three kinds of bad value.
    if values.min() >= 0 and values.max() < np.inf:
        return
    row, column = np.argwhere(~((values >= 0) & (values < np.inf)))[0]
    value = values[row, column]
    kind = "missing" if np.isnan(value) else f"{value:g}"
    raise InputError(
        f"{path}: the value of gene '{gene_ids[column]}' (gene row {column + 1}) in sample "
        f"'{sample_ids[row]}' is {kind}; counts are finite and not negative: give raw counts, "
        "not logarithms, and leave out genes or samples that were not measured"
    )


def check_unique(sample_ids: Sequence[str], path: Path) -> None:
    """Raise InputError for the first sample id that is empty or stands twice."""
    seen: set[str] = set()
    for number, sample_id in enumerate(sample_ids, start=1):
        if not sample_id:
            raise InputError(
                f"{path}: sample {number} has no id; name it, or remove it if it is an empty "
                "column or row"
            )
        if sample_id in seen:
            raise InputError(
                f"{path}: the sample '{sample_id}' stands twice; rename or remove one of the two"
            )
        seen.add(sample_id)
