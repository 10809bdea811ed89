"""The cell lines of the simulated universe: who they are, and how active each program is in them.

Several providers write about the same lines (expression, dependency, drug response, perturbation);
they all read this one table, so that what one of them measures explains what another one does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from bulkformer.cli import command
from bulkformer.files import write_table

LINES_PER_TISSUE = 5
LINEAGES = {  # tissue of the universe -> OncotreeLineage
    "blood": "Lymphoid",
    "brain": "CNS/Brain",
    "breast": "Breast",
    "eye": "Eye",
    "liver": "Liver",
    "lung": "Lung",
    "skin": "Skin",
    "stomach": "Esophagus/Stomach",
}
# Standard deviations of activity. Lines differ more than tumours do, so that forty are enough to
# find what depends on a program.
LINE_SPREAD = 1.0
DERIVATIVE_SPREAD = 0.3  # of a line from its parent


def cell_lines(
    truth_samples: Annotated[Path, typer.Option(help="program activities by sample")],
    seed: Annotated[int, typer.Option()],
    output: Annotated[Path, typer.Option(help="cell lines with their program activities")],
) -> None:
    """Write the cell lines with their identities and program activities."""
    write_table(output, cell_line_table(pq.read_table(truth_samples), seed))


def cell_line_table(truth_samples: pa.Table, seed: int) -> pa.Table:
    """Return one row a line, in the order of its ids; the same truth and seed give the same table.

    A line is as active as its tissue on average, plus its own deviation. The last line of the first
    two tissues derives from the first one there: it shares its patient and nearly its activities.

    Columns: cell_line_id (ACH), sanger_id (SIDM), name, cosmic_id, cellosaurus, patient_id, parent
    (ACH, null for most), tissue, lineage, activity (fixed_size_list<float32>[n_programs]).
    """
    rng = np.random.default_rng([seed, *b"cell lines"])
    tissue_of_sample = np.array(truth_samples["tissue"].to_pylist())
    activity_of_sample = np.stack(truth_samples["activity"].to_numpy(zero_copy_only=False))
    rows, activities = [], []
    for at_tissue, (tissue, lineage) in enumerate(LINEAGES.items()):
        chosen = activity_of_sample[tissue_of_sample == tissue]
        mean = chosen.mean(axis=0) if len(chosen) else np.zeros(activity_of_sample.shape[1])
        first = len(rows)
        for place in range(LINES_PER_TISSUE):
            number = len(rows)
            derived = place == LINES_PER_TISSUE - 1 and at_tissue < 2
            if derived:
                activities.append(activities[first] + rng.normal(0, DERIVATIVE_SPREAD, mean.shape))
            else:
                activities.append(mean + rng.normal(0, LINE_SPREAD, mean.shape))
            stem = f"{tissue[:2].upper()}-{101 + number}"
            rows.append(
                {
                    "cell_line_id": f"ACH-{900_001 + number:06d}",
                    "sanger_id": f"SIDM{90_001 + number:05d}",
                    "name": f"{stem}/R" if derived else stem,
                    "cosmic_id": 9_900_001 + number,
                    "cellosaurus": f"CVCL_X{101 + number:03d}",
                    "patient_id": f"PT-sim{(first if derived else number) + 1:03d}",
                    "parent": rows[first]["cell_line_id"] if derived else None,
                    "tissue": tissue,
                    "lineage": lineage,
                }
            )
    flat = pa.array(np.concatenate(activities).astype(np.float32))
    activity = pa.FixedSizeListArray.from_arrays(flat, activity_of_sample.shape[1])
    return pa.Table.from_pylist(rows).append_column("activity", activity)


if __name__ == "__main__":
    command(cell_lines)
