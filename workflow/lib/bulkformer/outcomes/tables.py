"""The canonical tables of outcomes: their columns, and the summary that stands beside each.

A benchmark reads these columns whatever provider they came from. The summary says how many rows
there are, how many were dropped and why, how well identifiers joined, and under which licence the
sources may be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bulkformer.files import write_json, write_table

Sources = tuple[Sequence[Path], Sequence[str]]  # files that were read; their licences

SURVIVAL = pa.schema(
    [
        ("patient_id", pa.string()),
        ("cancer", pa.string()),  # TCGA code, such as BRCA
        ("endpoint", pa.string()),  # OS, DSS, DFI or PFI
        ("event", pa.int8()),  # 1 observed, 0 censored
        ("time_days", pa.float64()),  # above zero
    ]
)
CLINICAL = pa.schema(
    [
        ("patient_id", pa.string()),
        ("age_years", pa.float64()),  # at diagnosis; null where unknown, as are the others
        ("sex", pa.string()),  # female or male
        ("stage", pa.string()),  # 0, I, II, III or IV
    ]
)
RESPONSE = pa.schema(
    [
        ("dataset", pa.string()),
        ("screen_id", pa.string()),  # dataset and the provider's drug id: one assay
        ("drug_id", pa.string()),  # of `drugs`: one compound, however often it was screened
        ("cell_line_id", pa.string()),  # of `cell_lines`
        ("ln_ic50", pa.float64()),  # natural logarithm of micromolar
        ("auc", pa.float64()),  # area under the curve, 0 to 1; null where unknown
        ("rmse", pa.float64()),  # of the fitted curve; null where unknown
        ("max_conc_um", pa.float64()),  # highest concentration tested; null where unknown
    ]
)
DRUGS = pa.schema(
    [
        ("drug_id", pa.string()),  # the first of source_ids
        ("name", pa.string()),
        ("pubchem_cid", pa.int64()),  # null where unknown
        ("inchikey", pa.string()),  # null where unknown
        ("smiles", pa.string()),  # null where unknown
        ("scaffold", pa.string()),  # of SMILES; InChIKey-14 of a molecule without rings
        ("source_ids", pa.list_(pa.string())),  # "<dataset>:<drug id there>"
    ]
)
CELL_LINES = pa.schema(
    [
        ("cell_line_id", pa.string()),  # ACH id; the SIDM id of lines that DepMap does not have
        ("sanger_id", pa.string()),  # SIDM id; null where unknown
        ("patient_id", pa.string()),  # lines of one patient are never split
        ("parent", pa.string()),  # cell_line_id of the line it was derived from; null for most
        ("lineage", pa.string()),
        ("cellosaurus", pa.string()),
        ("name", pa.string()),
    ]
)
DEPENDENCY = pa.schema(
    [
        ("gene_id", pa.string()),
        ("cell_line_id", pa.string()),
        ("effect", pa.float32()),  # Chronos or CERES score, more negative is more essential
        ("probability", pa.float32()),  # of being a dependency; 0 or 1 where only calls exist
        ("release", pa.string()),
    ]
)
DISEASE_DATASETS = pa.schema(
    [
        ("dataset_id", pa.string()),
        ("study_id", pa.string()),  # GEO series, TCGA project, ...
        ("disease", pa.string()),
        ("disease_id", pa.string()),
        ("tissue", pa.string()),
        ("organism", pa.string()),
        ("library_strategy", pa.string()),
        ("n_control", pa.int64()),
        ("n_case", pa.int64()),
    ]
)


def finish(
    output: Path, table: pa.Table, summary: Path, content: dict[str, Any], sources: Sources
) -> None:
    """Write a table that fits in memory, and its summary."""
    write_table(output, table)
    finish_summary(summary, len(table), content, sources)


def finish_summary(path: Path, rows: int, content: dict[str, Any], sources: Sources) -> None:
    """Write the summary of a table of `rows` rows; `content` says what was dropped and joined."""
    files, licences = sources
    write_json(
        path,
        content
        | {"rows": rows, "files": [file.name for file in files], "licence": sorted(licences)},
    )
