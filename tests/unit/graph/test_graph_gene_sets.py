"""Gene sets on the vocabulary: old symbols mean today's genes, and nothing is guessed."""

import json

import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.graph.gene_sets import gene_sets, on_vocabulary
from bulkformer.sources.gene_sets import read_gmt


@pytest.fixture
def genes(tmp_path, write_vocabulary):
    path = tmp_path / "genes.parquet"
    write_vocabulary(
        path,
        ["TP53", "MYC", "SEPTIN2"],
        aliases={"SEPTIN2": ["SEPT2"]},
        ambiguous={"MYC": ["BOTH"], "TP53": ["BOTH"]},
    )
    return path


def make(folder, genes, *collections):
    output, summary = folder / "gene_sets.parquet", folder / "gene_sets.json"
    gene_sets(genes, list(collections), output, summary)
    return pq.read_table(output).to_pylist(), json.loads(summary.read_text())["collections"]


def test_members_are_vocabulary_genes_and_all_others_are_counted(tmp_path, genes):
    path = tmp_path / "h.all.v2024.1.Hs.symbols.gmt"
    path.write_text(
        "ONE\tx\tMYC\tSEPT2\tSEPTIN2\tBOTH\tNOBODY\t2-Sep\nTWO\tx\tTP53\nNONE\tx\tNOBODY\n"
    )
    rows, (found,) = make(tmp_path, genes, path)
    assert [(row["set_id"], row["gene_id"]) for row in rows] == [
        ("ONE", "ENSG00000000002"),
        ("ONE", "ENSG00000000003"),
        ("TWO", "ENSG00000000001"),
    ]
    assert {(row["collection"], row["version"]) for row in rows} == {("h.all", "2024.1.Hs")}
    assert (found["sets"], found["sets_without_genes"], found["memberships"]) == (3, 1, 3)
    assert (found["symbols"], found["symbols_matched"], found["symbols_by_alias"]) == (7, 4, 1)
    assert found["unmatched_examples"] == ["NOBODY"]
    assert found["ambiguous"] == ["BOTH"]
    assert found["damaged_symbols"] == ["2-Sep"]


def test_collections_of_one_name_are_told_apart_by_their_version(tmp_path, genes):
    paths = [tmp_path / f"h.all.v{version}.symbols.gmt" for version in ("5.1", "2024.1.Hs")]
    for path in paths:
        path.write_text("ONE\tx\tMYC\n")
    rows, _ = make(tmp_path, genes, *paths)
    assert [row["version"] for row in rows] == ["5.1", "2024.1.Hs"]
    (tmp_path / "copy").mkdir()
    again = tmp_path / "copy" / paths[0].name
    again.write_text("TWO\tx\tMYC\n")
    with pytest.raises(InputError, match=r"h\.all, version 5\.1, is given twice"):
        make(tmp_path, genes, paths[0], again)


def test_sets_of_another_species_are_refused(tmp_path, genes):
    path = tmp_path / "mouse.gmt"
    path.write_text("ONE\tx\tTrp53\tMyc\n")
    with pytest.raises(InputError, match=r"mouse\.gmt: no set has a gene of the vocabulary"):
        make(tmp_path, genes, path)


@pytest.mark.real_data
def test_the_hallmarks_of_two_releases_mean_mostly_the_same_genes(
    development_data, tmp_path, write_vocabulary
):
    folder = development_data / "genesets"
    old, new = (
        read_gmt(folder / name) for name in ["h.all.v5.1.symbols.gmt", "hallmark_iobr.gmt.gz"]
    )
    write_vocabulary(tmp_path / "genes.parquet", sorted({g for each in new for g in each.genes}))
    _, counts = on_vocabulary(old, Vocabulary.load(tmp_path / "genes.parquet"))
    assert counts["sets"] == 50
    # Without aliases, the renamed genes of a decade are unmatched, and none is guessed.
    assert 0.8 < counts["symbols_matched"] / counts["symbols"] < 1
