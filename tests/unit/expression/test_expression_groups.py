"""Who belongs together, and that no group is on two sides of the split."""

from collections import defaultdict
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from bulkformer.errors import InputError
from bulkformer.expression.groups import Fractions, sample_groups, split_groups

FRACTIONS = Fractions(
    validation=0.1, held_out_groups=0.15, held_out_samples=0.1, validation_samples=0.1
)
PARTS = {"train", "validation", "held_out_groups", "held_out_samples", "validation_samples"}


def studies(sizes):
    rows = [(f"s{a}_{b}", f"GSE{a}") for a, size in enumerate(sizes) for b in range(size)]
    return pd.DataFrame(rows, columns=["sample_id", "study_id"])


def split(table, seed=0, fractions=FRACTIONS):
    groups = pd.Series(sample_groups(table, ["study_id"]))
    return split_groups(table["sample_id"], groups, fractions, seed), groups


def test_a_superseries_joins_the_studies_that_it_holds():
    table = pd.DataFrame(
        {
            "sample_id": list("abcde"),
            "study_id": ["GSE7,GSE3", "GSE3", "GSE9", "GSE9, GSE7", "GSE1"],
        }
    )
    groups = sample_groups(table, ["study_id"])
    assert groups == ["study_id:GSE3"] * 4 + ["study_id:GSE1"]


def test_columns_join_samples_together_and_equal_values_of_two_columns_do_not():
    table = pd.DataFrame(
        {
            "sample_id": list("abcd"),
            "study_id": ["x", "x", "y", "z"],
            "patient_id": ["1", "2", "2", "x"],
        }
    )
    groups = sample_groups(table, ["study_id", "patient_id"])
    assert groups[0] == groups[1] == groups[2] == "patient_id:1"
    assert groups[3] == "patient_id:x"


def test_a_sample_without_any_value_is_a_group_of_its_own():
    table = pd.DataFrame({"sample_id": list("abc"), "study_id": [None, " , ", "GSE1"]})
    assert sample_groups(table, ["study_id"]) == [
        "sample_id:a", "sample_id:b", "study_id:GSE1",
    ]  # fmt: skip


# Up to 60 samples of up to 150 studies: many components of very different sizes.
cells = st.lists(st.integers(0, 150), max_size=3).map(lambda ids: ",".join(f"GSE{i}" for i in ids))
PAIRS = [f"GSE90{n // 2}" for n in range(8)]


@settings(max_examples=60, deadline=None)
@given(st.lists(cells, max_size=60), st.integers(0, 10))
def test_no_group_is_ever_on_two_sides_of_the_split(drawn, seed):
    values = drawn + PAIRS
    table = pd.DataFrame(
        {"sample_id": [f"s{n}" for n in range(len(values))], "study_id": values}, dtype=object
    )
    try:
        parts, groups = split(table, seed)
    except InputError:
        reject()  # only samples without siblings were left for training
    where = defaultdict(set)
    for part, group in zip(parts, groups, strict=True):
        where[group].add(part)
    for sides in where.values():
        beside_training = {"train", "held_out_samples", "validation_samples"}
        assert sides in ({"validation"}, {"held_out_groups"}) or (
            "train" in sides and sides <= beside_training
        )
    # Samples that share a value share a group, by a way that has nothing to do with components.
    sides_of_value = defaultdict(set)
    for value, part in zip(values, parts, strict=True):
        for study in filter(None, value.split(",")):
            sides_of_value[study].add("train" if part in beside_training else part)
    assert all(len(sides) == 1 for sides in sides_of_value.values())
    assert set(parts) == PARTS


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=8, max_size=30), st.integers(0, 1000))
def test_the_split_does_not_depend_on_the_order_of_samples(sizes, seed):
    table = studies([*sizes, 4])
    parts, _ = split(table)
    expected = dict(zip(table["sample_id"], parts, strict=True))
    shuffled = table.sample(frac=1, random_state=seed).reset_index(drop=True)
    parts, _ = split(shuffled)
    assert dict(zip(shuffled["sample_id"], parts, strict=True)) == expected


def test_parts_are_as_large_as_asked_where_groups_are_small():
    parts, _ = split(studies([5] * 200))
    shares = parts.value_counts() / 1000
    assert shares["validation"] == pytest.approx(0.1, abs=0.003)
    assert shares["held_out_groups"] == pytest.approx(0.15, abs=0.003)
    assert shares["held_out_samples"] == pytest.approx(0.075, abs=0.003)
    assert shares["validation_samples"] == pytest.approx(0.0675, abs=0.003)


def test_whether_training_is_watched_on_siblings_moves_no_other_sample():
    table = studies([5] * 40)
    alone, _ = split(table, fractions=replace(FRACTIONS, validation_samples=0))
    watched, _ = split(table)
    moved = alone != watched
    assert set(alone[moved]) == {"train"}
    assert set(watched[moved]) == {"validation_samples"}


def test_a_giant_study_goes_to_training():
    for seed in range(20):
        parts, groups = split(studies([900, *[5] * 20]), seed)
        of_giant = set(parts[groups == "study_id:GSE0"])
        assert of_giant == {"train", "held_out_samples", "validation_samples"}


def test_another_seed_gives_another_split_and_the_same_seed_the_same():
    table = studies([4] * 30)
    assert split(table, 1)[0].equals(split(table, 1)[0])
    assert not split(table, 1)[0].equals(split(table, 2)[0])


def test_three_groups_are_enough_and_two_are_not():
    parts, _ = split(studies([9, 3, 3]))
    assert set(parts) == PARTS
    with pytest.raises(InputError, match=r"has 2 groups.*group_by"):
        split(studies([9, 3]))


def test_samples_without_siblings_cannot_be_held_out_beside_them():
    with pytest.raises(InputError, match=r"no two training samples share a group.*group_by"):
        split(studies([1] * 30))
