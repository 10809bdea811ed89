"""The way out: a cohort as one h5ad file, for scanpy and everything else that reads AnnData.

Expression, labels, quality and every model's embedding stand side by side, joined by id. Matrices
are written piece by piece, so that a cohort larger than memory can leave too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.store import ExpressionStore
from bulkformer.files import atomic

CHUNK_SAMPLES = 16  # whole samples an HDF5 chunk: about 1 MB at 20,000 genes
VALUES = {
    "X": "natural logarithm of (transcripts per million + 1); NaN where a gene was not measured",
    "counts": "reads as the provider gives them; NaN where a gene was not measured",
}


def export(
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    log_tpm: Annotated[Path, Option(help="Store of ln(TPM + 1).")],
    samples: Annotated[Path, Option(help="samples.parquet of the cohort.")],
    coverage: Annotated[Path, Option(help="coverage.json of the cohort.")],
    output: Annotated[Path, Option(help="h5ad file to write.")],
    counts: Annotated[Path | None, Option(help="Store of counts, for a layer.")] = None,
    model: Annotated[list[str] | None, Option(help="Name of a model, for each embedding.")] = None,
    embedding: Annotated[list[Path] | None, Option(help="samples.parquet of a model.")] = None,
    description: Annotated[list[Path] | None, Option(help="embed.json of a model.")] = None,
) -> None:
    """Write one cohort with labels and embeddings as an h5ad file."""
    models, embeddings = model or [], embedding or []
    descriptions = description or []
    if not len(models) == len(embeddings) == len(descriptions):
        raise InputError("give as many --model as --embedding and --description, in one order")
    store = ExpressionStore(log_tpm)
    counted = ExpressionStore(counts) if counts else None
    if counted and counted.sample_ids != store.sample_ids:
        raise InputError(
            f"{counts} and {log_tpm} hold different samples; run the expression stage again"
        )
    obs = observations(pq.read_table(samples), store.sample_ids, samples)
    var = variables(pq.read_table(genes), store, log_tpm)
    vectors = {
        f"X_{name}": vectors_of(path, store.sample_ids)
        for name, path in zip(models, embeddings, strict=True)
    }
    uns = {
        "cohort": _text(coverage),
        "values": {name: text for name, text in VALUES.items() if name == "X" or counted},
        "models": {name: _text(path) for name, path in zip(models, descriptions, strict=True)},
    }
    _write(output, store, counted, {"obs": obs, "var": var, "obsm": vectors, "uns": uns})


def observations(table: pa.Table, sample_ids: list[str], path: Path) -> pd.DataFrame:
    """Return labels and quality of `sample_ids`, in that order, with the ids as index.

    Text is categorical, because only so does AnnData keep what is unknown apart from "". Columns
    that are unknown for all samples are left out. Raises InputError for a sample without a row.
    """
    frame = table.to_pandas().set_index("sample_id")
    absent = [sample_id for sample_id in sample_ids if sample_id not in frame.index]
    if absent:
        raise InputError(
            f"{path}: no row for {len(absent)} samples of the store, first '{absent[0]}'; run the "
            "expression stage again"
        )
    # A sample that the provider repeats has several rows under one id, of which one may be kept.
    frame = frame.sort_values("kept", ascending=False, kind="stable")
    frame = frame[~frame.index.duplicated()].loc[sample_ids].dropna(axis="columns", how="all")
    for name in frame:
        if frame[name].dtype == object:
            known = sorted(frame[name].dropna().unique())
            frame[name] = pd.Categorical(frame[name], categories=known)
    return frame


def variables(genes: pa.Table, store: ExpressionStore, path: Path) -> pd.DataFrame:
    """Return the genes in model order with the ids as index; `measured` is the cohort's.

    An unknown symbol or Entrez id is "". Raises InputError if store and vocabulary do not fit.
    """
    if len(genes) != store.n_genes:
        raise InputError(
            f"{path}: {store.n_genes} genes, and the vocabulary has {len(genes)}; run the "
            "expression stage again"
        )
    columns = [
        name for name in ["symbol", "entrez", "biotype", "length_bp"] if name in genes.column_names
    ]
    frame = genes.select(["gene_id", *columns]).to_pandas().set_index("gene_id")
    for name in frame:
        if frame[name].dtype == object:
            frame[name] = frame[name].fillna("")
    return frame.assign(measured=store.measured)


def vectors_of(path: Path, sample_ids: list[str]) -> np.ndarray:
    """Return a model's float32 embedding [n_samples, d] of `sample_ids`, joined by id.

    Raises InputError for a sample that the model did not embed.
    """
    table = pq.read_table(path, columns=["sample_id", "embedding"])
    place = {sample_id: row for row, sample_id in enumerate(table["sample_id"].to_pylist())}
    absent = [sample_id for sample_id in sample_ids if sample_id not in place]
    if absent:
        raise InputError(
            f"{path}: no embedding of {len(absent)} samples, first '{absent[0]}'; run the embed "
            "stage again"
        )
    vectors = table["embedding"].combine_chunks()
    values = vectors.flatten().to_numpy(zero_copy_only=False).reshape(len(vectors), -1)
    return np.ascontiguousarray(
        values[[place[sample_id] for sample_id in sample_ids]], dtype=np.float32
    )


def _text(path: Path) -> str:
    """Return a JSON file on one line, as uns keeps it: AnnData has no null and no mixed lists."""
    return json.dumps(json.loads(path.read_text()), sort_keys=True)


def _write(
    output: Path, store: ExpressionStore, counted: ExpressionStore | None, parts: dict[str, object]
) -> None:
    from anndata.io import write_elem  # slow to import

    with atomic(output) as partial, h5py.File(partial, "w") as file:
        _mark(file, "anndata", "0.1.0")
        _write_matrix(file, "X", store)
        write_elem(file, "layers", {})
        if counted:
            _write_matrix(file, "layers/counts", counted)
        for name, part in parts.items():
            write_elem(file, name, part)
        for name in ["obsp", "varm", "varp"]:
            write_elem(file, name, {})


def _write_matrix(file: h5py.File, name: str, store: ExpressionStore) -> None:
    """Write a store as a dense array that AnnData knows, a record batch at a time."""
    dataset = file.create_dataset(
        name,
        shape=(len(store), store.n_genes),
        dtype=np.float32,
        chunks=(max(1, min(CHUNK_SAMPLES, len(store))), store.n_genes),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        track_times=False,
    )
    _mark(dataset, "array", "0.2.0")
    start = 0
    for sample_ids, values in store.blocks():
        dataset[start : start + len(sample_ids)] = values
        start += len(sample_ids)


def _mark(node: h5py.Group | h5py.Dataset, encoding: str, version: str) -> None:
    """State the form of a part, by the words of AnnData's specification of its files."""
    node.attrs["encoding-type"] = encoding
    node.attrs["encoding-version"] = version


if __name__ == "__main__":
    command(export)
