"""The gene_ontology graph: which annotations make genes neighbours, and whose they are."""

import json

import pytest

from bulkformer.errors import InputError
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.graph.edges import read_graph
from bulkformer.graph.ontology import gene_ontology, place_products
from bulkformer.sources.ontology import Product

SYMBOLS = ["A", "B", "C", "D", "E", "F"]
TERMS = {
    "GO:1": ("root", []),
    "GO:2": ("one branch", ["is_a: GO:1"]),
    "GO:3": ("other branch", ["is_a: GO:1"]),
    "GO:4": ("leaf", ["is_a: GO:2"]),
    "GO:5": ("part", ["relationship: part_of GO:4"]),
    "GO:6": ("ruler", ["is_a: GO:3", "relationship: regulates GO:4"]),
    "GO:7": ("obsolete", ["is_obsolete: true"]),
}


@pytest.fixture
def genes(tmp_path, write_vocabulary):
    path = tmp_path / "genes.parquet"
    write_vocabulary(path, SYMBOLS, aliases={"F": ["OLD_F"]}, ambiguous={"A": ["X"], "B": ["X"]})
    return path


@pytest.fixture
def obo(tmp_path):
    path = tmp_path / "go-basic.obo"
    stanzas = [
        "\n".join(
            ["[Term]", f"id: {term}", f"name: {name}", "namespace: biological_process", *more]
        )
        for term, (name, more) in TERMS.items()
    ]
    path.write_text("format-version: 1.2\nontology: go\n\n" + "\n\n".join(stanzas) + "\n")
    return path


def write_gaf(path, *rows):
    """Write rows of symbol, term and, where they matter, evidence, relation and synonyms."""
    lines = ["!gaf-version: 2.2"]
    for row in rows:
        symbol, term, evidence, relation, synonyms = (
            *row,
            *["IDA", "involved_in", ""][len(row) - 2 :],
        )
        cells = ["U", f"P_{symbol}", symbol, relation, term, "R", evidence, "", "P", "", synonyms]
        lines.append("\t".join([*cells, "protein", "taxon:9606", "20240617", "U", "", ""]))
    path.write_text("\n".join(lines) + "\n")
    return path


def make(folder, genes, **options):
    output, summary = folder / "gene_ontology.parquet", folder / "gene_ontology.json"
    settings = {
        "format": "obo",
        "similarity": "resnik_bma",
        "neighbours": 5,
        "min_similarity": 0.01,
        "aspects": ["biological_process"],
        "evidence_left_out": ["IEP"],
    } | options
    gene_ontology(genes=genes, output=output, summary=summary, **settings)
    edges = read_graph(output, len(SYMBOLS))
    named = {
        SYMBOLS[a] + SYMBOLS[b]: float(weight)
        for a, b, weight in zip(*map(list, edges), strict=True)
        if a < b
    }
    return named, json.loads(summary.read_text())


ROWS = [("A", "GO:4"), ("B", "GO:5"), ("C", "GO:3"), ("D", "GO:6"), ("E", "GO:2")]


@pytest.mark.parametrize("similarity", ["resnik_bma", "lin_bma", "simgic"])
def test_genes_are_neighbours_by_what_stands_above_their_terms(tmp_path, genes, obo, similarity):
    gaf = write_gaf(tmp_path / "a.gaf", *ROWS)
    edges, summary = make(tmp_path, genes, ontology=obo, associations=gaf, similarity=similarity)
    # A, B (by part_of) and E are in one branch, C and D in the other; D only regulates A's term.
    assert set(edges) == {"AB", "AE", "BE", "CD"}
    assert edges["AB"] > edges["AE"]
    assert (summary["kind"], summary["origin"]) == ("gene_ontology", "external")
    assert summary["n_edges"] == 4
    assert summary["genes_annotated"] == 5
    assert summary["files"] == ["go-basic.obo", "a.gaf"]


