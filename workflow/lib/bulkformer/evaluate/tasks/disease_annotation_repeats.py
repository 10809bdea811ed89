"""Disease annotation: saved predictions as arrays, one set a repeat, ready to be scored."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Repeat:
    """Out-of-fold predictions of one repeat, all arrays in the order of sorted sample ids.

    `group`, `study` and `tissue` are codes [n] (-1 where unknown), `studies` the names of studies,
    `truth` and `told` class codes, `probabilities` [n, C], `trials` [n] the settings that were
    tuned over.
    """

    fold: np.ndarray
    group: np.ndarray
    study: np.ndarray
    studies: list[str]
    tissue: np.ndarray
    truth: np.ndarray
    told: np.ndarray
    probabilities: np.ndarray
    trials: np.ndarray


def read_repeats(rows: pa.Table, classes: list[str]) -> tuple[dict[int, Repeat], list[str]]:
    """Split rows by repeat; groups and studies are coded by sorted name, alike in all repeats."""
    groups = sorted(rows["group"].unique().to_pylist())
    known = {
        column: sorted(name for name in rows[column].unique().to_pylist() if name is not None)
        for column in ("study_id", "tissue")
    }
    code = {
        column: {name: i for i, name in enumerate(names)} | {None: -1}
        for column, names in known.items()
    } | {
        "group": {name: i for i, name in enumerate(groups)},
        "y_true": {name: i for i, name in enumerate(classes)},
    }
    repeats = {}
    for number in sorted(rows["repeat"].unique().to_pylist()):
        one = rows.filter(pa.array(rows["repeat"].to_numpy() == number))
        one = one.take(pa.array(np.argsort(np.array(one["sample_id"].to_pylist(), dtype=str))))

        def codes(name: str, meaning: str, one: pa.Table = one) -> np.ndarray:
            return np.array([code[meaning][value] for value in one[name].to_pylist()])

        probabilities = one["probabilities"].combine_chunks().flatten().to_numpy()
        repeats[number] = Repeat(
            fold=one["fold"].to_numpy().astype(np.int64),
            group=codes("group", "group"),
            study=codes("study_id", "study_id"),
            studies=known["study_id"],
            tissue=codes("tissue", "tissue"),
            truth=codes("y_true", "y_true"),
            told=codes("y_pred", "y_true"),
            probabilities=probabilities.reshape(len(one), len(classes)),
            trials=one["tuning_trials"].to_numpy(),
        )
    return repeats, groups
