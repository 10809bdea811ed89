"""GTEx: gene read counts as GCT 1.2 and the sample attributes that go with them.

A GCT opens with `#1.2`, a line of two dimensions, and a header `Name Description sample…`; Name is
an Ensembl gene id with a version. The first two fields of a sample id are the donor.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.counts import Blocks, CohortFiles, Counts, check_unique
from bulkformer.sources.samples import complete, join, read_sample_table, select
from bulkformer.sources.text_matrix import (
    UNREADABLE,
    TextMatrix,
    open_text,
    read_header,
    sample_blocks,
)

HEADER_LINE = 2
ATTRIBUTES = {"sample_id": "SAMPID", "tissue": "SMTS", "tissue_detail": "SMTSD"}


def read(files: CohortFiles) -> Counts:
    """Open a GCT file, plain or gzipped.

    Labels come from the sample attributes (SMTS, SMTSD), and without them stay unknown. Raises
    InputError if the dimensions that the file states are not those of its content.
    """
    path = files.expression
    n_genes, n_samples = _dimensions(path)
    columns = read_header(path, HEADER_LINE)
    if "Name" not in columns or "Description" not in columns:
        raise InputError(f"{path}: line 3 has no columns Name and Description; give a GCT 1.2 file")
    # Files of single tissues start with a column of row numbers.
    first = columns.index("Description") + 1
    matrix = TextMatrix(
        path, HEADER_LINE, columns, columns.index("Name"), list(range(first, len(columns)))
    )
    gene_ids = matrix.labels()
    if (n_genes, n_samples) != (len(gene_ids), len(matrix.values)):
        raise InputError(
            f"{path}: line 2 states {n_genes} genes and {n_samples} samples, but the file has "
            f"{len(gene_ids)} and {len(matrix.values)}; it is damaged, fetch it again"
        )
    sample_ids = columns[first:]
    if files.samples:
        table = read_sample_table(files.samples)
        table = select(table, ATTRIBUTES | files.columns, files.samples)
        positions, samples = join(sample_ids, table, path, files.samples)
    else:
        check_unique(sample_ids, path)
        positions, samples = list(range(n_samples)), pd.DataFrame({"sample_id": sample_ids})
    samples = _donors(samples)
    chosen = [matrix.values[at] for at in positions]

    def blocks(max_samples: int) -> Blocks:
        return sample_blocks(matrix, chosen, samples["sample_id"].tolist(), max_samples)

    return Counts(gene_ids, complete(samples, files.samples or path), blocks)


def _dimensions(path: Path) -> tuple[int, int]:
    try:
        with open_text(path) as handle:
            version, dimensions = handle.readline().strip(), handle.readline().split()
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable GCT file ({error}); fetch it again") from error
    if version != "#1.2" or len(dimensions) != 2 or not all(map(str.isdigit, dimensions)):
        raise InputError(
            f"{path}: starts with '{version[:40]}' and not with '#1.2' and a line of two "
            "dimensions; give a GCT file of version 1.2"
        )
    return int(dimensions[0]), int(dimensions[1])


def _donors(samples: pd.DataFrame) -> pd.DataFrame:
    """Add donor and study where the sample table was not asked for them: GTEX-1117F-0226-SM-…"""
    derived = {
        "donor_id": ["-".join(sample_id.split("-")[:2]) for sample_id in samples["sample_id"]],
        "study_id": "GTEx",
    }
    return samples.assign(**{name: derived[name] for name in derived if name not in samples})
