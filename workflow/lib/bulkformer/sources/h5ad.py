"""AnnData files (h5ad): counts in X, in a layer or in raw; dense, or sparse by rows or by columns.

Values are read from HDF5 in pieces, because such files are often larger than memory; obs and var,
which are small, are read by anndata itself, and nothing in a file is ever unpickled. The format
`h5ad` reads X, `h5ad:layers/<name>` and `h5ad:raw/X` what they name. A matrix that is sparse by
columns passes through a scratch file of its dense size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.counts import Blocks, CohortFiles, Counts
from bulkformer.sources.hdf5_links import check_links
from bulkformer.sources.samples import as_text, complete, from_barcodes, join, match, renamed
from bulkformer.sources.text_matrix import chosen_rows
from bulkformer.sources.tiles import Tiles

# Values that are unpacked at once; a row of a sparse matrix may be as long as a dense one.
VALUES_AT_ONCE = 8 * 2**20
PARTS = ["X", "layers", "raw", "obs", "var"]


def read(files: CohortFiles) -> Counts:
    """Open an h5ad file; samples are its observations, genes its variables.

    Sample ids are the index of obs unless sample_columns names a column for them; all columns of
    obs are carried. A sample table beside the file takes the place of obs. Raises InputError for
    a part that is not there, a shape that does not fit, or a file that is no h5ad.
    """
    path, part = files.expression, files.part or "X"
    with _opened(path) as file:
        for name in PARTS:
            check_links(file, name, path)
        _check_part(file, part, path)
        variables = "raw/var" if part == "raw/X" else "var"
        names = _table(file, "obs", path), _table(file, variables, path)
        shape = _shape(file[part])
    obs, var = names
    if shape != (len(obs), len(var)):
        raise InputError(
            f"{path}: {part} is {shape}, but obs and {variables} name {len(obs)} samples and "
            f"{len(var)} genes; write the file again"
        )
    labels, gene_ids = [str(name).strip() for name in obs.index], [str(name) for name in var.index]
    positions, samples, labels = _samples(files, obs, labels)

    def blocks(max_samples: int) -> Blocks:
        with _opened(path) as file:
            yield from _blocks(file[part], positions, labels, max_samples)

    return Counts(gene_ids, samples, blocks)


def _samples(
    files: CohortFiles, obs: pd.DataFrame, labels: list[str]
) -> tuple[list[int], pd.DataFrame, list[str]]:
    """Return positions of the samples to read, what is known of them, and the ids of all rows."""
    path = files.expression
    if files.samples is not None:
        return *match(files, labels), labels
    table = pd.DataFrame({name: obs[name].astype(str) for name in obs.columns}, dtype=object)
    table = table.where(obs.notna(), "").reset_index(drop=True)
    table.columns = [str(name) for name in table.columns]
    table = as_text(table)
    if "sample_id" not in files.columns:
        table = table.drop(columns="sample_id", errors="ignore")
        table.insert(0, "sample_id", labels)
    table = renamed(table, files.columns, path)
    labels = table["sample_id"].tolist()
    positions, samples = join(labels, table, path, path)
    return positions, complete(from_barcodes(samples), path), labels


def _blocks(
    node: h5py.Dataset | h5py.Group, positions: list[int], labels: list[str], max_samples: int
) -> Blocks:
    n_samples, n_genes = _shape(node)
    step = max(1, min(max_samples, VALUES_AT_ONCE // max(1, n_genes)))
    if isinstance(node, h5py.Group) and node.attrs["encoding-type"] == "csc_matrix":
        with Tiles() as tiles:
            for columns in _compressed(node, n_genes, n_samples):
                tiles.append(columns.T)
            starts = range(0, n_samples, step)
            runs = (tiles.samples(at, min(at + step, n_samples)) for at in starts)
            yield from chosen_rows(runs, positions, labels, max_samples)
        return
    if isinstance(node, h5py.Group):
        runs = _compressed(node, n_samples, n_genes)
    else:
        runs = (node[at : at + step] for at in range(0, n_samples, step))
    yield from chosen_rows(runs, positions, labels, max_samples)


def _compressed(node: h5py.Group, length: int, width: int) -> Iterator[np.ndarray]:
    """Yield dense [n, width] for runs of the compressed axis of a sparse matrix."""
    from scipy.sparse import csr_matrix  # slow to import

    step = max(1, VALUES_AT_ONCE // max(1, width))
    pointers = node["indptr"][:]
    for start in range(0, length, step):
        stop = min(start + step, length)
        begin, end = pointers[start], pointers[stop]
        content = (node["data"][begin:end], node["indices"][begin:end])
        content = (*content, pointers[start : stop + 1] - begin)
        try:
            run = csr_matrix(content, (stop - start, width))
            run.check_format()
        except ValueError as error:
            raise InputError(
                f"{node.file.filename}: {node.name} is damaged ({error}); fetch the file again"
            ) from error
        yield run.toarray()


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: not a readable HDF5 file ({error}); fetch it again") from error


def _check_part(file: h5py.File, part: str, path: Path) -> None:
    if part in file and part.split("/")[0] in ("X", "layers", "raw"):
        form = file[part].attrs.get("encoding-type", "array")
        if isinstance(file[part], h5py.Dataset) or form in ("csr_matrix", "csc_matrix"):
            return
    layers = [f"layers/{name}" for name in file.get("layers", {})]
    present = [name for name in ["X", "raw/X"] if name in file] + layers
    raise InputError(
        f"{path}: no {part}; it has {', '.join(present) or 'no matrix'}. Say which one holds the "
        "counts in the column format of the cohorts table, as h5ad:<part>"
    )


def _shape(node: h5py.Dataset | h5py.Group) -> tuple[int, int]:
    if isinstance(node, h5py.Dataset):
        return tuple(node.shape)
    return tuple(int(n) for n in node.attrs.get("shape", ()))


def _table(file: h5py.File, name: str, path: Path) -> pd.DataFrame:
    """Return obs or var."""
    if not isinstance(file.get(name), h5py.Group):
        raise InputError(
            f"{path}: {name} is absent or was written by anndata before 0.7; read and write the "
            "file once with a current anndata"
        )
    from anndata.io import read_elem  # slow to import

    return read_elem(file[name])
