"""Which samples are kept, and which of several reasons is given."""

import numpy as np
import pandas as pd

from bulkformer.expression.quality import Thresholds, reasons_from_counts, reasons_from_table

THRESHOLDS = Thresholds(min_detected_genes=3, min_library_size=100, max_single_cell_probability=0.5)


def test_of_samples_with_one_id_the_first_is_kept():
    samples = pd.DataFrame({"sample_id": ["a", "b", "a", "a"]})
    assert reasons_from_table(samples, THRESHOLDS) == [
        None, None, "duplicate_sample_id", "duplicate_sample_id",
    ]  # fmt: skip


def test_single_cells_are_found_by_probability_and_by_library_source():
    samples = pd.DataFrame(
        {
            "sample_id": list("abcde"),
            "single_cell_probability": [0.49, 0.5, 0.1, np.nan, 0.9],
            "library_source": [
                "transcriptomic", "transcriptomic", "Transcriptomic Single Cell", None, None,
            ],
        }
    )  # fmt: skip
    assert reasons_from_table(samples, THRESHOLDS) == [
        None, "single_cell", "single_cell", None, "single_cell",
    ]  # fmt: skip


def test_shallow_libraries_and_few_detected_genes_fail():
    total, detected = np.array([0, 99, 100, 500.0]), np.array([0, 3, 3, 2])
    assert reasons_from_counts(total, detected, True, THRESHOLDS) == [
        "zero_depth", "shallow_library", None, "few_detected_genes",
    ]  # fmt: skip


def test_the_depth_of_scaled_counts_is_not_tested_but_zero_depth_is():
    total, detected = np.array([0, 1.0]), np.array([0, 3])
    assert reasons_from_counts(total, detected, False, THRESHOLDS) == ["zero_depth", None]


def test_zero_depth_fails_also_where_nothing_is_asked_for():
    nothing = Thresholds(0, 0, 1.0)
    assert reasons_from_counts(np.zeros(1), np.zeros(1), True, nothing) == ["zero_depth"]
