"""ARCHS4: uniformly aligned human RNA-seq of GEO as one HDF5 file of genes by samples.

Layout as published by the Ma'ayan laboratory (Lachmann et al. 2018): `data/expression` uint32
[genes, samples], `meta/genes/*` and `meta/samples/*` as strings. A file holds some 700,000 samples,
so columns are read in stripes that cover whole HDF5 chunks: each chunk is decompressed once.
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.counts import MEMORY_BYTES, Blocks, CohortFiles, Counts, check_values
from bulkformer.sources.samples import as_text, complete

GENE_FIELDS = ["ensembl_gene", "ensembl_gene_id"]  # v2.5; v2.2 wrote the second
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


def read(files: CohortFiles) -> Counts:
    """Open an ARCHS4 gene file.

    `series_ids` is the comma-separated list of GEO series of a sample and `study_id` repeats it:
    which series belong together can only be said with all samples in view. A sample that the file
    repeats is repeated here. Raises InputError if the file is not of this layout.
    """
    path = files.expression
    if files.samples:
        raise InputError(
            f"{files.samples}: the format archs4 holds its samples in the file of counts; leave "
            "the column samples of the cohorts table empty"
        )
    try:
        with h5py.File(path, "r") as file:
            gene_ids = _gene_ids(file, path)
            samples = _samples(file, files.columns, path)
            shape = _dataset(file, "data/expression", path).shape
    except OSError as error:
        raise _damaged(path, error) from error
    if shape != (len(gene_ids), len(samples)):
        raise InputError(
            f"{path}: data/expression is {shape}, but the file names {len(gene_ids)} genes and "
            f"{len(samples)} samples; fetch the file again"
        )

    def blocks(max_samples: int) -> Blocks:
        sample_ids = samples["sample_id"].tolist()
        try:
            with h5py.File(path, "r") as file:
                expression = file["data/expression"]
                width = stripe_width(expression, max_samples)
                for start in range(0, len(sample_ids), width):
                    stripe = expression[:, start : start + width].T
                    for row in range(0, len(stripe), max_samples):
                        values = np.ascontiguousarray(stripe[row : row + max_samples])
                        ids = sample_ids[start + row : start + row + len(values)]
                        check_values(values, ids, gene_ids, path)
                        yield ids, values
        except OSError as error:
            raise _damaged(path, error) from error

    return Counts(gene_ids, samples, blocks)


def stripe_width(expression: h5py.Dataset, max_samples: int, memory: int = MEMORY_BYTES) -> int:
    """Return how many columns to read at once: whole chunks, about `max_samples`, within `memory`.

    Where one column of chunks is already beyond `memory` bytes, chunks are read in parts.
    """
    chunk = expression.chunks[1] if expression.chunks else 1
    width = max(chunk, max_samples // chunk * chunk)
    affordable = max(1, memory // (expression.shape[0] * expression.dtype.itemsize))
    return width if width <= affordable else affordable // chunk * chunk or affordable


def _gene_ids(file: h5py.File, path: Path) -> list[str]:
    for field in GENE_FIELDS:
        if f"meta/genes/{field}" in file:
            return _strings(file[f"meta/genes/{field}"])
    present = ", ".join(file["meta/genes"]) if "meta/genes" in file else "none"
    raise InputError(
        f"{path}: no Ensembl gene ids ({' or '.join(GENE_FIELDS)}) in meta/genes, which has "
        f"{present}; use the gene-level file of ARCHS4 v2"
    )


def _samples(file: h5py.File, columns: dict[str, str], path: Path) -> pd.DataFrame:
    meta = _dataset(file, "meta/samples", path)
    sample_ids = _strings(_dataset(file, "meta/samples/geo_accession", path))
    series = _strings(_dataset(file, "meta/samples/series_id", path))
    series = [",".join(part.strip().upper() for part in ids.split(",")) for ids in series]
    table = {
        "sample_id": [sample_id.strip().upper() for sample_id in sample_ids],
        "study_id": series,
        "series_ids": series,
    }
    if "characteristics_ch1" in meta:
        parsed = [parse_characteristics(text) for text in _strings(meta["characteristics_ch1"])]
        for column, keys in CHARACTERISTICS.items():
            table[column] = [
                next((entry[key] for key in keys if key in entry), "") for entry in parsed
            ]
    if "relation" in meta:
        found = [BIOSAMPLE.search(text) for text in _strings(meta["relation"])]
        table["biosample"] = [match[0] if match else "" for match in found]
    for column, field in SAMPLE_FIELDS.items():
        if field in meta:
            table[column] = _strings(meta[field])
    for column, field in columns.items():
        if field not in meta:
            raise InputError(
                f"{path}: no field '{field}' in meta/samples for {column}; the fields are "
                f"{', '.join(meta)}"
            )
        table[column] = _strings(meta[field])
    return complete(as_text(pd.DataFrame(table, dtype=object)), path)


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


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset | h5py.Group:
    if name not in file:
        raise InputError(f"{path}: no {name}; use the gene-level file of ARCHS4 v2")
    return file[name]


def _strings(dataset: h5py.Dataset) -> list[str]:
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for value in dataset[:].tolist()
    ]


def _damaged(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: not a readable HDF5 file ({error}); fetch it again")
