"""The clinical step: what was known of each patient at diagnosis, for baselines without any gene.

A stage keeps its Roman number: subdivisions differ between cancers and between editions of the
manual. Where no pathologist staged the tumour, the clinical stage stands in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.outcomes.tables import CLINICAL, finish
from bulkformer.sources.fields import parse_mapping
from bulkformer.sources.samples import patient_of
from bulkformer.sources.tcga_cdr import read_covariates

STAGE = re.compile(r"^(?:stage\s*)?(0|iv|i{1,3})(?:s|[abc]?\d?)$", re.IGNORECASE)


def clinical(
    table: Annotated[Path, Option(help="Workbook or table of patients.")],
    format: Annotated[str, Option(help="tcga_cdr or table.")],
    output: Annotated[Path, Option(help="clinical.parquet to write.")],
    summary: Annotated[Path, Option(help="clinical.json to write.")],
    columns: Annotated[str, Option(help="ours=theirs;… of a table.")] = "",
    licence: Annotated[list[str] | None, Option(help="Licences of the sources.")] = None,
) -> None:
    """Write one row a patient: age in years, sex and stage, each null where unknown."""
    mapping = parse_mapping(columns, "outcomes.clinical.columns")
    rows = at_diagnosis(read_covariates(format, table, mapping), table)
    known = {name: int(rows[name].notna().sum()) for name in ("age_years", "sex", "stage")}
    content = {"known": known, "patients": len(rows)}
    stored = pa.Table.from_pandas(rows, schema=CLINICAL, preserve_index=False)
    finish(output, stored, summary, content, ([table], licence or []))


def at_diagnosis(patients: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return one row a patient, sorted; rows of one patient complete each other.

    Raises InputError where they contradict each other, because nothing says which is right.
    """
    known: dict[str, dict[str, object]] = {}
    staged = zip(patients["stage"], patients["clinical_stage"], strict=True)
    stages = [stage_of(first) or stage_of(second) for first, second in staged]
    rows = zip(patients["patient_id"], patients["age"], patients["sex"], stages, strict=True)
    for name, age, sex, stage in rows:
        if name is None:
            continue
        patient = known.setdefault(patient_of(name), {})
        values = {
            "age_years": None if np.isnan(age) else float(age),
            "sex": sex and sex.lower(),
            "stage": stage,
        }
        for key, value in values.items():
            if value is not None and patient.setdefault(key, value) != value:
                raise InputError(
                    f"{path}: the rows of patient {patient_of(name)} differ in {key} "
                    f"({patient[key]}, {value}); keep one of them"
                )
    names: Sequence[str] = sorted(known)
    columns = {
        field.name: [known[name].get(field.name) for name in names]
        for field in CLINICAL
        if field.name != "patient_id"
    }
    return pd.DataFrame({"patient_id": names, **columns})


def stage_of(text: str | None) -> str | None:
    """Return 0, I, II, III or IV; None for what names no single stage, as "I/II NOS" does."""
    found = STAGE.match((text or "").strip())
    return found[1].upper() if found else None


if __name__ == "__main__":
    command(clinical)
