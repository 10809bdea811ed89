"""Plain tables of real published outcomes go through the same steps; their traps are known."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkformer.expression.vocabulary import SCHEMA
from bulkformer.outcomes.cell_lines import cell_lines
from bulkformer.outcomes.dependency import dependency
from bulkformer.outcomes.drugs import drugs
from bulkformer.outcomes.perturbation import perturbation, read_genes
from bulkformer.outcomes.response import response
from bulkformer.outcomes.survival import survival

pytestmark = pytest.mark.real_data
ENDPOINTS = ["OS", "DSS", "DFI", "PFI"]


def places(folder, name):
    return {"output": folder / f"{name}.parquet", "summary": folder / f"{name}.json"}


def results(folder, name):
    return (
        pd.read_parquet(folder / f"{name}.parquet"),
        json.loads((folder / f"{name}.json").read_text()),
    )


@pytest.fixture(scope="module")
def lines(tmp_path_factory, development_data):
    """cell_lines.parquet from the passports alone."""
    folder = tmp_path_factory.mktemp("lines")
    passports = development_data / "essentiality/cell_models.csv.gz"
    cell_lines(passports=passports, **places(folder, "cell_lines"))
    return folder / "cell_lines.parquet"


@pytest.fixture(scope="module")
def genes(tmp_path_factory, development_data):
    """A vocabulary with the symbols and Entrez ids of the files tested here."""
    symbols = pd.read_parquet(
        development_data / "essentiality/ceres_binary_16827x786.parquet", columns=["ACH-000004"]
    ).index
    entrez = pq.read_schema(development_data / "l1000/l1000_level3_581x978.parquet").names
    names = [(symbol, None) for symbol in symbols] + [(f"L{e}", e) for e in entrez if e.isdigit()]
    rows = [
        {"gene_id": f"G{n:05d}", "symbol": symbol, "entrez": e, "length_bp": 900}
        | {"other_entrez": [], "aliases": [], "ambiguous": []}
        for n, (symbol, e) in enumerate(names)
    ]
    path = tmp_path_factory.mktemp("genes") / "genes.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    return path


def test_survival_of_tcga_loses_its_known_flaws(tmp_path, development_data):
    columns = ";".join(
        ["patient_id=tcga_id", "redaction=Redaction", *(f"{e}.time={e}_time" for e in ENDPOINTS)]
    )
    table = development_data / "tcga_clinical/tcga_survival.tsv.gz"
    settings = {"table": table, "format": "table", "endpoint": ENDPOINTS, "columns": columns}
    survival(**settings, keep_redacted=True, **places(tmp_path, "all"))
    rows, summary = results(tmp_path, "all")
    # 52 have no time, nine of them no event either.
    assert summary["dropped"]["OS"] == {"no_event": 9, "no_time": 43, "time_not_positive": 95}
    assert (rows["time_days"] > 0).all()
    survival(**settings, **places(tmp_path, "kept"))
    _, summary = results(tmp_path, "kept")
    assert summary["dropped"]["OS"]["redacted"] == 55


def test_lines_of_one_patient_stay_together(lines):
    table = pd.read_parquet(lines)
    assert table["cell_line_id"].is_unique
    sanger = table[table["cell_line_id"].str.startswith("SIDM")]
    assert (sanger["cell_line_id"] == sanger["sanger_id"]).all()
    patient = table.set_index("cell_line_id")["patient_id"]
    derived = table[table["parent"].notna()]
    assert len(derived) > 50
    assert (patient[derived["cell_line_id"]].to_numpy() == patient[derived["parent"]]).all()


def test_repeated_drug_names_become_one_compound(tmp_path, development_data):
    drugs(
        compounds=development_data / "drug_response/gdsc_drug_list_20190624.csv", format="table",
        dataset="GDSC", columns="name=Name;drug=drug_id;pubchem_cid=PubCHEM",
        **places(tmp_path, "drugs"),
    )  # fmt: skip
    rows, summary = results(tmp_path, "drugs")
    assert summary["joined"]["ids_in_list"] == 266
    assert summary["joined"]["compounds_with_several_ids"] == 16
    assert len(rows) == 250
    assert rows["pubchem_cid"].isna().sum() > 0


def test_drug_response_joins_lines_by_id(tmp_path, development_data, lines):
    drugs(
        compounds=development_data / "drug_response/drug_smiles_tgsa.csv", format="table",
        dataset="TGSA", columns="name=drug_name;pubchem_cid=CID;smiles=IsomericSMILES",
        **places(tmp_path, "drugs"),
    )  # fmt: skip
    response(
        curves=[development_data / "drug_response/gdsc_lnic50_tgsa.parquet"], format="table",
        dataset="TGSA", drugs=tmp_path / "drugs.parquet", cell_lines=lines,
        columns="cell_line=depmap_id", **places(tmp_path, "response"),
    )  # fmt: skip
    rows, summary = results(tmp_path, "response")
    assert rows["drug_id"].nunique() == 170
    assert summary["joined"]["share_of_curves_with_known_line"] > 0.998
    assert len(rows) + summary["dropped"]["unknown_line"] == 82_833
    assert rows["ln_ic50"].between(-8.6, 10.1).all()
    assert not rows.duplicated(["drug_id", "cell_line_id"]).any()


def test_calls_of_dependency_have_no_score_and_mixed_ids_are_understood(
    tmp_path, development_data, lines, genes
):
    dependency(
        format="table", release="Pacini2021", genes=genes, cell_lines=lines,
        probability=development_data / "essentiality/ceres_binary_16827x786.parquet",
        **places(tmp_path, "dependency"),
    )  # fmt: skip
    summary = json.loads((tmp_path / "dependency.json").read_text())
    assert summary["binary"]
    assert summary["joined"]["cell_lines"] + summary["dropped"]["unknown_line"] == 786
    assert summary["joined"]["cell_lines"] >= 779
    # Symbols that stand for one gene only.
    assert summary["joined"]["genes"] == 16_827
    table = pq.read_table(tmp_path / "dependency.parquet", columns=["effect", "probability"])
    assert table["effect"].null_count == len(table)
    assert table["probability"].to_numpy().mean() == pytest.approx(0.14, abs=0.002)


def test_l1000_wells_find_their_controls(tmp_path, development_data, genes):
    perturbation(
        format="table", expression=development_data / "l1000/l1000_level3_581x978.parquet",
        profiles=development_data / "l1000/l1000_inst_info.tsv", genes=genes,
        perturbagens=development_data / "l1000/brd_smiles.tsv.gz",
        **places(tmp_path, "perturbation"),
    )  # fmt: skip
    rows, summary = results(tmp_path, "perturbation")
    assert summary["rows"] == 581
    assert all(gene["gene_id"] for gene in read_genes(tmp_path / "perturbation.parquet"))
    compounds = rows[rows["perturbagen_type"] == "trt_cp"]
    assert len(compounds) == 79
    assert compounds["smiles"].notna().all()
    assert (compounds["dose_um"] == 10).all()
    assert rows.loc[rows["perturbagen_type"] != "trt_cp", "dose_um"].isna().all()
    levels = compounds["controls"].value_counts(normalize=True)
    assert levels["plate"] == pytest.approx(0.37, abs=0.01)
    assert "none" not in levels
    values = np.stack(rows["values"])
    assert values.shape == (581, 978)
    assert 0 <= values.min() < values.max() < 15.01
