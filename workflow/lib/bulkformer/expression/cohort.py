"""The cohort step: counts of one cohort on the gene axis, their ln(TPM + 1), and who was kept.

Both stores hold the kept samples only, in the order of their rows in samples.parquet.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.conversion import UNITS, Plan, write_stores
from bulkformer.expression.identifiers import GeneMapping, map_genes
from bulkformer.expression.normalise import choose_denominator
from bulkformer.expression.quality import REASONS, Thresholds
from bulkformer.expression.resume import conversion
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.files import library_hash, sha256, write_json, write_table
from bulkformer.sources.reader import open_cohort

LABELS = [
    "study_id",
    "patient_id",
    "donor_id",
    "cell_line_id",
    "biosample",
    "tissue",
    "disease",
    "cancer_type",
    "sample_type",
]
QUALITY = ["library_size", "n_genes_detected", "missing_rate", "kept", "reason"]
LIBRARY = Path(__file__).parents[1]


def cohort(
    cohort: Annotated[str, Option(help="Name of the cohort.")],
    expression: Annotated[Path, Option(help="File of counts.")],
    format: Annotated[str, Option(help="Reader.")],
    gene_ids: Annotated[str, Option(help="Identifier system of the genes.")],
    unit: Annotated[str, Option(help="counts, expected_counts, scaled_counts or tpm.")],
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
    transform: Annotated[str, Option(help="What was done to the values; it is undone.")] = "",
    tpm_denominator: Annotated[
        str, Option(help="vocabulary, protein_coding or all_supplied.")
    ] = "vocabulary",
    annotation: Annotated[Path | None, Option(help="All genes, annotation.parquet.")] = None,
    threads: Annotated[int, Option(help="Threads that read and compute; the result is one.")] = 1,
) -> None:
    """Bring one cohort onto the gene axis.

    A run that was killed is continued where the format can be read from the middle.
    """
    if unit not in UNITS:
        raise InputError(f"unit '{unit}' of {cohort} is unknown; known are {', '.join(UNITS)}")
    vocabulary = Vocabulary.load(genes)
    opened = open_cohort(
        format,
        expression,
        samples,
        orientation=orientation,
        sample_columns=sample_columns,
        transform=transform,
    )
    mapping = map_genes(opened.gene_ids, gene_ids, vocabulary)
    check_shared(mapping, opened.gene_ids, expression, min_shared_vocabulary)
    denominator = choose_denominator(
        tpm_denominator,
        opened.gene_ids,
        mapping,
        vocabulary,
        Vocabulary.load(annotation) if annotation else None,
    )
    thresholds = Thresholds(min_detected_genes, min_library_size, max_single_cell_probability)
    plan = Plan(
        opened, mapping, denominator, vocabulary.length_bp, unit, thresholds, expression, threads
    )
    settings = [cohort, format, gene_ids, unit, orientation, sample_columns, transform]
    key = inputs_hash(
        [expression, samples], [genes, annotation], [*settings, tpm_denominator, vars(thresholds)]
    )
    with conversion(counts, log_tpm, mapping.measured, unit, key, opened.can_skip) as stores:
        quality = write_stores(plan, stores)
        check_any_kept(quality, expression)
        dropped = Counter(reason for reason in quality["reason"] if reason)
        content = {
            "cohort": cohort,
            "format": format,
            "unit": unit,
            "transform": transform,
            "tpm_denominator": tpm_denominator,
            "denominator_genes_outside_vocabulary": len(denominator.rows),
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
            "log_tpm_sha256": stores.close(),
            "median_library_size": _median(quality, "library_size"),
            "median_genes_detected": _median(quality, "n_genes_detected"),
        }
        write_table(samples_output, samples_table(cohort, opened.samples, quality))
        write_json(coverage, content)
    print(
        f"{cohort}: {content['samples_kept']} of {content['samples']} samples kept, "
        f"{content['genes_measured']} of {content['vocabulary_genes']} genes measured",
        file=sys.stderr,
    )


def inputs_hash(
    large: Sequence[Path | None], small: Sequence[Path | None], settings: Sequence[Any]
) -> str:
    """Return a hash of all that goes into the stores, the code that makes them included.

    Large files count by place, size and time of change, small ones by content.
    """
    parts: list[Any] = [library_hash(LIBRARY / stage) for stage in ["sources", "expression"]]
    for path in filter(None, large):
        status = path.stat()
        parts.append([str(path.resolve()), status.st_size, status.st_mtime_ns])
    parts += [*settings, *(sha256(path) for path in small if path)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


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

    `samples` and `quality` have one row a sample in the same order.
    """
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
