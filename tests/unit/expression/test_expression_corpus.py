"""The corpus: who belongs together, and that no group is on two sides of the split."""

import json
from collections import defaultdict

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from bulkformer.errors import InputError
from bulkformer.expression.corpus import COLUMNS, corpus, later_copies
from bulkformer.expression.duplicates import SCHEMA, Pair
from bulkformer.expression.groups import Fractions, sample_groups, split_groups
from bulkformer.files import sha256, write_table

FRACTIONS = Fractions(validation=0.1, held_out_groups=0.15, held_out_samples=0.1)


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
        assert sides in ({"train"}, {"validation"}, {"held_out_groups"}) or sides == {
            "train",
            "held_out_samples",
        }
    # Samples that share a value share a group, by a way that has nothing to do with components.
    sides_of_value = defaultdict(set)
    for value, part in zip(values, parts, strict=True):
        for study in filter(None, value.split(",")):
            sides_of_value[study].add(part.replace("held_out_samples", "train"))
    assert all(len(sides) == 1 for sides in sides_of_value.values())
    assert {"train", "validation", "held_out_groups", "held_out_samples"} == set(parts)


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


def test_a_giant_study_goes_to_training():
    for seed in range(20):
        parts, groups = split(studies([900, *[5] * 20]), seed)
        assert set(parts[groups == "study_id:GSE0"]) == {"train", "held_out_samples"}


def test_another_seed_gives_another_split_and_the_same_seed_the_same():
    table = studies([4] * 30)
    assert split(table, 1)[0].equals(split(table, 1)[0])
    assert not split(table, 1)[0].equals(split(table, 2)[0])


def test_three_groups_are_enough_and_two_are_not():
    parts, _ = split(studies([9, 3, 3]))
    assert set(parts) == {"train", "validation", "held_out_groups", "held_out_samples"}
    with pytest.raises(InputError, match=r"has 2 groups.*group_by"):
        split(studies([9, 3]))


def test_samples_without_siblings_cannot_be_held_out_beside_them():
    with pytest.raises(InputError, match=r"no two training samples share a group.*group_by"):
        split(studies([1] * 30))


def write_samples(folder, cohort, rows):
    path = folder / cohort / "samples.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows, columns=["sample_id", "study_id", "kept"]).assign(cohort=cohort)
    table["patient_id"] = table["donor_id"] = None
    table.to_parquet(path)
    path.with_name("coverage.json").write_text(json.dumps({"log_tpm_sha256": f"of {cohort}"}))
    return path


@pytest.fixture
def two_cohorts(tmp_path):
    rng = np.random.default_rng(0)
    one = [(f"s{n}", f"GSE{n // 4}", bool(rng.random() > 0.1)) for n in range(60)]
    two = [(f"t{n}", f"GSE{100 + n // 3}", True) for n in range(30)]
    one[0] = ("s0", "GSE0", True)
    two[0] = ("s0", "GSE100", True)
    return [write_samples(tmp_path, "one", one), write_samples(tmp_path, "two", two)]


def make(
    paths,
    folder,
    cohorts=("one", "two"),
    group_by=("study_id",),
    seed=3,
    pairs=(),
    duplicates="drop",
):
    found = folder / "duplicates.parquet"
    write_table(found, pa.Table.from_pylist([pair.as_row() for pair in pairs], schema=SCHEMA))
    corpus(
        samples=paths,
        coverage=[path.with_name("coverage.json") for path in paths],
        cohort=list(cohorts),
        found=found,
        duplicates=duplicates,
        group_by=list(group_by),
        validation_fraction=0.1,
        held_out_group_fraction=0.15,
        held_out_sample_fraction=0.1,
        seed=seed,
        output=folder / "corpus.parquet",
        summary=folder / "corpus.json",
    )
    return pd.read_parquet(folder / "corpus.parquet"), json.loads(
        (folder / "corpus.json").read_text()
    )


def test_the_corpus_holds_every_kept_sample_once(two_cohorts, tmp_path):
    table, summary = make(two_cohorts, tmp_path)
    assert list(table.columns) == COLUMNS
    assert set(table["log_tpm_sha256"]) == {"of one", "of two"}
    kept = pd.concat(map(pd.read_parquet, two_cohorts)).query("kept")
    assert sorted(table["sample_id"]) == sorted(set(kept["sample_id"]))
    assert table.loc[table["sample_id"] == "s0", "cohort"].tolist() == ["one"]
    assert summary["samples_repeated"] == 1
    assert summary["samples"] == len(table)
    assert summary["samples_by_split"] == table["split"].value_counts().to_dict()
    assert summary["corpus_sha256"] == sha256(tmp_path / "corpus.parquet")


def test_a_sample_in_two_cohorts_ties_their_studies(two_cohorts, tmp_path):
    table, _ = make(two_cohorts, tmp_path)
    group = table.set_index("sample_id")["group"]
    assert group["s1"] == group["t1"] == "study_id:GSE0"


def copies(*pairs, by="expression"):
    """Pairs of (cohort, sample_id), each written as "one/s1"."""
    return [Pair(*(tuple(name.split("/")) for name in pair), by, 0.99) for pair in pairs]


