"""The table of protein embeddings, which holds for one vocabulary in one order."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bulkformer.errors import InputError
from bulkformer.pretrain.gene_table import read_gene_table, write_gene_table

GENES = ["ENSG00000000003", "ENSG00000000001", "ENSG00000000002"]


@pytest.fixture
def embeddings():
    values = np.random.default_rng(3).normal(size=(2, 5)).astype(np.float32)
    return pd.DataFrame(values, index=["ENSG00000000001", "ENSG00000000003"])


@pytest.fixture
def path(embeddings, tmp_path):
    proteins = pd.DataFrame({"residues": [70]}, index=["ENSG00000000001"])
    write_gene_table(tmp_path / "table.parquet", GENES, embeddings, proteins)
    return tmp_path / "table.parquet"


def test_a_row_is_found_by_gene_and_a_gene_without_one_is_zero(path, embeddings):
    table = read_gene_table(path, GENES)
    assert table.dtype == torch.float32
    np.testing.assert_array_equal(table[0], embeddings.loc["ENSG00000000003"])
    np.testing.assert_array_equal(table[1], embeddings.loc["ENSG00000000001"])
    assert not table[2].any()
    written = pd.read_parquet(path)
    assert written["has_protein"].tolist() == [True, True, False]
    assert written["residues"].isna().tolist() == [True, False, True]


@pytest.mark.parametrize("others", [GENES[:2], GENES[::-1], [*GENES, "ENSG00000000009"]])
def test_the_table_of_another_vocabulary_is_refused(path, others):
    with pytest.raises(InputError, match="compute the table again"):
        read_gene_table(path, others)


def test_what_is_no_such_table_is_refused(path, tmp_path):
    with pytest.raises(InputError, match="not a table of protein embeddings"):
        read_gene_table(tmp_path / "absent.parquet", GENES)
    pq.write_table(pa.table({"gene_id": GENES}), path)
    with pytest.raises(InputError, match="not a table of protein embeddings"):
        read_gene_table(path, GENES)
    pq.write_table(pa.table({"gene_id": GENES, "embedding": [1.0, 2.0, 3.0]}), path)
    with pytest.raises(InputError, match="no list of float32 of one length"):
        read_gene_table(path, GENES)
