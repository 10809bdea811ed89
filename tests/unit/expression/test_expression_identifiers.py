"""Which row of a file means which gene of the vocabulary, and which rows mean none."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.expression.genes import genes as write_genes
from bulkformer.expression.genes import settle, vocabulary_table
from bulkformer.expression.identifiers import ensembl_id, is_copy_on_y, is_damaged, map_genes
from bulkformer.expression.vocabulary import Vocabulary

TP53, MARCHF1, SEPTIN2, DUP1, DUP2, NAMELESS, RNA, PSEUDO = (
    f"ENSG0000000000{n}" for n in range(1, 9)
)
COLUMNS = ["gene_id", "symbol", "entrez", "length_bp", "biotype", "chromosome"]
ANNOTATION = pd.DataFrame(
    [
        (TP53, "TP53", "7157", 2000, "protein_coding", "17"),
        (MARCHF1, "MARCH1", "55016", 1000, "protein_coding", "4"),
        (SEPTIN2, "SEPTIN2", "4735", 1500, "protein_coding", "2"),
        (DUP1, "TWIN", "11", 800, "protein_coding", "1"),
        (DUP2, "TWIN", "11", 900, "protein_coding", "1"),
        (NAMELESS, NAMELESS, None, 700, "protein_coding", "X"),
        (RNA, "LINC1", "21", 500, "lncRNA", "3"),
        (PSEUDO, "TP53P", "22", 500, "processed_pseudogene", "3"),
    ],
    columns=COLUMNS,
)
HGNC = pd.DataFrame(
    [
        (TP53, "HGNC:3", "TP53", "7157", ["P53"], ["LFS1", "BOTH"]),
        (MARCHF1, "HGNC:2", "MARCHF1", "55016", ["MARCH1", "LINC1"], ["BOTH"]),
        (SEPTIN2, "HGNC:1", "SEPTIN2", "4735", ["SEPT2"], ["WAS_TWICE"]),
        (RNA, "HGNC:5", "LINC1", "21", [], []),
        (None, "HGNC:4", "LOST", "33", ["WAS_TWICE"], ["LFS1"]),
    ],
    columns=["gene_id", "hgnc_id", "symbol", "entrez", "previous", "aliases"],
)


def vocabulary(tmp_path, hgnc=None, annotation=ANNOTATION):
    table = vocabulary_table(annotation, hgnc, ["protein_coding"], "annotation")
    pq.write_table(table, tmp_path / "genes.parquet")
    return Vocabulary.load(tmp_path / "genes.parquet")


def genes_of(mapping, vocabulary):
    return [vocabulary.gene_ids[at] if at >= 0 else None for at in mapping.column]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ENSG00000000003.15", "ENSG00000000003"),
        (" ENSG00000000003 ", "ENSG00000000003"),
        ("ENSG00000002586_PAR_Y", "ENSG00000002586"),
        ("ENSG00000002586.20_PAR_Y", "ENSG00000002586"),
        ("ENSGR0000182378.10", "ENSG00000182378"),
        ("ENSMUSG00000000003", None),
        ("N_unmapped", None),
        ("35991", None),
    ],
)
def test_versions_and_copies_on_y_lead_to_the_plain_ensembl_id(written, meant):
    assert ensembl_id(written) == meant


def test_only_the_copy_on_y_is_called_one():
    assert is_copy_on_y("ENSG00000002586.20_PAR_Y")
    assert is_copy_on_y("ENSG00000002586_PAR_Y")
    assert is_copy_on_y("ENSGR0000182378.10")
    assert not is_copy_on_y("ENSG00000002586.20")


def test_versions_and_copies_on_y_are_summed_in_counts(tmp_path):
    known = vocabulary(tmp_path)
    rows = [f"{TP53}.15", f"{SEPTIN2}.2", f"{TP53}.15_PAR_Y", f"{TP53}_PAR_Y", "N_noFeature"]
    mapping = map_genes(rows, "ensembl", known)
    projected = mapping.project(np.array([[1, 10, 2, 4, 99], [0, 0, 0, 5, 99]], dtype=np.uint32))
    assert projected[:, known.gene_ids.index(TP53)].tolist() == [7, 5]
    assert projected[:, known.gene_ids.index(SEPTIN2)].tolist() == [10, 0]
    assert mapping.summary["copies_on_y_summed"] == 2
    assert mapping.summary["genes_summed"] == 1
    assert set(mapping.summary["summed_examples"][TP53]) == {rows[0], rows[2], rows[3]}
    assert mapping.summary["unmatched_examples"] == ["N_noFeature"]


def test_absent_genes_are_unmeasured_and_measured_zeros_are_not(tmp_path):
    mapping = map_genes([TP53], "ensembl", vocabulary(tmp_path))
    projected = mapping.project(np.zeros((1, 1)))
    assert projected[0, 0] == 0
    assert mapping.measured.tolist() == [True] + [False] * 5
    assert np.isnan(projected[0, 1:]).all()
    assert mapping.summary["vocabulary_share"] == pytest.approx(1 / 6)


def test_an_unknown_identifier_system_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"'refseq'.*ensembl, entrez, symbol, symbol_entrez"):
        map_genes(["NM_1"], "refseq", vocabulary(tmp_path))


def test_an_approved_symbol_beats_a_previous_one_and_that_an_alias(tmp_path):
    known = vocabulary(tmp_path, HGNC)
    rows = ["TP53", "MARCHF1", "SEPT2", "P53", "LINC1"]
    mapping = map_genes(rows, "symbol", known)
    # LINC1 was once a name of MARCHF1, but is the approved symbol of a gene that is not coding.
    assert genes_of(mapping, known) == [TP53, MARCHF1, SEPTIN2, TP53, None]
    assert mapping.summary["unmatched_examples"] == ["LINC1"]
    assert mapping.summary["summed_examples"] == {TP53: ["P53", "TP53"]}


def test_ambiguous_symbols_are_listed_and_never_guessed(tmp_path):
    known = vocabulary(tmp_path, HGNC)
    mapping = map_genes(["BOTH", "TWIN", "WAS_TWICE", "LFS1", "TP53"], "symbol", known)
    # An alias of a gene that Ensembl does not have still makes the name ambiguous, and a previous
    # symbol of one gene beats an alias of another.
    assert genes_of(mapping, known) == [None, None, None, None, TP53]
    assert mapping.summary["ambiguous"] == ["BOTH", "LFS1", "TWIN"]
    assert mapping.summary["unmatched_examples"] == ["WAS_TWICE"]


def test_a_symbol_that_stands_twice_in_a_file_is_left_out_and_listed(tmp_path):
    known = vocabulary(tmp_path, HGNC)
    mapping = map_genes(["TP53", "SEPTIN2", "TP53", "junk", "junk"], "symbol", known)
    assert genes_of(mapping, known) == [None, SEPTIN2, None, None, None]
    assert mapping.summary["repeated_symbols"] == ["TP53"]


@pytest.mark.parametrize(
    "symbol", ["1-Mar", "01-Sep", "Mar-01", "2-SEP", "44256", "2023-03-01", "3/1/2023", "2.31E+13"]
)
def test_symbols_damaged_by_spreadsheets_are_recognised(symbol):
    assert is_damaged(symbol)


@pytest.mark.parametrize("symbol", ["MARCHF1", "SEPTIN2", "DEC1", "HLA-A", "NKX2-1", "7SK", "OCT4"])
def test_sound_symbols_are_not_taken_for_damaged_ones(symbol):
    assert not is_damaged(symbol)


def test_damaged_symbols_are_listed_and_not_repaired(tmp_path):
    mapping = map_genes(["1-Mar", "44256", "TP53", "junk"], "symbol", vocabulary(tmp_path, HGNC))
    assert mapping.summary["damaged_symbols"] == ["1-Mar", "44256"]
    assert mapping.summary["unmatched_examples"] == ["junk"]
    assert mapping.summary["genes_matched"] == 1


def test_symbol_entrez_rows_are_told_by_their_entrez_id(tmp_path):
    known = vocabulary(tmp_path, HGNC)
    mapping = map_genes(["?|7157", "OLDNAME|55016", "TP53|4735", "?|999"], "symbol_entrez", known)
    assert genes_of(mapping, known) == [TP53, MARCHF1, SEPTIN2, None]
    assert mapping.summary["unmatched_examples"] == ["?|999"]


def test_an_entrez_id_of_two_genes_is_dropped_and_listed(tmp_path):
    known = vocabulary(tmp_path)
    mapping = map_genes(["11", "7157.0", " 4735"], "entrez", known)
    assert genes_of(mapping, known) == [None, TP53, SEPTIN2]
    assert mapping.summary["ambiguous"] == ["11"]


def test_permuting_the_rows_of_a_file_gives_the_same_matrix_bit_for_bit(tmp_path):
    known = vocabulary(tmp_path, HGNC)
    rows = np.array(["TP53", "P53", "MARCH1", "MARCHF1", "SEPT2", "junk", "SEPTIN2"], dtype=object)
    counts = np.random.default_rng(0).gamma(0.3, 1e4, (5, len(rows)))
    expected = map_genes(list(rows), "symbol", known).project(counts)
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(rows))
        mapping = map_genes(list(rows[order]), "symbol", known)
        np.testing.assert_array_equal(mapping.project(counts[:, order]), expected)


def test_the_vocabulary_is_sorted_whatever_the_order_of_the_annotation(tmp_path):
    table = vocabulary_table(ANNOTATION, HGNC, ["protein_coding"], "annotation")
    shuffled = ANNOTATION.sample(frac=1, random_state=1)
    hgnc = HGNC.sample(frac=1, random_state=2)
    assert vocabulary_table(shuffled, hgnc, ["protein_coding"], "annotation").equals(table)
    assert table["gene_id"].to_pylist() == sorted(ANNOTATION["gene_id"][:6])


def test_the_vocabulary_carries_current_names_and_the_synonyms_that_are_safe_to_use():
    table = vocabulary_table(ANNOTATION, HGNC, ["protein_coding", "lncRNA"], "a.gtf, hgnc.txt")
    row = {row["gene_id"]: row for row in table.to_pylist()}
    assert row[MARCHF1]["symbol"] == "MARCHF1"
    assert row[MARCHF1]["aliases"] == ["MARCH1"]
    assert row[MARCHF1]["ambiguous"] == ["BOTH"]
    assert row[SEPTIN2]["aliases"] == ["SEPT2"]
    assert row[NAMELESS]["symbol"] == NAMELESS
    assert row[NAMELESS]["entrez"] is None
    assert row[DUP1]["ambiguous"] == ["11", "TWIN"]
    assert row[RNA]["hgnc_id"] == "HGNC:5"
    assert {r["source"] for r in row.values()} == {"a.gtf, hgnc.txt"}


def test_a_symbol_that_hgnc_gives_to_another_gene_is_not_used_for_this_one(tmp_path):
    annotation = ANNOTATION.copy()
    annotation.loc[annotation["gene_id"] == NAMELESS, "symbol"] = "TP53"
    known = vocabulary(tmp_path, HGNC, annotation)
    mapping = map_genes(["TP53"], "symbol", known)
    assert genes_of(mapping, known) == [TP53]


def test_settle_lets_the_first_level_that_knows_a_name_decide():
    owner, shared = settle([[("A", "1"), ("B", "2"), ("B", "3")], [("A", "9"), ("B", "2")]])
    assert owner == {"A": "1"}
    assert shared == {"B": {"2", "3"}}


def annotation_file(folder):
    path = folder / "annotation.tsv"
    table = ANNOTATION.rename(
        columns={"gene_id": "id", "length_bp": "eff_length", "chromosome": "chr"}
    )
    table.to_csv(path, sep="\t", index=False)
    return path


def test_the_step_writes_the_requested_biotypes(tmp_path):
    output = tmp_path / "genes.parquet"
    write_genes(annotation_file(tmp_path), "table", ["lncRNA", "protein_coding"], output)
    assert len(Vocabulary.load(output)) == 7
    assert pq.read_table(output)["source"][0].as_py() == "annotation.tsv"


def test_a_biotype_that_the_annotation_lacks_is_an_error_that_lists_those_it_has(tmp_path):
    with pytest.raises(InputError, match=r"protein-coding.*protein_coding"):
        write_genes(
            annotation_file(tmp_path), "table", ["protein-coding"], tmp_path / "genes.parquet"
        )


def test_a_file_that_is_no_vocabulary_is_refused(tmp_path):
    path = tmp_path / "genes.parquet"
    with pytest.raises(InputError, match="not a readable vocabulary"):
        Vocabulary.load(path)
    pq.write_table(vocabulary(tmp_path).table.drop_columns(["aliases"]), path)
    with pytest.raises(InputError, match="no column aliases"):
        Vocabulary.load(path)


def test_every_gene_of_the_annotation_stands_beside_the_vocabulary_in_the_same_form(tmp_path):
    output, everything = tmp_path / "genes.parquet", tmp_path / "annotation.parquet"
    write_genes(
        annotation_file(tmp_path), "table", ["protein_coding"], output, all_genes=everything
    )
    chosen, table = pq.read_table(output), pq.read_table(everything)
    assert table["gene_id"].to_pylist() == sorted(ANNOTATION["gene_id"])
    coding = np.array(table["biotype"].to_pylist()) == "protein_coding"
    assert table.filter(coding).equals(chosen)
