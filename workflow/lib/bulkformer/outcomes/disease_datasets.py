"""The disease dataset step: which RNA-seq series compare which disease with controls."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import pandas as pd
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.outcomes.tables import DISEASE_DATASETS, finish
from bulkformer.sources.disignatlas import read_datasets


def disease_datasets(
    table: Annotated[Path, Option(help="dis_info_datasets of DiSignAtlas.")],
    organism: Annotated[str, Option(help="Organism to keep, as the table spells it.")],
    output: Annotated[Path, Option(help="disease_datasets.parquet to write.")],
    summary: Annotated[Path, Option(help="disease_datasets.json to write.")],
    licence: Annotated[list[str] | None, Option(help="Licences of the sources.")] = None,
) -> None:
    """Write one row a dataset of bulk RNA-seq."""
    datasets = read_datasets(table)
    kept, dropped = sequenced(datasets, organism)
    content = {
        "dropped": dropped,
        "rows_in_file": len(datasets),
        "diseases": int(kept["disease"].nunique()),
        "studies": int(kept["study_id"].nunique()),
    }
    stored = pa.Table.from_pandas(kept, schema=DISEASE_DATASETS, preserve_index=False)
    finish(output, stored, summary, content, ([table], licence or []))


def sequenced(datasets: pd.DataFrame, organism: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the datasets of bulk RNA-seq of one organism, sorted by id, and why others were not.

    Most datasets are microarrays, whose values no count model may be shown.
    """
    reasons = []
    for row in datasets.to_dict("records"):
        strategy = "".join(c for c in (row["library_strategy"] or "").casefold() if c.isalnum())
        if "array" in strategy:
            reasons.append("microarray")
        elif strategy not in ("rnaseq", "bulkrnaseq"):
            reasons.append("other_strategy")
        elif row["organism"] is not None and row["organism"].casefold() != organism.casefold():
            reasons.append("other_organism")
        elif row["disease"] is None:
            reasons.append("no_disease")
        else:
            reasons.append("")
    kept = datasets[[not reason for reason in reasons]].sort_values("dataset_id")
    return kept, dict(sorted(Counter(filter(None, reasons)).items()))


if __name__ == "__main__":
    command(disease_datasets)
