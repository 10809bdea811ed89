"""The survival step: who was followed for how long, and what was observed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.outcomes.tables import SURVIVAL, finish
from bulkformer.sources.fields import parse_mapping
from bulkformer.sources.samples import patient_of
from bulkformer.sources.tcga_cdr import read_endpoints


def survival(
    table: Annotated[Path, Option(help="Workbook or table of endpoints.")],
    format: Annotated[str, Option(help="tcga_cdr or table.")],
    endpoint: Annotated[list[str], Option(help="Endpoints to keep, such as OS.")],
    output: Annotated[Path, Option(help="survival.parquet to write.")],
    summary: Annotated[Path, Option(help="survival.json to write.")],
    columns: Annotated[str, Option(help="ours=theirs;… of a table.")] = "",
    keep_redacted: Annotated[bool, Option("--keep-redacted", help="Keep redacted cases.")] = False,
    licence: Annotated[list[str] | None, Option(help="Licences of the sources.")] = None,
) -> None:
    """Write one row a patient and endpoint that has an event, or its absence, and a time."""
    mapping = parse_mapping(columns, "outcomes.survival.columns")
    patients = read_endpoints(format, table, endpoint, mapping)
    rows, dropped = followed(patients, endpoint, keep_redacted, table)
    content = {
        "dropped": dropped,
        "patients": rows["patient_id"].nunique(),
        "events": {
            name: int(rows.loc[rows["endpoint"] == name, "event"].sum()) for name in endpoint
        },
        "rows_in_file": len(patients),
    }
    stored = pa.Table.from_pandas(rows, schema=SURVIVAL, preserve_index=False)
    finish(output, stored, summary, content, ([table], licence or []))


def followed(
    patients: pd.DataFrame, endpoints: Sequence[str], keep_redacted: bool, path: Path
) -> tuple[pd.DataFrame, dict[str, dict[str, int]]]:
    """Return the rows that can be used, sorted, and for each endpoint how many were not and why.

    Each row counts under the first reason that holds. Follow-up of no length (time <= 0) says
    nothing about risk and breaks partial likelihoods. A patient whose repeated rows agree counts
    once; one whose rows differ raises InputError, because nothing says which is right.
    """
    kept, dropped = [], {}
    redacted = np.array([value is not None for value in patients["redaction"]], dtype=bool)
    anonymous = np.array([value is None for value in patients["patient_id"]], dtype=bool)
    patient_ids = np.array([patient_of(value) for value in patients["patient_id"]], dtype=object)
    for endpoint in endpoints:
        event = patients[endpoint].to_numpy(dtype=float)
        time = patients[f"{endpoint}.time"].to_numpy(dtype=float)
        reason = np.select(
            [
                anonymous,
                redacted & (not keep_redacted),
                np.isnan(event),
                np.isnan(time),
                time <= 0,
            ],
            ["no_patient", "redacted", "no_event", "no_time", "time_not_positive"],
            default="",
        )
        chosen = reason == ""
        rows = pd.DataFrame(
            {
                "patient_id": patient_ids[chosen],
                "cancer": patients["cancer"].to_numpy()[chosen],
                "endpoint": endpoint,
                "event": event[chosen].astype(np.int8),
                "time_days": time[chosen],
            }
        )
        distinct = rows.drop_duplicates()
        if repeated := sorted(distinct["patient_id"][distinct["patient_id"].duplicated()]):
            raise InputError(
                f"{path}: the rows of patient {repeated[0]} differ in {endpoint}; keep one of them"
            )
        counts = Counter(reason[~chosen].tolist())
        counts["repeated"] = len(rows) - len(distinct)
        dropped[endpoint] = {name: n for name, n in sorted(counts.items()) if n}
        kept.append(distinct.sort_values("patient_id"))
    return pd.concat(kept, ignore_index=True), dropped


if __name__ == "__main__":
    command(survival)
