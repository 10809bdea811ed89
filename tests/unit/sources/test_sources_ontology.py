"""The Gene Ontology's files: which terms stand above which, and which annotations count."""

import gzip

import pytest

from bulkformer.errors import InputError
from bulkformer.sources.ontology import read_gaf, read_obo

PROCESS = ["biological_process"]
OBO = """format-version: 1.2
data-version: releases/2024-06-17
ontology: go

[Term]
id: GO:1
name: root
namespace: biological_process

[Term]
id: GO:2
name: middle
namespace: biological_process
alt_id: GO:20
is_a: GO:1 ! root
relationship: regulates GO:5 ! other

[Term]
id: GO:3
name: leaf
namespace: biological_process
is_a: GO:2 ! middle
relationship: part_of GO:5 ! other
relationship: negatively_regulates GO:6 ! far

[Term]
id: GO:4
name: obsolete leaf
namespace: biological_process
is_obsolete: true
replaced_by: GO:3

[Term]
id: GO:5
name: other
namespace: biological_process
is_a: GO:1 ! root

[Term]
id: GO:6
name: far
namespace: molecular_function
is_a: GO:99 ! a term that the file does not have

[Typedef]
id: part_of
name: part of
"""


def above(ontology, term):
    found = ontology.ancestors()[ontology.place[term]]
    return {ontology.terms[at] for at in found}


def test_a_term_is_below_what_it_is_and_what_it_is_part_of(tmp_path):
    path = tmp_path / "go-basic.obo"
    path.write_text(OBO)
    ontology = read_obo(path)
    assert above(ontology, "GO:3") == {"GO:3", "GO:2", "GO:5", "GO:1"}
    # To regulate a process is not to be part of it.
    assert above(ontology, "GO:2") == {"GO:2", "GO:1"}
    assert above(ontology, "GO:1") == {"GO:1"}
    assert above(ontology, "GO:6") == {"GO:6"}
    assert ontology.aspects[ontology.place["GO:6"]] == "molecular_function"
    assert ontology.version == "releases/2024-06-17"


def test_obsolete_terms_are_gone_and_alternative_ids_lead_to_their_term(tmp_path):
    path = tmp_path / "go-basic.obo"
    path.write_text(OBO)
    ontology = read_obo(path)
    assert ontology.terms == ["GO:1", "GO:2", "GO:3", "GO:5", "GO:6"]
    assert ontology.obsolete == {"GO:4"}
    assert "GO:4" not in ontology.place
    assert ontology.place["GO:20"] == ontology.place["GO:2"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<!doctype html>\n<html></html>\n", "fetch it again|no term that is in use"),
        ("format-version: 1.2\n", "fetch it again|no term that is in use"),
        (OBO.replace("name: root\n", "name: root\nis_a: GO:3\n"), "is above itself"),
    ],
)
def test_files_that_are_no_ontology_are_refused(tmp_path, text, complaint):
    path = tmp_path / "go-basic.obo"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint) as error:
        read_obo(path)
    assert str(path) in str(error.value)


def gaf_row(**cells):
    row = {
        "database": "UniProtKB", "id": "P1", "symbol": "TP53", "relation": "involved_in",
        "term": "GO:3", "reference": "PMID:1", "evidence": "IDA", "with": "", "aspect": "P",
        "name": "a \"protein", "synonyms": "TP53|P53", "type": "protein", "taxon": "taxon:9606",
        "date": "20240617", "by": "UniProt", "extension": "", "form": "",
    } | cells  # fmt: skip
    return "\t".join(row.values()) + "\n"


def write_gaf(path, *rows, header="!gaf-version: 2.2\n!comment\n"):
    path.write_bytes(gzip.compress((header + "".join(rows)).encode()))
    return path


def test_terms_are_gathered_by_product_and_what_does_not_count_is_counted(tmp_path):
    path = write_gaf(
        tmp_path / "goa_human.gaf.gz",
        gaf_row(),
        "!a comment among the rows\n",
        gaf_row(term="GO:5", taxon="taxon:9606|taxon:1280"),
        gaf_row(term="GO:6", relation="NOT|involved_in"),
        gaf_row(term="GO:7", relation="NOT|acts_upstream_of"),
        gaf_row(term="GO:8", taxon="taxon:10090|taxon:9606"),
        gaf_row(term="GO:9", aspect="F"),
        gaf_row(term="GO:1", evidence="ND"),
        gaf_row(id="A1", symbol="MYC", term="GO:2", synonyms=""),
    )
    products, counts = read_gaf(path, PROCESS, ["ND"])
    assert [(each.symbol, each.synonyms, each.terms) for each in products] == [
        ("MYC", [], {"GO:2"}),
        ("TP53", ["TP53", "P53"], {"GO:3", "GO:5"}),
    ]
    assert counts == {
        "rows": 8,
        "rows_not": 2,
        "rows_of_other_species": 1,
        "rows_of_other_aspects": 1,
        "rows_by_evidence": 1,
    }


def test_a_relation_that_only_contains_the_letters_is_no_denial(tmp_path):
    path = write_gaf(tmp_path / "a.gaf.gz", gaf_row(relation="NOTHING_like_it"))
    assert len(read_gaf(path, PROCESS, [])[0]) == 1


@pytest.mark.parametrize(
    ("rows", "header", "complaint"),
    [
        ([gaf_row()], "!gaf-version: 1.0\n", "line 2: no line '!gaf-version: 2"),
        (["<html>\n"], "", "line 1: no line '!gaf-version: 2"),
        (["UniProtKB\tP1\tTP53\n"], "!gaf-version: 2.2\n", "line 2: 3 columns"),
        ([gaf_row(evidence="ND")], "!gaf-version: 2.2\n", "no annotation .* is left of 1 rows"),
    ],
)
def test_files_that_are_no_annotations_are_refused(tmp_path, rows, header, complaint):
    path = write_gaf(tmp_path / "a.gaf.gz", *rows, header=header)
    with pytest.raises(InputError, match=complaint) as error:
        read_gaf(path, PROCESS, ["ND"])
    assert str(path) in str(error.value)


def test_a_cut_file_is_refused(tmp_path):
    path = write_gaf(tmp_path / "a.gaf.gz", gaf_row())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="cannot be read to its end"):
        read_gaf(path, PROCESS, [])
