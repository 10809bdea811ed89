"""The network that training begins with has the gene table that the settings ask for."""

import pandas as pd
import pytest

from bulkformer.errors import InputError
from bulkformer.pretrain.gene_table import write_gene_table
from bulkformer.pretrain.network import Origin, protein_table, shape_of

GENES = ["ENSG00000000002", "ENSG00000000001"]
SETTINGS = {"preset": "37M", "gene_identity": "esm2"}


@pytest.fixture
def files(tmp_path):
    """A vocabulary, a graph that nobody opens, and embeddings of width 6."""
    pd.DataFrame({"gene_id": GENES}).to_parquet(tmp_path / "genes.parquet")
    embeddings = pd.DataFrame([[1.0] * 6], index=GENES[1:])
    write_gene_table(tmp_path / "table.parquet", GENES, embeddings, pd.DataFrame())
    origin = Origin(tmp_path / "genes.parquet", tmp_path / "graph.parquet", None, {})
    return origin, tmp_path / "table.parquet"


def test_the_width_of_the_table_is_that_of_the_embeddings(files):
    origin, path = files
    table = protein_table(origin, SETTINGS, path)
    assert table.tolist() == [[0.0] * 6, [1.0] * 6]
    assert shape_of(origin, SETTINGS, len(GENES), table).gene_dim == 6
    learned = SETTINGS | {"gene_identity": "learned"}
    assert protein_table(origin, learned, None) is None
    assert shape_of(origin, learned, len(GENES)).gene_dim is None


def test_a_table_that_is_missing_or_of_no_use_is_said_before_training(files):
    origin, path = files
    with pytest.raises(InputError, match="--gene-table is needed"):
        protein_table(origin, SETTINGS, None)
    with pytest.raises(InputError, match="--gene-table has no use"):
        protein_table(origin, SETTINGS | {"gene_identity": "learned"}, path)
    with pytest.raises(InputError, match="--gene-table has no use"):
        protein_table(Origin(origin.genes, origin.graph, path.parent, {}), SETTINGS, path)
