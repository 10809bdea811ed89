"""Published gene lists and lengths: in their order, whole, and without the row that is no gene."""

import gzip

import pandas as pd
import pytest

from bulkformer.errors import InputError
from bulkformer.sources.gene_lists import read_gene_list, read_lengths

PAPER, LATEST = 20_010, 19_973


def gene(number):
    return f"ENSG{number:011d}"


def paper_list(path, genes=PAPER, stray_at=None, columns=("ensg_id", "gene_symbol")):
    """Write a list as bulkformer_gene_info.csv, in an order that is not that of the ids."""
    rows = [f"{gene(7 * number % PAPER + 1)},G{number}" for number in range(genes)]
    if stray_at is not None:
        rows.insert(stray_at, "35991,35991")
    path.write_text("\n".join([",".join(columns), *rows]) + "\n")
    return path


def latest_list(path, genes=LATEST, first=0):
    rows = [f"{n + first},{gene(n + 1)},G{n},{n + 100}" for n in range(genes)]
    header = "vocab_index,canonical_ensg,gene_symbol,gene_length_bp"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_the_papers_list_keeps_its_own_order(tmp_path):
    table = read_gene_list("bulkformer", paper_list(tmp_path / "info.csv"))
    assert len(table) == PAPER
    assert table["gene_id"].tolist()[:3] == [gene(1), gene(8), gene(15)]
    assert table["symbol"].tolist()[:2] == ["G0", "G1"]
    assert table["length_bp"].isna().all()


def test_the_stray_row_of_one_copy_is_dropped_and_said(tmp_path, capsys):
    path = paper_list(tmp_path / "info.csv", stray_at=512)
    table = read_gene_list("bulkformer", path)
    assert table.equals(read_gene_list("bulkformer", paper_list(tmp_path / "sound.csv")))
    assert "1 row '35991' is no gene and was dropped" in capsys.readouterr().err


@pytest.mark.parametrize("genes", [PAPER - 1, 18_000])
def test_a_list_of_the_paper_has_20010_genes_and_no_other_number(tmp_path, genes):
    with pytest.raises(InputError, match=rf"{genes:,} genes, but .* 20,010"):
        read_gene_list("bulkformer", paper_list(tmp_path / "info.csv", genes))


def test_symbols_are_optional_and_the_ids_are_not(tmp_path):
    path = paper_list(tmp_path / "info.csv", columns=("ensg_id", "other"))
    assert read_gene_list("bulkformer", path)["symbol"].isna().all()
    path = paper_list(tmp_path / "info.csv", columns=("gene", "gene_symbol"))
    with pytest.raises(InputError, match=r"column ensg_id; the columns are gene, gene_symbol"):
        read_gene_list("bulkformer", path)


def test_the_latest_list_brings_lengths_and_counts_its_genes(tmp_path):
    table = read_gene_list("bulkformer_latest", latest_list(tmp_path / "gene_vocab.csv"))
    assert len(table) == LATEST
    assert table["length_bp"].tolist()[:2] == [100, 101]
    with pytest.raises(InputError, match=r"19,972 genes, but .* 19,973"):
        read_gene_list("bulkformer_latest", latest_list(tmp_path / "short.csv", LATEST - 1))
    with pytest.raises(InputError, match="vocab_index has to count from 0"):
        read_gene_list("bulkformer_latest", latest_list(tmp_path / "late.csv", first=1))


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("ENSG00000000001\nENSG00000000001.2\n", "'ENSG00000000001' stands twice"),
        ("ENSG00000000001\n36000\n", "'36000' in data row 2 is no human Ensembl gene id"),
        ("ENSG00000000001\nENSMUSG00000000001\n", "'ENSMUSG00000000001' in data row 2"),
    ],
)
def test_what_is_no_gene_or_stands_twice_is_an_error(tmp_path, rows, complaint):
    path = tmp_path / "mine.csv"
    path.write_text(f"gene_id\n{rows}")
    with pytest.raises(InputError, match=complaint):
        read_gene_list("table", path)


def test_a_list_of_ones_own_may_have_any_size(tmp_path):
    path = tmp_path / "mine.tsv.gz"
    text = "gene_id\tsymbol\tlength_bp\nENSG00000000002.4\tB\t200\nENSG00000000001\t\t\n"
    path.write_bytes(gzip.compress(text.encode()))
    table = read_gene_list("table", path)
    assert table["gene_id"].tolist() == [gene(2), gene(1)]
    assert table["symbol"].tolist() == ["B", None]
    assert table["length_bp"].tolist()[0] == 200
    with pytest.raises(InputError, match="known are bulkformer, bulkformer_latest, table"):
        read_gene_list("paper", path)


def test_lengths_are_numbers_above_zero(tmp_path):
    path = tmp_path / "gene_length_df.csv"
    path.write_text("ensg_id,length\nENSG00000000001,9767\nENSG00000000002,8\n")
    assert read_lengths(path) == {gene(1): 9767, gene(2): 8}
    for length in ["0", "inf", ""]:
        path.write_text(f"ensg_id,length\nENSG00000000001,{length}\n")
        with pytest.raises(InputError, match=f"the length '{length}' of ENSG00000000001"):
            read_lengths(path)
    path.write_text("ensg_id,length\n")
    with pytest.raises(InputError, match="no gene below the header"):
        read_lengths(path)
    path.write_text("id,length\nENSG00000000001,5\n")
    with pytest.raises(InputError, match="no column ensg_id"):
        read_lengths(path)
    path.write_bytes(b"\x1f\x8b broken")
    with pytest.raises(InputError, match="not a readable table"):
        read_lengths(path)


@pytest.mark.real_data
def test_the_papers_lengths_are_another_definition_than_the_union_of_exons(development_data):
    paper = read_lengths(development_data / "ids/bulkformer_gene_length_df.csv.gz")
    assert len(paper) == 78_932
    exons = pd.read_csv(development_data / "ids/ensg_eff_length.tsv.gz", sep="\t")
    ratio = exons["id"].map(paper) / exons["eff_length"]
    assert ratio.notna().sum() == 55_471
    assert (ratio.dropna() == 1).mean() == pytest.approx(0.55, abs=0.01)
    assert ratio.min() < 0.02
    assert ratio.max() > 700
