"""Ensembl annotation, HGNC names and STRING links."""

import gzip

import pandas as pd
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.ensembl import COLUMNS, read_annotation, union_length
from bulkformer.sources.hgnc import read_hgnc
from bulkformer.sources.string_db import read_links


def gtf_line(chromosome, feature, start, end, gene_id, **attributes):
    text = "; ".join(f'{k} "{v}"' for k, v in {"gene_id": gene_id, **attributes}.items())
    return f"{chromosome}\thavana\t{feature}\t{start}\t{end}\t.\t+\t.\t{text};\n"


@pytest.fixture
def gtf(tmp_path):
    coding = {"gene_version": "5", "gene_name": "AAA", "gene_biotype": "protein_coding"}
    lines = [
        "#!genome-build GRCh38.p13\n",
        gtf_line("1", "gene", 1, 500, "ENSG00000000001", **coding),
        gtf_line("1", "transcript", 1, 500, "ENSG00000000001", **coding),
        gtf_line("1", "exon", 101, 200, "ENSG00000000001", **coding),
        gtf_line("1", "exon", 1, 100, "ENSG00000000001", **coding),
        gtf_line("1", "exon", 150, 250, "ENSG00000000001", **coding),
        gtf_line("1", "exon", 160, 170, "ENSG00000000001", **coding),
        gtf_line("1", "CDS", 300, 900, "ENSG00000000001", **coding),
        gtf_line("MT", "gene", 5, 9, "ENSG00000000002", gene_biotype="Mt_tRNA"),
        gtf_line("MT", "exon", 5, 9, "ENSG00000000002", gene_biotype="Mt_tRNA"),
        gtf_line("KI270728.1", "gene", 5, 9, "ENSG00000000003", **coding),
        gtf_line("KI270728.1", "exon", 5, 9, "ENSG00000000003", **coding),
        gtf_line("chrX", "gene", 1, 9, "ENSG00000000004.9", gene_type="lncRNA", gene_name="X4"),
        gtf_line("chrX", "exon", 1, 9, "ENSG00000000004.9", gene_type="lncRNA", gene_name="X4"),
        gtf_line("chrY", "exon", 1, 99, "ENSG00000000004.9_PAR_Y", gene_type="lncRNA"),
        gtf_line("chrY", "exon", 1, 99, "ENSG00000000004.9", gene_type="lncRNA"),
    ]
    path = tmp_path / "genes.gtf.gz"
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def test_gene_length_is_the_union_of_all_exons(gtf):
    genes = read_annotation("gtf", gtf).set_index("gene_id")
    assert genes.loc["ENSG00000000001", "length_bp"] == 250
    assert genes.loc["ENSG00000000002", "length_bp"] == 5


def test_exons_that_only_touch_are_not_counted_twice():
    assert union_length([(1, 10), (11, 20)]) == 20
    assert union_length([(5, 5)]) == 1
    assert union_length([(1, 10), (2, 3), (8, 12)]) == 12


def test_only_assembled_chromosomes_count_and_copies_on_y_do_not(gtf, capsys):
    genes = read_annotation("gtf", gtf)
    assert genes.columns.tolist() == COLUMNS
    assert genes["gene_id"].tolist() == [f"ENSG0000000000{n}" for n in (1, 2, 4)]
    assert genes["chromosome"].tolist() == ["1", "MT", "X"]
    assert genes["biotype"].tolist() == ["protein_coding", "Mt_tRNA", "lncRNA"]
    assert genes["length_bp"].tolist()[2] == 9
    assert "1 on patches" in capsys.readouterr().err


def test_a_gene_without_a_name_goes_by_its_id(gtf):
    genes = read_annotation("gtf", gtf)
    assert genes["symbol"].tolist() == ["AAA", "ENSG00000000002", "X4"]
    assert genes["entrez"].tolist() == [None] * 3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1\thavana\tgene\n", "line 1 is not GTF"),
        ("1\th\tgene\tx\t9\t.\t+\t.\tgene_id\n", "line 1 is not GTF"),
        ("1\th\tgene\t1\t9\t.\t+\t.\tID=gene1\n", "line 1 has no gene_id"),
        ("# nothing\n", "no gene on the chromosomes"),
    ],
)
def test_a_file_that_is_not_gtf_is_refused(tmp_path, text, complaint):
    path = tmp_path / "genes.gtf"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_annotation("gtf", path)


