"""One cohort as the scans for copies see it: who is in it, sketches, and values to confirm with.

Sketches propose pairs; the correlation of the fingerprints themselves, on the genes that both
cohorts measured, decides. Only the rows of proposed pairs are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.expression.background import Background, Fingerprints
from bulkformer.expression.sketch import Sketches
from bulkformer.expression.store import ExpressionStore

PAIRS_AT_ONCE = 512  # rows of 80 kB: at the most 80 MB


@dataclass(frozen=True)
class Profiles:
    """The kept samples of one cohort.

    Attributes
    ----------
    biosample : None where it is not known
    row : {sample_id: row of sketches and store}
    """

    cohort: str
    sample_ids: list[str]
    biosample: list[str | None]
    sketches: Sketches
    store: ExpressionStore
    row: dict[str, int]

    @classmethod
    def read(cls, cohort: str, samples: Path, sketch: Path, store: Path) -> Profiles:
        """Read one cohort; raises InputError if its files are of different runs."""
        sketches, expression = Sketches.read(sketch), ExpressionStore(store)
        try:
            present = pq.read_schema(samples).names
            names = [name for name in ["sample_id", "kept", "biosample"] if name in present]
            table = pq.read_table(samples, columns=names)
            table = table.filter(table["kept"])
            sample_ids = table["sample_id"].to_pylist()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise InputError(
                f"{samples}: not a readable sample table ({error}); run the expression stage again"
            ) from error
        if not sketches.sample_ids == expression.sample_ids == sample_ids:
            raise InputError(
                f"{samples}, {sketch} and {store} hold different samples; run the expression stage "
                "again"
            )
        biosample = table["biosample"].to_pylist() if "biosample" in names else None
        row = {sample_id: number for number, sample_id in enumerate(sample_ids)}
        return cls(
            cohort, sample_ids, biosample or [None] * len(sample_ids), sketches, expression, row
        )


def read_profiles(
    cohort: Sequence[str], samples: Sequence[Path], sketch: Sequence[Path], store: Sequence[Path]
) -> list[Profiles]:
    """Return the profiles of each cohort; raises InputError if lists or sketches do not match."""
    if not len(cohort) == len(samples) == len(sketch) == len(store):
        raise InputError(
            f"{len(cohort)} cohorts, {len(samples)} sample tables, {len(sketch)} sketches, "
            f"{len(store)} stores; give one of each for every cohort"
        )
    profiles = [Profiles.read(*files) for files in zip(cohort, samples, sketch, store, strict=True)]
    for one in profiles[1:]:
        one.sketches.check_same_planes(profiles[0].sketches)
    return profiles


def correlations(
    left: Profiles, right: Profiles, pairs: np.ndarray, background: Background
) -> np.ndarray:
    """Return the correlation float32 [n] of the fingerprints of pairs int [n, 2] of rows."""
    both = left.store.measured & right.store.measured
    of_left = background.among(both, left.sketches.shift, left.store.path)
    of_right = background.among(both, right.sketches.shift, right.store.path)
    found = np.empty(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        one = _fingerprints(left, pairs[part, 0], of_left)
        other = _fingerprints(right, pairs[part, 1], of_right)
        found[part] = np.einsum("ij,ij->i", one, other)
    return np.minimum(found, 1)


def _fingerprints(profiles: Profiles, rows: np.ndarray, fingerprints: Fingerprints) -> np.ndarray:
    unique, place = np.unique(rows, return_inverse=True)
    return fingerprints.of(profiles.store.read(unique))[place]
