"""Planted worlds that the tests of several tasks look at."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluate_world import World, profiles
from prognosis_world import Clinic
from response_world import ResponseWorld, plant
from response_world import settings as response_settings


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "results")


@pytest.fixture
def imputation_world(world: World) -> World:
    """A corpus of 16 studies by 6 samples, 4 held out whole, and an external cohort of patients.

    The external cohort did not measure the last ten genes.
    """
    rng = np.random.default_rng(7)
    values = profiles(96 + 30, world.n_genes, rng)
    study = np.arange(96) // 6
    world.cohort("corpus", {"study_id": [f"GSE{s}" for s in study]}, values[:96])
    split = np.where(study < 12, "train", "held_out_groups").astype(object)
    split[(study < 12) & (np.arange(96) % 6 == 0)] = "held_out_samples"
    world.split_corpus("corpus", split)
    measured = np.arange(world.n_genes) < world.n_genes - 10
    patients = [f"P{i // 2}" if i < 10 else f"P{i}" for i in range(30)]
    kinds = ["Primary Tumor"] * 26 + ["Solid Tissue Normal"] * 4
    external = np.where(measured, values[96:], np.nan)
    labels = {"patient_id": patients, "sample_type": kinds}
    world.cohort("external", labels, external, measured)
    return world


@pytest.fixture
def confounded(world: World) -> World:
    """24 studies of 6 samples; the label is the study's, and vectors carry the study's offset."""
    rng = np.random.default_rng(11)
    study = np.arange(144) // 6
    offsets = rng.normal(0, 3, (24, 20))
    vectors = offsets[study] + rng.normal(0, 0.3, (144, 20))
    labels = {"study_id": [f"GSE{s}" for s in study], "disease": [f"disease{s % 3}" for s in study]}
    world.cohort("series", labels, vectors=vectors)
    return world


@pytest.fixture
def planted(world: World) -> World:
    """12 studies of 10 samples; five of each have the disease, which shifts three dimensions."""
    rng = np.random.default_rng(12)
    study = np.arange(120) // 10
    sick = np.arange(120) % 2
    vectors = rng.normal(0, 3, (12, 20))[study] + rng.normal(size=(120, 20))
    vectors[:, :3] += 6 * sick[:, None]
    labels = {
        "study_id": [f"GSE{s}" for s in study],
        "disease": np.where(sick, "asthma", "control").tolist(),
    }
    world.cohort("series", labels, vectors=vectors)
    return world


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """Followed patients, with their folds frozen."""
    world = Clinic(tmp_path_factory.mktemp("clinic") / "results")
    world.freeze()
    return world


@pytest.fixture(scope="module")
def clinic_predictions(clinic: Clinic) -> Path:
    return clinic.predict("strict")


@pytest.fixture(scope="module")
def clinic_scores(clinic: Clinic, clinic_predictions: Path) -> pd.DataFrame:
    return clinic.score("strict", clinic_predictions)


@pytest.fixture(scope="module")
def responses(tmp_path_factory: pytest.TempPathFactory) -> ResponseWorld:
    """Lines and drugs as `plant` makes them, with their folds frozen."""
    world = ResponseWorld(tmp_path_factory.mktemp("response"))
    plant(world)
    world.split(response_settings())
    return world


@pytest.fixture(scope="module")
def response_scores(responses: ResponseWorld) -> tuple[pd.DataFrame, dict[tuple, object]]:
    """Predictions and scores of ridge and of means."""
    text = response_settings()
    heads = "ridge", "two_step_ridge", "drug_mean", "drug_line_means"
    rows = responses.predict(text, "strict", *heads)
    return rows, responses.scores(text, "strict")
