"""Disease annotation: what a row of its predictions holds, and what is measured on it.

Weighted F1, averaged over folds, is what the paper reports; it hides rare classes. Macro F1 counts
every class alike. Where controls exist, the AUC of disease against control *within* a study is the
only one that offsets between studies cannot raise or lower.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate import measures
from bulkformer.evaluate.records import equals
from bulkformer.evaluate.statistics import Estimate
from bulkformer.evaluate.task import PROTOCOLS, Score, Scoring, Task
from bulkformer.evaluate.tasks.disease_annotation_auc import disease_against_control
from bulkformer.evaluate.tasks.disease_annotation_further import PROBE
from bulkformer.evaluate.tasks.disease_annotation_negatives import one_against_rest
from bulkformer.evaluate.tasks.disease_annotation_repeats import Repeat, read_repeats
from bulkformer.evaluate.tasks.disease_annotation_units import units_of_folds, units_of_studies
from bulkformer.evaluate.units import UnitScores

NAME = pa.dictionary(pa.int32(), pa.string())
# One row a tested sample, head and repeat. `probabilities` are in the order of `classes`, which is
# the same for all rows of a dataset and regime; a class that a training fold lacked has probability
# 0. `condition` names the share of training groups where heads saw no more, and `tuning_trials` how
# many settings of the head were tried in inner folds. The head permuted_labels predicts permuted
# labels: its y_true are those.
PREDICTIONS = pa.schema(
    [
        ("task", NAME),
        ("dataset", NAME),
        ("protocol", NAME),
        ("regime", NAME),
        ("condition", NAME),
        ("model", NAME),
        ("head", NAME),
        ("fold", pa.int32()),
        ("seed", pa.int64()),
        ("repeat", pa.int32()),
        ("sample_id", NAME),
        ("group", NAME),
        ("study_id", NAME),
        ("tissue", NAME),
        ("target_id", NAME),
        ("y_true", NAME),
        ("y_pred", NAME),
        ("tuning_trials", pa.int32()),
        ("classes", NAME),
        ("probabilities", pa.list_(pa.float32())),
    ]
)
HEADLINE = {"legacy": "random_folds", "strict": "grouped_folds"}  # by which models are ranked
MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "macro_f1": measures.macro_f1,
    "weighted_f1": measures.weighted_f1,
    "accuracy": measures.accuracy,
    "balanced_accuracy": measures.balanced_accuracy,
    "matthews_correlation": measures.matthews_correlation,
}


def score(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[Score]:
    """Score each dataset, regime, condition and head over all repeats.

    What models are ranked by is scored for each repeat and fold as well.
    """
    yield from _found(predictions, scoring)[0]


def units(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[UnitScores]:
    """Yield the scores of single folds, and of studies that have cases and controls."""
    yield from _found(predictions, scoring)[1]


@lru_cache(maxsize=1)  # scores and scores of units come from the same counts
def _found(predictions: pq.ParquetFile, scoring: Scoring) -> tuple[list[Score], list[UnitScores]]:
    scores: list[Score] = []
    units: list[UnitScores] = []
    for scorer, repeats in _scorers(predictions, scoring):
        scores += scorer.scores(list(repeats.values()), repeat=None)
        if not scorer.is_headline:
            continue
        for number, repeat in repeats.items():
            if len(repeats) > 1:
                scores += scorer.scores([repeat], repeat=number)
            folds = list(scorer.folds(repeat, number))
            scores += folds
            units += units_of_folds(folds)
        units += units_of_studies(list(repeats.values()), scorer.classes, scorer.key)
    return scores, units


def _scorers(
    predictions: pq.ParquetFile, scoring: Scoring
) -> "Iterator[tuple[_Scorer, dict[int, Repeat]]]":
    """Yield what scores each dataset, regime, condition and head, with the repeats to score."""
    table = predictions.read().unify_dictionaries()
    names = ["dataset", "regime", "condition", "head"]
    keys = table.select(names).group_by(names).aggregate([]).to_pylist()
    for key in sorted(keys, key=lambda row: tuple(value or "" for value in row.values())):
        chosen = np.logical_and.reduce([equals(table, name, value) for name, value in key.items()])
        rows = table.filter(pa.array(chosen))
        classes = json.loads(rows["classes"][0].as_py())
        repeats, groups = read_repeats(rows, classes)
        kind = scoring.group_kinds[key["dataset"], key["regime"]]
        yield _Scorer(scoring, key, kind, classes, len(groups)), repeats


@dataclass(frozen=True)
class _Scorer:
    """Makes the scores of one dataset, regime, condition and head."""

    scoring: Scoring
    key: Mapping[str, str | None]
    kind: str
    classes: Sequence[str]
    n_groups: int

    @property
    def is_headline(self) -> bool:
        """Return whether models are ranked by these folds."""
        return self.key["regime"] in HEADLINE.values()

    def scores(self, repeats: Sequence[Repeat], repeat: int | None) -> Iterator[Score]:
        """Score repeats together: every value is the mean over them."""
        over_groups = self.scoring.bootstrap.over_groups
        n_seeds, n_classes = len(repeats), len(self.classes)
        n = len(repeats[0].truth)

        def row(metric: str, aggregation: str, estimate: Estimate, **more: Any) -> Score:
            about = {"n": n, "n_groups": self.n_groups, "ci_unit": self.kind} | more
            return Score(
                **self.key,
                metric=metric,
                aggregation=aggregation,
                estimate=estimate,
                repeat=repeat,
                n_seeds=n_seeds,
                **about,
            )

        counts = [self._confusion_by_fold(each) for each in repeats]
        by_fold = over_groups(counts)
        pooled = over_groups([each.sum(axis=1) for each in counts])
        for metric, measure in MEASURES.items():
            yield row(metric, "pooled", pooled.estimate(measure))
            estimate = by_fold.estimate(lambda sums, m=measure: measures.mean_of_defined(m(sums)))
            yield row(metric, "fold_mean", estimate)
        if self.key["regime"].startswith(PROBE):  # what naming one class always scores
            yield row("balanced_accuracy_by_chance", "pooled", Estimate(1 / n_classes))
        trials = [float(each.trials.max()) for each in repeats]
        yield row("tuning_trials", "fold_mean", Estimate(float(np.mean(trials))))
        for code, name in enumerate(self.classes if self.is_headline else ()):
            estimate = pooled.estimate(lambda sums, c=code: measures.class_f1(sums)[..., c])
            members = repeats[0].truth == code
            yield row(
                "f1",
                "pooled",
                estimate,
                group_kind="class",
                group=name,
                n=int(members.sum()),
                n_groups=len(np.unique(repeats[0].group[members])),
            )
        if n_classes > 3:
            hits = [self._hits(each, 3) for each in repeats]
            yield row("top_3_accuracy", "pooled", over_groups(hits).estimate(measures.ratio))
        calibration = [
            measures.calibration_sums(
                each.probabilities.max(axis=1).astype(np.float64),
                each.told == each.truth,
                each.group,
                self.n_groups,
            )
            for each in repeats
        ]
        error = over_groups(calibration).estimate(measures.expected_calibration_error)
        yield row("expected_calibration_error", "pooled", error)
        yield from disease_against_control(repeats, self.classes, self.scoring.bootstrap, row)
        if self.is_headline:
            yield from one_against_rest(repeats, self.classes, self.scoring.bootstrap, row)

    def folds(self, repeat: Repeat, number: int) -> Iterator[Score]:
        """Score each fold by itself, for paired tests; one fold has no interval of its own."""
        for fold in np.unique(repeat.fold):
            rows = repeat.fold == fold
            counts = measures.confusion(
                repeat.truth[rows],
                repeat.told[rows],
                np.zeros(rows.sum(), dtype=np.int64),
                1,
                len(self.classes),
            )[0]
            for metric in ("macro_f1", "weighted_f1"):
                yield Score(
                    **self.key,
                    metric=metric,
                    aggregation="pooled",
                    estimate=Estimate(float(MEASURES[metric](counts))),
                    n=int(rows.sum()),
                    n_groups=len(np.unique(repeat.group[rows])),
                    fold=int(fold),
                    repeat=number,
                )

    def _confusion_by_fold(self, repeat: Repeat) -> np.ndarray:
        """Count predictions [n_groups, n_folds, C, C]."""
        n_folds, n_classes = int(repeat.fold.max()) + 1, len(self.classes)
        index = repeat.group * n_folds + repeat.fold
        counts = measures.confusion(
            repeat.truth, repeat.told, index, self.n_groups * n_folds, n_classes
        )
        return counts.reshape(self.n_groups, n_folds, n_classes, n_classes)

    def _hits(self, repeat: Repeat, k: int) -> np.ndarray:
        hits = measures.top_hits(repeat.probabilities, repeat.truth, k)
        return np.column_stack(
            [
                np.bincount(repeat.group, weights=term, minlength=self.n_groups)
                for term in (hits.astype(np.float64), None)
            ]
        )


def heads(protocol: str, settings: Mapping[str, Any]) -> Sequence[str]:
    """Return the heads that a protocol fits on the vectors of every model."""
    own = settings[protocol]
    return ("pca_random_forest", *own["further_heads"]) if protocol == "legacy" else own["heads"]


TASK = Task(
    name="disease_annotation",
    unit="sample",
    target="label",
    primary={"legacy": ("weighted_f1", "fold_mean"), "strict": ("macro_f1", "pooled")},
    predictions=PREDICTIONS,
    heads=heads,
    score=score,
    units=units,
    paired={"legacy": "weighted_f1", "strict": "macro_f1"},
    null="majority",
    null_knows=dict.fromkeys(PROTOCOLS, "knows how common each label is and nothing of the sample"),
    ranked=HEADLINE,
    headline={protocol: {"regime": [regime]} for protocol, regime in HEADLINE.items()},
)
