"""STRING's files: pairs of genes, channels that combine by its formula, and what is refused."""

import gzip

import numpy as np
import pandas as pd
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.string_db import read_links
from bulkformer.sources.string_links import CHANNELS, combined, read_aliases, read_protein_links

HEADER = "protein1 protein2 combined_score\n"


@pytest.fixture
def string(tmp_path):
    proteins = {"A": 1, "A2": 1, "B": 2, "C": 3}
    pairs = [("A", "B", 700), ("B", "A", 700), ("A2", "B", 900), ("B", "A2", 900)]
    pairs += [("A", "A2", 999), ("A2", "A", 999), ("A", "X", 500), ("X", "A", 500)]
    pairs += [("C", "A", 150), ("A", "C", 150)]
    links, aliases = tmp_path / "links.txt.gz", tmp_path / "aliases.txt.gz"
    text = "".join(f"9606.ENSP{a} 9606.ENSP{b} {score}\n" for a, b, score in pairs)
    links.write_bytes(gzip.compress(f"protein1 protein2 combined_score\n{text}".encode()))
    text = "".join(
        f"9606.ENSP{p}\tENSG0000000000{g}\tEnsembl_gene\n9606.ENSP{p}\t{p} \"5'\tEnsembl_HGNC\n"
        for p, g in proteins.items()
    )
    aliases.write_bytes(gzip.compress(f"#string_protein_id\talias\tsource\n{text}".encode()))
    return links, aliases


def test_protein_pairs_become_undirected_gene_pairs_with_the_best_score(string):
    pairs, counts = read_links("string", *string)
    expected = pd.DataFrame(
        {
            "gene1": ["ENSG00000000001", "ENSG00000000001"],
            "gene2": ["ENSG00000000002", "ENSG00000000003"],
            "combined_score": [900.0, 150.0],
        }
    )
    pd.testing.assert_frame_equal(pairs, expected)
    assert counts == {
        "rows": 10,
        "rows_below_score": 0,
        "proteins": 5,
        "proteins_without_gene": 1,
        "proteins_with_several_genes": 0,
        "rows_without_gene": 2,
        "rows_within_one_gene": 2,
        "rows_merged": 4,
        "pairs": 2,
        "genes": 3,
    }


def test_a_protein_of_two_genes_links_both(string):
    links, aliases = string
    text = gzip.decompress(aliases.read_bytes()).decode()
    aliases.write_bytes(
        gzip.compress((text + "9606.ENSPC\tENSG00000000009\tEnsembl_gene\n").encode())
    )
    pairs, counts = read_links("string", links, aliases)
    assert pairs["gene2"].tolist() == [f"ENSG0000000000{n}" for n in (2, 3, 9)]
    assert counts["proteins_with_several_genes"] == 1


def test_links_of_another_species_than_the_aliases_are_refused(string, tmp_path):
    links = tmp_path / "mouse.txt"
    links.write_text("protein1 protein2 combined_score\n10090.P1 10090.P2 800\n")
    with pytest.raises(InputError, match="one species and release"):
        read_links("string", links, string[1])
    with pytest.raises(InputError, match=r"needs STRING's protein\.aliases"):
        read_links("string", links, None)


def test_an_edge_table_is_read_with_its_unmapped_rows_counted(tmp_path):
    path = tmp_path / "edges.tsv"
    path.write_text(
        "symbol1\tensg1\tensg2\tcombined_score\n"
        "x\tENSG00000000002\tENSG00000000001.7\t905.0\n"
        "x\tENSG00000000001\tENSG00000000002\t800\n"
        "x\t\tENSG00000000002\t800\n"
        "x\tENSG00000000003\tENSG00000000003\t800\n"
    )
    pairs, counts = read_links("edge_table", path, None)
    assert pairs.to_numpy().tolist() == [["ENSG00000000001", "ENSG00000000002", 905.0]]
    assert counts["rows_without_gene"] == 1
    assert counts["rows_within_one_gene"] == 1
    assert counts["rows_merged"] == 1


@pytest.mark.parametrize(
    ("score", "complaint"), [("0.9", "multiply by 1000"), ("1001", "'1001'"), ("x", "'x'")]
)
def test_scores_on_another_scale_are_refused(tmp_path, score, complaint):
    path = tmp_path / "edges.tsv"
    path.write_text(f"ensg1\tensg2\tcombined_score\nENSG00000000001\tENSG00000000002\t{score}\n")
    with pytest.raises(InputError, match=complaint):
        read_links("edge_table", path, None)


def test_weak_associations_are_counted_and_left_out(string):
    pairs, counts = read_links("string", *string, min_combined_score=700)
    assert pairs["combined_score"].tolist() == [900.0]
    assert counts["rows_below_score"] == 4
    assert counts["proteins_without_gene"] == 0  # the protein without a gene is in weak rows only


def test_files_are_read_alike_whether_gzipped_or_not(string, tmp_path):
    plain = []
    for path in string:
        plain.append(tmp_path / path.name.removesuffix(".gz"))
        plain[-1].write_bytes(gzip.decompress(path.read_bytes()))
    pd.testing.assert_frame_equal(read_links("string", *plain)[0], read_links("string", *string)[0])


