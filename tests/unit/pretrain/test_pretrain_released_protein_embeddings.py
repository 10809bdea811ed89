"""The published protein embeddings, matched to a vocabulary by gene and never by place."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bulkformer.errors import InputError
from bulkformer.pretrain.gene_table import read_gene_table
from bulkformer.pretrain.released_protein_embeddings import released_protein_embeddings

LISTED = [f"ENSG{number:011d}" for number in range(1, 7)]
WANTED = ["ENSG00000000005", "ENSG00000000077", "ENSG00000000002", "ENSG00000000003"]


@pytest.fixture
def matrix():
    values = torch.randn(6, 9, generator=torch.Generator().manual_seed(2))
    values[2] = 0.0  # a gene without a protein
    return values


@pytest.fixture
def embed(tmp_path, matrix):
    """Run the step on a matrix and its gene list."""
    pq.write_table(pa.table({"gene_id": WANTED}), tmp_path / "genes.parquet")
    pd.DataFrame({"gene_id": LISTED}).to_csv(tmp_path / "list.csv", index=False)

    def embed(content=matrix):
        torch.save(content, tmp_path / "matrix.pt")
        released_protein_embeddings(
            genes=tmp_path / "genes.parquet",
            matrix=tmp_path / "matrix.pt",
            matrix_genes=tmp_path / "list.csv",
            matrix_genes_format="table",
            output=tmp_path / "table.parquet",
        )
        return tmp_path / "table.parquet"

    return embed


def test_each_gene_gets_the_row_of_its_name(embed, matrix):
    path = embed()
    found = read_gene_table(path, WANTED).numpy()
    np.testing.assert_array_equal(found[0], matrix[4])
    np.testing.assert_array_equal(found[2], matrix[1])
    assert pd.read_parquet(path)["has_protein"].tolist() == [True, False, True, False]
    assert not found[1].any()
    summary = json.loads(path.with_suffix(".json").read_text())
    assert (summary["genes_with_protein"], summary["genes_not_listed"]) == (2, 1)


def test_halves_become_float32(embed, matrix):
    found = read_gene_table(embed(matrix.half()), WANTED)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[0], matrix[4], atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (torch.ones(5, 9), "of one release"),
        (torch.ones(6), "not one matrix"),
        ({"matrix": torch.ones(6, 9)}, "not one matrix"),
        (torch.full((6, 9), torch.nan), "no finite number"),
        (np.ones((6, 9)), "might run code"),
        (torch.zeros(6, 9), "not one gene"),
    ],
)
def test_what_is_not_the_matrix_of_this_list_is_refused(embed, content, says):
    with pytest.raises(InputError, match=says):
        embed(content)
