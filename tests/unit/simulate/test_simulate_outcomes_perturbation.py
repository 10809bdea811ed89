"""Simulated compounds tell by their structure what they do, and whose relatives they are."""

import numpy as np
import pandas as pd
import pytest

from bulkformer.evaluate.compounds import inchikey14, scaffold
from bulkformer.simulate.outcomes_perturbation import (
    CELL_LINES,
    COMPOUNDS,
    GROUPS,
    RINGS,
    draw_wells,
)


@pytest.fixture(scope="module")
def wells():
    lines = pd.DataFrame({"name": [f"LINE{n}" for n in range(CELL_LINES)]})
    table = pd.DataFrame(map(vars, draw_wells(lines, n_programs=24)))
    return table[table["kind"] == "trt_cp"]


def test_every_ring_system_is_a_scaffold_of_its_own(wells):
    scaffolds = {smiles: scaffold(smiles) for smiles in set(wells["smiles"])}
    assert len(set(scaffolds.values())) == len(RINGS)
    assert wells["smiles"].map(inchikey14).nunique() == COMPOUNDS


def test_a_salt_is_its_compound_under_another_id(wells):
    salts = wells[wells["smiles"].str.contains(".", regex=False)]
    assert salts["name"].nunique() == 1
    own = wells[wells["name"] == salts["name"].iloc[0]]
    assert own["perturbagen_id"].nunique() == 2
    assert own["smiles"].map(inchikey14).nunique() == 1


def test_the_group_says_which_program_and_which_way_on_every_ring_system(wells):
    by_group = wells.groupby(wells["smiles"].str.removesuffix(".Cl").map(group_of))
    assert set(by_group.groups) == set(GROUPS)
    assert (by_group["program"].nunique() == 1).all()
    assert (by_group["shift"].agg(lambda shift: np.sign(shift).nunique()) == 1).all()


def test_more_of_a_compound_shifts_more(wells):
    mean = wells.assign(size=wells["shift"].abs()).groupby(["name", "dose"])["size"].mean()
    assert (mean.xs("10", level="dose") > mean.xs("1", level="dose")).all()


def group_of(smiles):
    return next(group for group in GROUPS if smiles.endswith(group))