def test_blocks_of_a_long_file_join_without_a_seam(tmp_path, monkeypatch):
    monkeypatch.setattr("bulkformer.sources.string_links.BLOCK_BYTES", 200)
    path = tmp_path / "links.txt"
    rows = [(f"9606.P{a}", f"9606.P{b}", 100 * a + b) for a in range(9) for b in range(9) if a != b]
    path.write_text(HEADER + "".join(f"{a} {b} {score}\n" for a, b, score in rows))
    links = read_protein_links(path, 300, ["all"])
    assert links.rows == 72
    found = zip(links.protein1, links.protein2, links.score.tolist(), strict=True)
    named = [(links.proteins[a], links.proteins[b], int(score)) for a, b, score in found]
    assert named == [row for row in rows if row[2] >= 300]


def test_versions_of_genes_and_aliases_of_other_sources_do_not_count(tmp_path):
    path = tmp_path / "aliases.txt"
    path.write_text(
        "#string_protein_id\talias\tsource\n"
        "9606.P1\tENSG00000000001.7\tEnsembl_gene\n9606.P1\tENSG00000000001\tEnsembl_gene\n"
        "9606.P1\tENSG00000000002\tEnsembl_HGNC\n9606.P2\tLRG_7\tEnsembl_gene\n"
        '9606.P2\t5"-kinase "a\tUniProt_DE\n'
    )
    assert read_aliases(path) == [("9606.P1", "ENSG00000000001")]


def write_detailed(path, rows):
    lines = [" ".join(map(str, row)) for row in rows]
    header = " ".join(["protein1", "protein2", *CHANNELS, "combined_score"])
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_the_channels_of_a_list_are_combined_by_strings_formula(tmp_path):
    # The example of STRING's FAQ: 0.621 and 0.585 with the prior 0.041.
    experimental, textmining = (0.621 - 0.041) / 0.959, (0.585 - 0.041) / 0.959
    expected = 1 - (1 - experimental) * (1 - textmining)
    expected = int(1000 * (expected + 0.041 * (1 - expected)))
    row = ["9606.A", "9606.B", 0, 0, 0, 999, 621, 0, 585, 999]
    path = write_detailed(tmp_path / "detailed.txt", [row])
    links = read_protein_links(path, 1, ["textmining", "experimental"])
    assert links.score.tolist() == [expected]
    assert read_protein_links(path, 1, ["all"]).score.tolist() == [999]
    assert read_protein_links(path, 1, ["experimental"]).score.tolist() == [621]


def test_a_pair_of_which_the_chosen_channels_know_nothing_is_no_pair(tmp_path):
    rows = [["9606.A", "9606.B", 0, 0, 0, 999, 0, 0, 0, 999]]
    path = write_detailed(tmp_path / "detailed.txt", rows)
    links = read_protein_links(path, 0, [name for name in CHANNELS if name != "coexpression"])
    assert (links.rows, len(links.score)) == (1, 0)


def test_scores_below_the_prior_are_no_evidence_against_a_pair():
    assert combined([np.array([20.0]), np.array([600.0])]).tolist() == [600]


def test_channels_are_refused_where_they_cannot_be_had(string, tmp_path):
    with pytest.raises(InputError, match="'experiments' is no channel; write all, or a list of"):
        read_links("string", *string, channels=["experiments"])
    with pytest.raises(InputError, match=r"links\.txt\.gz: cannot be read .*experimental"):
        read_links("string", *string, channels=["experimental"])
    with pytest.raises(InputError, match="write all for an edge_table"):
        read_links("edge_table", string[0], None, channels=["experimental"])


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("a b 900\na c x\n", "combined_score 'x' in data row 2 is not a number"),
        ("a b 900\na c\n", "Expected 3 columns, got 2"),
        ("a b 900\na c 1001\n", r"combined_score '1001.0' in data row 2 is not a number from 0"),
        ("a b 900\na c \n", "in data row 2 is not a number"),
        ("a b 0.9\n", "multiply by 1000"),
        (" b 900\n", "names no two proteins"),
    ],
)
def test_damaged_links_are_refused_with_their_row(tmp_path, rows, complaint):
    path = tmp_path / "links.txt"
    path.write_text(HEADER + rows)
    with pytest.raises(InputError, match=complaint) as error:
        read_protein_links(path, 0, ["all"])
    assert str(path) in str(error.value)


def test_a_cut_or_foreign_file_is_refused(string, tmp_path):
    cut = tmp_path / "cut.txt.gz"
    cut.write_bytes(string[0].read_bytes()[:-12])
    with pytest.raises(InputError, match=r"cut\.txt\.gz: cannot be read"):
        read_links("string", cut, string[1])
    page = tmp_path / "page.txt"
    page.write_text("<!doctype html>\n<html>\n")
    with pytest.raises(InputError, match=r"page\.txt: cannot be read .*protein1"):
        read_links("string", page, string[1])
    with pytest.raises(InputError, match=r"page\.txt: cannot be read .*#string_protein_id"):
        read_links("string", string[0], page)
    with pytest.raises(InputError, match=r"absent\.txt"):
        read_links("string", tmp_path / "absent.txt", string[1])


@pytest.mark.real_data
def test_the_formula_gives_the_published_scores_of_real_pairs(development_data):
    table = pd.read_csv(development_data / "graph/string_v12_700_edges.tsv.gz", sep="\t")
    # Direct and transferred evidence are channels of their own; the slice is without text mining.
    known = ["neighborhood", "fusion", "cooccurence", "coexpression", "experiments", "database"]
    columns = [c for c in table if c.removesuffix("_transferred") in known]
    found = combined([table[column].to_numpy() for column in columns])
    # Co-occurrence is also lowered by homology, which no column of links.detailed tells.
    simple = table["cooccurence"] == 0
    assert simple.mean() > 0.9
    np.testing.assert_array_equal(found[simple], table["combined_score"][simple])
