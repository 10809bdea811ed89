"""Whatever keys samples share, no strict test of imputation touches what was trained on."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from evaluate_world import World, split_imputation
from hypothesis import given
from hypothesis import strategies as st
from test_evaluate_split_properties import THOROUGH, Keys, keys

from bulkformer.errors import InputError
from bulkformer.evaluate.splits import connected_groups
from bulkformer.evaluate.tasks.imputation_differential_split import imputation_differential_split

N, N_CORPUS = 40, 20
SECTION = {"cohort": "external", "label": "disease", "classes": ["a", "b"], "max_samples": 4}
SPLITS = ["train", "validation", "held_out_samples", "held_out_groups"]  # by part of the groups


def write(folder: Path, given: Keys, order: Sequence[int]) -> World:
    """The first units are the corpus, the others an external cohort; keys name their studies.

    Groups of the corpus are what its step makes of the keys; a group is trained on, watched,
    sampled from, or held out.
    """
    world = World(folder / "results", n_genes=3)
    words = [",".join(own) or None for own in given]
    corpus = [i for i in order if i < N_CORPUS]
    names = [f"corpus_{i:02d}" for i in corpus]
    world.cohort("corpus", {"sample_id": names, "study_id": [words[i] for i in corpus]})
    group = connected_groups([words[i] for i in corpus], names)
    part = {name: at % 4 for at, name in enumerate(sorted(set(group)))}
    table = pd.DataFrame({"sample_id": names, "study_id": [words[i] for i in corpus]})
    table = table.assign(cohort="corpus", group=[f"study_id:{name}" for name in group])
    table = table.assign(patient_id=None, donor_id=None)
    split = [
        SPLITS[2 * (i % 3 > 0)] if part[name] == 2 else SPLITS[part[name]]
        for i, name in zip(corpus, group, strict=True)
    ]
    table.assign(split=split).to_parquet(world.corpus)
    rest = [i for i in order if i >= N_CORPUS]
    labels = {
        "sample_id": [f"external_{i:02d}" for i in rest],
        "study_id": [words[i] for i in rest],
        "disease": ["ab"[i % 2] for i in rest],
    }
    world.cohort("external", labels)
    return world


def differential(world: World) -> Path:
    path = world.root / "differential.parquet"
    text = json.dumps(SECTION)
    imputation_differential_split(world.corpus, world.samples("external"), text, 42, path)
    return path


def few_samples(world: World) -> Path:
    """Draw some of the samples that may be tested."""
    return split_imputation(world, 6)


def trained(world: World) -> tuple[set[str], set[str]]:
    """The samples that models learned from, and their studies with all that these share."""
    corpus = pd.read_parquet(world.corpus)
    own = corpus[corpus["split"].isin(["train", "validation"])]
    studies = {key for words in own["study_id"].dropna() for key in words.split(",")}
    external = pd.read_parquet(world.samples("external"))["study_id"].dropna()
    for _ in range(N):  # through as many samples as there are
        for words in external:
            if not studies.isdisjoint(words.split(",")):
                studies |= set(words.split(","))
    return set(own["sample_id"]), studies


@pytest.mark.parametrize("make", [few_samples, differential])
@THOROUGH
@given(given=keys(), random=st.randoms(use_true_random=False))
def test_no_strict_sample_was_trained_on_nor_its_study_whatever_it_is_joined_through(
    make, given: Keys, random
) -> None:
    order = list(range(N))
    random.shuffle(order)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        world, shuffled = write(Path(one), given, range(N)), write(Path(two), given, order)
        try:
            table = pd.read_parquet(first := make(world))
        except InputError:
            with pytest.raises(InputError, match=r".{40}"):
                make(shuffled)
            return
        samples, studies = trained(world)
        strict = table[table["protocol"] == "strict"]
        assert not samples & set(strict["unit"])
        labels = pd.read_parquet(world.samples("external")).set_index("sample_id")["study_id"]
        for unit in strict.loc[strict["dataset"] == "external", "unit"]:
            assert studies.isdisjoint((labels[unit] or "").split(","))
        assert make(shuffled).read_bytes() == first.read_bytes()


@pytest.mark.parametrize("make", [few_samples, differential])
def test_the_property_is_put_to_splits_that_can_be_made(make, tmp_path: Path) -> None:
    given = [[f"k{i}"] if i < 30 else [f"k{i - 30}", f"k{i}"] for i in range(N)]
    table = pd.read_parquet(make(write(tmp_path, given, range(N))))
    strict = table[(table["protocol"] == "strict") & (table["dataset"] == "external")]
    assert 4 < len(strict) < 20
