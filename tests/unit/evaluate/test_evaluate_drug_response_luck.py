"""Two vectors that know nothing do not beat each other, however many drugs the lines were asked."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkformer.evaluate.paired_tests import PairTester
from bulkformer.evaluate.ridge import fit_ridge
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import Scoring
from bulkformer.evaluate.tasks.drug_response_scores import PREDICTIONS, TASK
from bulkformer.evaluate.units import FOLD

PAIRS, LINES, DRUGS, FOLDS, WIDTH = 60, 80, 30, 5, 6
REGIME = "held_out_lines"


def predictions_of_random_vectors() -> pq.ParquetFile:
    """Two heads a pair of vectors, by ridge, of responses that are mostly an effect of the line."""
    rng = np.random.default_rng(4)
    fold = np.arange(LINES) % FOLDS
    parts = []
    for pair in range(PAIRS):
        level = rng.normal(0, 2, DRUGS)
        response = level + rng.normal(size=(LINES, 1)) + rng.normal(0, 0.5, (LINES, DRUGS))
        for which in "ab":
            vectors = rng.normal(size=(LINES, WIDTH))
            told, mean = np.empty_like(response), np.empty_like(response)
            for held in range(FOLDS):
                train, test = fold != held, fold == held
                groups = np.flatnonzero(train)
                fitted = fit_ridge(vectors[train], response[train], groups, [1.0], 1)
                told[test] = fitted.predict(vectors[test])
                mean[test] = response[train].mean(axis=0)
            parts.append(rows(f"{pair} {which}", fold, response, told, mean))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(parts).unify_dictionaries(), sink)
    return pq.ParquetFile(pa.BufferReader(sink.getvalue()))


def rows(head, fold, truth, told, mean) -> pa.Table:
    line, drug = (codes.ravel() for codes in np.indices(truth.shape))
    of = {"task": TASK.name, "dataset": "noise", "protocol": "strict", "regime": REGIME}
    of |= {"model": "random", "head": head, "measure": "auc", "repeat": 0, "seed": 1}
    columns = {name: [value] * len(line) for name, value in (of | {"tuning_trials": 1}).items()}
    columns |= {name: [f"line {n}" for n in line] for name in ("sample_id", "group")}
    columns |= {name: [f"drug {n:02d}" for n in drug] for name in ("target_id", "drug_id")}
    columns |= {"fold": fold[line], "y_true": truth.ravel(), "y_pred": told.ravel()}
    columns |= {"train_mean": mean.ravel(), "additive": mean.ravel()}
    return pa.table([pa.array(columns[field.name], field.type) for field in PREDICTIONS],
                    schema=PREDICTIONS)  # fmt: skip


@pytest.fixture(scope="module")
def predictions():
    return predictions_of_random_vectors()


def share_of_verdicts(found, decide) -> float:
    """How often one of the two vectors is called better, at a level of 0.05."""
    p = [decide(found[f"{pair} a"] - found[f"{pair} b"]) for pair in range(PAIRS)]
    return float(np.mean(np.array(p) < 0.05))


def test_folds_rarely_call_one_random_vector_better_than_another(predictions):
    scoring = Scoring("strict", {}, {("noise", REGIME): "patient"}, Bootstrap(0, 1))
    units = [each for each in TASK.units(predictions, scoring)
             if each.metric == TASK.paired["strict"]]  # fmt: skip
    assert {each.unit_kind for each in units} == {FOLD}
    tester = PairTester(Bootstrap(50, 1), 100)
    found = {each.head: each.value for each in units}
    assert len(found["0 a"]) == FOLDS
    assert share_of_verdicts(found, lambda d: tester.over_folds(d, [0] * FOLDS).p) <= 0.1

    # Drugs as units, which share all luck of the lines, would say so more often than not.
    scores = TASK.score(predictions, scoring)
    by_drug = {}
    for each in scores:
        if each.metric == "per_drug_pearson" and each.group_kind == "drug":
            by_drug.setdefault(each.head, []).append(each.estimate.value)
    by_drug = {head: np.array(values) for head, values in by_drug.items()}
    assert share_of_verdicts(by_drug, lambda d: tester.over_units(d).p) > 0.5
