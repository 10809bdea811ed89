"""Opens a cohort by the name of its format.

To add a format, write one file with a function CohortFiles -> Counts and one line here.
"""

from collections.abc import Callable
from pathlib import Path

from bulkformer.errors import InputError
from bulkformer.sources import (
    archs4,
    depmap,
    gct,
    gdc,
    h5ad,
    matrix,
    ncbi_counts,
    recount3,
    xena,
)
from bulkformer.sources.counts import CohortFiles, Counts
from bulkformer.sources.samples import parse_columns
from bulkformer.sources.transform import linear

READERS: dict[str, Callable[[CohortFiles], Counts]] = {
    "archs4": archs4.read,
    "gdc": gdc.read,
    "gct": gct.read,
    "ncbi_counts": ncbi_counts.read,
    "recount3": recount3.read,
    "xena": xena.read,
    "depmap": depmap.read,
    "h5ad": h5ad.read,
    "matrix": matrix.read,
}


def open_cohort(
    format: str,
    expression: Path,
    samples: Path | None,
    *,
    orientation: str = "genes_in_rows",
    sample_columns: str = "",
    transform: str = "",
) -> Counts:
    """Open the counts of a cohort; values are read only when `blocks` is iterated.

    Parameters
    ----------
    format : a key of READERS; "h5ad:layers/counts" names a part of the file after a colon
    expression : the file of counts
    samples : the sample table, None where there is none
    orientation : "genes_in_rows" or "samples_in_rows"; only the format matrix asks
    sample_columns : "ours=theirs;ours=theirs", for columns of the sample table that go by other
        names; a name of ours that no stage knows is carried along as a label
    transform : what was done to the values, a key of transform.TRANSFORMS; it is undone block by
        block. Empty for values that are linear as they stand

    Raises
    ------
    InputError : unknown format or transform, absent or damaged file, absent column, samples that
        do not match; while `blocks` is iterated, values that are no counts
    """
    name, _, part = format.partition(":")
    if name not in READERS or (part and name != "h5ad"):
        raise InputError(f"cohort format '{format}' is unknown; known are {', '.join(READERS)}")
    expression = Path(expression)
    samples = Path(samples) if samples else None
    for path in [expression, samples]:
        if path and not path.is_file():
            raise InputError(
                f"{path}: no such file; correct the path in the cohorts table, or fetch the file"
            )
    files = CohortFiles(expression, samples, orientation, parse_columns(sample_columns), part)
    return linear(READERS[name](files), transform, expression)
