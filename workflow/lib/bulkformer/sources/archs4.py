"""ARCHS4: uniformly aligned human RNA-seq of GEO as one HDF5 file of genes by samples.

Layout as published by the Ma'ayan laboratory (Lachmann et al. 2018): `data/expression` uint32
[genes, samples], `meta/genes/*` and `meta/samples/*` as strings. A file holds some 700,000 samples,
so columns are read in stripes that cover whole HDF5 chunks: each chunk is decompressed once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.archs4_samples import sample_metadata, strings
from bulkformer.sources.counts import (
    Blocks,
    CohortFiles,
    Counts,
    Part,
    check_unique,
    check_values,
)
from bulkformer.sources.hdf5_chunks import ChunkedMatrix, stripes
from bulkformer.sources.hdf5_links import check_links
from bulkformer.sources.samples import read_sample_table, renamed

GENE_FIELDS = ["ensembl_gene", "ensembl_gene_id"]  # v2.5; v2.2 wrote the second
# One stripe is with the caller while the next is read, and the cohort step stays below 2 GB.
STRIPE_BYTES = 256 * 2**20
STRIPE_SAMPLES = 512  # enough chunks for every thread, few enough to keep memory small


def read(files: CohortFiles) -> Counts:
    """Open an ARCHS4 gene file.

    `series_ids` is the comma-separated list of GEO series of a sample and `study_id` repeats it:
    which series belong together can only be said with all samples in view. A sample that the file
    repeats is repeated here. With a sample table, only its samples are read, chunks without them
    are left out, and its labels come before those of the file. Raises InputError if the file is
    not of this layout, or shares no sample with the table.
    """
    path = files.expression
    try:
        with h5py.File(path, "r") as file:
            for name in ["data", "meta"]:
                check_links(file, name, path)
            gene_ids = _gene_ids(file, path)
            columns = {} if files.samples else files.columns
            samples = sample_metadata(file, columns, path)
            shape = _dataset(file, "data/expression", path).shape
    except OSError as error:
        raise _damaged(path, error) from error
    if shape != (len(gene_ids), len(samples)):
        raise InputError(
            f"{path}: data/expression is {shape}, but the file names {len(gene_ids)} genes and "
            f"{len(samples)} samples; fetch the file again"
        )
    positions = np.arange(len(samples))
    if files.samples:
        positions, samples = _chosen(samples, files)
    sample_ids = samples["sample_id"].tolist()

    def part(part: Part) -> Blocks:
        genes = [gene_ids[row] for row in part.genes]
        try:
            for start, values in _stripes(path, positions, part):
                for row in range(0, len(values), part.max_samples):
                    block = values[row : row + part.max_samples]
                    ids = sample_ids[start + row : start + row + len(block)]
                    check_values(block, ids, genes, path)
                    yield ids, block
                del values, block
        except OSError as error:
            raise _damaged(path, error) from error

    def blocks(max_samples: int) -> Blocks:
        return part(Part(np.arange(len(gene_ids)), max_samples=max_samples))

    return Counts(gene_ids, samples, blocks, part)


def _stripes(path: Path, positions: np.ndarray, part: Part) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first sample, counts [n_samples, n_genes]); the next stripe is read meanwhile."""
    with (
        h5py.File(path, "r") as file,
        closing(ChunkedMatrix(file["data/expression"])) as matrix,
        ThreadPoolExecutor(part.threads) as pool,
        ThreadPoolExecutor(1) as ahead,
    ):
        most = max(1, STRIPE_BYTES // matrix.memory(part.genes) // part.max_samples)
        most *= part.max_samples
        runs = [
            (max(start, part.start), end)
            for start, end in stripes(positions, matrix.chunks[1], most, STRIPE_SAMPLES)
            if end > part.start
        ]

        def read_run(number: int) -> np.ndarray:
            start, end = runs[number]
            return matrix.read(part.genes, positions[start:end], pool)

        coming = ahead.submit(read_run, 0) if runs else None
        for number, (start, _) in enumerate(runs):
            values = coming.result()
            coming = ahead.submit(read_run, number + 1) if number + 1 < len(runs) else None
            yield start, values
            del values  # else it would stay until the next one is there


def _chosen(samples: pd.DataFrame, files: CohortFiles) -> tuple[np.ndarray, pd.DataFrame]:
    """Return where the samples of the sample table stand in the file, and what both say of them."""
    given = renamed(read_sample_table(files.samples), files.columns, files.samples)
    if given["sample_id"].isna().any():
        row = int(given["sample_id"].isna().to_numpy().argmax())
        raise InputError(f"{files.samples}: row {row + 1} has no sample id; fill it or remove it")
    given["sample_id"] = given["sample_id"].str.upper()
    check_unique(given["sample_id"].tolist(), files.samples)
    positions = np.flatnonzero(samples["sample_id"].isin(given["sample_id"]))
    if not len(positions):
        raise InputError(
            f"{files.expression} and {files.samples} share no sample: the first ids are "
            f"'{samples['sample_id'].iloc[0] if len(samples) else 'none'}' and "
            f"'{given['sample_id'].iloc[0] if len(given) else 'none'}'. Name the column of the "
            "table that holds GSM accessions in sample_columns, as sample_id=<column>"
        )
    chosen = samples.iloc[positions].reset_index(drop=True)
    absent = len(given) - chosen["sample_id"].nunique()
    if absent:
        print(
            f"{files.expression}: {absent} of {len(given)} samples of {files.samples} are not in "
            "the file and were left out",
            file=sys.stderr,
        )
    labels = given.set_index("sample_id").loc[chosen["sample_id"]].reset_index(drop=True)
    for name in labels:
        known = labels[name].where(labels[name].notna(), None)
        if name in chosen:
            known = known.where(known.notna(), chosen[name])
        chosen[name] = known
    return positions, chosen


def _gene_ids(file: h5py.File, path: Path) -> list[str]:
    for field in GENE_FIELDS:
        if f"meta/genes/{field}" in file:
            return strings(file[f"meta/genes/{field}"])
    present = ", ".join(file["meta/genes"]) if "meta/genes" in file else "none"
    raise InputError(
        f"{path}: no Ensembl gene ids ({' or '.join(GENE_FIELDS)}) in meta/genes, which has "
        f"{present}; use the gene-level file of ARCHS4 v2"
    )


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    if name not in file:
        raise InputError(f"{path}: no {name}; use the gene-level file of ARCHS4 v2")
    return file[name]


def _damaged(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: not a readable HDF5 file ({error}); fetch it again")
