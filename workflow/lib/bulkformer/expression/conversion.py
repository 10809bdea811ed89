"""Reads a cohort once and writes both stores: counts on the gene axis and their ln(TPM + 1).

Samples pass through in blocks, so that a corpus larger than memory can be brought in. Threads work
on one record batch of a block each; which thread had a batch changes nothing in it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.expression.identifiers import GeneMapping
from bulkformer.expression.normalise import Denominator, Normaliser, check_log_tpm
from bulkformer.expression.quality import (
    REASONS,
    Thresholds,
    reasons_from_counts,
    reasons_from_table,
)
from bulkformer.expression.resume import RECORD, Conversion
from bulkformer.expression.store import BATCH_SAMPLES
from bulkformer.sources.counts import Blocks, Counts, Part

ROWS = 8  # samples that a processor works on at once: their counts stay in its cache
UNITS = ["counts", "expected_counts", "scaled_counts", "tpm"]
READS = ["counts", "expected_counts"]  # units whose sum is a number of reads
# log2 of a 32-bit count is below 33; some gene of every real cohort has more counts than that.
LARGEST_LOGARITHM = 33.0
LARGEST_TPM_TOTAL = 1.01e6  # rounding aside, TPM of some genes sum to a million at the most


@dataclass(frozen=True)
class Plan:
    """What is to be converted, and how.

    Attributes
    ----------
    mapping, denominator : of the genes of `opened`
    lengths_bp : float64 [n_genes]
    unit : one of UNITS
    path : the file of counts, for messages
    """

    opened: Counts
    mapping: GeneMapping
    denominator: Denominator
    lengths_bp: np.ndarray
    unit: str
    thresholds: Thresholds
    path: Path
    threads: int = 1


@dataclass(frozen=True)
class Batch:
    """Samples on the gene axis; the stores get the kept ones.

    Attributes
    ----------
    kept : rows of the samples that are kept
    counts, log_tpm : float32 [n_kept, n_genes]
    records : one RECORD a sample, kept or not
    """

    kept: np.ndarray
    counts: np.ndarray
    log_tpm: np.ndarray
    records: np.ndarray


def write_stores(plan: Plan, stores: Conversion) -> pd.DataFrame:
    """Write the kept samples that are not in `stores` yet and return the quality of all samples.

    Returns a row a sample: sample_id, library_size, n_genes_detected, missing_rate, kept, reason.
    Raises InputError for values that are not of the plan's unit.
    """
    blocks, mapping, denominator = open_blocks(plan, stores.samples)
    align = Aligner(plan, mapping, denominator)
    announced = plan.opened.samples["sample_id"].tolist()
    reasons = reasons_from_table(plan.opened.samples, plan.thresholds)
    with ThreadPoolExecutor(plan.threads) as pool:
        for sample_ids, values in blocks:
            check_unit(values, sample_ids, plan)
            largest = float(values.max(initial=0)) if plan.unit != "counts" else 0.0
            done, records = stores.samples, []
            if sample_ids != announced[done : done + len(sample_ids)]:
                raise ValueError("the reader gave other samples than it announced")
            starts = range(0, len(sample_ids), BATCH_SAMPLES)
            parts = [slice(start, start + BATCH_SAMPLES) for start in starts]
            of_block = reasons[done : done + len(sample_ids)]
            of_table = [of_block[part] for part in parts]
            batches = pool.map(align.batch, [values[part] for part in parts], of_table)
            for part, batch in zip(parts, batches, strict=True):
                if len(batch.kept):
                    kept_ids = [sample_ids[part.start + row] for row in batch.kept]
                    stores.counts.write(kept_ids, batch.counts)
                    stores.log_tpm.write(kept_ids, batch.log_tpm)
                records.append(batch.records)
            stores.add(np.concatenate(records), largest)
    if stores.samples != len(announced):
        raise ValueError("the reader gave fewer samples than it announced")
    check_not_logarithms(stores.largest, plan.unit, plan.path)
    return quality_table(plan, stores.records())


def open_blocks(plan: Plan, start: int) -> tuple[Blocks, GeneMapping, Denominator]:
    """Return the blocks from sample `start` on, and where their columns lie."""
    if not plan.opened.can_skip:
        return plan.opened.blocks(), plan.mapping, plan.denominator
    rows = np.union1d(plan.mapping.rows, plan.denominator.rows)
    part = Part(rows, start, threads=plan.threads)
    return plan.opened.part(part), plan.mapping.within(rows), plan.denominator.within(rows)


class Aligner:
    """Brings samples onto the gene axis; has no state, so that threads can share it."""

    def __init__(self, plan: Plan, mapping: GeneMapping, denominator: Denominator) -> None:
        """Take a plan, and mapping and denominator for the columns that `batch` will get."""
        self._plan = plan
        self._mapping = mapping
        self._inside = denominator.inside
        lengths_bp = None if plan.unit == "tpm" else plan.lengths_bp
        self._normaliser = Normaliser(lengths_bp, mapping.measured, denominator)
        self._unmeasured = np.flatnonzero(~mapping.measured)

    def batch(self, values: np.ndarray, reasons: list[str | None]) -> Batch:
        """Return the samples `values` [n, n_genes_in_file] aligned and judged.

        `reasons` says why a sample is left out already, None if it is not.
        """
        n_genes = len(self._mapping.measured)
        counts = np.empty((len(values), n_genes), dtype=np.float32)
        log_tpm = np.empty_like(counts)
        records = np.zeros(len(values), RECORD)
        done = 0
        for start in range(0, len(values), ROWS):
            part = slice(start, start + ROWS)
            of_file = values[part].astype(np.float32)
            aligned = counts[done : done + len(of_file)]
            self._mapping.project(of_file, aligned)
            records[part] = self._judged(aligned, reasons[part])
            kept = np.flatnonzero(records["reason"][part] < 0)
            if len(kept) < len(aligned):
                aligned = counts[done : done + len(kept)]
                aligned[:] = counts[done:][kept]
                of_file = of_file[kept]
            further = self._normaliser.further(of_file)
            logged = log_tpm[done : done + len(kept)]
            self._normaliser.log_tpm(aligned, further, logged)
            # Genes outside of the denominator may have more than its million.
            of_million = logged if self._inside.all() else logged[:, self._inside]
            check_log_tpm(of_million, str(self._plan.path))
            done += len(kept)
        kept = np.flatnonzero(records["reason"] < 0)
        return Batch(kept, counts[:done], log_tpm[:done], records)

    def _judged(self, counts: np.ndarray, reasons: list[str | None]) -> np.ndarray:
        plan = self._plan
        known = counts[:, self._mapping.measured] if len(self._unmeasured) else counts
        total = known.sum(axis=1, dtype=np.float64)
        detected = [np.count_nonzero(row) for row in counts > 0]  # NaN is not above zero
        of_counts = reasons_from_counts(
            total, np.array(detected), plan.unit in READS, plan.thresholds
        )
        said = [a or b for a, b in zip(reasons, of_counts, strict=True)]
        records = np.zeros(len(counts), RECORD)
        records["total"], records["n_genes_detected"] = total, detected
        records["reason"] = [REASONS.index(reason) if reason else -1 for reason in said]
        return records


def quality_table(plan: Plan, records: np.ndarray) -> pd.DataFrame:
    """Return one row a sample of what the records say."""
    reason = np.array([*REASONS, None], dtype=object)[records["reason"]]
    return pd.DataFrame(
        {
            "sample_id": plan.opened.samples["sample_id"],
            "library_size": records["total"] if plan.unit in READS else np.nan,
            "n_genes_detected": records["n_genes_detected"],
            "missing_rate": 1 - plan.mapping.measured.mean(),
            "kept": records["reason"] < 0,
            "reason": reason,
        }
    )


def check_unit(values: np.ndarray, sample_ids: list[str], plan: Plan) -> None:
    """Raise InputError for a block [n, n_genes] whose values cannot be of the plan's unit."""
    if plan.unit == "counts":
        check_whole_numbers(values, sample_ids, plan.opened.gene_ids, plan.path)
    if plan.unit == "tpm":
        totals = values.sum(axis=1, dtype=np.float64)
        if (totals > LARGEST_TPM_TOTAL).any():
            row = int(np.argmax(totals))
            raise InputError(
                f"{plan.path}: the values of sample '{sample_ids[row]}' sum to {totals[row]:.6g}, "
                "and TPM sum to a million at the most; correct unit or transform in the cohorts "
                "table"
            )


def check_whole_numbers(
    values: np.ndarray, sample_ids: list[str], gene_ids: list[str], path: Path
) -> None:
    """Raise InputError for the first count of [n, n_genes] that is not a whole number."""
    if values.dtype.kind in "iu":
        return
    broken = values != np.floor(values)
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise InputError(
            f"{path}: the count of gene '{gene_ids[column]}' in sample '{sample_ids[row]}' is "
            f"{values[row, column]:.10g}, and unit 'counts' means whole numbers. Set unit to "
            "expected_counts (RSEM and the like) or scaled_counts (divided by a factor a sample) "
            "(the cohorts table, or --unit); logarithms, TPM and FPKM are no counts"
        )


def check_not_logarithms(largest: float, unit: str, path: Path) -> None:
    """Raise InputError if no value of a whole cohort is beyond what log2(counts + 1) can reach."""
    if unit != "counts" and 0 < largest < LARGEST_LOGARITHM:
        raise InputError(
            f"{path}: the largest value of all samples is {largest:g}, as of logarithms; give "
            "counts that were never logged"
        )
