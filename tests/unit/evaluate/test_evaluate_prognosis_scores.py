"""Prognosis: the tables of metrics and of units say what the saved predictions say."""

import json

import numpy as np
import pandas as pd
import pytest
from prognosis_world import value
from sksurv.metrics import concordance_index_censored, concordance_index_ipcw
from sksurv.nonparametric import CensoringDistributionEstimator

from bulkformer.evaluate.paired_tests import MIN_UNITS
from bulkformer.evaluate.survival_cox import as_outcome
from bulkformer.evaluate.tasks.prognosis_repeats import read_repeats


def test_numbers_are_those_of_the_saved_predictions(clinic_predictions, clinic_scores):
    saved = pd.read_parquet(clinic_predictions)
    by_repeat = {"within": [], "brier": [], "uno": []}
    for _, rows in saved.groupby("repeat"):
        earned = comparable = 0
        brier, uno = [], []
        for fold, test in rows.groupby("fold"):
            for _, own in test.groupby("stratum", observed=True):
                event, time = own["event"].to_numpy() == 1, own["time"].to_numpy()
                risk = own["y_pred"].to_numpy()
                pairs = concordance_index_censored(event, time, risk, tied_tol=0)
                earned += pairs[1] + 0.5 * pairs[3]
                comparable += pairs[1] + pairs[2] + pairs[3]
            rest = rows[rows["fold"] != fold]
            train = as_outcome(rest["time"], rest["event"] == 1)
            told = as_outcome(test["time"], test["event"] == 1)
            horizons = np.array(json.loads(test["horizons"].iloc[0]))
            usable = horizons < rest.loc[rest["event"] == 1, "time"].max()
            assert usable.sum() > 15
            brier += brier_by_hand(rest, test, horizons, usable)
            risk = test["y_pred"].to_numpy().astype(float)
            uno.append(concordance_index_ipcw(train, told, risk, tau=horizons[usable][-1])[0])
        by_repeat["within"].append(earned / comparable)
        by_repeat["brier"].append(np.mean(brier))
        by_repeat["uno"].append(uno)
    found = value(clinic_scores, "within_cancer_c_index")["value"]
    assert found == pytest.approx(np.mean(by_repeat["within"]), abs=1e-9)
    found = value(clinic_scores, "integrated_brier_score", "pooled")["value"]
    assert found == pytest.approx(np.mean(by_repeat["brier"]), abs=1e-6)
    # Folds weigh as their pairs do, so that the mean over folds is near and inside their range.
    found = value(clinic_scores, "uno_c_index")["value"]
    assert min(map(min, by_repeat["uno"])) < found < max(map(max, by_repeat["uno"]))


def brier_by_hand(train, test, horizons, usable):
    """Integrated Brier score of each patient by the formula of Graf et al.

    Weights are scikit-survival's, of training patients with the same cancer; its own function
    refuses horizons outside the follow-up of a small test fold.
    """
    found = []
    for cancer, own in test.groupby("stratum", observed=True):
        same = train[train["stratum"] == cancer]
        assert len(same) >= 20
        learned = CensoringDistributionEstimator().fit(as_outcome(same["time"], same["event"] == 1))
        known = usable & (horizons < same["time"].max())
        known[known] = learned.predict_proba(horizons[known]) >= 0.1
        span, event, time = horizons[known], own["event"].to_numpy() == 1, own["time"].to_numpy()
        errors = []
        for horizon, told in zip(span, np.stack(own["survival"])[:, known].T, strict=True):
            dead, alive = event & (time <= horizon), time > horizon
            errors.append(np.where(alive, (1 - told) ** 2 / learned.predict_proba([horizon]), 0.0))
            if dead.any():
                errors[-1][dead] = told[dead] ** 2 / learned.predict_proba(time[dead])
        found += (np.trapezoid(errors, span, axis=0) / (span[-1] - span[0])).tolist()
    return found


def test_cancers_stand_alone_and_those_with_few_events_say_so(clinic, clinic_scores):
    rows = clinic_scores[clinic_scores["group_kind"] == "cancer_type"].set_index("group")
    assert list(rows.index) == ["BRCA", "STAD", "UVM"]
    events = pd.Series(clinic.event).groupby(clinic.cancer).sum()
    few = rows["condition"].eq("fewer_than_20_events")
    pd.testing.assert_series_equal(few, events < 20, check_names=False)
    mean = value(clinic_scores, "within_cancer_c_index", "mean_over_groups")
    assert mean["value"] == pytest.approx(rows.loc[~few, "value"].mean(), abs=0.01)
    assert mean["n_groups"] == (~few).sum()


def test_models_are_compared_by_cancers_and_by_folds_where_those_are_too_few(
    clinic, clinic_predictions, clinic_scores, monkeypatch
):
    units = pd.read_parquet(clinic_predictions.with_suffix(".units"))
    assert set(units["unit_kind"]) == {"fold"}
    assert len(units) == 4 * 2
    assert MIN_UNITS > 3
    rows = clinic_scores[clinic_scores["group_kind"] == "cancer_type"]
    enough = rows[rows["condition"].isna()].set_index("group")["value"]
    monkeypatch.setattr("bulkformer.evaluate.tasks.prognosis_scores.MIN_UNITS", len(enough))
    clinic.score("strict", clinic_predictions)
    units = pd.read_parquet(clinic_predictions.with_suffix(".units"))
    assert set(units["unit_kind"]) == {"cancer_type"}
    assert dict(zip(units["unit"], units["value"], strict=True)) == enough.to_dict()
    legacy = clinic.predict("legacy", "cancer_type")
    clinic.score("legacy", legacy)
    kinds = pd.read_parquet(legacy.with_suffix(".units"))["unit_kind"]
    assert kinds.tolist() == ["fold"] * 5


def test_scores_of_units_read_the_predictions_no_second_time(
    clinic, clinic_predictions, monkeypatch
):
    read = []

    def counted(rows):
        read.append(rows.num_rows)
        return read_repeats(rows)

    monkeypatch.setattr("bulkformer.evaluate.tasks.prognosis_scores.read_repeats", counted)
    clinic.score("strict", clinic_predictions)
    assert read == [len(pd.read_parquet(clinic_predictions))]
