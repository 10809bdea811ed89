"""Whatever the groups look like, no split of any task leaks: properties, thrown at every splitter.

Units have several keys, chains of shared keys, no key at all, one giant group, or fewer groups than
folds. A splitter may refuse them with a reason; it may not cut a group, forget or repeat a unit,
leave a fold empty, or answer otherwise when the rows come in another order.
"""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from split_worlds import SPLITS, Keys, N

from bulkformer.errors import InputError
from bulkformer.evaluate.splits import assign_folds, choose_classes, connected_groups

THOROUGH = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def keys(draw: st.DrawFn, n: int = N) -> Keys:
    """Keys of `n` units: few or many, single or several, a chain through all, or one giant."""
    shape = draw(st.sampled_from(["few", "many", "chain", "giant", "none"]))
    if shape == "none":
        return [[] for _ in range(n)]
    if shape == "chain":
        length = draw(st.integers(2, n))
        return [[f"k{i}", f"k{i + 1}"] if i < length else [f"own{i}"] for i in range(n)]
    if shape == "giant":
        rest = draw(st.integers(0, n // 2))
        return [["giant"] if i >= rest else [f"own{i}"] for i in range(n)]
    name = st.integers(0, 2 if shape == "few" else 30).map(lambda number: f"k{number}")
    return draw(st.lists(st.lists(name, max_size=2), min_size=n, max_size=n))


def check(path: Path, kind: str, of_unit: dict[str, list[str]]) -> None:
    """Assert what holds of every manifest; `of_unit` are keys that groups of `kind` must hold."""
    table = pq.read_table(path).to_pandas()
    for (protocol, _, _), rows in table.groupby(["protocol", "regime", "repeat"]):
        assert rows["unit"].is_unique
        assert sorted(rows["fold"].unique()) == list(range(rows["fold"].nunique()))
        if protocol == "strict":
            assert rows.groupby("group")["fold"].nunique().max() == 1
    bound = table[(table["protocol"] == "strict") & (table["group_kind"] == kind)]
    for _, rows in bound.groupby(["regime", "repeat"]):
        by_key: dict[str, set[int]] = {}
        for unit, fold in zip(rows["unit"], rows["fold"], strict=True):
            for key in of_unit[unit]:
                by_key.setdefault(key, set()).add(fold)
        assert all(len(folds) == 1 for folds in by_key.values())


@THOROUGH
@given(keys(), st.randoms(use_true_random=False))
def test_units_that_share_a_key_share_a_group_also_through_others(given: Keys, random) -> None:
    units = [f"u{i:02d}" for i in range(N)]
    words = [",".join(own) or None for own in given]
    group = connected_groups(words, units)
    for own, name in zip(given, group, strict=True):
        together = {g for other, g in zip(given, group, strict=True) if set(own) & set(other)}
        assert together <= {name}
    order = list(range(N))
    random.shuffle(order)
    shuffled = connected_groups([words[i] for i in order], [units[i] for i in order])
    assert shuffled == [group[i] for i in order]


@THOROUGH
@given(keys(), st.lists(st.sampled_from("abc"), min_size=N, max_size=N), st.integers(2, 6))
def test_folds_are_full_whole_and_the_same_in_any_order(
    given: Keys, strata: list[str], folds: int
) -> None:
    units = [f"u{i:02d}" for i in range(N)]
    group = connected_groups([",".join(own) for own in given], units)
    if len(set(group)) < folds:
        with pytest.raises(InputError, match="cannot fill"):
            assign_folds(strata, group, folds, np.random.default_rng(0))
        return
    fold = assign_folds(strata, group, folds, np.random.default_rng(0))
    assert sorted(set(fold.tolist())) == list(range(folds))
    assert len(set(zip(group, fold.tolist(), strict=True))) == len(set(group))
    back = assign_folds(strata[::-1], group[::-1], folds, np.random.default_rng(0))
    assert back[::-1].tolist() == fold.tolist()
    classes, fewer = choose_classes(strata, group, folds, 3)
    assert fewer <= folds
    for name in classes:
        assert len({g for g, s in zip(group, strata, strict=True) if s == name}) >= max(3, fewer)


SAMPLES = [f"s{i:02d}" for i in range(N)]
LINES = [f"ACH-{i:06d}" for i in range(N)]
# What the keys are to each task; UNITS says how units are called.
KINDS = dict.fromkeys(SPLITS, "patient") | {
    "disease_annotation": "study",
    "perturbation": "compound_family",
}


def bound_by(task: str, own: list[str]) -> list[str]:
    """Return what the strict split of a task must not part, of the keys that a unit was given."""
    if task == "disease_annotation":
        return own
    if task == "perturbation":
        return [f"compound {own[0]}", f"scaffold {own[-1]}"] if own else []
    return own[:1]


UNITS = {
    "disease_annotation": SAMPLES,
    "prognosis": SAMPLES,
    "gene_essentiality": [f"S-{line}" for line in LINES],
    "drug_response": LINES,
    "perturbation": SAMPLES,
}


@pytest.mark.parametrize("task", SPLITS)
@THOROUGH
@given(given=keys(), random=st.randoms(use_true_random=False))
def test_no_split_of_a_task_parts_a_group_or_minds_the_order(
    task: str, given: Keys, random
) -> None:
    order = list(range(N))
    random.shuffle(order)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        try:
            first = SPLITS[task](Path(one), given, range(N))
        except InputError:
            with pytest.raises(InputError, match=r".{40}"):
                SPLITS[task](Path(two), given, order)
            return
        of_unit = {u: bound_by(task, own) for u, own in zip(UNITS[task], given, strict=True)}
        check(first, KINDS[task], of_unit)
        again = SPLITS[task](Path(two), given, order)
        assert again.read_bytes() == first.read_bytes()


@pytest.mark.parametrize("task", SPLITS)
def test_the_properties_are_put_to_splits_that_can_be_made(task: str, tmp_path: Path) -> None:
    given = [[f"k{i % 23}"] for i in range(N)]
    table = pq.read_table(SPLITS[task](tmp_path, given, range(N))).to_pandas()
    strict = table[(table["protocol"] == "strict") & (table["group_kind"] == KINDS[task])]
    assert len(set(UNITS[task]) & set(strict["unit"])) >= 20
    assert strict["fold"].nunique() > 1
