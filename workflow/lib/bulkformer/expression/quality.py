"""Which samples are kept, and why the others are not.

Every sample that is left out has one reason, the first that applies in the order of REASONS. Depth
and detection count vocabulary genes after mapping, so that cohorts with different annotations are
held to one standard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

REASONS = [
    "duplicate_sample_id",
    "single_cell",
    "zero_depth",
    "shallow_library",
    "few_detected_genes",
]
SINGLE_CELL_SOURCE = "transcriptomic single cell"  # GEO's library_source


@dataclass(frozen=True)
class Thresholds:
    """What a sample must reach.

    Attributes
    ----------
    min_detected_genes : vocabulary genes with a count above zero; an absolute number also where a
        cohort measured fewer genes
    min_library_size : reads in vocabulary genes
    max_single_cell_probability : samples at or above it are taken for single cells
    """

    min_detected_genes: int
    min_library_size: float
    max_single_cell_probability: float


def reasons_from_table(samples: pd.DataFrame, thresholds: Thresholds) -> list[str | None]:
    """Return why each sample is left out by what its table says, None if it is not.

    Of samples with one id the first is kept. Single cells are recognised by
    `single_cell_probability` and by `library_source`, because either alone misses some; a sample
    whose table has neither passes.
    """
    duplicate = samples["sample_id"].duplicated().to_numpy()
    single_cell = np.zeros(len(samples), dtype=bool)
    if "single_cell_probability" in samples:
        probability = samples["single_cell_probability"].to_numpy(dtype=float)
        single_cell |= probability >= thresholds.max_single_cell_probability  # NaN: not known
    if "library_source" in samples:
        sources = samples["library_source"].fillna("").str.strip().str.lower()
        single_cell |= (sources == SINGLE_CELL_SOURCE).to_numpy()
    return _first({"duplicate_sample_id": duplicate, "single_cell": single_cell}, len(samples))


def reasons_from_counts(
    total: np.ndarray, n_genes_detected: np.ndarray, depth_is_known: bool, thresholds: Thresholds
) -> list[str | None]:
    """Return why each sample is left out by its counts, None if it is not.

    Parameters
    ----------
    total : float [n], counts in vocabulary genes
    n_genes_detected : int [n], vocabulary genes with a count above zero
    depth_is_known : False where counts were scaled, so that their sum is no number of reads
    """
    return _first(
        {
            "zero_depth": total <= 0,
            "shallow_library": depth_is_known & (total < thresholds.min_library_size),
            "few_detected_genes": n_genes_detected < thresholds.min_detected_genes,
        },
        len(total),
    )


def _first(found: dict[str, np.ndarray], n: int) -> list[str | None]:
    return [next((reason for reason in found if found[reason][row]), None) for row in range(n)]