def test_a_table_of_genes_is_cleaned_of_patches_repeats_and_missing_lengths(tmp_path, capsys):
    path = tmp_path / "genes.tsv"
    path.write_text(
        "id\teff_length\tgc\tentrez\tsymbol\tchr\tbiotype\tdescription\n"
        "ENSG00000000001.4\t1500.0\t.4\t7105.0\tAAA\tX\tprotein_coding\t5' \"end\n"
        "ENSG00000000002\t900.0\t.4\t\t\t2\tlincRNA\t\n"
        "ENSG00000000003\t\t.4\t11\tCCC\t3\tmiRNA\t\n"
        "ENSG00000000004\t800.0\t.4\t12.0\tDDD\t4\tprotein_coding\t\n"
        "ENSG00000000004\t800.0\t.4\t13.0\tDDD\t4\tprotein_coding\t\n"
        "ENSG00000000005\t800.0\t.4\t14\tDDD\tCHR_HSCHR6_MHC_COX_CTG1\tprotein_coding\t\n"
    )
    genes = read_annotation("table", path)
    assert genes.columns.tolist() == COLUMNS
    assert genes["gene_id"].tolist() == [f"ENSG0000000000{n}" for n in (1, 2, 4)]
    assert genes["entrez"].tolist() == ["7105", None, None]
    assert genes["symbol"].tolist() == ["AAA", "ENSG00000000002", "DDD"]
    assert genes["length_bp"].tolist() == [1500, 900, 800]
    said = capsys.readouterr().err
    for count in ["1 rows on patches", "1 without a length", "1 with several Entrez"]:
        assert count in said


def test_a_table_without_its_columns_or_with_garbled_lengths_is_refused(tmp_path):
    path = tmp_path / "genes.tsv"
    path.write_text("id\tlength\nENSG00000000001\t5\n")
    with pytest.raises(InputError, match="eff_length"):
        read_annotation("table", path)
    path.write_text("id\teff_length\tentrez\tsymbol\tchr\tbiotype\nENSG1\tlong\t1\tA\t1\tx\n")
    with pytest.raises(InputError, match="'long' of ENSG1"):
        read_annotation("table", path)
    with pytest.raises(InputError, match="known are gtf, table"):
        read_annotation("gff", path)


HGNC = (
    "hgnc_id\tsymbol\tname\tlocus_group\tstatus\talias_symbol\tprev_symbol\tentrez_id\t"
    "ensembl_gene_id\n"
    'HGNC:1\tMARCHF1\tring finger\tprotein-coding gene\tApproved\t"RNF171|FLJ20668"\tMARCH1\t'
    "55016\tENSG00000145416\n"
    'HGNC:2\tNAN1\t"a ""quoted"" name"\tphenotype\tApproved\t\t"A|B"\t\t\n'
    "HGNC:3\tOLD\tgone\twithdrawn\tEntry Withdrawn\t\t\t\t\n"
)


def test_names_are_lists_and_genes_without_ensembl_id_stay(tmp_path):
    path = tmp_path / "hgnc_complete_set.txt"
    path.write_text(HGNC)
    genes = read_hgnc(path)
    assert genes["symbol"].tolist() == ["MARCHF1", "NAN1"]
    assert genes["aliases"].tolist() == [["RNF171", "FLJ20668"], []]
    assert genes["previous"].tolist() == [["MARCH1"], ["A", "B"]]
    assert genes["gene_id"].tolist() == ["ENSG00000145416", None]
    assert genes["entrez"].tolist() == ["55016", None]


def test_an_hgnc_table_without_its_columns_is_refused(tmp_path):
    path = tmp_path / "hgnc.txt"
    path.write_text("symbol\nA\n")
    with pytest.raises(InputError, match="no column ensembl_gene_id, hgnc_id"):
        read_hgnc(path)


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
