"""Whatever the groups look like, no split of any task leaks: properties, thrown at every splitter.

Units have several keys, chains of shared keys, no key at all, one giant group, or fewer groups than
folds. A splitter may refuse them with a reason; it may not cut a group, forget or repeat a unit,
leave a fold empty, or answer otherwise when the rows come in another order.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from essentiality_world import SETTINGS as ESSENTIALITY
from evaluate_world import World, annotation_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prognosis_world import TEXT as PROGNOSIS
from response_world import RINGS
from response_world import settings as response_settings

from bulkformer.errors import InputError
from bulkformer.evaluate.splits import assign_folds, choose_classes, connected_groups
from bulkformer.evaluate.tasks.disease_annotation_split import disease_annotation_split
from bulkformer.evaluate.tasks.drug_response_split import drug_response_split
from bulkformer.evaluate.tasks.gene_essentiality_split import gene_essentiality_split
from bulkformer.evaluate.tasks.perturbation_split import COLUMNS, PLACE, perturbation_split
from bulkformer.evaluate.tasks.prognosis_split import prognosis_split
from bulkformer.outcomes.tables import CELL_LINES, DEPENDENCY, DRUGS, RESPONSE

N = 40
Keys = list[list[str]]  # the keys of each unit; none for a unit that shares nothing
Split = Callable[[Path, Keys, Sequence[int]], Path]
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


def annotation(folder: Path, given: Keys, order: Sequence[int]) -> Path:
    """Samples of several studies each, of two diseases."""
    world = World(folder / "results")
    labels = {
        "sample_id": [f"s{i:02d}" for i in order],
        "study_id": [",".join(given[i]) or None for i in order],
        "disease": ["cancer" if i % 3 else "control" for i in order],
    }
    world.cohort("series", labels)
    path = folder / "split.parquet"
    text = annotation_settings()
    disease_annotation_split(["series"], [world.samples("series")], text, 42, path)
    return path


def prognosis(folder: Path, given: Keys, order: Sequence[int]) -> Path:
    """Aliquots of patients; a patient is the first key of a sample."""
    world = World(folder / "results")
    patient = [given[i][0] if given[i] else f"P{i:02d}" for i in range(N)]
    labels = {
        "sample_id": [f"s{i:02d}" for i in order],
        "patient_id": [patient[i] for i in order],
        "sample_type": ["Primary Tumor"] * N,
    }
    world.cohort("patients", labels)
    known = sorted(set(patient))
    survival = pd.DataFrame({"patient_id": known, "cancer": "BRCA", "endpoint": "OS"})
    survival["event"] = np.arange(len(known), dtype="int8") % 2
    survival["time_days"] = 100.0
    survival.to_parquet(folder / "survival.parquet")
    path = folder / "split.parquet"
    prognosis_split(world.samples("patients"), folder / "survival.parquet", PROGNOSIS, 42, path)
    return path


def write_lines(folder: Path, given: Keys, order: Sequence[int]) -> None:
    """Cell lines: the first key is the patient, the second the line that it was derived from."""
    rows = [
        dict.fromkeys(CELL_LINES.names)
        | {
            "cell_line_id": f"ACH-{i:06d}",
            "patient_id": given[i][0] if given[i] else None,
            "parent": f"ACH-{int(given[i][1][1:]) % N:06d}"
            if len(given[i]) > 1 and given[i][1][0] == "k"
            else None,
            # A patient has one, unless a line was derived from that of another.
            "lineage": f"lineage {len(given[i][0]) + ord(given[i][0][-1]) if given[i] else i}",
        }
        for i in order
    ]
    rows = [{name: row[name] for name in CELL_LINES.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(rows, schema=CELL_LINES), folder / "cell_lines.parquet")
    ids = [row["cell_line_id"] for row in rows]
    samples = {"sample_id": [f"S-{line}" for line in ids], "cell_line_id": ids, "kept": True}
    pd.DataFrame(samples).to_parquet(folder / "samples.parquet")


def essentiality(folder: Path, given: Keys, order: Sequence[int]) -> Path:
    """Lines of patients, some derived from others, all with one gene measured."""
    write_lines(folder, given, order)
    rows = [
        {"gene_id": f"ENSG{gene}", "cell_line_id": f"ACH-{i:06d}", "effect": 0.1 * i - gene}
        | {"probability": 0.5, "release": "r"}
        for i in order
        for gene in (1, 2)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=DEPENDENCY), folder / "dependency.parquet")
    path = folder / "split.parquet"
    gene_essentiality_split(
        *(folder / f"{name}.parquet" for name in ("samples", "cell_lines", "dependency")),
        json.dumps(ESSENTIALITY), 42, path, folder / "tokens.json",
    )  # fmt: skip
    return path


def response(folder: Path, given: Keys, order: Sequence[int]) -> Path:
    """Lines of patients, under drugs of six scaffolds."""
    write_lines(folder, given, order)
    drugs = [
        dict.fromkeys(DRUGS.names)
        | {"drug_id": f"d{d}", "name": f"d{d}", "smiles": ring, "scaffold": ring}
        for d, ring in enumerate(RINGS)
    ]
    pq.write_table(pa.Table.from_pylist(drugs, schema=DRUGS), folder / "drugs.parquet")
    rows = [
        dict.fromkeys(RESPONSE.names)
        | {
            "dataset": "GDSC",
            "screen_id": f"d{d}",
            "drug_id": f"d{d}",
            "cell_line_id": f"ACH-{i:06d}",
            "ln_ic50": float(i + d),
        }
        for i in order
        for d in range(len(RINGS))
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=RESPONSE), folder / "response.parquet")
    path = folder / "split.parquet"
    drug_response_split(
        *(folder / f"{name}.parquet" for name in ("response", "drugs", "cell_lines", "samples")),
        response_settings(), 42, path,
    )  # fmt: skip
    return path


def perturbation(folder: Path, given: Keys, order: Sequence[int]) -> Path:
    """Profiles of compounds that share names and identifiers, on plates that share controls."""
    columns: dict[str, list[str | None]] = {name: [] for name in [*COLUMNS, *PLACE]}
    for i in order:
        own = given[i]
        columns["profile_id"].append(f"s{i:02d}")
        columns["compound"].append(own[0] if own else f"compound {i}")
        columns["scaffold"].append(own[-1] if own else None)
        columns["perturbagen"].append(None)
        columns["perturbagen_id"].append(f"BRD-{i}")
        columns["cell_id"].append(f"cell {i % 3}")
        columns["plate"].append(f"plate {i % 5}")
        columns["control_plates"].append(f"plate {i % 5}")
        columns["control_set"].append(f"{i % 5}")
    pq.write_table(pa.table(columns | {"published_split": [None] * N}), folder / "treated.parquet")
    text = {
        "dataset": "l1000",
        "legacy": {"folds": 3, "split_column": None},
        "strict": {
            "folds": 3,
            "repeats": 2,
            "regimes": [
                *("held_out_compounds", "held_out_cells", "held_out_plates"),
                "held_out_compounds_and_cells",
            ],
        },
    }
    path = folder / "split.parquet"
    perturbation_split(folder / "treated.parquet", json.dumps(text), 42, path)
    return path


SPLITS: dict[str, Split] = {
    "disease_annotation": annotation,
    "prognosis": prognosis,
    "gene_essentiality": essentiality,
    "drug_response": response,
    "perturbation": perturbation,
}


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
