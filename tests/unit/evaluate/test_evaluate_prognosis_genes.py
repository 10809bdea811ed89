"""One gene at a time: the planted one stays when all are corrected for, halves are Cox's halves."""

import json

import numpy as np
import pandas as pd
import pytest
from prognosis_world import SETTINGS, Clinic
from scipy.optimize import minimize_scalar
from scipy.stats import chi2
from sksurv.metrics import concordance_index_censored

from bulkformer.embed.tokens import create_tokens
from bulkformer.errors import InputError
from bulkformer.evaluate.survival_cox import partial_likelihood
from bulkformer.evaluate.tasks import prognosis_genes as step
from bulkformer.evaluate.tasks.prognosis_genes_request import prognosis_genes_request
from bulkformer.expression.store import create_store

N_GENES = 5  # as many dimensions of the clinic's vectors are taken as expression; the first tells
GENES = [f"ENSG{number:011d}" for number in range(N_GENES)]
SYMBOLS = ["TELLS", "NOISE1", "NOISE2", "UNMEASURED", "TELLS2"]


def settings(*genes):
    return json.dumps(SETTINGS | {"legacy": SETTINGS["legacy"] | {"genes": list(genes)}})


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    world = Clinic(tmp_path_factory.mktemp("clinic") / "results", n=240)
    world.freeze()
    pd.DataFrame({"gene_id": GENES, "symbol": SYMBOLS}).to_parquet(world.root / "genes.parquet")
    ids = pd.read_parquet(world.samples("patients"))["sample_id"].tolist()
    measured = np.array([True, True, True, False, True])
    with create_store(world.root / "log_tpm.arrow", measured, "log_tpm") as store:
        store.write(ids, np.where(measured, world.vectors[:, :N_GENES], np.nan).astype(np.float32))
    known = np.array([True, False])
    tokens = np.zeros((len(ids), 2, 3), dtype=np.float16)
    tokens[:, 0] = world.vectors[:, [0]]
    create_tokens(world.root / "tokens.arrow", [GENES[0], GENES[3]], known, [(ids, tokens)])
    return world


def request(clinic, *genes):
    path = clinic.root / "request.json"
    prognosis_genes_request(clinic.split, clinic.root / "genes.parquet", settings(*genes), path)
    return path


def table(clinic, *genes, tokens=False):
    output = clinic.root / "genes_table.parquet"
    step.prognosis_genes(
        clinic.split, request(clinic, *genes), clinic.survival, clinic.samples("patients"),
        clinic.root / "genes.parquet", clinic.root / "log_tpm.arrow", settings(*genes), 99, 42,
        output, ["bulkformer"] if tokens else None,
        [clinic.root / "tokens.arrow"] if tokens else None,
    )  # fmt: skip
    return pd.read_parquet(output)


def test_the_planted_gene_is_found_in_every_cancer_and_others_are_not(clinic):
    rows = table(clinic, "TELLS", "NOISE1", GENES[2])
    assert set(rows["input"]) == {"log_tpm"}
    assert (rows["n_family"] == 9).all()
    assert (rows["p_adjusted"] >= rows["p"]).all()
    tells = rows[rows["symbol"] == "TELLS"]
    assert (tells["p_adjusted"] < 0.05).all()
    assert (tells["ci_low"] > 0.5).all()
    assert (tells["hazard_ratio"] > 1).all()
    assert (rows.loc[rows["symbol"] != "TELLS", "p_adjusted"] > 0.05).all()


def test_tokens_stand_beside_expression_and_genes_without_either_are_left_out(clinic):
    rows = table(clinic, "TELLS", "UNMEASURED", tokens=True)
    assert rows.groupby("input")["symbol"].unique().map(list).to_dict() == {
        "bulkformer": ["TELLS"],
        "log_tpm": ["TELLS"],
    }
    assert (rows["n_family"] == 3).all()
    with pytest.raises(InputError, match="tokens of other samples or genes"):
        table(clinic, "TELLS", tokens=True)


