"""Disease annotation: the samples of a dataset and regime, joined with their vectors by id."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bulkformer.errors import InputError
from bulkformer.evaluate.records import read_columns


@dataclass(frozen=True)
class Samples:
    """The samples of a dataset and regime, sorted by id: arrays [n].

    `row` is the place of each sample in the table of vectors at `path`. `bound` are codes of what
    neither outer nor inner folds may split: the group under the strict protocol, the sample itself
    under the legacy one.
    """

    sample_id: np.ndarray
    group: np.ndarray
    study: np.ndarray
    tissue: np.ndarray
    labels: np.ndarray
    bound: np.ndarray
    classes: list[str]
    path: Path
    row: np.ndarray


def read_samples(manifest: pa.Table, paths: Mapping[str, Path], strict: bool) -> Samples:
    """Join the units of the manifest, of one dataset and regime, with their vectors.

    Raises InputError if a sample has no vector.
    """
    units = manifest.filter(pa.array(manifest["repeat"].to_numpy() == 0)).sort_by("unit")
    ids = np.array(units["unit"].to_pylist())
    cohort = units["cohort"][0].as_py()
    path = paths.get(cohort)
    if path is None:
        raise InputError(f"no --embeddings for cohort '{cohort}', which the manifest names")
    columns = read_columns(path, ["sample_id"], ["study_id", "tissue"])
    position = {sample_id: row for row, sample_id in enumerate(columns["sample_id"])}
    absent = [sample_id for sample_id in ids if sample_id not in position]
    if absent:
        raise InputError(
            f"{path}: {len(absent)} samples of the manifest have no vector, first '{absent[0]}'; "
            "run the embed stage again"
        )
    order = np.array([position[sample_id] for sample_id in ids])
    group = np.array(units["group"].to_pylist())
    classes, labels = np.unique(units["stratum"].to_pylist(), return_inverse=True)
    return Samples(
        sample_id=ids,
        group=group,
        study=np.array([columns["study_id"][row] for row in order], dtype=object),
        tissue=np.array([columns["tissue"][row] for row in order], dtype=object),
        labels=labels,
        bound=np.unique(group if strict else ids, return_inverse=True)[1],
        classes=classes.tolist(),
        path=path,
        row=order,
    )
