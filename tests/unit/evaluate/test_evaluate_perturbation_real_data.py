"""79 treated L1000 profiles of 18 compounds: wiring on real wells, and what they can tell."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from perturbation_world import PerturbationWorld, overall

from bulkformer.expression.vocabulary import SCHEMA
from bulkformer.outcomes.perturbation import perturbation as profiles_of

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def world(tmp_path_factory, development_data):
    folder = tmp_path_factory.mktemp("l1000")
    world = PerturbationWorld(folder)
    files = development_data / "l1000"
    entrez = [
        name for name in pq.read_schema(files / "l1000_level3_581x978.parquet").names
        if name.isdigit()
    ]  # fmt: skip
    rows = [
        {"gene_id": f"G{n:05d}", "symbol": f"L{e}", "entrez": e, "length_bp": 900}
        | {"other_entrez": [], "aliases": [], "ambiguous": []}
        for n, e in enumerate(entrez)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), world.genes)
    profiles_of(
        format="table", expression=files / "l1000_level3_581x978.parquet",
        profiles=files / "l1000_inst_info.tsv", perturbagens=files / "brd_smiles.tsv.gz",
        genes=world.genes, output=world.profiles, summary=folder / "profiles.json",
    )  # fmt: skip
    world.settings |= {"top_genes": 50, "components": 10}
    world.pair()
    world.split()
    return world


def test_every_treated_profile_finds_two_halves_of_controls(world):
    treated = pd.read_parquet(world.treated)
    assert len(treated) == 79
    assert treated["compound"].nunique() == 18
    assert treated["controls"].value_counts().to_dict() == {"cell_and_time": 50, "plate": 29}
    wells = pd.read_parquet(world.controls)
    assert wells.loc[wells["half"] != "all", "n_wells"].min() >= 2


def test_levels_look_predicted_by_nothing_at_all(world):
    values = overall(world.score("no_change"), "held_out_compounds")
    assert values["pearson_level"] == pytest.approx(0.88, abs=0.01)
    assert values["pearson_delta"] == 0


def test_what_is_common_to_all_profiles_does_not_hold_in_another_line(world):
    scores = world.score("mean_delta")
    assert overall(scores, "held_out_compounds")["pearson_delta"] > 0.5
    # Most wells are compared with controls of other plates: what is common is their plates.
    assert overall(scores, "held_out_cells")["pearson_delta"] < 0.2


@pytest.mark.parametrize("head", ["ridge", "compound_neighbours", "cell_plus_compound"])
def test_nobody_tells_eighteen_compounds_apart(world, head):
    values = overall(world.score(head), "held_out_compounds")
    assert values["retrieval"] == pytest.approx(0.5, abs=0.05)


def test_the_truth_scores_one(world):
    scores = world.score("ground_truth")
    for regime in set(scores["regime"]):
        values = overall(scores, regime)
        assert values.pop("mae") == 0
        assert values == pytest.approx(dict.fromkeys(values, 1.0), abs=1e-6)


def test_the_words_of_every_row_count_the_genes(world):
    genes = json.loads(pq.read_schema(world.treated).metadata[b"genes"])
    assert len(genes) == 978
    assert set(world.score("no_change")["condition"]) == {"intensities, 978 of 978 genes"}
