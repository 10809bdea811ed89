"""Prognosis: what a row of its predictions holds, and what is measured on it.

The paper tells the dead from the living, which mostly tells cancers and lengths of follow-up apart.
Strict asks who of two patients with the same cancer has the event first, counts no pair across two
folds, and weighs errors of predicted survival for patients who were lost to follow-up.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate.paired_tests import MIN_UNITS
from bulkformer.evaluate.records import equals
from bulkformer.evaluate.task import Score, Scoring, Task
from bulkformer.evaluate.tasks.prognosis_repeats import Repeat, read_repeats
from bulkformer.evaluate.tasks.prognosis_scorer import PRIMARY, Scorer
from bulkformer.evaluate.units import FOLD, UnitScores

NAME = pa.dictionary(pa.int32(), pa.string())
# One row a tested sample, head and repeat. y_true is the event again; y_pred is a risk: comparable
# within a fold, the higher the earlier. Survival stands in the order of `horizons` (days, the same
# for all rows of a fold); legacy predicts none, and y_pred is the probability of being dead. With
# the head permuted_events, time and event are those of another patient with the same cancer.
PREDICTIONS = pa.schema(
    [
        ("task", NAME),
        ("dataset", NAME),
        ("protocol", NAME),
        ("regime", NAME),
        ("model", NAME),
        ("head", NAME),
        ("fold", pa.int32()),
        ("seed", pa.int64()),
        ("repeat", pa.int32()),
        ("sample_id", NAME),
        ("group", NAME),
        ("stratum", NAME),  # cancer type
        ("target_id", NAME),  # endpoint
        ("y_true", pa.float32()),
        ("y_pred", pa.float32()),
        ("y_reference", pa.float32()),  # risk by clinical covariates alone
        ("time", pa.float64()),  # days
        ("event", pa.int8()),
        ("horizons", NAME),  # JSON list
        ("survival", pa.list_(pa.float32())),
        ("survival_at_end", pa.float32()),  # predicted for the end of the patient's own follow-up
    ]
)
KEY = ["dataset", "regime", "head"]


def score(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[Score]:
    """Score each dataset, regime and head over all repeats, each repeat, fold and cancer."""
    for scorer, repeats in _scorers(predictions, scoring):
        yield from scorer.scores(list(repeats.values()), None)
        for number, repeat in repeats.items():
            if len(repeats) > 1:
                yield from scorer.scores([repeat], number)
            yield from scorer.folds(repeat, number)
        if scoring.protocol == "strict":
            yield from scorer.cancers(list(repeats.values()))


def units(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[UnitScores]:
    """Yield the scores of single cancers under the strict protocol, and else of folds.

    One question is asked once: folds stand in for cancers where fewer than MIN_UNITS of them have
    events enough, so few that no test over cancers could decide anything. Which it is hangs on the
    outcomes of the split alone, and is the same for all models.
    """
    for scorer, repeats in _scorers(predictions, scoring):
        every = list(repeats.values())
        many = scorer.cancers_with_events(every[0]) if scoring.protocol == "strict" else []
        if len(many) >= MIN_UNITS:
            cancers = scorer.cancers(every, resample=False)
            scores = [each for each in cancers if each.condition is None]
            names = [str(each.group) for each in scores]
            yield _units_of(scorer.key, "cancer_type", scores, names, None)
            continue
        for number, repeat in repeats.items():
            scores = list(scorer.folds(repeat, number))
            yield _units_of(scorer.key, FOLD, scores, [str(each.fold) for each in scores], number)


def _units_of(
    key: Mapping[str, str], kind: str, scores: Sequence[Score], names: list[str], repeat: int | None
) -> UnitScores:
    values = np.array([each.estimate.value for each in scores], dtype=np.float64)
    return UnitScores(
        **key, metric=scores[0].metric, unit_kind=kind, unit=names, value=values, repeat=repeat
    )


def _scorers(
    predictions: pq.ParquetFile, scoring: Scoring
) -> "Iterator[tuple[Scorer, dict[int, Repeat]]]":
    """Yield what scores each dataset, regime and head, with the repeats that it scores."""
    for names, (repeats, n_groups) in _read(predictions).items():
        key = dict(zip(KEY, names, strict=True))
        kind = scoring.group_kinds[key["dataset"], key["regime"]]
        yield Scorer(scoring, key, kind, n_groups), repeats


@lru_cache(maxsize=1)  # scores and scores of units look at the same predictions
def _read(
    predictions: pq.ParquetFile,
) -> dict[tuple[str, ...], tuple[dict[int, Repeat], int]]:
    """Return {(dataset, regime, head): ({repeat: predictions}, number of groups)}."""
    table = predictions.read().unify_dictionaries()
    found = table.group_by(KEY).aggregate([]).to_pylist()
    parts = {}
    for key in sorted(tuple(row[name] for name in KEY) for row in found):
        pairs_of_key = zip(KEY, key, strict=True)
        chosen = np.logical_and.reduce([equals(table, *pair) for pair in pairs_of_key])
        repeats, groups = read_repeats(table.filter(pa.array(chosen)))
        parts[key] = repeats, len(groups)
    return parts


def heads(protocol: str, settings: Mapping[str, Any]) -> Sequence[str]:
    """Return the heads that a protocol fits on the vectors of every model."""
    return ("pca_random_forest",) if protocol == "legacy" else tuple(settings["strict"]["heads"])


TASK = Task(
    name="prognosis",
    unit="patient",
    target="endpoint",
    primary={"legacy": ("auroc", "fold_mean"), "strict": (PRIMARY, "weighted")},
    predictions=PREDICTIONS,
    heads=heads,
    score=score,
    units=units,
    paired={"legacy": "auroc", "strict": PRIMARY},
    null="cancer_type_only",
    # Between cancers it ranks well; within one all its patients are alike.
    null_knows={
        "legacy": "knows the cancer of a patient and no gene",
        "strict": "knows the cancer of a patient, and nothing that differs within it",
    },
)
