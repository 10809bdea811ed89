"""Sanger Cell Model Passports: the list of cancer models, with the ids that others give them."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from bulkformer.sources.fields import check_ids, read_fields

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
    check_ids(models, "sanger_id", path, "model_id", SIDM)
    models["depmap_ids"] = [
        list(dict.fromkeys(part.strip() for part in re.split(r"[;,]", ids or "") if part.strip()))
        for ids in models["depmap_ids"]
    ]
    return models
