"""recount3: gene sums of a project, which are base coverage and not counts.

A file opens with `##` comments; a header `gene_id run…` follows. Each value adds up how often every
base of a gene was covered, so a read counts as often as it is long: divided by the mean mapped
length of the run's reads (as recount3's own compute_read_counts does) it becomes an expected count.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.counts import Blocks, CohortFiles, Counts
from bulkformer.sources.samples import complete, join, read_sample_table, select
from bulkformer.sources.text_matrix import UNREADABLE, TextMatrix, open_text, read_header
from bulkformer.sources.tiles import Tiles

# The R package puts the name of the table before the names of its columns, the files do not.
AVERAGE_LENGTH = ["star.average_mapped_length", "recount_qc.star.average_mapped_length"]
SAMPLE = ["sample_acc", "sra.sample_acc", "external_id"]


def read(files: CohortFiles) -> Counts:
    """Open gene sums and the metadata of their runs.

    The metadata must hold `external_id` (the run), `study` and the mean mapped length. Runs that
    share a sample (`sample_acc` where the table has it, or the column that the cohorts table names
    for sample_id) are summed; `run_ids` lists them. Runs without a mapped read are left out.
    """
    path = files.expression
    if files.samples is None:
        raise InputError(
            f"{path}: the format recount3 needs the metadata of its runs (recount_qc….MD.gz), "
            "because gene sums become counts by their mean read length; name it in the column "
            "samples of the cohorts table"
        )
    n_comments = _comments(path)
    columns = read_header(path, n_comments)
    if columns[0] != "gene_id":
        raise InputError(
            f"{path}: line {n_comments + 1} starts with '{columns[0][:40]}' and not with "
            "'gene_id'; give the gene sums of recount3"
        )
    matrix = TextMatrix(path, n_comments, columns, 0, list(range(1, len(columns))))
    gene_ids = matrix.labels()
    runs = _runs(columns[1:], files)
    # Runs of one sample side by side, samples in the order of their first run.
    places = pd.factorize(runs["sample_id"])[0]
    runs = runs.assign(place=places).sort_values("place", kind="stable").reset_index(drop=True)
    first = np.flatnonzero(np.diff(runs["place"], prepend=-1))
    samples = runs.iloc[first].drop(columns=["run", "position", "length", "place"])
    samples["run_ids"] = runs.groupby("place")["run"].agg(",".join).to_numpy()
    chosen = [matrix.values[at] for at in runs["position"]]
    length, sample_ids = runs["length"].to_numpy(), samples["sample_id"].tolist()
    ends = np.append(first[1:], len(runs))

    def blocks(max_samples: int) -> Blocks:
        with Tiles() as tiles:
            matrix.fill(tiles, chosen)
            for start in range(0, len(sample_ids), max_samples):
                stop = min(start + max_samples, len(sample_ids))
                begin, end = first[start], ends[stop - 1]
                counts = tiles.samples(begin, end) / length[begin:end, None]
                yield sample_ids[start:stop], np.add.reduceat(counts, first[start:stop] - begin)

    return Counts(gene_ids, complete(samples, files.samples), blocks)


def _comments(path: Path) -> int:
    try:
        with open_text(path) as handle:
            for number, line in enumerate(handle):
                if not line.startswith("##"):
                    return number
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable text table ({error}); fetch it again") from error
    raise InputError(f"{path}: no data below the comments; fetch it again")


def _runs(columns: list[str], files: CohortFiles) -> pd.DataFrame:
    """Return run, position among the columns, mean mapped length and labels of usable runs."""
    path = files.samples
    table = read_sample_table(path)
    wanted = {
        "study_id": "study",
        "average_length": next(
            (name for name in AVERAGE_LENGTH if name in table), AVERAGE_LENGTH[0]
        ),
        "sample": next((name for name in SAMPLE if name in table), SAMPLE[-1]),
    }
    given = {("sample" if ours == "sample_id" else ours): of for ours, of in files.columns.items()}
    if "sample" not in given and wanted["sample"] == SAMPLE[-1]:
        print(
            f"{path}: no column {SAMPLE[0]}, so each run counts as a sample; runs of one sample "
            "are summed if the table names it",
            file=sys.stderr,
        )
    chosen = select(table, {"sample_id": "external_id"} | wanted | given, path)
    # Metadata of other projects may name a run again; only the columns of this file are asked for.
    chosen = chosen[chosen["sample_id"].isin(columns)].reset_index(drop=True)
    positions, runs = join(columns, chosen, files.expression, path)
    length = pd.to_numeric(runs["average_length"], errors="coerce").to_numpy(dtype=float)
    usable = (length > 0) & np.isfinite(length)
    if not usable.all():
        print(
            f"{path}: {(~usable).sum()} of {len(runs)} runs have no mean mapped length and are "
            "left out",
            file=sys.stderr,
        )
    if not usable.any():
        raise InputError(
            f"{path}: no run has a mean mapped length; name its column in sample_columns of the "
            "cohorts table, as average_length=<column>"
        )
    runs = runs.assign(run=runs["sample_id"], position=positions, length=length)[usable]
    sample = runs["sample"].where(runs["sample"].notna(), runs["run"])
    return runs.assign(sample_id=sample).drop(columns=["sample", "average_length"])
