"""GDSC's workbooks and lists: identifiers stay text, structures are never guessed."""

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.simulate.outcomes_workbook import write_workbook
from bulkformer.sources.fields import parse_mapping
from bulkformer.sources.gdsc import normal_name, read_compounds, read_curves, read_structures

HEADER = [
    "DATASET", "NLME_CURVE_ID", "SANGER_MODEL_ID", "DRUG_ID", "DRUG_NAME", "LN_IC50", "AUC",
    "RMSE", "MAX_CONC",
]  # fmt: skip


def test_a_workbook_gives_one_row_a_curve_with_ids_as_text(tmp_path):
    path = tmp_path / "gdsc.xlsx"
    rows = [
        ["GDSC2", 1, "SIDM00263", 1003, "Camptothecin", -1.46, 0.93, 0.089, 0.1],
        ["GDSC2", 2, None, 1003.0, 123, None, None, 0.1, 10],
    ]
    write_workbook(path, {"Sheet 1": [HEADER, *rows]}, stated_size="A1:B2")
    table = read_curves("gdsc", path, "ignored", {})
    assert table["drug"].tolist() == ["1003", "1003"]
    assert table["drug_name"].tolist() == ["Camptothecin", "123"]
    assert table["cell_line"].tolist() == ["SIDM00263", None]
    np.testing.assert_array_equal(table["ln_ic50"], [-1.46, np.nan])
    np.testing.assert_array_equal(table["max_conc_um"], [0.1, 10])


def test_a_plain_table_needs_three_columns_only(tmp_path):
    path = tmp_path / "curves.tsv"
    path.write_text("drug\tline\tln_ic50\nCamptothecin\tACH-000001\t-0.25\n")
    table = read_curves("table", path, "Mine", {"cell_line": "line"})
    assert table.loc[0, ["dataset", "drug", "drug_name", "cell_line"]].tolist() == [
        "Mine", "Camptothecin", "Camptothecin", "ACH-000001",
    ]  # fmt: skip
    assert table["ln_ic50"].tolist() == [-0.25]
    assert table[["auc", "rmse", "max_conc_um"]].isna().all().all()


def test_an_absent_column_is_named_with_the_config_key(tmp_path):
    path = tmp_path / "curves.tsv"
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match=r"no column 'drug' .* outcomes\.response\.curve_columns"):
        read_curves("table", path, "Mine", {})


def test_the_list_of_compounds_has_quoted_commas_and_no_structures(tmp_path):
    path = tmp_path / "compounds.csv"
    path.write_text(
        "DRUG_ID,SCREENING_SITE,DRUG_NAME,SYNONYMS,TARGET,TARGET_PATHWAY\n"
        '1,MGH,Erlotinib,"Tarceva, RG-1415",EGFR,EGFR signaling\n'
    )
    table = read_compounds("gdsc", path, {})
    assert table.loc[0, ["drug", "name"]].tolist() == ["1", "Erlotinib"]
    assert table.loc[0, ["pubchem_cid", "inchikey", "smiles"]].isna().all()


@pytest.mark.parametrize("cid", ["none", "several", "12, 13", "", "12.5"])
def test_what_is_not_one_cid_is_none(tmp_path, cid):
    path = tmp_path / "structures.tsv"
    path.write_text(f"name\tpubchem_cid\tinchikey\na\t{cid}\tnot-a-key\n")
    table = read_structures(path)
    assert table["pubchem_cid"].tolist() == [None]
    assert table["inchikey"].tolist() == [None]


def test_the_perturbagens_of_l1000_serve_as_structures(tmp_path):
    path = tmp_path / "pert_info.txt"
    path.write_text("pert_id\tpert_iname\tcanonical_smiles\nB\tabt-737\tCCO\nC\tx\trestricted\n")
    table = read_structures(path, {"name": "pert_iname", "smiles": "canonical_smiles"})
    assert table["smiles"].tolist() == ["CCO", None]
    assert table["inchikey"].tolist() == [None, None]
    with pytest.raises(InputError, match=r"no column 'title' for name; .*structure_columns"):
        read_structures(path, {"name": "title"})


def test_a_repeated_name_is_no_key(tmp_path):
    path = tmp_path / "compounds.csv"
    path.write_text("drug_id,name\n5,Olaparib\n6,Olaparib\n")
    with pytest.raises(InputError, match=r"drug 'Olaparib' stands twice; .*compound_columns"):
        read_compounds("table", path, {})
    assert read_compounds("table", path, {"drug": "drug_id"})["drug"].tolist() == ["5", "6"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ABT-737", "abt 737", True),
        ("Venotoclax", "Venetoclax", True),
        ("Bleomycin (50 uM)", "Bleomycin", True),
        ("Olaparib", "Oliparib", False),
        ("AZD6482", "AZD6484", False),
    ],
)
def test_names_compare_by_letters_and_digits(one, other, same):
    assert (normal_name(one) == normal_name(other)) == same


@pytest.mark.parametrize("text", ["drug", "drug=", "=x", "drug=a;drug=b"])
def test_an_unreadable_mapping_names_its_key(text):
    with pytest.raises(InputError, match=r"config, some\.key: cannot read"):
        parse_mapping(text, "some.key")
