"""The response step: how strongly each drug acted on each line, one row a fitted curve."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.outcomes.cell_lines import resolver
from bulkformer.outcomes.tables import RESPONSE, finish
from bulkformer.sources.fields import parse_mapping
from bulkformer.sources.gdsc import CURVES_KEY, MEASURES, read_curves

EXAMPLES = 20


def response(
    curves: Annotated[list[Path], Option(help="Fitted dose response.")],
    format: Annotated[str, Option(help="gdsc or table.")],
    dataset: Annotated[str, Option(help="Whose drug ids these are, such as GDSC.")],
    drugs: Annotated[Path, Option(help="drugs.parquet.")],
    cell_lines: Annotated[Path, Option(help="cell_lines.parquet.")],
    output: Annotated[Path, Option(help="response.parquet to write.")],
    summary: Annotated[Path, Option(help="response.json to write.")],
    columns: Annotated[str, Option(help="ours=theirs;… of a table.")] = "",
    licence: Annotated[list[str] | None, Option(help="Licences of the sources.")] = None,
) -> None:
    """Write one row a curve whose drug and line are known."""
    mapping = parse_mapping(columns, CURVES_KEY)
    found = pd.concat(
        [read_curves(format, path, dataset, mapping) for path in curves], ignore_index=True
    )
    known_drugs, known_lines = pq.read_table(drugs), pq.read_table(cell_lines)
    rows, content = known_curves(found, dataset, known_drugs, known_lines)
    if not len(rows):
        raise InputError(
            f"{curves[0]}: none of {len(found)} curves has a known drug and a known line "
            f"({content['dropped']}); check that {drugs.name} and {cell_lines.name} are of the "
            "same provider"
        )
    stored = pa.Table.from_pandas(rows, schema=RESPONSE, preserve_index=False)
    finish(output, stored, summary, content, (curves, licence or []))


def known_curves(
    curves: pd.DataFrame, dataset: str, drugs: pa.Table, cell_lines: pa.Table
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Return the curves that can be used, sorted, and how many cannot and why.

    Lines are joined by identifier, never by name. Several curves of one screen and line are kept;
    the summary counts them.
    """
    compound_of, name_of = {}, {}
    for row in drugs.select(["drug_id", "name", "source_ids"]).to_pylist():
        for source_id in row["source_ids"]:
            compound_of[source_id], name_of[source_id] = row["drug_id"], row["name"]
    line_of = resolver(cell_lines)
    source_ids = [f"{dataset}:{drug}" for drug in curves["drug"]]
    drug_id = np.array([compound_of.get(source_id) for source_id in source_ids], dtype=object)
    line = np.array([line_of.get(name or "") for name in curves["cell_line"]], dtype=object)
    ln_ic50 = curves["ln_ic50"].to_numpy(dtype=float)
    reason = np.select(
        [drug_id == None, line == None, ~np.isfinite(ln_ic50)],  # noqa: E711 - element by element
        ["unknown_drug", "unknown_line", "no_ln_ic50"],
        default="",
    )
    kept = reason == ""
    screens = curves["dataset"].astype(str) + ":" + curves["drug"].astype(str)
    rows = pd.DataFrame(
        {
            "dataset": curves["dataset"],
            "screen_id": screens,
            "drug_id": drug_id,
            "cell_line_id": line,
            **{name: curves[name] for name in MEASURES},
        }
    )[kept]
    rows = rows.sort_values([*RESPONSE.names], kind="stable", ignore_index=True)
    known_lines = curves["cell_line"].dropna().unique()
    spellings = set(zip(source_ids, curves["drug_name"], strict=True))
    respelt = sorted(
        f"{name}, listed as {name_of[source_id]}"
        for source_id, name in spellings
        if name and name != name_of.get(source_id, name)
    )
    pairs = rows[["screen_id", "cell_line_id"]]
    content = {
        "dropped": dict(sorted(Counter(reason[~kept].tolist()).items())),
        "joined": {
            "curves_in_files": len(curves),
            "share_of_lines_known": _share([name in line_of for name in known_lines]),
            "share_of_curves_with_known_line": _share(line != None),  # noqa: E711
            "share_of_curves_with_known_drug": _share(drug_id != None),  # noqa: E711
        },
        "screens": int(rows["screen_id"].nunique()),
        "drugs": int(rows["drug_id"].nunique()),
        "drugs_in_several_screens": int((rows.groupby("drug_id")["screen_id"].nunique() > 1).sum()),
        "cell_lines": int(rows["cell_line_id"].nunique()),
        "pairs_with_several_curves": int(
            pairs[pairs.duplicated(keep=False)].drop_duplicates().shape[0]
        ),
        "respelt_drugs": len(respelt),
        "respelt_examples": respelt[:EXAMPLES],
    }
    return rows, content


def _share(holds: np.ndarray | list[bool]) -> float:
    return round(float(np.mean(holds)), 6) if len(holds) else 0.0


if __name__ == "__main__":
    command(response)