def test_of_copies_the_first_stays_and_their_studies_become_one_group(two_cohorts, tmp_path):
    pairs = copies(("one/s5", "one/s9"), ("one/s9", "two/t4"), ("two/t7", "two/t8"))
    table, summary = make(two_cohorts, tmp_path, pairs=pairs)
    ids = set(table["sample_id"])
    assert "s5" in ids
    assert "t7" in ids
    assert not {"s9", "t4", "t8"} & ids
    group = table.set_index("sample_id")["group"]
    assert group["s5"] == group["s10"] == group["t3"] == "study_id:GSE1"  # s10 beside s9, t3 by t4
    assert summary["samples_dropped_as_copies"] == 3
    assert summary["duplicate_pairs"]["expression"]["pairs"] == 3
    assert summary["duplicate_pairs"]["expression"]["examples"][0]["other_sample_id"] == "s9"


def test_copies_that_are_kept_are_all_on_one_side(two_cohorts, tmp_path):
    pairs = copies(("one/s5", "two/t4"), by="biosample")
    table, summary = make(two_cohorts, tmp_path, pairs=pairs, duplicates="group")
    group = table.set_index("sample_id")["group"]
    assert group["s5"] == group["t4"] == "study_id:GSE1"
    assert summary["samples_dropped_as_copies"] == 0
    alone, _ = make(two_cohorts, tmp_path)
    assert len(table) == len(alone)


def test_of_copies_that_are_kept_none_is_held_out_beside_the_other(two_cohorts, tmp_path):
    pairs = copies(*((f"two/t{n}", f"two/t{n + 1}") for n in range(1, 29, 3)))
    copied = {f"t{n}" for pair in range(1, 29, 3) for n in (pair, pair + 1)}
    held_out = set()
    for seed in range(10):
        table, _ = make(two_cohorts, tmp_path, seed=seed, pairs=pairs, duplicates="group")
        held_out |= set(table.loc[table["split"] == "held_out_samples", "sample_id"])
    assert held_out
    assert not held_out & copied


def test_a_group_that_swallows_the_corpus_is_warned_of_with_what_tied_it(
    two_cohorts, tmp_path, capsys
):
    _, summary = make(two_cohorts, tmp_path)
    assert "warning" not in capsys.readouterr().err
    assert summary["largest_group"] < 8
    chain = copies(*((f"two/t{n}", f"two/t{n + 3}") for n in range(1, 22, 3)))
    table, summary = make(two_cohorts, tmp_path, pairs=chain, duplicates="group")
    assert summary["largest_group"] == table["group"].value_counts().max() > 20
    assert summary["largest_group_without_copies"] < 8
    alone = summary["largest_group_without_copies"]
    assert f"would have {alone}: if that is much less, raise" in capsys.readouterr().err


def test_copies_in_a_study_of_their_own_leave_the_rest_as_it_was(two_cohorts, tmp_path):
    """A corpus without its copies is the corpus that had none, split included."""
    alone, _ = make(two_cohorts, tmp_path / "alone")
    again = write_samples(tmp_path, "again", [("z1", "GSE900", True), ("z2", "GSE901", True)])
    table, summary = make(
        [*two_cohorts, again],
        tmp_path / "with_copies",
        cohorts=("one", "two", "again"),
        pairs=copies(("one/s5", "again/z1"), ("two/t4", "again/z2")),
    )
    pd.testing.assert_frame_equal(table, alone)
    assert summary["samples_dropped_as_copies"] == 2


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=15))
def test_of_each_family_of_copies_exactly_the_first_stays(drawn):
    ordered = sorted({tuple(sorted(pair)) for pair in drawn if pair[0] != pair[1]})
    pairs = copies(*((f"one/s{a:02d}", f"one/s{b:02d}") for a, b in ordered))
    family = {n: {n} for n in range(13)}
    for a, b in ordered:
        joined = family[a] | family[b]
        family |= dict.fromkeys(joined, joined)
    later = {f"s{n:02d}" for n in range(13) if min(family[n]) < n}
    assert later_copies(pairs) == later


def test_a_copy_that_is_no_kept_sample_and_an_unknown_handling_are_errors(two_cohorts, tmp_path):
    with pytest.raises(InputError, match=r"duplicates.parquet: sample 'nobody' of two is not"):
        make(two_cohorts, tmp_path, pairs=copies(("one/s5", "two/nobody")))
    with pytest.raises(InputError, match=r"expression.corpus.duplicates: 'merge' is unknown"):
        make(two_cohorts, tmp_path, duplicates="merge")


def test_same_input_and_seed_same_bytes(two_cohorts, tmp_path):
    for name in ["a", "b"]:
        make(two_cohorts, tmp_path / name)
    for file in ["corpus.parquet", "corpus.json"]:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_an_absent_group_column_is_named_beside_those_that_are_there(two_cohorts, tmp_path):
    with pytest.raises(InputError, match=r"samples.parquet: no column donor .*patient_id"):
        make(two_cohorts, tmp_path, group_by=["donor"])


def test_sample_tables_in_the_wrong_order_are_noticed(two_cohorts, tmp_path):
    with pytest.raises(InputError, match="holds the cohort 'two' and not 'one'"):
        make(two_cohorts[::-1], tmp_path)
    with pytest.raises(InputError, match="2 cohorts, 1 sample tables"):
        make(two_cohorts[:1], tmp_path)


def test_a_cohort_of_which_nothing_was_kept_is_an_error(tmp_path):
    path = write_samples(tmp_path, "one", [("a", "GSE1", False)])
    with pytest.raises(InputError, match="no sample of one was kept"):
        make([path], tmp_path, ["one"])
