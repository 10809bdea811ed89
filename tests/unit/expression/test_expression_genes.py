"""The vocabulary step: whose genes, in which order, how long, and what may call them."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.expression.genes import genes as write_genes
from bulkformer.expression.identifiers import map_genes
from bulkformer.expression.vocabulary import Vocabulary

ONE, TWO, THREE, RNA, FOREIGN = (f"ENSG0000000000{n}" for n in (1, 2, 3, 4, 9))
TABLE = (
    "id\teff_length\tentrez\tsymbol\tchr\tbiotype\n"
    f"{ONE}\t1500\t11\tAAA\tX\tprotein_coding\n"
    f"{TWO}\t900\t21\tBBB\t2\tprotein_coding\n"
    f"{TWO}\t900\t22\tBBB\t2\tprotein_coding\n"
    f"{THREE}\t600\t31\tCCC\t6\tprotein_coding\n"
    f"ENSG00000000007\t650\t31\tCCC\tCHR_HSCHR6_MHC_COX_CTG1\tprotein_coding\n"
    f"{RNA}\t400\t11\tDDD\t4\tlncRNA\n"
)
HGNC = "hgnc_id\tsymbol\tprev_symbol\talias_symbol\tensembl_gene_id\tentrez_id\n"


class Files:
    def __init__(self, folder):
        self.folder = folder
        self.annotation = self.write("annotation.tsv", TABLE)
        self.list = self.write(
            "list.csv",
            f"gene_id,symbol,length_bp\n{THREE},CCC,300\n{FOREIGN},NEW,700\n{ONE},AAA,100\n",
        )

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def vocabulary(self, **changes):
        settings = {
            "annotation": self.annotation,
            "format": "table",
            "biotype": ["protein_coding"],
            "output": self.folder / "genes.parquet",
            "all_genes": self.folder / "annotation.parquet",
        }
        if "gene_list" in changes:
            settings["gene_list_format"] = "table"
        write_genes(**settings | changes)
        return Vocabulary.load(settings["output"])

    def all_genes(self):
        return pq.read_table(self.folder / "annotation.parquet")


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_a_published_list_is_the_vocabulary_in_its_own_order(files):
    known = files.vocabulary(gene_list=files.list)
    assert known.gene_ids == [THREE, FOREIGN, ONE]
    assert known.symbols == ["CCC", "NEW", "AAA"]
    assert known.table["in_annotation"].to_pylist() == [True, False, True]
    assert known.table["source"][0].as_py() == "annotation.tsv, list.csv"


def test_a_listed_gene_that_the_annotation_lacks_stays_and_counts_as_unmeasured(files, capsys):
    known = files.vocabulary(gene_list=files.list)
    np.testing.assert_array_equal(known.length_bp, [600, np.nan, 1500])
    assert known.table["length_source"].to_pylist() == ["union_exon", None, "union_exon"]
    said = capsys.readouterr().err
    assert "1 without a length" in said
    assert "1 that the annotation lacks" in said
    mapping = map_genes([ONE, f"{FOREIGN}.3", THREE], "ensembl", known)
    assert mapping.measured.tolist() == [True, False, True]
    assert mapping.summary["genes_without_length"] == 1
    assert mapping.summary["genes_absent_examples"] == [FOREIGN]
    assert mapping.summary["unmatched"] == 0
    assert np.isnan(mapping.project(np.ones((1, 3)))[0, 1])


def test_every_gene_of_the_annotation_is_written_and_no_other(files):
    files.vocabulary(gene_list=files.list)
    assert files.all_genes()["gene_id"].to_pylist() == [ONE, TWO, THREE, RNA]


def test_a_listed_gene_is_found_by_the_names_that_hgnc_knows(files):
    hgnc = files.write("hgnc.txt", HGNC + f"HGNC:9\tNEWER\tNEW\tNEWEST\t{FOREIGN}\t99\n")
    known = files.vocabulary(gene_list=files.list, identifiers=hgnc, lengths="gene_list")
    assert known.symbols[1] == "NEWER"
    for system, name in [("symbol", "NEW"), ("symbol", "NEWEST"), ("entrez", "99")]:
        assert map_genes([name], system, known).column.tolist() == [1]


def test_the_papers_lengths_replace_those_of_exons_and_a_missing_one_is_1000(files, capsys):
    table = files.write("lengths.csv", f"ensg_id,length\n{ONE},9767\n{FOREIGN},8\n")
    known = files.vocabulary(gene_list=files.list, lengths="paper", length_table=table)
    assert known.length_bp.tolist() == [1000, 8, 9767]
    assert known.table["length_source"].to_pylist() == ["paper_default", "paper", "paper"]
    assert "2 lengths by paper; 1 lengths by paper_default" in capsys.readouterr().err
    assert files.all_genes()["length_bp"].to_pylist() == [9767, 1000, 1000, 1000]


def test_a_list_may_bring_its_lengths_but_then_all_of_them(files):
    known = files.vocabulary(gene_list=files.list, lengths="gene_list")
    assert known.length_bp.tolist() == [300, 700, 100]
    assert files.all_genes()["length_bp"].to_pylist() == [100, 900, 300, 400]
    short = files.write("short.csv", f"gene_id,length_bp\n{THREE},\n{ONE},5\n")
    with pytest.raises(InputError, match=f"no length of 1 genes, first {THREE}"):
        files.vocabulary(gene_list=short, lengths="gene_list")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"lengths": "mean"}, r"lengths is 'mean'; known are union_exon"),
        ({"lengths": "paper"}, r"length_table"),
        ({"lengths": "gene_list"}, r"name a list in expression\.vocabulary\.gene_list"),
        ({"lengths": "canonical_transcript"}, "only a GTF knows canonical transcripts"),
        ({"par_y": "maybe"}, r"par_y is 'maybe'; write sum or drop"),
    ],
)
def test_settings_that_cannot_be_met_are_named(files, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        files.vocabulary(**changes)


def test_a_gene_is_as_long_as_its_canonical_transcript_where_that_is_asked(tmp_path):
    def line(feature, start, end, gene, tag=""):
        ids = f'gene_id "{gene}"; gene_name "G"; gene_biotype "protein_coding"; tag "basic";{tag}'
        return f"1\thavana\t{feature}\t{start}\t{end}\t.\t+\t.\t{ids}\n"

    canonical = ' tag "Ensembl_canonical";'
    exons = line("exon", 1, 100, ONE) + line("exon", 51, 90, ONE, canonical)
    exons += line("exon", 201, 210, ONE, canonical)
    path = tmp_path / "genes.gtf"
    path.write_text(line("gene", 1, 900, ONE) + exons)
    output = tmp_path / "genes.parquet"
    for lengths, expected in [("union_exon", 110), ("canonical_transcript", 50)]:
        write_genes(path, "gtf", ["protein_coding"], output, lengths=lengths)
        known = Vocabulary.load(output)
        assert known.length_bp.tolist() == [expected]
        assert known.table["length_source"].to_pylist() == [lengths]
    path.write_text(path.read_text() + line("gene", 1, 9, TWO) + line("exon", 1, 9, TWO))
    with pytest.raises(InputError, match=f"1 genes have no transcript with .*, first {TWO}"):
        write_genes(path, "gtf", ["protein_coding"], output, lengths="canonical_transcript")


@pytest.mark.parametrize(("par_y", "expected"), [("sum", [7, 5]), ("drop", [1, 0])])
def test_copies_on_y_are_summed_or_dropped_as_the_configuration_says(files, par_y, expected):
    known = files.vocabulary(par_y=par_y)
    rows = [f"{ONE}.15", f"{ONE}.15_PAR_Y", f"{ONE}_PAR_Y", f"ENSGR{ONE[5:]}.2"]
    mapping = map_genes(rows, "ensembl", known)
    counts = np.array([[1, 1, 2, 3], [0, 5, 0, 0]], dtype=np.uint32)
    assert mapping.project(counts)[:, known.gene_ids.index(ONE)].tolist() == expected
    dropped = 3 if par_y == "drop" else 0
    assert mapping.summary["copies_on_y_dropped"] == dropped
    assert mapping.summary["copies_on_y_summed"] == 3 - dropped
    assert mapping.summary["unmatched"] == 0


def test_a_file_with_only_the_copy_on_y_measured_the_gene_only_if_copies_count(files):
    assert map_genes([f"{ONE}_PAR_Y"], "ensembl", files.vocabulary()).measured.any()
    assert not map_genes([f"{ONE}_PAR_Y"], "ensembl", files.vocabulary(par_y="drop")).measured.any()


def test_several_entrez_ids_of_one_gene_are_summed_in_counts(files):
    known = files.vocabulary()
    at = known.gene_ids.index(TWO)
    assert known.table["entrez"][at].as_py() is None
    assert known.table["other_entrez"][at].as_py() == ["21", "22"]
    mapping = map_genes(["21", "22"], "entrez", known)
    assert mapping.project(np.array([[3, 4]]))[0, at] == 7
    assert mapping.summary["genes_summed"] == 1


def test_an_entrez_id_of_a_gene_and_its_copy_on_a_haplotype_means_the_gene(files):
    known = files.vocabulary()
    assert map_genes(["31"], "entrez", known).column.tolist() == [known.gene_ids.index(THREE)]


def test_an_entrez_id_of_two_genes_on_main_chromosomes_is_dropped_and_listed(files):
    # 11 is also the id of a gene outside the vocabulary.
    mapping = map_genes(["11", "?|11"], "symbol_entrez", files.vocabulary())
    assert mapping.column.tolist() == [-1, -1]
    assert mapping.summary["ambiguous"] == ["11"]


def test_the_summary_says_which_genes_went_by_another_name(files):
    hgnc = files.write("hgnc.txt", HGNC + f"HGNC:1\tAAA\tOLDA\tALTA\t{ONE}\t11\n")
    known = files.vocabulary(identifiers=hgnc)
    summary = map_genes(["OLDA", "BBB", "junk"], "symbol", known).summary
    assert summary["matched_by_other_name"] == 1
    assert summary["matched_by_other_name_examples"] == {"OLDA": ONE}
    assert summary["genes_absent"] == 1
    assert summary["genes_absent_examples"] == [THREE]


def test_permuting_the_annotation_changes_nothing_but_a_permuted_list_its_order(files):
    first = files.vocabulary(gene_list=files.list).table
    shuffled = pd.read_csv(files.annotation, sep="\t", dtype=str).sample(frac=1, random_state=3)
    shuffled.to_csv(files.annotation, sep="\t", index=False)
    assert files.vocabulary(gene_list=files.list).table.equals(first)
