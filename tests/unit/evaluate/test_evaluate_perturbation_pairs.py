"""A treated well meets controls of its own line and time, and no noise passes between folds."""

import numpy as np
import pandas as pd
import pytest
from perturbation_world import PerturbationWorld, Wells

from bulkformer.errors import InputError
from bulkformer.evaluate.tasks import perturbation_pairs
from bulkformer.evaluate.tasks.perturbation_controls import pair_with_controls
from bulkformer.expression.store import ExpressionStore


def pairs_of(table, complete=None):
    columns = {
        name: [None if isinstance(v, float) and np.isnan(v) else v for v in table[name]]
        for name in table
    }
    return pair_with_controls(columns, np.ones(len(table), bool) if complete is None else complete)


@pytest.fixture
def wells():
    return Wells(n_cells=3, n_plates=2, n_controls=2)


@pytest.fixture
def world(tmp_path):
    return PerturbationWorld(tmp_path / "task")


def test_no_control_is_of_another_cell_line_time_or_plate(wells):
    table = wells.table()
    table["cell_id"] = "ONE"  # of which some plates are at 6 h, others at 24 h
    pairs = pairs_of(table)
    assert len(pairs.treated) == 3 * 2 * 12
    for row in pairs.treated:
        own = table.iloc[pairs.wells[pairs.set_of[row]]["all"]]
        assert (own["perturbagen_type"] == "ctl_vehicle").all()
        assert set(own["plate"]) == {table["plate"][row]}
        assert set(own["time_h"]) == {table["time_h"][row]}


def test_a_plate_that_holds_two_times_lends_no_control_from_one_to_the_other(wells):
    table = wells.table()
    table["plate"], table["cell_id"] = "SHARED", "ONE"
    pairs = pairs_of(table)
    for row in pairs.treated:
        own = table.iloc[pairs.wells[pairs.set_of[row]]["all"]]
        assert set(own["time_h"]) == {table["time_h"][row]}


def test_a_plate_without_two_controls_borrows_those_of_its_line_and_time(wells):
    table = wells.table()
    table = table.drop(table[(table["plate"] == "P00") & (table["kind"] == "control")].index[:1])
    pairs = pairs_of(table.reset_index(drop=True))
    table = table.reset_index(drop=True)
    borrowing = [row for row in pairs.treated if table["plate"][row] == "P00"]
    own = table.iloc[pairs.wells[pairs.set_of[borrowing[0]]]["all"]]
    assert set(own["plate"]) == {"P00", "P01"}
    assert set(own["cell_id"]) == {"CELL0"}


def test_where_no_two_controls_are_a_treated_profile_is_left_out(wells):
    table = wells.table()
    control = (table["cell_id"] == "CELL0") & (table["kind"] == "control")
    table = table.drop(table[control].index[1:]).reset_index(drop=True)
    pairs = pairs_of(table)
    assert {table["cell_id"][row] for row in pairs.treated} == {"CELL1", "CELL2"}


def test_the_halves_of_all_sets_share_no_well(wells):
    table = wells.table()
    table.loc[table["plate"].str.endswith("1") & (table["kind"] == "control"), "plate"] = None
    pairs = pairs_of(table)
    halves = {half: set() for half in "ab"}
    for own in pairs.wells.values():
        for half in "ab":
            halves[half].update(own[half])
        assert sorted(own["a"] + own["b"]) == own["all"]
    assert not halves["a"] & halves["b"]


def test_wells_with_missing_values_are_neither_treated_nor_controls(wells):
    table = wells.table()
    complete = np.ones(len(table), bool)
    treated = int(np.flatnonzero(table["kind"] == "treated")[0])
    complete[[0, treated]] = False
    pairs = pairs_of(table, complete)
    assert treated not in pairs.treated
    assert all(0 not in own["all"] for own in pairs.wells.values())


def test_changes_are_against_the_mean_of_the_own_controls(world, wells):
    world.write(wells.table(), wells.levels)
    world.pair()
    treated = pd.read_parquet(world.treated)
    controls = pd.read_parquet(world.controls).set_index(["control_set", "half"])
    table = wells.table()
    first = treated.iloc[0]
    own = (table["plate"] == first["plate"]) & (table["kind"] == "control")
    expected = wells.levels[own].mean(axis=0)
    np.testing.assert_allclose(
        controls.loc[(first["control_set"], "all"), "values"], expected, rtol=1e-6
    )
    assert controls["n_wells"].loc[first["control_set"]].to_dict() == {"a": 1, "b": 1, "all": 2}


