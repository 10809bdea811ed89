"""Counts to ln(TPM + 1): transcripts per million of a declared set of genes.

The sum that makes a million is part of the definition of TPM, so the configuration names it. By
default it runs over the vocabulary genes that the cohort measured, and then depends neither on
genes that the file happens to list beside them nor on genes that nobody measured. A constant factor
on the counts of a sample cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bulkformer.errors import InputError
from bulkformer.expression.identifiers import GeneMapping, map_genes
from bulkformer.expression.vocabulary import Vocabulary

DENOMINATORS = ["vocabulary", "protein_coding", "all_supplied"]
PER_MILLION = 1e6
LARGEST_LOG_TPM = np.log1p(PER_MILLION)  # one gene has all transcripts
TOLERANCE = 1e-3  # float32 at 13.8 resolves 1e-6


@dataclass(frozen=True)
class Denominator:
    """The genes whose transcripts make the million.

    Attributes
    ----------
    name : one of DENOMINATORS
    inside : bool [n_genes], vocabulary genes that belong to it
    rows : rows of the file that belong to it and to no vocabulary gene, in an order that does not
        depend on their order in the file
    lengths_bp : float64, the lengths of the genes of `rows`
    """

    name: str
    inside: np.ndarray
    rows: np.ndarray
    lengths_bp: np.ndarray

    def within(self, rows: np.ndarray) -> Denominator:
        """Return the denominator for a file that has only `rows`, ascending."""
        moved = np.searchsorted(rows, self.rows)
        return Denominator(self.name, self.inside, moved, self.lengths_bp)


def choose_denominator(
    name: str,
    identifiers: Sequence[str],
    mapping: GeneMapping,
    vocabulary: Vocabulary,
    annotation: Vocabulary | None,
) -> Denominator:
    """Return the genes of a file over which TPM is a share.

    Parameters
    ----------
    name : "vocabulary", "protein_coding" or "all_supplied" (every gene of the annotation that the
        file has; rows that the annotation does not know, or knows no length of, stay outside)
    identifiers : of the rows of the file
    mapping : of these rows to the vocabulary
    annotation : all genes; the vocabulary's own lengths count for its genes. Needed unless `name`
        is "vocabulary"

    Raises InputError for an unknown name, a missing annotation, and if no measured gene is inside.
    """
    if name not in DENOMINATORS:
        raise InputError(
            f"tpm_denominator '{name}' is unknown; known are {', '.join(DENOMINATORS)}"
        )
    inside = np.ones(len(vocabulary), dtype=bool)
    rows, lengths_bp = np.empty(0, dtype=np.int64), np.empty(0)
    if name == "protein_coding":
        inside = np.array(vocabulary.table["biotype"].to_pylist(), dtype=object) == name
    if name != "vocabulary":
        if annotation is None:
            raise InputError(f"tpm_denominator '{name}' needs all genes; give --annotation")
        column = map_genes(identifiers, mapping.summary["gene_ids"], annotation).column
        ours = set(vocabulary.gene_ids)
        belongs = np.array(
            [
                gene_id not in ours and name in ("all_supplied", biotype)
                for gene_id, biotype in zip(
                    annotation.gene_ids, annotation.table["biotype"].to_pylist(), strict=True
                )
            ],
            dtype=bool,
        )
        outside = (mapping.column < 0) & (column >= 0)
        found = [row for row in np.flatnonzero(outside).tolist() if belongs[column[row]]]
        found.sort(key=lambda row: (column[row], identifiers[row]))
        rows = np.array(found, dtype=np.int64)
        lengths_bp = annotation.length_bp[column[rows]]
    if not (inside & mapping.measured).any():
        raise InputError(
            f"no measured gene of the vocabulary is in the tpm_denominator '{name}'; choose another"
        )
    return Denominator(name, inside, rows, lengths_bp)


class Normaliser:
    """Turns counts on the vocabulary into ln(TPM + 1).

    A sample gets the same bits whatever samples stand beside it: its sum runs over the vocabulary
    in its order, then over the rows outside in theirs, each pairwise along the sample.
    """

    def __init__(
        self, lengths_bp: np.ndarray | None, measured: np.ndarray, denominator: Denominator
    ) -> None:
        """Take lengths [n_genes] and which genes were measured, bool [n_genes].

        `lengths_bp` is None for values that are divided by length already (TPM, which are then
        only brought onto the denominator). Raises ValueError for a measured gene whose length is
        not above zero: it would have any TPM.
        """
        if lengths_bp is None:
            lengths_bp = np.ones(len(measured))
            outside = np.ones(len(denominator.rows))
        else:
            outside = denominator.lengths_bp
        if not (lengths_bp[measured] > 0).all():
            raise ValueError("every measured gene needs a length above zero")
        self._absent = np.flatnonzero(~measured)
        self._inside = np.flatnonzero(denominator.inside)
        self._inverse = (1 / np.where(measured, lengths_bp, 1)).astype(np.float32)
        self._rows = denominator.rows
        self._inverse_outside = (1 / outside).astype(np.float32)

    def further(self, counts: np.ndarray) -> np.ndarray | float:
        """Return the rates outside the vocabulary, float64 [n]; `counts` is as in the file."""
        if not len(self._rows):
            return 0.0
        rates = counts.astype(np.float32, copy=False).take(self._rows, axis=1)
        rates *= self._inverse_outside
        return rates.sum(axis=1).astype(np.float64)

    def log_tpm(
        self,
        counts: np.ndarray,
        further: np.ndarray | float = 0.0,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return ln(TPM + 1), float32 [n, n_genes], NaN where not measured.

        Parameters
        ----------
        counts : float32 [n, n_genes], read only where measured
        further : the rates of genes of the denominator outside the vocabulary, [n]
        out : float32 [n, n_genes] to write to, else a new array

        Within 1e-6 of the definition in double precision. Raises ValueError for a sample without
        counts, which has no TPM.
        """
        rate = np.multiply(counts, self._inverse, out=out)
        rate[:, self._absent] = 0
        of_million = rate if len(self._inside) == rate.shape[1] else rate[:, self._inside]
        total = of_million.sum(axis=1).astype(np.float64) + further
        if not (total > 0).all():
            raise ValueError("a sample has no counts; quality control drops such samples before")
        rate *= (PER_MILLION / total).astype(np.float32)[:, None]
        np.log1p(rate, out=rate)
        rate[:, self._absent] = np.nan
        return rate


def check_log_tpm(values: np.ndarray, place: str) -> None:
    """Raise InputError unless `values`, NaN aside, can be natural logarithms of TPM + 1.

    Values beyond ln(1e6 + 1) = 13.82 are log2(TPM + 1) or no logarithms at all; values below zero
    are logarithms of TPM plus less than one, or standardised.
    """
    if values.size == 0:
        return
    lowest, highest = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    if np.isnan(lowest) or (lowest >= 0 and highest <= LARGEST_LOG_TPM + TOLERANCE):
        return
    raise InputError(
        f"{place}: values go from {lowest:.4g} to {highest:.4g}, but ln(TPM + 1) lies "
        f"between 0 and {LARGEST_LOG_TPM:.4g}; convert log2(TPM + 1) by multiplying with ln 2, and "
        "give nothing else in its place"
    )
