"""The protein embeddings that the authors published, put in the order of this vocabulary.

Their matrix has neither names nor order of its own: the gene list of the same release gives both,
and a matrix that does not fit the list is refused.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from typer import Option

import bulkformer
from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.files import sha256, write_json
from bulkformer.pretrain.gene_table import write_gene_table
from bulkformer.sources.gene_lists import read_gene_list


def released_protein_embeddings(
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    matrix: Annotated[Path, Option(help="esm2_feature_concat.pt.")],
    matrix_genes: Annotated[Path, Option(help="Gene list of the same release.")],
    matrix_genes_format: Annotated[str, Option(help="How the list is written.")],
    output: Annotated[Path, Option(help="Table of the embeddings; a summary goes beside it.")],
) -> None:
    """Write the published embedding of every gene of the vocabulary that has one."""
    listed = read_gene_list(matrix_genes_format, matrix_genes)["gene_id"]
    values = read_matrix(matrix, len(listed), matrix_genes)
    gene_ids = pd.read_parquet(genes, columns=["gene_id"])["gene_id"].tolist()
    # Genes without a protein are rows of zeros in the matrix too.
    known = listed.isin(gene_ids).to_numpy() & values.any(axis=1)
    if not known.any():
        raise InputError(
            f"{matrix_genes}: not one gene of {genes}, first {gene_ids[0]}, has an embedding; both "
            "must hold Ensembl genes"
        )
    table = pd.DataFrame(values[known], index=listed[known])
    summary = {
        "source": "released",
        "matrix_sha256": sha256(matrix),
        "matrix_genes_sha256": sha256(matrix_genes),
        "width": values.shape[1],
        "genes": len(gene_ids),
        "genes_with_protein": len(table),
        "genes_not_listed": len(set(gene_ids) - set(listed)),
        "versions": {"bulkformer": bulkformer.__version__, "torch": torch.__version__},
    }
    write_json(output.with_suffix(".json"), summary)
    write_gene_table(output, gene_ids, table, pd.DataFrame())


def read_matrix(path: Path, n_genes: int, genes: Path) -> np.ndarray:
    """Return the matrix, float32 [n_genes, width].

    Raises InputError if the file is no plain tensor, is not of this shape, or holds what is no
    finite number; `genes` is named as what it does not fit.
    """
    try:
        matrix = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} (SHA-256 {sha256(path)}): refused, because it is no plain tensor and might "
            "run code on loading; give the published file"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"{path}: not a readable PyTorch file ({error})") from error
    if not isinstance(matrix, torch.Tensor) or not matrix.is_floating_point() or matrix.ndim != 2:
        raise InputError(f"{path}: not one matrix of numbers; give esm2_feature_concat.pt")
    if len(matrix) != n_genes or not matrix.shape[1]:
        raise InputError(
            f"{path}: {list(matrix.shape)} numbers for the {n_genes} genes of {genes}; give matrix "
            "and gene list of one release"
        )
    if not torch.isfinite(matrix).all():
        raise InputError(f"{path}: holds what is no finite number; fetch it again")
    return matrix.float().numpy()


if __name__ == "__main__":
    command(released_protein_embeddings)
