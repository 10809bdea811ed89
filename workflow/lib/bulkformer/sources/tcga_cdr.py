"""TCGA-CDR: the curated clinical endpoints of 33 cancer types (Liu et al. 2018).

OS overall survival, DSS disease-specific survival, DFI disease-free interval, PFI
progression-free interval; each is an event (0 or 1) and a time in days. That paper says which
endpoint may be used for which cancer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.fields import nothing_to_none, numbers, read_fields
from bulkformer.sources.workbook import read_sheet

SHEET = "TCGA-CDR"
NAMES = {"patient_id": "bcr_patient_barcode", "cancer": "type", "redaction": "Redaction"}
COVARIATES = {
    "patient_id": NAMES["patient_id"],
    "age": "age_at_initial_pathologic_diagnosis",
    "sex": "gender",
    "stage": "ajcc_pathologic_tumor_stage",
    "clinical_stage": "clinical_stage",
}
FORMATS = ["tcga_cdr", "table"]


def read_endpoints(
    format: str, path: Path, endpoints: Sequence[str], columns: Mapping[str, str]
) -> pd.DataFrame:
    """Read endpoints of patients, one row a row of the file.

    Parameters
    ----------
    format : "tcga_cdr" is the workbook of the publication; "table" is a TSV, CSV or Parquet file
        whose `columns` map patient_id, cancer, redaction (may be left out), and each endpoint and
        `<endpoint>.time` to its own names

    Returns
    -------
    patient_id, cancer, redaction (str or None) and float columns `<endpoint>`, `<endpoint>.time`
    (days), NaN where not available. Raises InputError for events other than 0 and 1.
    """
    values = [name for endpoint in endpoints for name in (endpoint, f"{endpoint}.time")]
    if format == "tcga_cdr":
        names = NAMES | {name: name for name in values}
        sheet = read_sheet(path, SHEET, list(names.values()))
        table = pd.DataFrame(
            {ours: nothing_to_none(sheet[theirs]) for ours, theirs in names.items()}, dtype=object
        )
    elif format == "table":
        names = {name: columns.get(name, name) for name in [*NAMES, *values]}
        optional = {"redaction": names.pop("redaction")}
        table = read_fields(path, names, optional, "outcomes.survival.columns")
    else:
        raise InputError(f"survival format '{format}' is unknown; known are {', '.join(FORMATS)}")

    result = pd.DataFrame({name: table[name] for name in NAMES}, dtype=object)
    for name in values:
        result[name] = numbers(table, name, path)
    for endpoint in endpoints:
        event = result[endpoint].to_numpy()
        wrong = ~(np.isnan(event) | (event == 0) | (event == 1))
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"{path}: {endpoint} of patient {result['patient_id'][row]} is {event[row]:g}; an "
                "event is 1 and its absence 0"
            )
    return result


def read_covariates(format: str, path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read what was known at diagnosis, one row a row of the file.

    Parameters
    ----------
    format, path : as those of `read_endpoints`; a "table" has patient_id, and those of age, sex,
        stage and clinical_stage that there are, under the names that `columns` maps them to

    Returns
    -------
    patient_id, sex, stage, clinical_stage (str or None) and float age (years, NaN if unknown).
    """
    if format == "tcga_cdr":
        sheet = read_sheet(path, SHEET, list(COVARIATES.values()))
        table = pd.DataFrame(
            {ours: nothing_to_none(sheet[theirs]) for ours, theirs in COVARIATES.items()},
            dtype=object,
        )
    elif format == "table":
        required = {name: columns.get(name, name) for name in ["patient_id", *columns]}
        optional = {name: name for name in COVARIATES if name not in required}
        table = read_fields(path, required, optional, "outcomes.clinical.columns")
    else:
        raise InputError(f"clinical format '{format}' is unknown; known are {', '.join(FORMATS)}")
    return table[list(COVARIATES)].assign(age=numbers(table, "age", path))