def test_denied_obsolete_and_unknown_annotations_make_no_edge(tmp_path, genes, obo):
    gaf = write_gaf(
        tmp_path / "a.gaf",
        *ROWS,
        ("F", "GO:4", "IDA", "NOT|involved_in"),
        ("F", "GO:4", "IEP"),
        ("F", "GO:7"),
        ("F", "GO:77"),
        ("STRANGER", "GO:4"),
    )
    edges, summary = make(tmp_path, genes, ontology=obo, associations=gaf)
    assert set(edges) == {"AB", "AE", "BE", "CD"}
    counts = summary["annotations"]
    assert (counts["rows_not"], counts["rows_by_evidence"]) == (1, 1)
    assert (counts["with_obsolete_term"], counts["with_unknown_term"]) == (1, 1)
    assert summary["products"]["unmatched"] == 1


def test_a_product_is_found_by_symbol_alias_or_a_synonym_without_doubt(tmp_path, genes):
    products = [
        Product("A", ["B"], set()),  # its symbol decides
        Product("OLD_F", [], set()),  # an earlier symbol
        Product("NEW_C", ["C", "NOBODY"], set()),  # only a synonym is known
        Product("NEW_D", ["D", "E"], set()),  # synonyms of two genes
        Product("X", ["E"], set()),  # a name of two genes
        Product("FRAGMENT", ["A"], set()),  # gene A has a product of its own
        Product("STRANGER", [], set()),
    ]
    place, counts = place_products(products, Vocabulary.load(genes))
    assert place == [0, 5, 2, -1, -1, -1, -1]
    assert counts == {"read": 7, "by_symbol": 2, "by_synonym": 1, "ambiguous": 2, "unmatched": 2}


def test_gene_sets_serve_where_there_is_no_ontology(tmp_path, genes):
    path = tmp_path / "sets.v7.0.symbols.gmt"
    path.write_text("ONE\tx\tA\tB\tX\nTWO\tx\tC\tOLD_F\tSTRANGER\nALL\tx\tA\tB\tC\tF\n")
    settings = {"format": "gmt", "gene_sets": [path], "aspects": None}
    edges, summary = make(tmp_path, genes, similarity="simgic", **settings)
    assert edges == {"AB": 1.0, "CF": 1.0}
    assert summary["collections"][0]["symbols_ambiguous"] == 1
    assert summary["collections"][0]["version"] == "7.0"
    with pytest.raises(InputError, match=r"gene sets have no terms above them.*write simgic"):
        make(tmp_path, genes, similarity="lin_bma", **settings)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"format": "owl"}, "write obo or gmt"),
        ({"similarity": "wang"}, "known are simgic, resnik_bma, lin_bma"),
        ({"ontology": None}, "the format obo needs ontology"),
        ({"aspects": ["process"]}, "'process' is none; write biological_process"),
        ({"aspects": None}, "'' is none"),
        ({"format": "gmt"}, "the format gmt needs gene_sets"),
        ({"min_similarity": 1.0, "neighbours": 1, "similarity": "simgic"}, "lower graph.gene_ont"),
    ],
)
def test_settings_that_make_no_graph_are_refused(tmp_path, genes, obo, options, complaint):
    gaf = write_gaf(tmp_path / "a.gaf", *ROWS)
    with pytest.raises(InputError, match=complaint):
        make(tmp_path, genes, **({"ontology": obo, "associations": gaf} | options))
    assert not (tmp_path / "gene_ontology.parquet").exists()


@pytest.mark.real_data
def test_members_of_one_complex_are_neighbours_by_real_gene_sets(
    development_data, tmp_path, write_vocabulary
):
    from bulkformer.sources.gene_sets import read_gmt

    path = development_data / "genesets/go_bp_iobr.gmt.gz"
    symbols = sorted({gene for each in read_gmt(path) for gene in each.genes})[::8]
    symbols = sorted({*symbols, "MCM2", "MCM3", "MCM5", "OR1A1", "HBB"})
    genes = tmp_path / "genes.parquet"
    write_vocabulary(genes, symbols)
    output = tmp_path / "go.parquet"
    gene_ontology(
        genes=genes, format="gmt", similarity="simgic", neighbours=10, min_similarity=0.1,
        output=output, summary=tmp_path / "go.json", gene_sets=[path],
    )  # fmt: skip
    edges = read_graph(output, len(symbols))
    near = {symbols[at] for at in edges.target[edges.source == symbols.index("MCM2")]}
    assert {"MCM3", "MCM5"} <= near
    assert not near & {"OR1A1", "HBB"}
