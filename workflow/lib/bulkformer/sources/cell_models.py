"""Sanger Cell Model Passports: the list of cancer models, with the ids that others give them."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.fields import read_fields

REQUIRED = {"sanger_id": "model_id", "name": "model_name", "patient_id": "patient_id"}
OPTIONAL = {
    "parent": "parent_id",
    "lineage": "tissue",
    "cellosaurus": "RRID",
    "depmap_ids": "BROAD_ID",
    "cosmic_id": "COSMIC_ID",
}
SIDM = re.compile(r"SIDM\d{5}")


def read_passports(path: Path) -> pd.DataFrame:
    """Read model_list_*.csv, one row a model, all str or None.

    Columns sanger_id (SIDM), name, patient_id (SIDP), parent (SIDM), lineage (tissue), cellosaurus,
    depmap_ids (list of ACH ids: the field may hold several), cosmic_id. Raises InputError if a
    model has no SIDM id or stands twice.
    """
    models = read_fields(path, REQUIRED, OPTIONAL)
    for row, sanger_id in enumerate(models["sanger_id"]):
        if sanger_id is None or not SIDM.fullmatch(sanger_id):
            raise InputError(
                f"{path}: row {row + 1} of the data has the model_id '{sanger_id}', which is no "
                "SIDM id; give the model list of Cell Model Passports"
            )
    if repeated := sorted(models["sanger_id"][models["sanger_id"].duplicated()]):
        raise InputError(f"{path}: model {repeated[0]} stands twice; keep one row")
    models["depmap_ids"] = [
        list(dict.fromkeys(part.strip() for part in re.split(r"[;,]", ids or "") if part.strip()))
        for ids in models["depmap_ids"]
    ]
    return models
