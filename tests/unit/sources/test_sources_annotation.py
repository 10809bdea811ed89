"""Ensembl annotation, HGNC names and STRING links."""

import gzip

import pytest

from bulkformer.errors import InputError
from bulkformer.sources.ensembl import COLUMNS, read_annotation, union_length
from bulkformer.sources.hgnc import read_hgnc


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
        gtf_line("chrY", "exon", 1, 99, "ENSGR0000000004.9", gene_type="lncRNA"),
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