def test_control_profiles_enter_models_by_gene_as_natural_logarithms(world, wells):
    world.write(wells.table(), wells.levels)
    world.pair()
    store = ExpressionStore(world.store)
    assert store.measured.sum() == wells.n_genes - 5
    controls = pd.read_parquet(world.controls)
    values = store.read()
    known = np.stack(controls["values"])[:, : wells.n_genes - 5] * np.log(2)
    np.testing.assert_allclose(values[:, store.measured], known, rtol=1e-6)
    assert np.isnan(values[:, ~store.measured]).all()


def test_a_limit_draws_whole_compounds(world, wells):
    world.settings["max_profiles"] = 20  # a compound has six profiles
    world.write(wells.table(), wells.levels)
    world.pair()
    sizes = pd.read_parquet(world.treated)["compound"].value_counts()
    assert sizes.tolist() == [6, 6, 6]


def test_only_profiles_that_were_drawn_and_their_controls_are_kept_in_memory(
    world, wells, monkeypatch
):
    monkeypatch.setattr(perturbation_pairs, "ROWS_AT_A_TIME", 7)
    world.settings["max_profiles"] = 20
    world.write(wells.table(), wells.levels)
    kept = []
    read = perturbation_pairs._read_values

    def noted(*asked):
        kept.append(read(*asked))
        return kept[-1]

    monkeypatch.setattr(perturbation_pairs, "_read_values", noted)
    world.pair()
    n_controls = int((wells.table()["kind"] == "control").sum())
    assert len(kept[0].values) == 18 + n_controls
    treated = pd.read_parquet(world.treated).set_index("profile_id")["values"]
    expected = dict(zip(wells.table()["profile_id"], wells.levels, strict=True))
    for profile, values in treated.items():
        np.testing.assert_allclose(values, expected[profile], rtol=1e-6)


def test_a_limit_favours_no_compound_for_having_few_profiles(world, wells):
    """Half of the compounds have one profile only: in the mean they are half of those drawn."""
    table = wells.table()
    names = sorted(set(table.loc[table["kind"] == "treated", "perturbagen"]))
    rare = set(names[::2])
    spare = table["perturbagen"].isin(rare) & (table["plate"] != "P00")
    table, levels = table[~spare].reset_index(drop=True), wells.levels[~spare.to_numpy()]
    world.settings["max_profiles"] = 17
    world.write(table, levels)
    drawn = []
    for seed in range(20):
        world.pair(seed)
        found = set(pd.read_parquet(world.treated)["perturbagen"])
        drawn.append((len(found & rare), len(found)))
    few, all_drawn = np.sum(drawn, axis=0)
    assert few / all_drawn < 0.65


def test_a_limit_below_one_compound_is_refused(world, wells):
    world.settings["max_profiles"] = 5
    world.write(wells.table(), wells.levels)
    with pytest.raises(InputError, match="max_profiles: 5 is less than the 6 profiles"):
        world.pair()


def test_what_is_no_smiles_is_named_with_its_file_compound_and_profile(world, wells):
    table = wells.table()
    table.loc[table["perturbagen"] == "drug-3", "smiles"] = "C1CC("
    world.write(table, wells.levels)
    named = r"profiles\.parquet: profile 'P00:W\d+', compound 'drug-3': 'C1CC\(' is no SMILES"
    with pytest.raises(InputError, match=named):
        world.pair()


def test_compounds_without_structure_are_left_out_and_counted(world, wells, capsys):
    table = wells.table()
    table.loc[table["perturbagen"] == "drug-3", "smiles"] = None
    world.write(table, wells.levels)
    world.pair()
    assert "'no structure': 6" in capsys.readouterr().err
    assert "drug-3" not in set(pd.read_parquet(world.treated)["perturbagen"])


def test_profiles_of_which_none_can_be_compared_are_refused(world, wells):
    table = wells.table()
    world.write(table[table["kind"] == "treated"], wells.levels[table["kind"] == "treated"])
    with pytest.raises(InputError, match="two control wells; add structures"):
        world.pair()
