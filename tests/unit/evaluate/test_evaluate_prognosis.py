"""Prognosis end to end: what is planted is found and nothing else, and no test row is learned."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from prognosis_world import SETTINGS, TEXT, Clinic, value
from sklearn.metrics import average_precision_score, roc_auc_score
from sksurv.metrics import concordance_index_censored

from bulkformer.errors import InputError
from bulkformer.evaluate.task import load_task
from bulkformer.evaluate.tasks import prognosis as step
from bulkformer.evaluate.tasks import prognosis_curves as curves
from bulkformer.evaluate.tasks.prognosis_repeats import read_repeats
from bulkformer.files import write_table


def ceiling(clinic):
    """What the planted risk itself earns within cancers, over all pairs."""
    earned = comparable = 0
    for cancer in np.unique(clinic.cancer):
        own = clinic.cancer == cancer
        found = concordance_index_censored(clinic.event[own], clinic.time[own], clinic.risk[own])
        earned += found[1] + 0.5 * found[3]
        comparable += found[1] + found[2] + found[3]
    return earned / comparable


def test_the_planted_hazard_is_found_within_its_interval(clinic, clinic_scores):
    by_vectors = value(clinic_scores, "within_cancer_c_index")
    assert by_vectors["ci_unit"] == "patient"
    assert 0.6 < by_vectors["ci_low"] < by_vectors["value"] < by_vectors["ci_high"]
    with_age = clinic.score("strict", clinic.predict("strict", "clinical_and_vectors"))
    both = value(with_age, "within_cancer_c_index")
    assert both["ci_low"] < ceiling(clinic) < both["ci_high"] + 0.03
    for measure in ("c_index", "log_likelihood"):
        assert value(with_age, f"within_cancer_{measure}_gain_over_clinical")["ci_low"] > 0
    assert value(clinic_scores, "integrated_brier_skill", "pooled")["ci_low"] > 0
    assert value(clinic_scores, "d_calibration_p_value", "pooled", repeat=0)["value"] > 0.01


def test_the_cancer_type_earns_a_pooled_score_and_within_cancers_exactly_one_half(clinic):
    table = clinic.score("strict", clinic.predict("strict", "cancer_type"))
    assert value(table, "c_index")["ci_low"] > 0.55
    within = value(table, "within_cancer_c_index")
    assert (within["value"], within["ci_low"], within["ci_high"]) == (0.5, 0.5, 0.5)
    assert value(table, "within_cancer_uno_c_index")["value"] == 0.5
    legacy = clinic.score("legacy", clinic.predict("legacy", "cancer_type"))
    assert value(legacy, "auroc", "fold_mean")["ci_low"] > 0.55
    assert value(legacy, "within_cancer_auroc")["value"] == 0.5


def test_exchanged_outcomes_leave_the_cancer_and_nothing_within_it(clinic):
    path = clinic.predict("strict", "permuted_events")
    table = clinic.score("strict", path)
    row = value(table, "within_cancer_c_index")
    assert row["ci_low"] < 0.5 < row["ci_high"]
    saved = pd.read_parquet(path).query("repeat == 0").sort_values("sample_id")
    assert sorted(saved["time"]) == sorted(clinic.time)
    assert (saved["time"].to_numpy() != clinic.time).mean() > 0.9


def test_curves_that_cross_are_compared_on_the_day_of_each_event(clinic, clinic_scores):
    table = clinic.score("strict", clinic.predict("strict", "random_survival_forest"))
    by_day = value(table, "within_cancer_antolini_concordance")
    assert 0.5 < by_day["ci_low"] < by_day["value"] < by_day["ci_high"]
    by_risk = value(table, "within_cancer_c_index")["value"]
    assert by_day["value"] != by_risk
    assert by_day["value"] == pytest.approx(by_risk, abs=0.05)
    # Curves of a Cox regression never cross: there it would be Harrell's once more.
    assert "within_cancer_antolini_concordance" not in set(clinic_scores["metric"])


def test_curves_are_straight_between_horizons_and_stay_at_their_end(clinic, clinic_predictions):
    repeats, _ = read_repeats(load_predictions(clinic_predictions))
    fold = next(repeats[0].folds())
    grid, rows = repeats[0].horizons[int(repeats[0].fold[fold.rows[0]])], fold.rows
    days = np.array([grid[0] / 2, grid[3], (grid[3] + grid[4]) / 2, grid[-1] + 900])
    told = np.stack([repeats[0].survival[row] for row in rows])
    expected = [
        [np.interp(day, np.append(0, grid), np.append(1.0, one)) for one in told] for day in days
    ]
    np.testing.assert_allclose(curves.on_days(fold, rows, days), expected)


def test_legacy_tells_the_dead_from_the_living(clinic):
    path = clinic.predict("legacy")
    table, saved = clinic.score("legacy", path), pd.read_parquet(path)
    areas = [roc_auc_score(fold["event"], fold["y_pred"]) for _, fold in saved.groupby("fold")]
    row = value(table, "auroc", "fold_mean")
    assert row["value"] == pytest.approx(np.mean(areas))
    assert 0.5 < row["ci_low"] < row["ci_high"]
    found = [
        average_precision_score(fold["event"], fold["y_pred"]) for _, fold in saved.groupby("fold")
    ]
    assert value(table, "auprc", "fold_mean")["value"] == pytest.approx(np.mean(found))
    assert saved["survival"].isna().all()


def test_a_constant_added_to_the_risks_of_one_fold_changes_no_number(
    clinic, clinic_predictions, clinic_scores
):
    table = load_predictions(clinic_predictions)
    moved = np.where(table["fold"].to_numpy() == 1, 64.0, 0.0)
    shifted = clinic_predictions.with_name("shifted.parquet")
    # Single precision loses small differences far from zero: ranks within folds stand in for risks.
    ranked = pd.Series(table["y_pred"].to_numpy()).groupby(
        [table["repeat"].to_pandas(), table["fold"].to_pandas()]
    ).rank().to_numpy()  # fmt: skip
    for risks in (ranked, ranked + moved):
        column = table.schema.get_field_index("y_pred")
        write_table(
            shifted,
            table.set_column(column, table.schema.field(column), [risks.astype(np.float32)]),
        )
        again = clinic.score("strict", shifted)
        for metric in ("within_cancer_c_index", "c_index", "uno_c_index", "auc_at_3_years"):
            assert value(again, metric)["value"] == value(clinic_scores, metric)["value"]


def load_predictions(path):
    import pyarrow.parquet as pq

    return pq.read_table(path)


def test_repeats_that_hold_other_patients_are_named_with_their_file(tmp_path):
    clinic = Clinic(tmp_path / "results", n=60)
    folds = clinic.freeze()
    table = load_predictions(clinic.split)
    gone = (folds["unit"] == "patients_0007") & (folds["repeat"] == 1)
    write_table(clinic.split, table.filter((~gone).to_list()))
    clinic.split.with_name(f"{clinic.split.name}.sha256").unlink()
    message = "split.parquet: repeat 1 holds other samples .* such as 'patients_0007'"
    with pytest.raises(InputError, match=message):
        clinic.predict("strict", "cancer_type")


def test_noise_in_place_of_test_rows_leaves_all_that_was_fitted_identical(tmp_path, monkeypatch):
    clinic = Clinic(tmp_path / "results", n=90)
    text = json.dumps(SETTINGS | {"strict": SETTINGS["strict"] | {"folds": 2, "repeats": 1}})
    folds = clinic.freeze(text)
    fitted = []

    def keep(*arguments):
        fitted.append(fit_survival_head(*arguments))
        return fitted[-1]

    fit_survival_head = step.fit_survival_head
    monkeypatch.setattr(step, "fit_survival_head", keep)
    heads = ["ridge_cox", "elastic_net_cox", "neural_cox", "clinical_and_vectors", "cancer_type"]
    clinic.predict("strict", *heads, text=text)
    first, fitted[:] = fitted.copy(), []
    strict = folds[folds["protocol"] == "strict"]
    test = np.array([int(unit[-4:]) for unit in strict.loc[strict["fold"] == 0, "unit"]])
    rng = np.random.default_rng(1)
    clinic.vectors[test] = rng.normal(size=(len(test), 16)) * 100
    clinic.time[test] = rng.uniform(1, 5000, len(test))
    clinic.event[test] = ~clinic.event[test]
    clinic.age[test] = 20.0
    clinic.write()
    clinic.predict("strict", *heads, text=text)
    for number in range(len(heads)):
        fold_0, fold_1 = 2 * number, 2 * number + 1
        assert content(first[fold_0]) == content(fitted[fold_0])
        assert content(first[fold_1]) != content(fitted[fold_1])


def content(fitted):
    """All numbers in a fitted head, as bytes."""
    if dataclasses.is_dataclass(fitted):
        return [content(getattr(fitted, field.name)) for field in dataclasses.fields(fitted)]
    if isinstance(fitted, dict):
        return [content(part) for part in fitted.items()]
    return np.asarray(fitted).tobytes() if isinstance(fitted, np.ndarray) else repr(fitted)


def test_the_same_run_gives_the_same_bytes(clinic, clinic_predictions):
    assert clinic.predict("strict", name="again").read_bytes() == clinic_predictions.read_bytes()


def test_a_patient_whose_outcome_or_vector_went_missing_is_named(tmp_path):
    clinic = Clinic(tmp_path / "results", n=60)
    clinic.freeze()
    survival = pd.read_parquet(clinic.survival)
    survival.iloc[:-1].to_parquet(clinic.survival)
    with pytest.raises(InputError, match="no OS of patient 'P059'"):
        clinic.predict("strict", "cancer_type")
    survival.to_parquet(clinic.survival)
    clinic.vectors[7] = np.nan
    clinic.write()
    with pytest.raises(InputError, match="vector of sample 'patients_0007' is not finite"):
        clinic.predict("strict", "cancer_type")


def test_the_task_says_how_models_are_ranked():
    task = load_task("prognosis")
    assert task.primary["strict"] == ("within_cancer_c_index", "weighted")
    assert task.heads("strict", json.loads(TEXT)) == ("ridge_cox",)
