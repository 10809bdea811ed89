"""DepMap: expression of cell lines, models in rows and `SYMBOL (ENTREZ)` in columns.

Values are log2(TPM + 1) of protein-coding genes; transform and unit of the cohorts table say so.
Until 24Q4 the first column is the model; since 25Q2 several columns describe a profile first, and a
model may have several profiles, one of which is its default.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.counts import Blocks, CohortFiles, Counts, check_unique
from bulkformer.sources.samples import complete, join, read_sample_table, select
from bulkformer.sources.text_matrix import TextMatrix, chosen_rows, read_header

GENE = re.compile(r"\S.* \((\d+)\)")
DEFAULT = "IsDefaultEntryForModel"
YES = frozenset(["yes", "true", "1"])
MODEL = {
    "sample_id": "ModelID",
    "cell_line_id": "ModelID",
    "patient_id": "PatientID",
    "lineage": "OncotreeLineage",
    "disease": "OncotreePrimaryDisease",
}


def read(files: CohortFiles) -> Counts:
    """Open an expression file of DepMap and its Model.csv.

    `gene_ids` are plain Entrez ids; a column that states none keeps its name. Of several profiles
    of a model the default one is read. Raises InputError if no column is `SYMBOL (ENTREZ)`, and if
    a model stands twice with nothing to choose by.
    """
    path = files.expression
    columns = read_header(path)
    matches = [GENE.fullmatch(name) for name in columns]
    first = next((at for at, match in enumerate(matches) if match), 0)
    if first == 0:
        raise InputError(
            f"{path}: no column is a gene as 'SYMBOL (ENTREZ)' after one of models, the first are "
            f"{columns[:3]}; give an expression file of DepMap, or use the format matrix"
        )
    described = columns[:first]
    label = described.index("ModelID") if "ModelID" in described else 0
    genes = list(range(first, len(columns)))
    gene_ids = [matches[at][1] if matches[at] else columns[at] for at in genes]
    matrix = TextMatrix(path, 0, columns, label, genes)
    default = [described.index(DEFAULT)] if DEFAULT in described else []
    models, *flags = matrix.texts([label, *default])
    rows = [at for at in range(len(models)) if not flags or flags[0][at].strip().lower() in YES]
    _check_rows(rows, models, path)
    sample_ids = [models[at] for at in rows]
    if files.samples:
        table = read_sample_table(files.samples)
        table = select(table, MODEL | files.columns, files.samples)
        positions, samples = join(sample_ids, table, path, files.samples)
    else:
        check_unique(sample_ids, path)
        positions = list(range(len(sample_ids)))
        samples = pd.DataFrame({"sample_id": sample_ids, "cell_line_id": sample_ids})
    samples = samples.assign(**({} if "study_id" in samples else {"study_id": "DepMap"}))
    chosen = [rows[at] for at in positions]

    def blocks(max_samples: int) -> Blocks:
        return chosen_rows(matrix.rows(), chosen, models, max_samples)

    return Counts(gene_ids, complete(samples, files.samples or path), blocks)


def _check_rows(rows: list[int], models: list[str], path: Path) -> None:
    if not rows:
        raise InputError(f"{path}: no row says Yes in '{DEFAULT}'; fetch the file again")
    seen: set[str] = set()
    for at in rows:
        if models[at] in seen:
            raise InputError(
                f"{path}: the model '{models[at]}' has several profiles and '{DEFAULT}' does not "
                "choose one; keep one row of it"
            )
        seen.add(models[at])
