"""The cohort step: counts of one cohort on the gene axis, their ln(TPM + 1), and who was kept.

Samples pass through in blocks, so that a corpus larger than memory can be brought in. Both stores
hold the kept samples only, in the order of their rows in samples.parquet.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.identifiers import GeneMapping, map_genes
from bulkformer.expression.normalise import check_log_tpm, log_tpm
from bulkformer.expression.quality import (
    REASONS,
    Thresholds,
    reasons_from_counts,
    reasons_from_table,
)
from bulkformer.expression.store import create_store
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.files import sha256, write_json, write_table
from bulkformer.sources.counts import Counts
from bulkformer.sources.reader import open_cohort

UNITS = ["counts", "expected_counts", "scaled_counts"]
LABELS = [
    "study_id",
    "patient_id",
    "donor_id",
    "cell_line_id",
    "tissue",
    "disease",
    "cancer_type",
    "sample_type",
]
QUALITY = ["library_size", "n_genes_detected", "missing_rate", "kept", "reason"]
# log2 of a 32-bit count is below 33; some gene of every real cohort has more counts than that.
LARGEST_LOGARITHM = 33.0


def cohort(
    cohort: Annotated[str, Option(help="Name of the cohort.")],
    expression: Annotated[Path, Option(help="File of counts.")],
    format: Annotated[str, Option(help="Reader.")],
    gene_ids: Annotated[str, Option(help="Identifier system of the genes.")],
    unit: Annotated[str, Option(help="counts, expected_counts or scaled_counts.")],
    min_shared_vocabulary: Annotated[float, Option()],
    min_detected_genes: Annotated[int, Option()],
    min_library_size: Annotated[float, Option()],
    max_single_cell_probability: Annotated[float, Option()],
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    counts: Annotated[Path, Option(help="Store of counts to write.")],
    log_tpm: Annotated[Path, Option(help="Store of ln(TPM + 1) to write.")],
    samples_output: Annotated[Path, Option(help="samples.parquet to write.")],
    coverage: Annotated[Path, Option(help="coverage.json to write.")],
    samples: Annotated[Path | None, Option(help="Sample table.")] = None,
    orientation: Annotated[str, Option()] = "genes_in_rows",
    sample_columns: Annotated[str, Option(help="ours=theirs;ours=theirs")] = "",
) -> None:
    """Bring one cohort onto the gene axis."""
    if unit not in UNITS:
        raise InputError(f"unit '{unit}' of {cohort} is unknown; known are {', '.join(UNITS)}")
    vocabulary = Vocabulary.load(genes)
    opened = open_cohort(
        format, expression, samples, orientation=orientation, sample_columns=sample_columns
    )
    mapping = map_genes(opened.gene_ids, gene_ids, vocabulary)
    check_shared(mapping, opened.gene_ids, expression, min_shared_vocabulary)
    thresholds = Thresholds(min_detected_genes, min_library_size, max_single_cell_probability)
    quality = write_stores(
        opened, mapping, vocabulary, unit, thresholds, expression, counts, log_tpm
    )
    table = samples_table(cohort, opened.samples, quality)
    write_table(samples_output, table)

    dropped = Counter(reason for reason in quality["reason"] if reason)
    content = {
        "cohort": cohort,
        "format": format,
        "unit": unit,
        "files": [
            {"name": path.name, "bytes": path.stat().st_size}
            for path in [expression, samples]
            if path
        ],
        **mapping.summary,
        "samples": len(quality),
        "samples_kept": int(quality["kept"].sum()),
        "samples_dropped": {reason: dropped[reason] for reason in REASONS if dropped[reason]},
        "thresholds": vars(thresholds),
        # The identity of the values themselves, for whoever learns from them.
        "log_tpm_sha256": sha256(log_tpm),
        "median_library_size": _median(quality, "library_size"),
        "median_genes_detected": _median(quality, "n_genes_detected"),
    }
    write_json(coverage, content)
    print(
        f"{cohort}: {content['samples_kept']} of {content['samples']} samples kept, "
        f"{content['genes_measured']} of {content['vocabulary_genes']} genes measured",
        file=sys.stderr,
    )


def check_shared(
    mapping: GeneMapping, identifiers: list[str], path: Path, min_share: float
) -> None:
    """Raise InputError if a file measured too little of the vocabulary, before counts are read."""
    share = mapping.summary["vocabulary_share"]
    if share < min_share or not mapping.measured.any():
        examples = ", ".join(f"'{identifier}'" for identifier in identifiers[:3])
        raise InputError(
            f"{path}: measured {share:.1%} of the vocabulary with gene_ids "
            f"'{mapping.summary['gene_ids']}', and {min_share:.1%} are asked for. Its first genes "
            f"are {examples}: correct gene_ids in the cohorts table, or lower "
            "expression.quality.min_shared_vocabulary"
        )


def write_stores(
    opened: Counts,
    mapping: GeneMapping,
    vocabulary: Vocabulary,
    unit: str,
    thresholds: Thresholds,
    path: Path,
    counts: Path,
    log_tpm_path: Path,
) -> pd.DataFrame:
    """Write counts and ln(TPM + 1) of the kept samples and return the quality of all.

    Returns a row a sample: sample_id and the columns QUALITY. Raises InputError for values that
    are not of `unit`, and if no sample is kept.
    """
    measured = mapping.measured
    from_table = reasons_from_table(opened.samples, thresholds)
    blocks, largest, done = [], 0.0, 0
    with (
        create_store(counts, measured, unit) as counts_store,
        create_store(log_tpm_path, measured, "log_tpm") as log_tpm_store,
    ):
        for sample_ids, values in opened.blocks():
            if unit == "counts":
                check_whole_numbers(values, sample_ids, opened.gene_ids, path)
            largest = max(largest, float(values.max(initial=0)))
            projected = mapping.project(values)
            known = np.ascontiguousarray(projected[:, measured])
            total, detected = known.sum(axis=1), (known > 0).sum(axis=1)
            of_counts = reasons_from_counts(total, detected, unit != "scaled_counts", thresholds)
            of_table = from_table[done : done + len(sample_ids)]
            reasons = [a or b for a, b in zip(of_table, of_counts, strict=True)]
            kept = np.array([reason is None for reason in reasons])
            if kept.any():
                kept_ids = [sample_ids[row] for row in np.flatnonzero(kept)]
                logged = log_tpm(projected[kept], vocabulary.length_bp, measured)
                check_log_tpm(logged, str(path))
                counts_store.write(kept_ids, projected[kept])
                log_tpm_store.write(kept_ids, logged)
            blocks.append(
                pd.DataFrame(
                    {
                        "sample_id": sample_ids,
                        "library_size": np.nan if unit == "scaled_counts" else total,
                        "n_genes_detected": detected,
                        "missing_rate": 1 - measured.mean(),
                        "kept": kept,
                        "reason": reasons,
                    }
                )
            )
            done += len(sample_ids)
        check_not_logarithms(largest, unit, path)
        quality = pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame({"kept": []})
        check_any_kept(quality, path)
    return quality


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
            f"{values[row, column]:g}, and unit 'counts' means whole numbers. Set unit to "
            "expected_counts (RSEM and the like) or scaled_counts (divided by a factor a sample) "
            "in the cohorts table; logarithms, TPM and FPKM are no counts"
        )


def check_not_logarithms(largest: float, unit: str, path: Path) -> None:
    """Raise InputError if no value of a whole cohort is beyond what log2(counts + 1) can reach."""
    if unit != "counts" and 0 < largest < LARGEST_LOGARITHM:
        raise InputError(
            f"{path}: the largest value of all samples is {largest:g}, as of logarithms; give "
            "counts that were never logged"
        )


def check_any_kept(quality: pd.DataFrame, path: Path) -> None:
    """Raise InputError if no sample passed, saying how many failed by which reason."""
    if not quality["kept"].any():
        counted = Counter(quality.get("reason", []))
        said = ", ".join(f"{times} {reason}" for reason, times in counted.most_common())
        raise InputError(
            f"{path}: none of {len(quality)} samples is kept ({said or 'the file has none'}); "
            "loosen expression.quality, or check the unit of the counts"
        )


def samples_table(cohort: str, samples: pd.DataFrame, quality: pd.DataFrame) -> pa.Table:
    """Return samples.parquet: fixed columns first, then the other labels as strings.

    `samples` and `quality` have one row a sample in the same order, which the ids confirm.
    """
    if samples["sample_id"].tolist() != quality["sample_id"].tolist():
        raise ValueError("the reader gave other samples than it announced")
    fixed = ["sample_id", "cohort", *LABELS, *QUALITY]
    others = [name for name in samples if name not in fixed]
    columns = {"sample_id": _text(samples["sample_id"])}
    columns["cohort"] = pa.array([cohort] * len(samples), pa.string())
    for name in LABELS:
        columns[name] = (
            _text(samples[name]) if name in samples else pa.nulls(len(samples), pa.string())
        )
    columns["library_size"] = pa.array(quality["library_size"], pa.float64(), from_pandas=True)
    columns["n_genes_detected"] = pa.array(quality["n_genes_detected"], pa.int64())
    columns["missing_rate"] = pa.array(quality["missing_rate"], pa.float64())
    columns["kept"] = pa.array(quality["kept"], pa.bool_())
    columns["reason"] = pa.array(quality["reason"].tolist(), pa.string())
    columns |= {name: _text(samples[name]) for name in others}
    return pa.table(columns)


def _text(column: pd.Series) -> pa.Array:
    return pa.array([None if pd.isna(value) else str(value) for value in column], pa.string())


def _median(quality: pd.DataFrame, column: str) -> float | None:
    values: Any = quality.loc[quality["kept"], column].dropna()
    return float(values.median()) if len(values) else None


if __name__ == "__main__":
    command(cohort)
