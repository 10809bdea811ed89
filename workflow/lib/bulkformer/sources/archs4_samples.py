"""What an ARCHS4 file says about its samples.

GEO submitters write freely, so labels are taken from `key: value` text, and a corpus has 700,000
such texts: they are read in slices, and a text that many samples share is held once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.samples import UNKNOWN, complete

SLICE = 20_000  # samples whose free text is in memory at once
SAMPLE_FIELDS = {
    "single_cell_probability": "singlecellprobability",
    "library_source": "library_source",
    "library_strategy": "library_strategy",
    "aligned_reads": "alignedreads",
    "platform": "platform_id",
}
# GEO submitters choose the keys of characteristics_ch1 freely; these are the usual spellings.
CHARACTERISTICS = {
    "tissue": ["tissue"],
    "disease": ["disease", "disease state", "disease status"],
}
# Entries are joined by commas that also occur inside values: a new entry starts with "key:".
NEXT_ENTRY = re.compile(r",(?=\s*[A-Za-z][^,:]{0,60}:)")
BIOSAMPLE = re.compile(r"SAM(?:N|EA|D)\d+")


def sample_metadata(file: h5py.File, columns: dict[str, str], path: Path) -> pd.DataFrame:
    """Return one row a sample: ids, series, labels, and the fields {our name: their name}.

    Raises InputError naming a field that is not there.
    """
    for field in ["geo_accession", "series_id"]:
        if f"meta/samples/{field}" not in file:
            raise InputError(
                f"{path}: no meta/samples/{field}; use the gene-level file of ARCHS4 v2"
            )
    meta = file["meta/samples"]
    series = _column(meta["series_id"], _series)
    table = {
        "sample_id": _column(meta["geo_accession"], lambda text: text.strip().upper()),
        "study_id": series,
        "series_ids": series,
    }
    if "characteristics_ch1" in meta:
        table |= _labels(meta["characteristics_ch1"])
    for field in ["biosample", "relation"]:
        if field in meta and "biosample" not in table:
            table["biosample"] = _column(meta[field], _biosample)
    for ours, field in SAMPLE_FIELDS.items():
        if field in meta:
            table[ours] = _column(meta[field], str.strip)
    for ours, field in columns.items():
        if field not in meta:
            raise InputError(
                f"{path}: no field '{field}' in meta/samples for {ours}; the fields are "
                f"{', '.join(meta)}"
            )
        table[ours] = _column(meta[field], str.strip)
    lengths = {name: len(values) for name, values in table.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"{path}: fields of meta/samples differ in length ({lengths})")
    return complete(pd.DataFrame(table, dtype=object), path)


def strings(dataset: h5py.Dataset) -> list[str]:
    """Return a dataset of text or numbers as str."""
    return [text for part in _slices(dataset) for text in part]


def parse_characteristics(text: str) -> dict[str, str]:
    """Return {key: value} of text like "tissue: liver,disease: none, as far as known,Age: 5".

    Keys are in lower case; of a repeated key the first value counts.
    """
    entries = {}
    for entry in NEXT_ENTRY.split(text):
        key, separator, value = entry.partition(":")
        if separator and value.strip():
            entries.setdefault(key.strip().lower(), value.strip())
    return entries


def _slices(dataset: h5py.Dataset) -> Iterator[list[str]]:
    for start in range(0, len(dataset), SLICE):
        yield [
            value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            for value in dataset[start : start + SLICE].tolist()
        ]


def _column(dataset: h5py.Dataset, clean: Callable[[str], str]) -> list[str | None]:
    """Return every text cleaned, None where it says nothing; equal texts are one object."""
    return [_known(clean(text)) for part in _slices(dataset) for text in part]


def _labels(dataset: h5py.Dataset) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {label: [] for label in CHARACTERISTICS}
    for part in _slices(dataset):
        for text in part:
            entries = parse_characteristics(text)
            for label, keys in CHARACTERISTICS.items():
                value = next((entries[key] for key in keys if key in entries), "")
                found[label].append(_known(value))
    return found


def _known(text: str) -> str | None:
    return None if text in UNKNOWN else sys.intern(text)


def _series(text: str) -> str:
    return ",".join(part.strip().upper() for part in text.split(","))


def _biosample(text: str) -> str:
    match = BIOSAMPLE.search(text)
    return match[0] if match else ""
