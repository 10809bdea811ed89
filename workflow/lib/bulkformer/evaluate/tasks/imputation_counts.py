"""From imputed ln(TPM + 1) back to counts, and from counts to genes that differ between classes.

A count is TPM x length x what the library holds of one transcript: TPM_ig = 10^6 (c_ig / L_g) / S_i
with S_i = sum over genes of c / L, so that c_ig = TPM_ig x L_g x S_i / 10^6. S_i comes from the
visible genes of the sample alone (their counts over their TPM x length), so that no hidden count
takes part; one factor a sample, which DESeq2's size factors would follow in any case.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from bulkformer.errors import InputError
from bulkformer.expression.normalise import LARGEST_LOG_TPM

if TYPE_CHECKING:
    from pydeseq2.default_inference import DefaultInference

RAW_UNITS = ("counts", "expected_counts")
# A gene is tested if as many samples as the smaller class has hold at least as many reads.
MIN_READS = 10
COLUMNS = ("base_mean", "log2_fold_change", "p_value", "padj")


def check_counts(path: Path) -> None:
    """Raise InputError unless the store at `path` holds raw counts: DESeq2 models reads."""
    try:
        with pa.ipc.open_file(path) as file:
            unit = (file.schema.metadata or {}).get(b"unit", b"").decode()
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: not a readable expression store ({error})") from error
    if unit not in RAW_UNITS:
        raise InputError(
            f"{path}: holds '{unit}', and differential expression needs {' or '.join(RAW_UNITS)}; "
            "name another cohort under evaluate.imputation_differential.cohort"
        )


def rebuilt_counts(
    counts: np.ndarray,
    log_tpm: np.ndarray,
    hidden: np.ndarray,
    predicted: np.ndarray,
    length_bp: np.ndarray,
) -> np.ndarray:
    """Return float64 [n, G]: measured counts where visible, counts made from predictions elsewhere.

    Parameters
    ----------
    counts, log_tpm : [n, G], NaN where a gene was not measured; log_tpm was made from counts
    hidden : bool [n, G]
    predicted : ln(TPM + 1) [n, G]; kept within what a sample can hold, 0 to a million TPM. NaN
        where a model tells nothing, which stays a gap
    length_bp : [G], as log_tpm was made with; NaN where unknown
    """
    length = np.where(np.isnan(length_bp), 0.0, length_bp)
    visible = ~hidden & np.isfinite(log_tpm) & np.isfinite(counts)
    weight = np.where(visible, np.expm1(np.where(visible, log_tpm, 0).astype(np.float64)), 0)
    reads = np.where(visible, counts, 0).sum(axis=1, dtype=np.float64)
    transcripts = weight @ length
    if not (transcripts > 0).all():
        raise InputError(
            f"{int((transcripts <= 0).sum())} samples have no visible gene with reads; hide less"
        )
    tpm = np.expm1(np.clip(predicted, 0, LARGEST_LOG_TPM).astype(np.float64))
    made = tpm * length * (reads / transcripts)[:, None]
    return np.where(hidden, made, counts)


def enough_reads(counts: np.ndarray, is_second: np.ndarray) -> np.ndarray:
    """Return bool [G]: genes with MIN_READS in as many samples as the smaller class has."""
    smaller = min(int(is_second.sum()), int((~is_second).sum()))
    return (np.nan_to_num(counts, nan=0.0) >= MIN_READS).sum(axis=0) >= smaller


def differential_expression(
    counts: np.ndarray, genes: list[str], is_second: np.ndarray
) -> pd.DataFrame:
    """Test each gene with PyDESeq2: Wald test, design ~ class, size factors by median of ratios.

    Where counts have gaps, each gene is tested on the samples that show it (see imputation_gaps). A
    gene that fewer than two samples of a class show is not tested. Outliers are then neither
    replaced nor filtered, because PyDESeq2 would refit genes without knowing their gaps.

    Parameters
    ----------
    counts : [n, G]; rounded to whole reads, NaN where there is a gap
    is_second : bool [n]; fold changes are of this class over the other

    Returns
    -------
    One row a gene, columns COLUMNS; padj is Benjamini-Hochberg after independent filtering, NaN for
    a gene that was filtered or not tested. What PyDESeq2 warns of goes to stderr.
    """
    visible = np.isfinite(counts)
    if visible.all():
        return _tested(counts, genes, is_second, None)
    # Imports PyDESeq2, which is slow to start.
    from bulkformer.evaluate.tasks.imputation_gaps import VisibleSamples, enough_samples, filled

    found = pd.DataFrame(np.nan, index=genes, columns=list(COLUMNS))
    kept = enough_samples(counts, is_second)
    if kept.any():
        names = [name for name, of in zip(genes, kept, strict=True) if of]
        whole = filled(counts[:, kept])
        found.loc[names] = _tested(whole, names, is_second, VisibleSamples(visible[:, kept]))
    return found


def _tested(
    counts: np.ndarray, genes: list[str], is_second: np.ndarray, of_gaps: DefaultInference | None
) -> pd.DataFrame:
    """Run PyDESeq2 on counts without gaps; `of_gaps` knows which of them were filled."""
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.default_inference import DefaultInference
    from pydeseq2.ds import DeseqStats

    names = [f"sample{number}" for number in range(len(counts))]
    whole = pd.DataFrame(np.rint(counts).astype(np.int64), index=names, columns=genes)
    classes = np.where(is_second, "second", "first")
    about = pd.DataFrame({"class": classes}, index=names)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Processes of their own would take longer to start than these genes take.
        inference = of_gaps or DefaultInference(n_cpus=1)
        data = DeseqDataSet(
            counts=whole,
            metadata=about,
            design="~class",
            refit_cooks=of_gaps is None,
            inference=inference,
            quiet=True,
        )
        data.deseq2()
        tests = DeseqStats(
            data,
            contrast=["class", "second", "first"],
            cooks_filter=of_gaps is None,
            inference=inference,
            quiet=True,
        )
        tests.summary()
    for message in dict.fromkeys(str(each.message) for each in caught):
        print(f"pydeseq2: {message}", file=sys.stderr)
    found = tests.results_df.loc[genes, ["baseMean", "log2FoldChange", "pvalue", "padj"]]
    return found.set_axis(list(COLUMNS), axis=1).astype(np.float64)
