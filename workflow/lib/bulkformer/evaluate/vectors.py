"""Reads the sample vectors that the embed stage made, for every task that is fitted to them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.evaluate.records import read_columns


def read_vectors(path: Path, sample_ids: Sequence[str] | None = None) -> np.ndarray:
    """Return sample vectors, float32 [n, d], in the order of `sample_ids`, or all as they stand.

    Raises InputError if a sample has no vector, or one that is not finite.
    """
    known = read_columns(path, ["sample_id"])["sample_id"]
    column = pq.read_table(path, columns=["embedding"])["embedding"].combine_chunks()
    # By this way of the two, pandas is not imported.
    vectors = np.from_dlpack(column.flatten()).reshape(len(column), -1)
    if sample_ids is None:
        sample_ids = known
    else:
        position = {name: row for row, name in enumerate(known)}
        absent = [name for name in sample_ids if name not in position]
        if absent:
            raise InputError(
                f"{path}: {len(absent)} samples have no vector, first '{absent[0]}'; run the embed "
                "stage again"
            )
        vectors = vectors[[position[name] for name in sample_ids]]
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise InputError(
            f"{path}: the vector of sample '{sample_ids[bad[0]]}' is not finite; run the embed "
            "stage again"
        )
    return vectors
