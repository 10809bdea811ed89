"""From predictions back to counts, and from counts to calls."""

import numpy as np
import pandas as pd

from bulkformer.evaluate.tasks.imputation_counts import differential_expression, rebuilt_counts


def log_tpm_of(counts: np.ndarray, length: np.ndarray) -> np.ndarray:
    rate = counts / length
    return np.log1p(1e6 * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)


def test_visible_counts_stay_and_true_values_come_back_as_true_counts() -> None:
    rng = np.random.default_rng(2)
    length = rng.uniform(500, 5000, 30)
    counts = rng.poisson(200, (4, 30)).astype(float)
    log_tpm = log_tpm_of(counts, length)
    hidden = rng.random((4, 30)) < 0.4
    rebuilt = rebuilt_counts(counts, log_tpm, hidden, log_tpm, length)
    assert (rebuilt[~hidden] == counts[~hidden]).all()
    np.testing.assert_allclose(rebuilt[hidden], counts[hidden], rtol=1e-3)
    # A hidden count takes no part: another one there changes nothing.
    other = np.where(hidden, 9e6, counts)
    np.testing.assert_array_equal(rebuilt_counts(other, log_tpm, hidden, log_tpm, length), rebuilt)
    below, above = (
        rebuilt_counts(counts, log_tpm, hidden, np.full_like(log_tpm, value), length)
        for value in (-1, 1000)
    )
    assert (below[hidden] == 0).all()
    assert np.isfinite(above).all()  # a gene has no more than all transcripts


def test_what_nobody_tells_stays_a_gap() -> None:
    counts, hidden = np.full((2, 3), 50.0), np.eye(2, 3, dtype=bool)
    length = np.full(3, 1000.0)
    log_tpm = log_tpm_of(counts, length)
    told = np.where(hidden & [True, False, True], np.nan, log_tpm)
    rebuilt = rebuilt_counts(counts, log_tpm, hidden, told, length)
    np.testing.assert_array_equal(np.isnan(rebuilt), hidden & [True, False, True])


def test_the_same_counts_give_the_same_calls() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.uniform(50, 500, 20), (8, 20))
    genes, second = [f"g{i}" for i in range(20)], np.arange(8) >= 4
    one, again = (differential_expression(counts, genes, second) for _ in range(2))
    pd.testing.assert_frame_equal(one, again)
