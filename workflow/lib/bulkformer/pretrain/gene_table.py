"""The table of protein embeddings: one row for every gene of the vocabulary, in its order.

A gene without a protein has a row of zeros and says so in `has_protein`, so that nobody takes it
for a measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bulkformer.errors import InputError
from bulkformer.files import write_table

PROTEIN = {
    "protein_id": pa.string(),
    "transcript_id": pa.string(),
    "residues": pa.int64(),
    "windows": pa.int64(),
    "chosen_by": pa.string(),
}
EMBEDDING = "embedding"


def write_gene_table(
    path: Path, gene_ids: Sequence[str], embeddings: pd.DataFrame, proteins: pd.DataFrame
) -> None:
    """Write one row a gene.

    Parameters
    ----------
    gene_ids : genes of the vocabulary in its order
    embeddings : float32, one row a gene that has one, gene_id as index
    proteins : by gene_id, any of protein_id, transcript_id, residues, windows, chosen_by; a column
        that is not there is null for all genes
    """
    gene_ids = list(gene_ids)
    has_protein = pd.Index(gene_ids).isin(embeddings.index)
    values = embeddings.reindex(gene_ids, fill_value=0.0).to_numpy(np.float32)
    proteins = proteins.reindex(gene_ids)
    columns: dict[str, pa.Array] = {"gene_id": pa.array(gene_ids, pa.string())}
    for name, kind in PROTEIN.items():
        column = proteins[name] if name in proteins else [None] * len(gene_ids)
        columns[name] = pa.array(column, kind, from_pandas=True)
    columns["has_protein"] = pa.array(has_protein)
    flat = pa.array(values.ravel())
    columns[EMBEDDING] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    write_table(path, pa.table(columns))


def read_gene_table(path: Path, gene_ids: Sequence[str]) -> torch.Tensor:
    """Return the embeddings, float32 [n_genes, width], 0 for a gene without a protein.

    `gene_ids` are those of the model, in its order. Raises InputError if the file is another one,
    or of another vocabulary.
    """
    try:
        table = pq.read_table(path, columns=["gene_id", EMBEDDING])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a table of protein embeddings ({error})") from error
    kind = table.schema.field(EMBEDDING).type
    if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
        raise InputError(f"{path}: {EMBEDDING} is {kind}, and no list of float32 of one length")
    found = table["gene_id"].to_pylist()
    if found != list(gene_ids):
        raise InputError(
            f"{path}: {len(found)} genes, first {found[:1]}, which are not the {len(gene_ids)} of "
            f"the model, first {list(gene_ids[:1])}, in their order; compute the table again"
        )
    values = table[EMBEDDING].combine_chunks().flatten().to_numpy()
    return torch.from_numpy(values.reshape(len(found), kind.list_size).copy())
