"""Counts to ln(TPM + 1): transcripts per million over the vocabulary genes that were measured.

The sum that makes a million is part of the definition of TPM. Here it runs over the vocabulary
genes that the cohort measured, so it depends neither on genes that the file happens to list beside
them nor on genes that nobody measured. A constant factor on the counts of a sample cancels.
"""

import numpy as np

from bulkformer.errors import InputError

PER_MILLION = 1e6
LARGEST_LOG_TPM = np.log1p(PER_MILLION)  # one gene has all transcripts
TOLERANCE = 1e-3  # float32 at 13.8 resolves 1e-6


def tpm(counts: np.ndarray, lengths_bp: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Return transcripts per million, float64 [n, n_genes], NaN where not measured.

    Parameters
    ----------
    counts : [n, n_genes]; integer, expected or scaled counts, read only where measured
    lengths_bp : [n_genes], base pairs
    measured : bool [n_genes]

    Raises ValueError for a sample without counts and for a length that is not above zero: the
    first has no TPM, the second would have any.
    """
    if not (lengths_bp[measured] > 0).all():
        raise ValueError("every measured gene needs a length above zero")
    # Rows must be contiguous: else the order of summation, and with it the last bit, would depend
    # on how many samples share a block.
    rate = np.ascontiguousarray(counts[:, measured]) / lengths_bp[measured]
    total = rate.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        raise ValueError("a sample has no counts; quality control drops such samples before")
    result = np.full(counts.shape, np.nan)
    result[:, measured] = rate / total * PER_MILLION
    return result


def log_tpm(counts: np.ndarray, lengths_bp: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Return ln(TPM + 1), float32 [n, n_genes], NaN where not measured; see `tpm`."""
    return np.log1p(tpm(counts, lengths_bp, measured)).astype(np.float32)


def check_log_tpm(values: np.ndarray, place: str) -> None:
    """Raise InputError unless `values`, NaN aside, can be natural logarithms of TPM + 1.

    Values beyond ln(1e6 + 1) = 13.82 are log2(TPM + 1) or no logarithms at all; values below zero
    are logarithms of TPM plus less than one, or standardised.
    """
    known = values[~np.isnan(values)]
    if known.size == 0 or (known.min() >= 0 and known.max() <= LARGEST_LOG_TPM + TOLERANCE):
        return
    raise InputError(
        f"{place}: values go from {known.min():.4g} to {known.max():.4g}, but ln(TPM + 1) lies "
        f"between 0 and {LARGEST_LOG_TPM:.4g}; convert log2(TPM + 1) by multiplying with ln 2, and "
        "give nothing else in its place"
    )
