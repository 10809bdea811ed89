"""Who was lost to follow-up differs between cancers, and weights within a cancer know it."""

from dataclasses import replace

import numpy as np
import pytest
from sksurv.metrics import concordance_index_ipcw, cumulative_dynamic_auc

from bulkformer.evaluate.measures import ratio
from bulkformer.evaluate.survival_cox import as_outcome
from bulkformer.evaluate.survival_measures import MIN_FOLLOWED, YEAR, Censoring, event_pairs
from bulkformer.evaluate.tasks import prognosis_pairs as pairs
from bulkformer.evaluate.tasks.prognosis_curves import brier_sums
from bulkformer.evaluate.tasks.prognosis_repeats import MIN_PATIENTS, Repeat

HORIZONS = np.array([100.0, YEAR, 700.0, 3 * YEAR])
FOLLOWED = {"LONG": 6 * YEAR, "SHORT": 2 * YEAR}  # patients are lost evenly until then


def repeat_of(n, seed=0, rare=0):
    """Two folds of two cancers; risks tell early deaths from late ones, and nothing among late
    ones. Of `rare` patients of a third cancer nobody is lost. Returns them and days of death."""
    rng = np.random.default_rng(seed)
    cancer = np.concatenate([np.array(["LONG", "SHORT"])[np.arange(n) % 2], ["RARE"] * rare])
    died = rng.exponential(600.0, n + rare)
    risk = rng.normal(size=n + rare) + 4.0 * (died < 150) - 2.0 * ((died > 150) & (died < 300))
    lost = rng.uniform(size=n + rare) * [FOLLOWED.get(name, np.inf) for name in cancer]
    fold = np.concatenate([np.arange(n) // 2 % 2, np.arange(rare) % 2])
    repeat = Repeat(
        fold=fold,
        group=np.arange(n + rare),
        cancer=cancer,
        time=np.minimum(died, lost),
        event=died <= lost,
        risk=risk,
        reference=None,
        at_end=None,
        survival=list(np.tile(np.linspace(0.9, 0.3, len(HORIZONS)), (n + rare, 1))),
        horizons={0: HORIZONS, 1: HORIZONS},
    )
    return repeat, died


def shares(repeat, pairs_of, within=True):
    """What pairs earned in each fold and cancer, [2, n_cancers]."""
    sums = pairs.sums_of_pairs([repeat], [repeat.risk], pairs_of, within, len(repeat.time), None)
    return ratio(sums.observed[0])


def test_a_cancer_with_short_follow_up_has_the_concordance_that_nobody_lost_would_give():
    repeat, died = repeat_of(6000)
    place = sorted(FOLLOWED).index("SHORT")
    fold = next(repeat.folds())
    end = min(fold.censoring_of("SHORT").end, HORIZONS[-1])
    everyone = np.ones(len(died), dtype=bool)
    own = np.flatnonzero(repeat.cancer == "SHORT")
    until_end = (died < end).astype(float)
    truth = ratio(event_pairs(own, died, everyone, repeat.risk, until_end).sums())
    found = shares(repeat, pairs.by_weighted_event(within=True))[:, place].mean()
    assert found == pytest.approx(truth, abs=0.015)
    # By the follow-up of all cancers, late deaths of this one would count too little.
    of_all = shares(repeat, pairs.by_weighted_event(within=False))[:, place].mean()
    assert abs(of_all - truth) > 0.03


def test_each_fold_and_cancer_agrees_with_scikit_survival_on_patients_of_that_cancer():
    repeat, _ = repeat_of(400)
    of_uno = shares(repeat, pairs.by_weighted_event(within=True))
    of_year = shares(repeat, pairs.by_year(1, within=True))
    for i, fold in enumerate(repeat.folds()):
        for j, name in enumerate(sorted(FOLLOWED)):
            of_cancer = repeat.cancer == name
            train = as_outcome(
                *(part[fold.training & of_cancer] for part in (repeat.time, repeat.event))
            )
            rows = fold.rows[of_cancer[fold.rows]]
            # It refuses whoever was followed longer: those stay until the last training patient.
            last = train["time"].max()
            longer = repeat.time[rows] > last
            test = as_outcome(
                np.where(longer, last, repeat.time[rows]), repeat.event[rows] & ~longer
            )
            tau = min(HORIZONS[fold.usable].max(), fold.censoring_of(name).end)
            risk = repeat.risk[rows]
            theirs = concordance_index_ipcw(train, test, risk, tau=tau, tied_tol=0)[0]
            assert of_uno[i, j] == pytest.approx(theirs, abs=1e-6)
            theirs = cumulative_dynamic_auc(train, test, risk, [YEAR], tied_tol=0)[0][0]
            assert of_year[i, j] == pytest.approx(theirs, abs=1e-6)


def test_one_cancer_alone_has_the_same_weights_as_all_together():
    repeat, _ = repeat_of(300)
    alone = replace(repeat, cancer=np.full(300, "BRCA"))
    tau = {0: HORIZONS[:3], 1: HORIZONS[:3]}
    alone = replace(alone, horizons=tau, survival=[row[:3] for row in alone.survival])
    for fold in alone.folds():
        assert fold.censoring_of("BRCA").end > HORIZONS[2]
        np.testing.assert_array_equal(fold.censoring_of("BRCA").followed, fold.censoring.followed)
    for of_pairs in (pairs.by_weighted_event, lambda within: pairs.by_year(1, within)):
        inside, across = (shares(alone, of_pairs(within=way), way) for way in (True, False))
        np.testing.assert_array_equal(inside, across)


def test_a_cancer_with_few_training_patients_has_the_weights_of_all_together():
    repeat, _ = repeat_of(400, rare=2 * (MIN_PATIENTS - 1))
    for fold in repeat.folds():
        assert (fold.training & (repeat.cancer == "RARE")).sum() == MIN_PATIENTS - 1
        assert fold.censoring_of("RARE") is fold.censoring
        assert fold.censoring_of("never seen") is fold.censoring
    repeat, _ = repeat_of(400, rare=2 * MIN_PATIENTS)
    for fold in repeat.folds():
        # Nobody of it was lost: who died stands for nobody else.
        assert (fold.censoring_of("RARE").followed == 1).all()


def test_nothing_is_scored_where_a_cancer_was_hardly_followed():
    repeat, _ = repeat_of(400)
    for fold in repeat.folds():
        censoring = fold.censoring_of("SHORT")
        assert YEAR < censoring.end < HORIZONS[2]
        assert (censoring.followed[censoring.times < censoring.end] >= MIN_FOLLOWED).all()
    at_three_years = shares(repeat, pairs.by_year(3, within=True))
    assert np.isfinite(at_three_years[:, 0]).all()
    assert np.isnan(at_three_years[:, 1]).all()
    assert Censoring.of(np.array([3.0, 5.0]), np.array([True, True])).end == 5
    # Errors end with the follow-up too: patients of that cancer would live or die uncounted.
    early = replace(repeat, survival=[np.append(row[:2], [0.0, 0.0]) for row in repeat.survival])
    changed = (brier_sums(early, 400) != brier_sums(repeat, 400)).any(axis=1)
    assert changed[repeat.cancer == "LONG"].any()
    assert not changed[repeat.cancer == "SHORT"].any()
