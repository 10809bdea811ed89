"""UCSC Xena's toil matrix: TCGA, GTEx and TARGET through one pipeline, genes by samples.

Values are log2(expected count + 1), which the column transform of the cohorts table undoes. Genes
are GENCODE ids with versions, `_PAR_Y` among them; the phenotype table is not UTF-8.
"""

from __future__ import annotations

import re

import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.counts import Blocks, CohortFiles, Counts, check_unique
from bulkformer.sources.samples import complete, from_barcodes, join, read_sample_table, select
from bulkformer.sources.text_matrix import TextMatrix, read_header, sample_blocks

ENCODING = "latin-1"
PHENOTYPE = {
    "sample_id": "sample",
    "study_id": "_study",
    "tissue": "_primary_site",
    "disease": "primary disease or tissue",
    "sample_type": "_sample_type",
    "category": "detailed_category",
}
TARGET_PATIENT = re.compile(r"TARGET-\w{2}-[A-Z0-9]+")
GTEX_DONOR = re.compile(r"GTEX-[A-Z0-9]+")


def read(files: CohortFiles) -> Counts:
    """Open a matrix of Xena whose first column is `sample`, and its phenotype table.

    Patients (TCGA, TARGET) and donors (GTEx) are part of the sample ids. Raises InputError for a
    matrix that is none of Xena's and for samples that do not match.
    """
    path = files.expression
    columns = read_header(path)
    if columns[0] != "sample":
        raise InputError(
            f"{path}: starts with '{columns[0][:40]}' and not with 'sample'; give an expression "
            "matrix of a Xena hub, or use the format matrix"
        )
    matrix = TextMatrix(path, 0, columns, 0, list(range(1, len(columns))))
    gene_ids, sample_ids = matrix.labels(), columns[1:]
    if files.samples:
        table = read_sample_table(files.samples, ENCODING)
        table = select(table, PHENOTYPE | files.columns, files.samples)
        positions, samples = join(sample_ids, table, path, files.samples)
    else:
        check_unique(sample_ids, path)
        positions, samples = list(range(len(sample_ids))), pd.DataFrame({"sample_id": sample_ids})
    samples = _people(samples)
    chosen = [matrix.values[at] for at in positions]

    def blocks(max_samples: int) -> Blocks:
        return sample_blocks(matrix, chosen, samples["sample_id"].tolist(), max_samples)

    return Counts(gene_ids, complete(samples, files.samples or path), blocks)


def _people(samples: pd.DataFrame) -> pd.DataFrame:
    """Add patients and donors, as far as the sample table was not asked for them."""
    samples = from_barcodes(samples)
    found = {"patient_id": TARGET_PATIENT, "donor_id": GTEX_DONOR}
    for column, pattern in found.items():
        matches = [pattern.match(sample_id) for sample_id in samples["sample_id"]]
        derived = pd.Series([m[0] if m else None for m in matches], index=samples.index)
        given = samples.get(column, pd.Series(None, index=samples.index, dtype=object))
        samples = samples.assign(**{column: given.where(given.notna(), derived)})
    return samples
