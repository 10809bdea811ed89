"""Knowledge of the simulated genes: in the providers' formats, traps included, and recoverable."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkformer.expression.vocabulary import SCHEMA
from bulkformer.files import write_table
from bulkformer.graph.controls import control
from bulkformer.graph.gene_sets import gene_sets
from bulkformer.graph.ontology import gene_ontology
from bulkformer.simulate.ontology import ontology
from bulkformer.simulate.recovery import compare, gene_programs, pair_scores, planted_pairs
from bulkformer.simulate.string_channels import string_channels
from bulkformer.sources.hgnc import read_hgnc
from bulkformer.sources.ontology import read_gaf, read_obo
from bulkformer.sources.string_links import CHANNELS, combined, read_protein_links


@pytest.fixture(scope="module")
def knowledge(simulated, tmp_path_factory):
    """Files of the step, and a vocabulary with the names that HGNC gives."""
    folder = tmp_path_factory.mktemp("knowledge")
    files = {
        "ontology": folder / "go-basic.obo",
        "associations": folder / "goa_human.gaf.gz",
        "gene_sets": folder / "h.all.v2024.1.Hs.symbols.gmt",
    }
    ontology(simulated["truth_genes"], simulated["hgnc"], 7, **files)
    truth = [
        row for row in pq.read_table(simulated["truth_genes"]).to_pylist() if row["in_vocabulary"]
    ]
    hgnc = read_hgnc(simulated["hgnc"]).set_index("symbol")
    names = [
        [*hgnc.at[row["symbol"], "previous"], *hgnc.at[row["symbol"], "aliases"]]
        if row["symbol"] in hgnc.index else []
        for row in truth
    ]  # fmt: skip
    shared = {name for each in names for name in each if sum(name in other for other in names) > 1}
    columns = {name: pa.nulls(len(truth), SCHEMA.field(name).type) for name in SCHEMA.names}
    columns["gene_id"] = [row["gene_id"] for row in truth]
    columns["symbol"] = [row["symbol"] or row["gene_id"] for row in truth]
    columns["aliases"] = [[name for name in each if name not in shared] for each in names]
    columns["ambiguous"] = [[name for name in each if name in shared] for each in names]
    genes = folder / "genes.parquet"
    write_table(genes, pa.table(columns, schema=SCHEMA))
    return files | {"genes": genes, "folder": folder}


def recovered(simulated, knowledge, graph):
    gene_ids = pq.read_table(knowledge["genes"])["gene_id"].to_pylist()
    return compare(
        pair_scores(graph, len(gene_ids)),
        planted_pairs(simulated["truth_edges"], gene_ids),
        gene_programs(simulated["truth_genes"], gene_ids),
    )


@pytest.fixture(scope="module")
def graph(knowledge):
    path = knowledge["folder"] / "gene_ontology.parquet"
    gene_ontology(
        genes=knowledge["genes"], format="obo", similarity="resnik_bma", neighbours=10,
        min_similarity=0.3, output=path, summary=path.with_suffix(".json"),
        ontology=knowledge["ontology"], associations=knowledge["associations"],
        aspects=["biological_process"], evidence_left_out=["ND", "IEP", "HEP"],
    )  # fmt: skip
    return path


def test_genes_that_are_annotated_alike_are_of_one_program(simulated, knowledge, graph):
    found = recovered(simulated, knowledge, graph)
    assert found["within_program_precision"] > 2.5 * found["within_program_by_chance"]
    assert found["precision"] > 2.5 * found["precision_by_chance"]
    assert found["auroc"] > 0.65


def test_controls_of_the_graph_are_at_chance(simulated, knowledge, graph):
    for kind in ["random", "degree_matched"]:
        path = knowledge["folder"] / f"{kind}.parquet"
        control(kind, graph, graph.with_suffix(".json"), 3, path, path.with_suffix(".json"))
        found = recovered(simulated, knowledge, path)
        assert found["auroc"] == pytest.approx(0.5, abs=0.04)
        chance = found["within_program_by_chance"]
        assert found["within_program_precision"] == pytest.approx(chance, abs=0.05)


def test_all_that_readers_have_to_survive_is_in_the_files(knowledge, graph):
    summary = json.loads(graph.with_suffix(".json").read_text())
    for name in ["rows_not", "rows_of_other_species", "rows_of_other_aspects", "rows_by_evidence"]:
        assert summary["annotations"][name] > 0, name
    assert summary["annotations"]["with_obsolete_term"] > 0
    for name in ["by_symbol", "by_synonym", "ambiguous", "unmatched"]:
        assert summary["products"][name] > 0, name
    text = gzip.decompress(knowledge["associations"].read_bytes()).decode()
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("!")]
    assert {len(row) for row in rows} == {17}
    assert any("|" in row[12] for row in rows)
    terms = read_obo(knowledge["ontology"])
    assert {row[4] for row in rows} & (terms.place.keys() - set(terms.terms))  # alternative ids
    relations = (knowledge["ontology"]).read_text()
    assert "relationship: part_of" in relations
    assert "relationship: regulates" in relations


def test_denials_and_annotations_from_expression_would_mislead(knowledge):
    kept, _ = read_gaf(knowledge["associations"], ["biological_process"], ["ND", "IEP", "HEP"])
    every, _ = read_gaf(knowledge["associations"], ["biological_process"], ["ND"])
    assert sum(len(each.terms) for each in every) > 1.1 * sum(len(each.terms) for each in kept)


def test_the_sets_are_the_programs(simulated, knowledge):
    output = knowledge["folder"] / "gene_sets.parquet"
    gene_sets(knowledge["genes"], [knowledge["gene_sets"]], output, output.with_suffix(".json"))
    program = dict(
        zip(
            *pq.read_table(simulated["truth_genes"])
            .select(["gene_id", "program"])
            .to_pydict()
            .values(),
            strict=True,
        )
    )
    rows = pq.read_table(output).to_pylist()
    assert {row["version"] for row in rows} == {"2024.1.Hs"}
    assert len({row["set_id"] for row in rows}) == 5
    for row in rows:
        assert row["set_id"] == f"HALLMARK_PROGRAM_{program[row['gene_id']] + 1}"
    (found,) = json.loads(output.with_suffix(".json").read_text())["collections"]
    assert found["symbols_by_alias"] > 0
    assert found["symbols_ambiguous"] == 1
    assert found["unmatched_examples"] == ["STRANGER1"]


def test_the_same_truth_and_seed_give_the_same_bytes(simulated, knowledge, tmp_path):
    names = ["ontology", "associations", "gene_sets"]
    again = {name: tmp_path / name for name in names}
    ontology(simulated["truth_genes"], simulated["hgnc"], 7, **again)
    for name in names:
        assert again[name].read_bytes() == knowledge[name].read_bytes()


def test_all_channels_together_give_the_score_of_the_plain_links(simulated, tmp_path):
    detailed, info = tmp_path / "detailed.txt.gz", tmp_path / "info.txt.gz"
    string_channels(simulated["string_links"], 7, detailed, info)
    plain = read_protein_links(simulated["string_links"], 0, ["all"])
    again = read_protein_links(detailed, 0, ["all"])
    joined = read_protein_links(detailed, 0, list(CHANNELS))
    assert again.proteins == plain.proteins == joined.proteins
    np.testing.assert_array_equal(again.score, plain.score)
    assert np.abs(joined.score - plain.score).max() <= 4  # seven channels, each in thousandths
    scores = {
        (a, b): s for a, b, s in zip(joined.protein1, joined.protein2, joined.score, strict=True)
    }
    assert all(scores[b, a] == score for (a, b), score in scores.items())
    lines = gzip.decompress(info.read_bytes()).decode().splitlines()
    assert lines[0] == "#string_protein_id\tpreferred_name\tprotein_size\tannotation"
    assert len(lines) == 1 + len(plain.proteins)


def test_one_channel_alone_says_no_more_than_all():
    scores = [np.array([0.0, 400.0]), np.array([700.0, 700.0])]
    assert (combined(scores) >= combined(scores[1:])).all()
