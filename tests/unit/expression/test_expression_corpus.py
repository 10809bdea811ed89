"""The corpus: every kept sample once, with its group and its side of the split."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkformer.errors import InputError
from bulkformer.expression.corpus import COLUMNS, corpus, later_copies
from bulkformer.expression.duplicates import SCHEMA, Pair
from bulkformer.files import sha256, write_table


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
        validation_sample_fraction=0.1,
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
