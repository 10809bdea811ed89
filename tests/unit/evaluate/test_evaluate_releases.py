"""Weights that were trained elsewhere are never clean, and what their makers say counts as seen."""

import json
from pathlib import Path

import pandas as pd
import pytest
from evaluate_world import World

from bulkformer.errors import InputError
from bulkformer.evaluate.exposure import exposure
from bulkformer.evaluate.releases import COLLECTIONS, Documented
from bulkformer.pretrain.releases import PUBLISHED, UNLISTED, exposure_of_run

MODELS = {"published": "released", "went_on": "fine_tuned", "untrained": "random", "pca": "fitted"}
COHORTS = {
    "tcga": {"sample_id": ["TCGA-AA-0001-01A", "TCGA-AA-0002-01A"], "patient_id": [None, None]},
    "toil": {"sample_id": ["GTEX-1117F-0226", "K1"], "patient_id": [None, "TCGA-AA-0001"]},
    "disignatlas": {"sample_id": ["GSM1", "GSM2"], "patient_id": [None, None]},
    "mine": {"sample_id": ["A", "B"], "patient_id": [None, None]},
}


@pytest.fixture
def cohorts(world: World) -> World:
    """A corpus of one training sample that the cohort `mine` repeats, and four cohorts."""
    world.cohort("corpus", {"sample_id": ["A"], "patient_id": [None]})
    pd.DataFrame({"cohort": "corpus", "sample_id": ["A"], "split": "train"}).to_parquet(
        world.corpus
    )
    for name, columns in COHORTS.items():
        world.cohort(name, columns)
    return world


def states(world: World, stated: dict | None) -> pd.DataFrame:
    """Return the ledger of weights whose provenance says `stated`; None for no provenance."""
    path, release = world.root / "exposure.parquet", world.root / "provenance.json"
    release.write_text(json.dumps({"mode": "released", "exposure": stated}))
    names = ["corpus", *COHORTS]
    exposure(
        world.corpus,
        names,
        [world.samples(name) for name in names],
        json.dumps(MODELS),
        path,
        release=release if stated else None,
    )
    ledger = pd.read_parquet(path)
    return ledger[ledger["regime"] == "all_samples"].set_index(["model", "cohort"]).sort_index()


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        (
            "paper",
            {"tcga": "seen_in_graph", "toil": "seen_in_graph", "disignatlas": "unknown"},
        ),
        ("latest", dict.fromkeys(["tcga", "toil", "disignatlas"], "seen_unlabelled")),
    ],
)
def test_published_weights_have_seen_what_their_authors_say(cohorts, release, expected):
    found = states(cohorts, PUBLISHED[release])["exposure"]
    assert {cohort: found["published", cohort] for cohort in expected} == expected
    assert found["published", "mine"] == "unknown"


def test_no_cohort_is_ever_clean_of_weights_from_elsewhere(cohorts):
    for stated in [*PUBLISHED.values(), UNLISTED, None]:
        found = states(cohorts, stated)["exposure"]
        for model in ("published", "went_on", "untrained"):
            assert "clean" not in set(found[model]), (model, stated)
        assert found["pca", "tcga"] == "clean"


def test_training_that_went_on_has_seen_the_corpus_as_well(cohorts):
    rows = states(cohorts, PUBLISHED["latest"])
    assert rows.loc[("went_on", "mine"), "exposure"] == "seen_unlabelled"
    assert rows.loc[("went_on", "mine"), "evidence"].startswith("trained on: 1 of 2 samples")
    assert rows.loc[("went_on", "tcga"), "exposure"] == "seen_unlabelled"
    assert rows.loc[("published", "mine"), "exposure"] == "unknown"


def test_the_evidence_says_how_many_samples_are_of_the_collection(cohorts):
    rows = states(cohorts, PUBLISHED["latest"])
    assert "1 of 2 (gtex), 1 of 2 (tcga)" in rows.loc[("published", "toil"), "evidence"]
    assert "GDC (TCGA), GTEx and DiSignAtlas" in rows.loc[("published", "tcga"), "evidence"]


def test_an_untrained_network_has_seen_the_graph_that_was_published_and_no_more(cohorts):
    assert states(cohorts, PUBLISHED["paper"])["exposure"]["untrained", "tcga"] == "seen_in_graph"
    assert states(cohorts, PUBLISHED["latest"])["exposure"]["untrained", "tcga"] == "unknown"


def test_every_collection_that_a_release_names_is_known():
    for stated in PUBLISHED.values():
        assert {*stated["in_corpus"], *stated["in_graph"]} <= COLLECTIONS.keys()


def test_a_run_that_went_on_from_published_weights_keeps_what_these_had_seen():
    before = exposure_of_run({"mode": "released", "exposure": PUBLISHED["latest"]})
    assert before == PUBLISHED["latest"]
    went_on = exposure_of_run({"mode": "fine-tune", "exposure": PUBLISHED["latest"]})
    assert went_on["in_corpus"] == PUBLISHED["latest"]["in_corpus"]
    assert "another run" in went_on["statement"]
    assert exposure_of_run({"mode": "train"}) == UNLISTED


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({}, "exposure"),
        ({"exposure": {"statement": "", "in_corpus": ["moon"], "in_graph": []}}, "moon"),
    ],
)
def test_a_provenance_that_says_nothing_of_it_is_refused(tmp_path: Path, content, names):
    path = tmp_path / "provenance.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"provenance\.json.*{names}"):
        Documented.read(path)
