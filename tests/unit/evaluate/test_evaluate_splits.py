"""Folds never cut a group, whatever the groups look like, and say why a class is not tested."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkformer.errors import InputError
from bulkformer.evaluate.splits import (
    SCHEMA,
    Units,
    assign_folds,
    check_groups,
    choose_classes,
    connected_groups,
    manifest,
    read_manifest,
    write_manifest,
)

PLACE = {"task": "t", "dataset": "d", "protocol": "strict", "regime": "r", "repeat": 0, "seed": 1}


def units(groups: list[str], strata: list[str] | None = None) -> Units:
    n = len(groups)
    return Units([f"s{i}" for i in range(n)], groups, "study", strata or [""] * n, ["c"] * n)


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[list[str], list[str], int]:
    """Strata and groups of random samples, groups pure or mixed, and folds that can be filled."""
    rows = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11)), min_size=4, max_size=60))
    groups = [f"g{group}" for _, group in rows]
    most = min(6, len(set(groups)))
    folds = draw(st.integers(1, max(1, most)))
    return [f"class{label}" for label, _ in rows], groups, folds


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cohorts(), st.integers(0, 5))
def test_whole_groups_fill_every_fold(cohort: tuple[list[str], list[str], int], seed: int) -> None:
    strata, groups, folds = cohort
    fold = assign_folds(strata, groups, folds, np.random.default_rng(seed))
    assert sorted(set(fold.tolist())) == list(range(folds))
    for group in set(groups):
        assert len({f for f, g in zip(fold, groups, strict=True) if g == group}) == 1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 3), min_size=6, max_size=60), st.integers(2, 5))
def test_single_samples_are_dealt_evenly_by_class(labels: list[int], folds: int) -> None:
    ids = [f"s{i}" for i in range(len(labels))]
    fold = assign_folds([str(label) for label in labels], ids, folds, np.random.default_rng(0))
    for label in set(labels):
        counts = np.bincount(fold[np.array(labels) == label], minlength=folds)
        assert counts.max() - counts.min() <= 1


def test_every_fold_tests_every_class_that_has_enough_pure_groups() -> None:
    groups = [f"g{i}" for i in range(24) for _ in range(i % 5 + 1)]
    strata = [f"class{int(group[1:]) % 3}" for group in groups]
    fold = assign_folds(strata, groups, 4, np.random.default_rng(3))
    for stratum in set(strata):
        assert {f for f, s in zip(fold, strata, strict=True) if s == stratum} == {0, 1, 2, 3}


def test_same_seed_same_folds_and_another_seed_other_folds() -> None:
    groups = [f"g{i}" for i in range(40)]
    strata = ["a", "b"] * 20
    first, again, other = (
        assign_folds(strata, groups, 4, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_a_sample_of_two_studies_joins_them() -> None:
    keys = ["GSE2", "GSE2,GSE1", "GSE1", "GSE3", None, ""]
    ids = ["a", "b", "c", "d", "e", "f"]
    assert connected_groups(keys, ids) == ["GSE1", "GSE1", "GSE1", "GSE3", "e", "f"]


def test_studies_that_share_a_person_are_one_group_which_bears_the_name_of_a_study() -> None:
    ids, keys = ["a", "b", "c", "d"], ["GSE2", "GSE1", "GSE3", None]
    shared = {"patient_id": ["P1", "P1", None, "P2"], "biosample": [None, "P2", "S1", None]}
    # A patient and a BioSample of one name are no kin.
    assert connected_groups(keys, ids, shared) == ["GSE1", "GSE1", "GSE3", "d"]
    shared["biosample"] = ["S1", None, "S1", None]
    assert connected_groups(keys, ids, shared) == ["GSE1", "GSE1", "GSE1", "d"]


def test_a_class_with_too_few_groups_is_dropped_and_folds_follow_the_smallest_that_stays() -> None:
    strata = ["common"] * 8 + ["rare"] * 8 + ["middle"] * 3
    groups = [f"c{i}" for i in range(8)] + ["r0"] * 7 + ["r1"] + ["m0", "m1", "m2"]
    assert choose_classes(strata, groups, 5, 3) == (["common", "middle"], 3)


def test_a_group_in_two_strict_folds_is_an_error_that_names_it(tmp_path: Path) -> None:
    table = manifest(units(["P1", "P2", "P1"]), [0, 1, 1], **PLACE)
    with pytest.raises(InputError, match="group 'P1' lies in 2 folds"):
        write_manifest(tmp_path / "split.parquet", [table])
    assert not (tmp_path / "split.parquet").exists()


def test_a_group_may_lie_in_two_legacy_folds_and_in_two_repeats() -> None:
    check_groups(manifest(units(["P1", "P1"]), [0, 1], **PLACE | {"protocol": "legacy"}), "x")
    repeats = [manifest(units(["P1"]), [fold], **PLACE | {"repeat": fold}) for fold in (0, 1)]
    for table in repeats:
        check_groups(table, "x")


def test_a_unit_that_is_tested_twice_is_an_error(tmp_path: Path) -> None:
    table = manifest(units(["P1"]), [0], **PLACE)
    with pytest.raises(InputError, match="unit 's0' stands 2 times"):
        write_manifest(tmp_path / "split.parquet", [table, table])


def test_a_manifest_of_ones_own_passes_the_same_check(tmp_path: Path) -> None:
    path = tmp_path / "split.parquet"
    pq.write_table(manifest(units(["P1", "P1"]), [0, 1], **PLACE), path)
    with pytest.raises(InputError, match="P1"):
        read_manifest(path, "t", "strict")
    with pytest.raises(InputError, match="no row for t under the legacy"):
        read_manifest(path, "t", "legacy")


def test_a_manifest_that_changed_since_it_was_frozen_is_an_error(tmp_path: Path) -> None:
    path, frozen = tmp_path / "split.parquet", tmp_path / "split.parquet.sha256"
    write_manifest(path, [manifest(units(["P1", "P2"]), [0, 1], **PLACE)])
    assert frozen.read_text() == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  split.parquet\n"
    assert read_manifest(path, "t", "strict").num_rows == 2
    pq.write_table(manifest(units(["P1", "P2"]), [1, 0], **PLACE), path)
    with pytest.raises(InputError, match=r"changed since .* split\.parquet\.sha256"):
        read_manifest(path, "t", "strict")


def test_the_manifest_does_not_depend_on_the_order_of_its_parts(tmp_path: Path) -> None:
    parts = [manifest(units(["P1", "P2"]), [0, 1], **PLACE | {"repeat": r}) for r in (0, 1)]
    write_manifest(tmp_path / "one.parquet", parts)
    write_manifest(tmp_path / "two.parquet", parts[::-1])
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert pq.read_schema(tmp_path / "one.parquet").equals(SCHEMA)
