"""Perturbation: saved predictions reduced to a few values a profile, from which all is scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate import measures, perturbation_measures

Key = tuple[tuple[str, str], ...]  # dataset, regime and head, each with its name
# {kind of unit: column}
UNITS = {
    "compound": "compound",
    "cell": "cell_id",
    "plates": "group",
    "controls": "controls",
    "control set": "control_set",
}


@dataclass(frozen=True)
class Profiles:
    """The tested profiles of one dataset, regime and head, once a repeat: arrays [n].

    Attributes
    ----------
    unit : {kind: name of the compound, cell line, group of plates, level or set of the controls}
    strength : root mean square of the true change
    values : {metric: value}, NaN where it is not defined
    moments : {metric: float [n, 6]}, for the correlation over all profiles at once
    """

    unit: dict[str, np.ndarray]
    repeat: np.ndarray
    strength: np.ndarray
    values: dict[str, np.ndarray]
    moments: dict[str, np.ndarray]

    @classmethod
    def join(cls, parts: Sequence["Profiles"]) -> "Profiles":
        """Return the profiles of all parts."""

        def joined(name: str) -> dict[str, np.ndarray]:
            every = [getattr(part, name) for part in parts]
            return {key: np.concatenate([one[key] for one in every]) for key in every[0]}

        return cls(
            unit=joined("unit"),
            repeat=np.concatenate([part.repeat for part in parts]),
            strength=np.concatenate([part.strength for part in parts]),
            values=joined("values"),
            moments=joined("moments"),
        )


@lru_cache(maxsize=1)  # scores and scores of units look at the same predictions
def read_values(predictions: pq.ParquetFile, top_genes: int) -> dict[Key, Profiles]:
    """Measure every profile, one row group (fold and head) after the other.

    `top_genes` count as raised, and as many as lowered; a quarter of all genes at the most.
    """
    found: dict[Key, list[Profiles]] = {}
    for number in range(predictions.num_row_groups):
        table = predictions.read_row_group(number)
        key = tuple((name, table[name][0].as_py()) for name in ("dataset", "regime", "head"))
        found.setdefault(key, []).append(_measure(table, top_genes))
    return {key: Profiles.join(parts) for key, parts in found.items()}


def means(values: np.ndarray, of: np.ndarray, n: int) -> np.ndarray:
    """Return the mean of the defined values of each code, float64 [n]; NaN where there is none."""
    known = np.isfinite(values)
    total = np.bincount(of[known], weights=values[known], minlength=n)
    with np.errstate(invalid="ignore"):
        return total / np.bincount(of[known], minlength=n)


def _measure(table: pa.Table, top_genes: int) -> Profiles:
    """Measure the profiles of one fold and head; only within a fold are they ranked together."""
    truth, predicted, mean, control = (
        _matrix(table, name) for name in ("y_true", "y_pred", "train_mean", "control")
    )
    n, n_genes = truth.shape
    k = min(top_genes, n_genes // 4)
    unit = {kind: np.array(table[name].to_pylist(), str) for kind, name in UNITS.items()}
    names = (unit["cell"], table["time_h"].to_pylist(), unit["controls"])
    where = [f"{cell} {time} {level}" for cell, time, level in zip(*names, strict=True)]
    place = np.unique(where, return_inverse=True)[1]
    treatment = (unit["compound"], *names[:2], table["dose_um"].to_pylist())
    same = [" ".join(map(str, words)) for words in zip(*treatment, strict=True)]
    replicate = np.unique(same, return_inverse=True)[1]
    # Who predicts no change at all knows nothing; less the mean change, it would be that mean.
    constant = (predicted == predicted[:, :1]).all(axis=1, keepdims=True)
    beyond = truth - mean, np.where(constant, 0, predicted - mean)
    levels = control + truth, control + predicted
    of = perturbation_measures
    rows = np.repeat(np.arange(n), n_genes)
    return Profiles(
        unit=unit,
        repeat=np.array(table["repeat"].to_pylist()),
        strength=np.sqrt((truth.astype(np.float64) ** 2).mean(axis=1)),
        values={
            "pearson_delta": of.pearson_rows(truth, predicted),
            "pearson_delta_beyond_mean": of.partial_pearson_rows(truth, predicted, mean),
            "pearson_delta_deviation": of.pearson_rows(*beyond),
            "pearson_delta_top_genes": of.pearson_of_largest(truth, predicted, k),
            "signed_de_auprc": of.signed_average_precision(truth, predicted, k),
            "retrieval": of.retrieval(*beyond, place, unit["compound"]),
            "energy_skill": of.energy_skill(truth, predicted, replicate),
            "mae_skill": of.error_skill(truth, predicted),
            "weighted_mse_skill": of.weighted_error_skill(truth, predicted),
            "mae": np.abs(truth - predicted).mean(axis=1, dtype=np.float64),
            "pearson_level": of.pearson_rows(*levels),
            "spearman_level": of.spearman_rows(*levels),
        },
        moments={
            metric: measures.moments(one.ravel(), other.ravel(), rows, n)
            for metric, (one, other) in {
                "pearson_level": levels,
                "pearson_delta": (truth, predicted),
            }.items()
        },
    )


def _matrix(table: pa.Table, name: str) -> np.ndarray:
    column = table[name].combine_chunks()
    # By this way of the two, pandas is not imported.
    return np.from_dlpack(column.flatten()).reshape(len(column), -1)
