"""Planted worlds that the tests of several tasks look at."""

from pathlib import Path

import numpy as np
import pytest
from evaluate_world import World, profiles


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
