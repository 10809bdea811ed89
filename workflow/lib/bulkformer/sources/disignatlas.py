"""DiSignAtlas: which public datasets compare a disease with controls (academic use only).

One row a comparison of the table of all datasets; the lists of its samples stand only on web pages.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from bulkformer.sources.fields import check_ids, read_fields

REQUIRED = {
    "dataset_id": "dsaid",
    "study_id": "accession",
    "disease": "disease",
    "tissue": "tissue",
    "library_strategy": "library_strategy",
}
OPTIONAL = {
    "disease_id": "diseaseid",
    "organism": "organism",
    "samples": "control_case_sample_count",  # "<controls>|<cases>"
}
SAMPLES = re.compile(r"\s*(\d+)\s*\|\s*(\d+)\s*")


def read_datasets(path: Path) -> pd.DataFrame:
    """Read dis_info_datasets, one row a dataset; n_control and n_case are None where not given.

    Raises InputError if a dataset has no id or stands twice.
    """
    table = read_fields(path, REQUIRED, OPTIONAL)
    check_ids(table, "dataset_id", path, "dsaid")
    found = [SAMPLES.fullmatch(text or "") for text in table.pop("samples")]
    table["n_control"] = pd.Series([int(m[1]) if m else None for m in found], dtype=object)
    table["n_case"] = pd.Series([int(m[2]) if m else None for m in found], dtype=object)
    return table