def test_scores_come_from_other_folds_and_pairs_from_the_same(clinic):
    rng = np.random.default_rng(2)
    n = 120
    followed = step.Followed(
        "any", np.full(n, "BRCA"), np.arange(n) % 3, rng.integers(1, 900, n) * 1.0,
        rng.random(n) < 0.5,
    )  # fmt: skip
    values = rng.normal(size=(n, 1))
    score = step.out_of_fold(values, followed, 20, 0)
    other = np.where(followed.fold == 0, ~followed.event, followed.event)
    again = step.out_of_fold(values, step.Followed(*vars(followed).values()), 20, 0)
    flipped = step.Followed("any", followed.cancer, followed.fold, followed.time, other)
    changed = step.out_of_fold(values, flipped, 20, 0)
    first = followed.fold == 0
    np.testing.assert_array_equal(again, score)
    np.testing.assert_array_equal(changed[first], score[first])
    assert (changed[~first] != score[~first]).any()
    told = step.measured(score, followed, step.Bootstrap(50, 1), 0)
    earned = comparable = 0
    for fold in range(3):
        own = followed.fold == fold
        pairs = concordance_index_censored(followed.event[own], followed.time[own], score[own])
        earned += pairs[1] + 0.5 * pairs[3]
        comparable += pairs[1] + pairs[2] + pairs[3]
    assert told["c_index"] == pytest.approx(earned / comparable, abs=1e-6)


def test_halves_are_tested_by_their_likelihood_ratio(clinic):
    score = clinic.vectors[:, 0]
    upper = (score > np.median(score)).astype(float)
    fit = minimize_scalar(
        lambda weight: -partial_likelihood(weight * upper, clinic.time, clinic.event)
    )
    nothing = partial_likelihood(0 * upper, clinic.time, clinic.event)
    hazard_ratio, p = step.split_at_median(score, clinic.time, clinic.event)
    assert hazard_ratio == pytest.approx(np.exp(fit.x), rel=1e-3)
    assert p == pytest.approx(chi2.sf(2 * (-fit.fun - nothing), 1), rel=1e-3)
    assert step.split_at_median(np.ones(240), clinic.time, clinic.event) == (None, None)
    lived = np.where(upper == 1, clinic.event, False)
    assert step.split_at_median(score, clinic.time, lived) == (None, None)


def test_chance_is_even_for_noise_and_small_for_what_orders_patients(clinic):
    followed = step.Followed(
        "any", clinic.cancer, np.arange(240) % 4, clinic.time, clinic.event
    )  # fmt: skip
    rng = np.random.default_rng(3)
    noise = [step.chance(rng.normal(size=240), followed, 99, 0) for _ in range(20)]
    assert 0.25 < np.mean(noise) < 0.75
    assert step.chance(clinic.risk, followed, 99, 0) == 0.01
    assert step.chance(-clinic.risk, followed, 99, 0) == 1.0


def test_cancers_with_few_events_are_not_asked_for(clinic, tmp_path):
    asked = json.loads(request(clinic, "TELLS").read_text())
    assert asked["genes"] == [GENES[0]]
    assert len(asked["samples"]) == 240
    rare = Clinic(tmp_path / "results", n=60)
    rare.freeze()
    with pytest.raises(InputError, match="no cancer has 20 events"):
        prognosis_genes_request(
            rare.split, clinic.root / "genes.parquet", settings("TELLS"), tmp_path / "request.json"
        )


@pytest.mark.parametrize(
    ("names", "problem"),
    [(["RPS99"], "'RPS99' is no gene"), (["TELLS", GENES[0]], f"'{GENES[0]}' stands twice")],
)
def test_a_gene_that_cannot_be_asked_for_is_named(clinic, names, problem):
    with pytest.raises(InputError, match=problem):
        request(clinic, *names)
