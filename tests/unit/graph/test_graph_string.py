"""STRING on the vocabulary: weights, threshold, and what is counted as left out."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.expression.genes import vocabulary_table
from bulkformer.graph.edges import read_graph
from bulkformer.graph.string_ppi import string

GENE_IDS = [f"ENSG{number:011d}" for number in range(1, 6)]
LINKS = [
    (0, 1, 900),
    (1, 0, 900),
    (1, 2, 700),
    (0, 2, 699),
    (3, 4, 1000),
    (0, 7, 950),  # protein 7 is of a gene that the vocabulary does not have
    (0, 9, 950),  # protein 9 is of no gene
]


@pytest.fixture
def genes(tmp_path):
    annotation = pd.DataFrame(
        {
            "gene_id": GENE_IDS,
            "symbol": GENE_IDS,
            "entrez": None,
            "length_bp": 1000,
            "biotype": "protein_coding",
            "chromosome": "1",
        }
    )
    path = tmp_path / "genes.parquet"
    pq.write_table(vocabulary_table(annotation, None, ["protein_coding"], "a"), path)
    return path


@pytest.fixture
def links(tmp_path):
    path = tmp_path / "9606.protein.links.txt"
    table = pd.DataFrame(LINKS, columns=["protein1", "protein2", "combined_score"])
    for column in ["protein1", "protein2"]:
        table[column] = [f"9606.ENSP{number:011d}" for number in table[column]]
    table.to_csv(path, sep=" ", index=False)
    return path


@pytest.fixture
def aliases(tmp_path):
    path = tmp_path / "9606.protein.aliases.txt"
    gene_of = dict(enumerate(GENE_IDS)) | {7: "ENSG99999999999"}
    rows = [(f"9606.ENSP{n:011d}", gene, "Ensembl_gene") for n, gene in gene_of.items()]
    table = pd.DataFrame(rows, columns=["#string_protein_id", "alias", "source"])
    table.to_csv(path, sep="\t", index=False)
    return path


def make(folder, genes, links, aliases, score=700):
    output, summary = folder / "string.parquet", folder / "string.json"
    string(genes, links, "string", score, output, summary, aliases)
    return read_graph(output, len(GENE_IDS)), json.loads(summary.read_text())


def test_edges_are_strong_enough_pairs_of_vocabulary_genes(tmp_path, genes, links, aliases):
    edges, summary = make(tmp_path, genes, links, aliases)
    assert list(zip(edges.source.tolist(), edges.target.tolist(), strict=True)) == [
        (0, 1), (1, 0), (1, 2), (2, 1), (3, 4), (4, 3),
    ]  # fmt: skip
    np.testing.assert_allclose(edges.weight, [0.9, 0.9, 0.7, 0.7, 1, 1])
    assert summary["origin"] == "external"
    assert summary["reading"]["rows_below_score"] == 1
    assert summary["pairs_outside_vocabulary"] == 1
    assert summary["reading"]["proteins_without_gene"] == 1
    assert summary["n_edges"] == 3


def test_the_order_of_links_is_without_consequence(tmp_path, genes, links, aliases):
    make(tmp_path, genes, links, aliases)
    first = (tmp_path / "string.parquet").read_bytes()
    header, *rows = links.read_text().splitlines()
    links.write_text("\n".join([header, *reversed(rows)]) + "\n")
    make(tmp_path, genes, links, aliases)
    assert (tmp_path / "string.parquet").read_bytes() == first


def test_a_graph_without_edges_is_an_error_with_a_remedy(tmp_path, genes, links, aliases):
    pairs = [line for line in links.read_text().splitlines() if not line.endswith("1000")]
    links.write_text("\n".join(pairs) + "\n")
    with pytest.raises(InputError, match=r"links.txt: none of .* >= 1000; lower"):
        make(tmp_path, genes, links, aliases, score=1000)


def test_a_table_of_gene_pairs_makes_the_same_graph(tmp_path, genes, links, aliases):
    edges, _ = make(tmp_path, genes, links, aliases)
    table = pd.DataFrame(
        [(GENE_IDS[a], GENE_IDS[b], score) for a, b, score in LINKS[:5]],
        columns=["ensg1", "ensg2", "combined_score"],
    )
    table.to_csv(tmp_path / "edges.tsv", sep="\t", index=False)
    output = tmp_path / "table.parquet"
    string(genes, tmp_path / "edges.tsv", "edge_table", 700, output, tmp_path / "table.json")
    for one, other in zip(read_graph(output, len(GENE_IDS)), edges, strict=True):
        np.testing.assert_array_equal(one, other)
