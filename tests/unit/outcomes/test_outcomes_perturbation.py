"""Profiles keep the measured genes, their doses, and the controls to compare them with."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from outcomes_world import write_vocabulary

from bulkformer.errors import InputError
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.outcomes.controls import control_level
from bulkformer.outcomes.disease_datasets import sequenced
from bulkformer.outcomes.perturbation import perturbation, read_genes, write_profiles
from bulkformer.sources.perturbation import COLUMNS, Profiles


def wells(*rows):
    """Table of (type, plate, cell, time)."""
    table = pd.DataFrame(rows, columns=["perturbagen_type", "plate", "cell_id", "time_h"])
    control = table["perturbagen_type"].str.startswith("ctl")
    return table.assign(kind=np.where(control, "control", "treated"))


@pytest.mark.parametrize(
    ("control", "level"),
    [
        (("ctl_vehicle", "P1", "A375", 6.0), "plate"),
        (("ctl_vehicle", "P2", "A375", 6.0), "cell_and_time"),
        (("ctl_vehicle", None, "A375", 6.0), "cell_and_time"),
        (("ctl_vehicle", "P2", "A375", 24.0), "none"),
        (("ctl_vehicle", "P1", "MCF7", 6.0), "none"),
        (("ctl_vector", "P1", "A375", 6.0), "none"),
    ],
)
def test_a_compound_is_compared_with_its_solvent_on_its_plate_or_else_of_its_line(control, level):
    table = wells(("trt_cp", "P1", "A375", 6.0), control)
    assert control_level(table).tolist() == [level, None]


def test_a_construct_is_compared_with_an_empty_vector():
    table = wells(("trt_sh", "P1", "A375", 96.0), ("ctl_vector", "P1", "A375", 96.0))
    assert control_level(table).tolist() == ["plate", None]


@pytest.fixture
def run(tmp_path, provider_files):
    """The step on the simulated files; returns table, values and summary."""
    genes = write_vocabulary(
        tmp_path / "genes.parquet", provider_files["truth_genes"], provider_files["hgnc"]
    )
    files = {
        "expression": provider_files["gctx"],
        "profiles": provider_files["profiles"],
        "landmarks": provider_files["landmarks"],
        "perturbagens": provider_files["perturbagens"],
    }

    def step(format="l1000", **changes):
        output, summary = tmp_path / "p.parquet", tmp_path / "p.json"
        settings = (files if format == "l1000" else {}) | changes
        perturbation(format=format, genes=genes, output=output, summary=summary, **settings)
        table = pd.read_parquet(output)
        return table, np.stack(table["values"]), json.loads(summary.read_text())

    return step


def of_values(values):
    table = pd.DataFrame(dict.fromkeys(COLUMNS, ["x"] * len(values)), dtype=object)
    table = table.assign(kind="treated", dose_um=1.0, time_h=6.0)
    genes = pd.DataFrame({"entrez": ["999999999"], "symbol": ["NONE1"]}, dtype=object)
    # Each profile is a block of its own.
    blocks = ((np.array([row]), values[row : row + 1]) for row in range(len(values)))
    return Profiles(table, genes, lambda chosen: blocks)


def test_a_block_without_any_value_is_counted_and_a_file_without_any_refused(
    tmp_path, provider_files
):
    names = [provider_files["truth_genes"], provider_files["hgnc"]]
    vocabulary = Vocabulary.load(write_vocabulary(tmp_path / "genes.parquet", *names))
    output, path = tmp_path / "p.parquet", tmp_path / "level3.gctx"
    values = np.array([[np.nan], [2.0], [3.0]], dtype=np.float32)
    summary = write_profiles(output, of_values(values), vocabulary, [], [], path)
    assert summary["missing_values"] == 1
    assert (summary["least_value"], summary["greatest_value"]) == (2.0, 3.0)
    output.unlink()
    with pytest.raises(InputError, match="have no value at all"):
        write_profiles(output, of_values(values[:1]), vocabulary, [], [], path)
    assert not output.exists()


def test_only_measured_genes_are_kept_and_named_in_the_schema(outcome_tables, provider_files):
    info = pd.read_csv(provider_files["landmarks"], sep="\t", dtype=str)
    landmark = info[info["pr_is_lm"] == "1"]
    assert len(landmark) < len(info)
    genes = read_genes(outcome_tables["perturbation.parquet"])
    assert sorted(gene["entrez"] for gene in genes) == sorted(landmark["pr_gene_id"])
    assert all(gene["gene_id"] for gene in genes)
    type_ = pq.read_schema(outcome_tables["perturbation.parquet"]).field("values").type
    assert type_.list_size == len(landmark)


def test_minus_666_is_missing_in_doses_smiles_and_values(outcome_tables):
    table = pd.read_parquet(outcome_tables["perturbation.parquet"])
    assert table.loc[table["kind"] == "control", "dose_um"].isna().all()
    assert not (table["dose_um"] < 0).any()
    assert not table["smiles"].isin(["-666", "restricted"]).any()
    values = np.stack(table["values"])
    assert np.nanmin(values) >= 0
    summary = json.loads(outcome_tables["perturbation.json"].read_text())
    assert summary["missing_values"] == np.isnan(values).sum() <= 2


def test_a_dose_in_grams_is_no_concentration(outcome_tables):
    table = pd.read_parquet(outcome_tables["perturbation.parquet"])
    treated = table[table["perturbagen_type"] == "trt_cp"]
    assert treated["dose_um"].isna().sum() == 4


def test_profiles_in_only_one_of_the_files_are_counted(outcome_tables):
    dropped = json.loads(outcome_tables["perturbation.json"].read_text())["dropped"]
    assert dropped == {"described_profiles_not_in_matrix": 1, "profiles_without_description": 1}


def test_half_of_the_plates_borrow_their_controls(outcome_tables):
    table = pd.read_parquet(outcome_tables["perturbation.parquet"])
    levels = table.loc[table["perturbagen_type"] == "trt_cp", "controls"].value_counts()
    assert levels.to_dict() == {"plate": 288, "cell_and_time": 288}
    assert (table.loc[table["perturbagen_type"] == "trt_sh", "controls"] == "plate").all()


def test_choosing_lines_and_types_leaves_the_values_as_they_are(run, outcome_tables):
    every = pd.read_parquet(outcome_tables["perturbation.parquet"]).set_index("profile_id")
    line = sorted(set(every["cell_id"]))[0]
    table, values, summary = run(perturbagen_type=["trt_cp", "ctl_vehicle"], cell_id=[line])
    assert set(table["cell_id"]) == {line}
    assert set(table["perturbagen_type"]) == {"trt_cp", "ctl_vehicle"}
    same = np.stack(every.loc[table["profile_id"], "values"])
    np.testing.assert_array_equal(values, same)
    assert summary["dropped"]["other_cell_line"] > 0


def test_an_unknown_cell_line_is_named_with_the_known_ones(run):
    with pytest.raises(InputError, match="no profile of cell_id HELA; known are"):
        run(cell_id=["HELA"])


def test_the_same_compounds_from_prnet_have_the_same_values(
    run, tmp_path, provider_files, outcome_tables
):
    table, values, _ = run(format="prnet", expression=provider_files["prnet"])
    every = pd.read_parquet(outcome_tables["perturbation.parquet"]).set_index("profile_id")
    place = {g["gene_id"]: n for n, g in enumerate(read_genes(tmp_path / "p.parquet"))}
    order = [place[g["gene_id"]] for g in read_genes(outcome_tables["perturbation.parquet"])]
    other = every.loc[table["profile_id"]]
    expected = np.stack(other["values"])
    known = ~np.isnan(expected)  # the GCTX file says -666 in two places
    np.testing.assert_array_equal(values[:, order][known], expected[known])
    assert table["kind"].tolist() == other["kind"].tolist()
    assert set(table["drug_split_0"]) == {"train", "test"}


def test_microarrays_and_other_organisms_are_no_rna_seq():
    table = pd.DataFrame(
        {
            "dataset_id": ["d", "c", "b", "a", "e"],
            "library_strategy": ["Microarray", "RNA-Seq", "RNA-seq", "scRNA-Seq", "RNA-Seq"],
            "organism": ["Homo sapiens", "Mus musculus", "Homo sapiens", "Homo sapiens", None],
            "disease": ["x", "x", "x", "x", None],
        }
    )
    kept, dropped = sequenced(table, "Homo sapiens")
    assert kept["dataset_id"].tolist() == ["b"]
    assert dropped == {"microarray": 1, "no_disease": 1, "other_organism": 1, "other_strategy": 1}


def test_simulated_series_keep_their_sizes_and_lose_the_microarrays(outcome_tables):
    table = pd.read_parquet(outcome_tables["disease_datasets.parquet"])
    summary = json.loads(outcome_tables["disease_datasets.json"].read_text())
    assert summary["dropped"] == {"microarray": len(table)}
    assert (table["n_case"] + table["n_control"] == 4).all()
