"""Who can be used for prognosis, and that no patient lies in two folds."""

import json

import numpy as np
import pandas as pd
import pytest
from prognosis_world import SETTINGS, TEXT, Clinic

from bulkformer.errors import InputError


@pytest.fixture
def clinic(tmp_path):
    return Clinic(tmp_path / "results", n=90)


def add_samples(clinic):
    """Add a second aliquot of five patients, a normal of five others, and a patient unfollowed."""
    clinic.patient = [*clinic.patient, *clinic.patient[:10], "unknown"]
    clinic.vectors = np.concatenate([clinic.vectors, clinic.vectors[:11]])
    kinds = ["Primary Tumor"] * 95 + ["Solid Tissue Normal"] * 5 + ["Primary Tumor"]
    labels = {"patient_id": clinic.patient, "sample_type": kinds}
    clinic.cohort("patients", labels, vectors=clinic.vectors)


def test_a_patient_counts_once_with_a_primary_tumour(clinic):
    add_samples(clinic)
    folds = clinic.freeze()
    for _, rows in folds.groupby(["protocol", "repeat"]):
        assert sorted(rows["group"]) == sorted(clinic.patient[:90])
    assert not folds["unit"].isin([f"patients_{n:04d}" for n in range(90, 101)]).any()


def test_legacy_can_keep_what_carries_the_same_outcome_and_strict_never_does(clinic):
    add_samples(clinic)
    legacy = SETTINGS["legacy"] | {"one_sample_per_patient": False}
    folds = clinic.freeze(json.dumps(SETTINGS | {"legacy": legacy}))
    sizes = folds[folds["repeat"] == 0].groupby("protocol").size()
    assert sizes.to_dict() == {"legacy": 100, "strict": 90}


def test_strict_folds_are_balanced_by_cancer_and_event_and_legacy_ones_by_event(clinic):
    folds = clinic.freeze()
    assert folds.groupby("protocol")["repeat"].nunique().to_dict() == {"legacy": 1, "strict": 2}
    strict = folds[(folds["protocol"] == "strict") & (folds["repeat"] == 1)]
    counts = pd.crosstab(strict["stratum"], strict["fold"])
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 1
    legacy = folds[folds["protocol"] == "legacy"]
    died = legacy["stratum"].str.endswith(" event").groupby(legacy["fold"]).sum()
    assert died.max() - died.min() <= 1


def test_too_few_events_stop_the_step_with_what_to_do(clinic):
    clinic.event[:] = np.arange(90) < 6
    clinic.write()
    with pytest.raises(
        InputError, match=r"survival\.parquet: 6 of 90 patients .* 5 folds need at least 10"
    ):
        clinic.freeze()


def test_ids_that_do_not_join_are_shown_with_an_example(clinic):
    survival = pd.read_parquet(clinic.survival)
    survival.assign(patient_id="TCGA-" + survival["patient_id"]).to_parquet(clinic.survival)
    with pytest.raises(InputError, match=r"none of 90 samples .* named like 'TCGA-P000'"):
        clinic.freeze()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"endpoint": "PFI"}, "no endpoint 'OS'; it has PFI"),
        ({"time_days": 0.0}, "of patient 'P000' is [01] after 0.0 days"),
        ({"patient_id": "P000"}, "patient 'P000' stands twice"),
        ({"event": 2}, "of patient 'P000' is 2"),
    ],
)
def test_a_table_of_ones_own_is_checked(clinic, change, said):
    pd.read_parquet(clinic.survival).assign(**change).to_parquet(clinic.survival)
    with pytest.raises(InputError, match=said):
        clinic.freeze(TEXT)
