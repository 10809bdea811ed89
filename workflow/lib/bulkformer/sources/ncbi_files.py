"""Raw counts that NCBI computed for GEO series: one file a series, fetched politely, packed.

Not every series has such a file. Those without are named in the log and in the kept list, and left
out; anything else that goes wrong stops the step.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import urlencode

from bulkformer.errors import InputError
from bulkformer.files import write_json
from bulkformer.sources import transfer
from bulkformer.sources.content import check_content
from bulkformer.sources.packing import Pack, member_names
from bulkformer.sources.samples import parse_columns, read_sample_table
from bulkformer.sources.transfer import TransferError

PAUSE = 0.7  # seconds between two series; a series takes two requests, NCBI allows three a second
SERIES = re.compile(r"GSE[0-9]+")
BUILD = "GRCh38.p13"


def fetch_series(address: str, samples: Path | None, sample_columns: str, part: Path) -> None:
    """Bring the raw counts of every series of a sample table into the tar `part`.

    The column `study_id` of `samples` (or the one that `sample_columns` gives in its place) names
    the series; a sample in several names them with commas. Series without counts are listed in the
    log and in a file beside `part`. Raises TransferError if NCBI does not deliver; `part` keeps
    what has arrived.
    """
    names = [
        f"{series}_raw_counts_{BUILD}_NCBI.tsv.gz" for series in _series(samples, sample_columns)
    ]
    begun_with = member_names(part)
    if begun_with != [name for name in names if name in set(begun_with)]:
        part.unlink()  # begun for another sample table
    with Pack(part) as pack:
        begun = names.index(pack.names[-1]) + 1 if pack.names else 0
        for at, name in enumerate(names[begun:], start=begun):
            print(f"{name}: {at + 1} of {len(names)} series", flush=True)
            file = part.with_name(f".{name}.part")
            try:
                _fetch_one(_address(address, name), name, file)
            except TransferError as error:
                if error.answer not in transfer.GONE:
                    raise
            else:
                pack.add(name, file)
            transfer.discard(file)
            time.sleep(PAUSE)
        absent = [name.partition("_")[0] for name in names if name not in set(pack.names)]
    if len(absent) == len(names):
        raise InputError(
            f"{samples}: NCBI has counts of none of its {len(names)} series; check them"
        )
    write_json(part.with_name(".ncbi_series.json"), {"files": pack.names, "left_out": absent})
    if absent:
        print(f"no counts at NCBI, left out: {len(absent)} series: {', '.join(absent)}", flush=True)


def _series(samples: Path | None, sample_columns: str) -> list[str]:
    """Return the series of the sample table, sorted by number, each once."""
    if samples is None:
        raise InputError(
            "series are taken from the sample table of a cohort: write a row in the cohorts table "
            "whose expression is this file and whose samples is its sample table"
        )
    column = parse_columns(sample_columns).get("study_id", "study_id")
    table = read_sample_table(samples)
    if column not in table:
        raise InputError(f"{samples}: no column '{column}'; it must name the series, as GSE12345")
    found = set()
    for row, cell in enumerate(table[column], start=2):
        for series in (cell or "").split(","):
            if not SERIES.fullmatch(series.strip().upper()):
                raise InputError(f"{samples}, line {row}: '{cell}' is no series; write GSE12345")
            found.add(series.strip().upper())
    return sorted(found, key=lambda series: int(series[3:]))


def _address(address: str, name: str) -> str:
    series = name.partition("_")[0]
    query = {"type": "rnaseq_counts", "acc": series, "format": "file", "file": name}
    return f"{address.partition('?')[0]}?{urlencode(query)}"


def _fetch_one(url: str, name: str, file: Path) -> None:
    transfer.fetch(url, file)
    try:
        check_content(file, name, None, "")
    except InputError as error:
        transfer.discard(file)
        raise TransferError(f"{url}: {error}") from error
