"""Relatives of a compound, and plates that share control wells, are never on both sides."""

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from perturbation_world import PerturbationWorld, Wells

from bulkformer.errors import InputError
from bulkformer.evaluate.tasks.perturbation import _folds
from bulkformer.evaluate.tasks.perturbation_profiles import read_profiles


@pytest.fixture
def world(tmp_path):
    world = PerturbationWorld(tmp_path / "task")
    wells = Wells(n_genes=12)
    world.write(wells.table(), wells.levels)
    world.pair()
    return world


def rewrite(world, **columns):
    """Change columns of the treated profiles."""
    table = pd.read_parquet(world.treated)
    for name, value in columns.items():
        table[name] = value(table) if callable(value) else value
    table.to_parquet(world.treated)


def folds(world, regime, column):
    """Return the number of folds that each value of a column lies in."""
    manifest = world.split()
    rows = manifest[manifest["regime"] == regime]
    treated = pd.read_parquet(world.treated).set_index("profile_id")
    return rows.groupby(treated.loc[rows["unit"], column].to_numpy())["fold"].nunique()


def test_no_scaffold_and_no_compound_is_in_two_folds(world):
    for column in ("scaffold", "compound", "perturbagen"):
        assert (folds(world, "held_out_compounds", column) == 1).all()
    assert (folds(world, "held_out_compounds", "cell_id") == 3).all()


def test_a_salt_under_another_name_stays_with_its_compound(tmp_path):
    world, wells = PerturbationWorld(tmp_path / "task"), Wells(n_genes=12)
    table = wells.table()
    salt = (table["perturbagen"] == "drug-0") & (table["cell_id"] == "CELL0")
    table.loc[salt, ["perturbagen", "perturbagen_id"]] = "other", "other id"
    table.loc[salt, "smiles"] += ".[Na+]"
    world.write(table, wells.levels)
    world.pair()
    treated = pd.read_parquet(world.treated)
    assert treated.loc[treated["perturbagen"] == "other", "compound"].nunique() == 1
    assert (folds(world, "held_out_compounds", "compound") == 1).all()


def test_one_name_over_two_scaffolds_joins_both(world):
    name = lambda t: np.where(t["scaffold"].isin(sorted(set(t["scaffold"]))[:2]), "same", "other")  # noqa: E731
    rewrite(world, perturbagen=name)
    manifest = world.split()
    groups = manifest.loc[manifest["regime"] == "held_out_compounds", "group"]
    assert groups.nunique() == 2


def test_no_cell_line_is_in_two_folds(world):
    assert (folds(world, "held_out_cells", "cell_id") == 1).all()


def test_plates_that_share_controls_are_in_one_fold(world):
    assert (folds(world, "held_out_plates", "plate") == 1).all()
    rewrite(world, control_plates=lambda t: "P" + t["cell_id"].str[-1] + "0")
    assert (folds(world, "held_out_plates", "cell_id") == 1).all()


def test_without_plates_profiles_go_with_those_that_share_their_controls(world):
    rewrite(world, plate=None, control_plates="", control_set=lambda t: t["cell_id"])
    assert (folds(world, "held_out_plates", "cell_id") == 1).all()


def test_where_both_are_held_out_no_compound_and_no_line_of_a_test_profile_trains(world):
    world.settings["strict"] |= {"regimes": ["held_out_compounds_and_cells"], "repeats": 2}
    manifest = world.split()
    rows = manifest[manifest["protocol"] == "strict"].set_index("unit")
    treated = pd.read_parquet(world.treated).set_index("profile_id")
    tested = rows[rows["role"] == "test"]
    assert set(tested["fold"]) == {0, 1, 2}
    assert set(rows.loc[rows["role"] == "train", "fold"]) == {3}
    profiles, found = read_profiles(world.treated, world.controls, None, False), 0
    for fold in _folds(
        world.manifest,
        pq.read_table(world.manifest).filter(pc.field("protocol") == "strict"),
        profiles,
    ):
        names = np.array(profiles.table["profile_id"])
        test, train = (treated.loc[names[own]] for own in (fold.test, fold.train))
        assert len(train) >= len(test) > 0
        for column in ("cell_id", "compound", "scaffold"):
            assert not set(test[column]) & set(train[column])
            # Inner folds hold out families, not pairs.
        inner = pd.Series(fold.groups).groupby(train["scaffold"].to_numpy()).nunique()
        assert (inner == 1).all()
        found += 1
    assert found == 6


def test_a_regime_with_one_group_is_left_out_and_named(world, capsys):
    rewrite(world, cell_id="ONE")
    assert "held_out_cells" not in set(world.split()["regime"])
    assert "held_out_cells: left out" in capsys.readouterr().err


def test_without_any_strict_regime_the_step_says_what_is_missing(world):
    rewrite(world, **dict.fromkeys(["cell_id", "plate", "control_set", "perturbagen"], "ONE"))
    with pytest.raises(InputError, match=r"no regime .* has two groups"):
        world.split()


def test_the_legacy_protocol_parts_relatives(world):
    manifest = world.split()
    rows = manifest[manifest["protocol"] == "legacy"]
    treated = pd.read_parquet(world.treated).set_index("profile_id")
    by = rows.groupby(treated.loc[rows["unit"], "scaffold"].to_numpy())["fold"].nunique()
    assert by.max() > 1


def test_a_published_split_tests_only_what_it_calls_test(tmp_path):
    world, wells = PerturbationWorld(tmp_path / "task"), Wells(n_genes=12)
    world.settings["legacy"]["split_column"] = "drug_split_0"
    table = wells.table()
    table["drug_split_0"] = np.where(table["perturbagen"] == "drug-1", "test", "train")
    world.write(table, wells.levels)
    world.pair()
    world.split()
    predicted = pd.read_parquet(world.predict("no_change", "legacy"))
    treated = pd.read_parquet(world.treated).set_index("profile_id")
    assert set(treated.loc[predicted["sample_id"], "perturbagen"]) == {"drug-1"}
    assert len(predicted) == 8
    table["drug_split_0"] = "test"
    world.write(table, wells.levels)
    world.pair()
    with pytest.raises(InputError, match=r"\.parquet: column drug_split_0 needs both"):
        world.split()


def test_a_split_column_that_the_profiles_lack_is_named(world):
    world.settings["legacy"]["split_column"] = "drug_split_7"
    with pytest.raises(InputError, match="no column 'drug_split_7'"):
        world.pair()


def test_the_same_profiles_and_seed_give_the_same_bytes(world):
    world.split()
    first = world.manifest.read_bytes()
    world.split()
    assert world.manifest.read_bytes() == first
