"""Folds of pairs, lines, tissues and compounds: what belongs together is tested together."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from response_world import ResponseWorld, plant, settings

from bulkformer.errors import InputError
from bulkformer.outcomes.tables import CELL_LINES, DRUGS, RESPONSE

TEXT = settings()
STRICT = ["held_out_lines", "held_out_tissues", "held_out_scaffolds"]


@pytest.fixture
def world(tmp_path):
    found = ResponseWorld(tmp_path)
    plant(found, n_lines=40)
    return found


def change(world, name, schema, edit):
    """Rewrite a table of the world after `edit`, which takes and returns its rows."""
    rows = edit(pq.read_table(world.table(name)).to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), world.table(name))


def lines_with(world, **columns):
    """Set columns of lines: {line number: value}."""

    def edit(rows):
        for column, values in columns.items():
            for number, value in values.items():
                rows[number][column] = value
        return rows

    change(world, "cell_lines", CELL_LINES, edit)


def test_legacy_deals_pairs_whose_line_and_drug_are_in_training_too(world):
    world.split(TEXT)
    pairs = world.folds("legacy", "random_pairs")
    assert len(pairs) == 40 * 12  # the two screens of one drug are averaged
    assert np.ptp(pairs["fold"].value_counts()) <= 1
    line, drug = pairs["unit"].str.split("|", expand=True).to_numpy().T
    for part in (line, drug):
        assert pairs.groupby(part)["fold"].nunique().min() > 1


def test_no_group_lies_in_two_strict_folds(world):
    world.split(settings(strict={"repeats": 2}))
    for regime, kind in zip(STRICT, ["patient", "tissue", "scaffold"], strict=True):
        folds = world.folds("strict", regime)
        assert set(folds["group_kind"]) == {kind}
        assert folds.groupby(["repeat", "group"])["fold"].nunique().max() == 1
        assert folds["repeat"].nunique() == 2


def test_lines_of_one_patient_and_their_descendants_are_one_group(world):
    # 4 derives from 8, which derives from a line that nobody screened, as does 12.
    lines_with(world, parent={4: "ACH-000008", 8: "ACH-900000", 12: "ACH-900000"})
    world.split(TEXT)
    group = world.folds("strict", "held_out_lines").set_index("unit")["group"]
    assert group["ACH-000002"] == group["ACH-000003"]  # sisters of one patient
    assert len({group[f"ACH-{n:06d}"] for n in (4, 8, 12)}) == 1
    assert group["ACH-000000"] != group["ACH-000001"]


def test_a_whole_tissue_is_held_out_with_patients_that_have_lines_of_two(world):
    lines_with(world, lineage={3: "lineage 5", 17: None})
    world.split(TEXT)
    folds = world.folds("strict", "held_out_tissues").set_index("unit")
    tissue = pd.read_parquet(world.table("cell_lines")).set_index("cell_line_id")["lineage"]
    assert "ACH-000017" not in folds.index
    assert folds.groupby(tissue)["fold"].nunique().max() == 1
    joined = folds["group"][tissue[folds.index].isin(["lineage 0", "lineage 5"])]
    assert set(joined) == {"lineage 0"}


def test_drugs_of_one_scaffold_are_held_out_together(world):
    world.split(TEXT)
    folds = world.folds("strict", "held_out_scaffolds")
    assert len(folds) == 12
    assert folds["group"].nunique() == 6
    assert folds.groupby("group")["fold"].nunique().max() == 1


def test_a_drug_of_unknown_structure_is_tested_on_lines_only(world, capsys):
    def forget(rows):
        rows[5] |= {"smiles": None, "scaffold": None}
        return rows

    change(world, "drugs", DRUGS, forget)
    world.split(TEXT)
    assert "X:05" not in set(world.folds("strict", "held_out_scaffolds")["unit"])
    assert not world.folds("legacy", "random_pairs")["unit"].str.endswith("X:05").any()
    assert "held_out_scaffolds: left out 1 of 12 of unknown structure" in capsys.readouterr().err


def test_without_any_structure_the_config_key_is_named(world):
    change(
        world,
        "drugs",
        DRUGS,
        lambda rows: [row | {"smiles": None, "scaffold": None} for row in rows],
    )
    with pytest.raises(
        InputError, match=r"drugs\.parquet: 0 pairs .*outcomes\.response\.structures"
    ):
        world.split(TEXT)


def test_a_line_measured_twice_in_a_screen_fails_validation(world):
    change(world, "response", RESPONSE, lambda rows: [*rows, rows[7] | {"ln_ic50": 9.0}])
    with pytest.raises(
        InputError, match=r"1 pairs .* screen 'one:00' and line 'ACH-000007' \(2 curves\)"
    ):
        world.split(TEXT)
    world.split(settings(replicate_curves="average"))


def test_screens_with_few_lines_and_lines_without_expression_are_left_out(world, capsys):
    def edit(rows):
        few = [
            row
            for row in rows
            if row["screen_id"] != "one:03" or row["cell_line_id"] < "ACH-000005"
        ]
        return [*few, few[0] | {"cell_line_id": "ACH-777777"}]

    change(world, "response", RESPONSE, edit)
    world.split(TEXT)
    units = world.folds("legacy", "random_pairs")["unit"]
    assert not units.str.endswith("X:03").any()
    assert not units.str.startswith("ACH-777777").any()
    said = capsys.readouterr().err
    assert "left out 1 of 12 targets with fewer than 10 lines" in said
    assert "1 lines were screened but are no sample of the cohort" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (settings(targets=["ln_ic50", "auc"]), r"no value of auc; .*drug_response\.targets"),
        (settings(min_lines=41), r"0 of 12 drugs have .*min_lines = 41 of the 40 lines"),
    ],
)
def test_what_cannot_be_predicted_is_said_at_once(world, text, message):
    with pytest.raises(InputError, match=message):
        world.split(text)


def test_a_cohort_without_cell_lines_is_named(world):
    world.embed([f"patient {n}" for n in range(5)], np.zeros((5, 2)))
    with pytest.raises(InputError, match=r"no sample has a cell_line_id .*drug_response\.cohort"):
        world.split(TEXT)


def test_curves_that_fit_badly_leave_where_the_config_says_so(world):
    change(
        world,
        "response",
        RESPONSE,
        lambda rows: [row | {"rmse": 0.9 if n % 10 == 0 else 0.1} for n, row in enumerate(rows)],
    )
    world.split(settings(max_fit_rmse=0.3))
    assert len(world.folds("legacy", "random_pairs")) < 40 * 12


def test_the_same_tables_and_seed_give_the_same_folds(world):
    first = world.split(TEXT).read_bytes()
    change(world, "response", RESPONSE, lambda rows: rows[::-1])
    assert world.split(TEXT).read_bytes() == first
