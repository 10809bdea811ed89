"""Prognosis: what a row of its predictions holds, and what is measured on it.

The paper tells the dead from the living, which mostly tells cancers and lengths of follow-up apart.
Strict asks who of two patients with the same cancer has the event first, counts no pair across two
folds, and weighs errors of predicted survival for patients who were lost to follow-up.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate import survival_measures as measures
from bulkformer.evaluate.statistics import Estimate, Resampled, defined
from bulkformer.evaluate.task import Score, Scoring, Task
from bulkformer.evaluate.tasks import prognosis_pairs as pairs
from bulkformer.evaluate.tasks.prognosis_outcomes import FEW_EVENTS
from bulkformer.evaluate.tasks.prognosis_repeats import Repeat, read_repeats
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
YEARS = (1, 3, 5)
FEW = f"fewer_than_{FEW_EVENTS}_events"
WITHIN = "within_cancer_"
PRIMARY = f"{WITHIN}c_index"


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
    """Yield the scores of single folds, and under the strict protocol those of cancers."""
    for scorer, repeats in _scorers(predictions, scoring):
        for number, repeat in repeats.items():
            scores = list(scorer.folds(repeat, number))
            yield _units_of(scorer.key, FOLD, scores, [str(each.fold) for each in scores], number)
        if scoring.protocol == "strict":
            cancers = scorer.cancers(list(repeats.values()), resample=False)
            scores = [each for each in cancers if each.condition is None]
            if scores:
                names = [str(each.group) for each in scores]
                yield _units_of(scorer.key, "cancer_type", scores, names, None)


def _units_of(
    key: Mapping[str, str], kind: str, scores: Sequence[Score], names: list[str], repeat: int | None
) -> UnitScores:
    values = np.array([each.estimate.value for each in scores], dtype=np.float64)
    return UnitScores(
        **key, metric=scores[0].metric, unit_kind=kind, unit=names, value=values, repeat=repeat
    )


def _scorers(
    predictions: pq.ParquetFile, scoring: Scoring
) -> "Iterator[tuple[_Scorer, dict[int, Repeat]]]":
    """Yield what scores each dataset, regime and head, with the repeats that it scores."""
    table = predictions.read().unify_dictionaries()
    keys = table.select(["dataset", "regime", "head"]).group_by(["dataset", "regime", "head"])
    for key in sorted(keys.aggregate([]).to_pylist(), key=lambda row: tuple(row.values())):
        chosen = np.logical_and.reduce([_equals(table, name, value) for name, value in key.items()])
        repeats, groups = read_repeats(table.filter(pa.array(chosen)))
        kind = scoring.group_kinds[key["dataset"], key["regime"]]
        yield _Scorer(scoring, key, kind, len(groups)), repeats


@dataclass(frozen=True)
class _Scorer:
    """Makes the scores of one dataset, regime and head."""

    scoring: Scoring
    key: Mapping[str, str]
    kind: str
    n_groups: int

    def scores(self, repeats: Sequence[Repeat], number: int | None) -> Iterator[Score]:
        """Score repeats together: every value is the mean over them."""

        def row(metric: str, aggregation: str, estimate: Estimate, **more: Any) -> Score:
            about = {"n": len(repeats[0].time), "n_groups": self.n_groups} | more
            return Score(
                **self.key,
                metric=metric,
                aggregation=aggregation,
                estimate=estimate,
                ci_unit=self.kind,
                repeat=number,
                n_seeds=len(repeats),
                **about,
            )

        if self.scoring.protocol == "legacy":
            yield from self._labels(repeats, row)
            return
        yield from self._concordance(repeats, row)
        for within in (False, True):
            estimate = self._sums(repeats, pairs.by_weighted_event, within).estimate(pairs.joined)
            yield row(f"{WITHIN * within}uno_c_index", "weighted", estimate)
            for years in YEARS:
                estimate = self._sums(repeats, pairs.by_year(years), within).estimate(pairs.joined)
                name = f"auc_at_{years}_year{'s' * (years > 1)}"
                yield row(WITHIN * within + name, "weighted", estimate)
        yield from self._curves(repeats, row)

    def folds(self, repeat: Repeat, number: int) -> Iterator[Score]:
        """Score each fold by itself, for paired tests; one fold has no interval of its own."""
        legacy = self.scoring.protocol == "legacy"
        pairs_of = pairs.by_label if legacy else pairs.by_event
        sums = self._sums([repeat], pairs_of, not legacy, resample=False).observed[0]
        for fold, value in zip(repeat.folds(), pairs.ratio(sums.sum(axis=1)), strict=True):
            yield Score(
                **self.key,
                metric="auroc" if legacy else PRIMARY,
                aggregation="weighted",
                estimate=Estimate(defined(value)),
                n=len(fold.rows),
                n_groups=len(np.unique(repeat.group[fold.rows])),
                fold=int(repeat.fold[fold.rows[0]]),
                repeat=number,
            )

    def cancers(self, repeats: Sequence[Repeat], resample: bool = True) -> Iterator[Score]:
        """Score each cancer by itself over all repeats; those with few events say so."""
        first = repeats[0]
        sums = self._sums(repeats, pairs.by_event, within=True, resample=resample)
        for place, cancer in enumerate(np.unique(first.cancer)):
            own = first.cancer == cancer
            yield Score(
                **self.key,
                metric=PRIMARY,
                aggregation="weighted",
                estimate=sums.estimate(pairs.of_cancer(place)),
                n=int(own.sum()),
                n_groups=len(np.unique(first.group[own])),
                ci_unit=self.kind,
                condition=FEW if first.event[own].sum() < FEW_EVENTS else None,
                n_seeds=len(repeats),
                group_kind="cancer_type",
                group=str(cancer),
            )

    def _labels(self, repeats: Sequence[Repeat], row: Callable[..., Score]) -> Iterator[Score]:
        """What the paper reports, and what is left of it within cancers."""
        estimate = self._sums(repeats, pairs.by_label, within=False).estimate(pairs.fold_mean)
        yield row("auroc", "fold_mean", estimate)
        estimate = self._sums(repeats, pairs.by_label, within=True).estimate(pairs.joined)
        yield row("within_cancer_auroc", "weighted", estimate)
        counts = pairs.draws(self.scoring.bootstrap, self.n_groups)
        everyone = np.ones(self.n_groups)
        precision = Resampled(
            self.n_groups,
            [_precision(repeat, everyone) for repeat in repeats],
            [] if counts is None else [_precision(repeat, counts) for repeat in repeats],
        )
        yield row("auprc", "fold_mean", precision.estimate(pairs.mean_of_defined))

    def _concordance(self, repeats: Sequence[Repeat], row: Callable[..., Score]) -> Iterator[Score]:
        """Harrell's C within cancers and over all of them, and what vectors add to the clinic."""
        first = repeats[0]
        within = self._sums(repeats, pairs.by_event, within=True)
        yield row(PRIMARY, "weighted", within.estimate(pairs.joined))
        names = np.unique(first.cancer)
        events = [int(first.event[first.cancer == cancer].sum()) for cancer in names]
        many = [place for place, n in enumerate(events) if n >= FEW_EVENTS]
        if len(many) > 1:
            estimate = within.estimate(pairs.mean_of_cancers(many))
            n = int(np.isin(first.cancer, names[many]).sum())
            yield row(PRIMARY, "mean_over_groups", estimate, n=n, n_groups=len(many))
        pooled = self._sums(repeats, pairs.by_event, within=False)
        yield row("c_index", "weighted", pooled.estimate(pairs.joined))
        if all(repeat.reference is not None for repeat in repeats):
            for name, sums, inside in ((PRIMARY, within, True), ("c_index", pooled, False)):
                clinic = self._sums(repeats, pairs.by_event, inside, by_reference=True)
                both = pairs.side_by_side(sums, clinic)
                yield row(f"{name}_gain_over_clinical", "weighted", both.estimate(pairs.gain))

    def _curves(self, repeats: Sequence[Repeat], row: Callable[..., Score]) -> Iterator[Score]:
        """Errors and calibration of predicted survival; beside them those of one Kaplan-Meier
        curve of all training patients."""
        over_groups = self.scoring.bootstrap.over_groups
        errors = over_groups([_brier_sums(repeat, self.n_groups) for repeat in repeats])
        yield row("integrated_brier_score", "pooled", errors.estimate(pairs.ratio))
        yield row("integrated_brier_skill", "pooled", errors.estimate(_skill))
        bins = [measures.calibration_bins(each.at_end, each.event) for each in repeats]
        # Without an interval: a distance from even grows with every resampling.
        error = float(np.mean([measures.calibration_error(each) for each in bins]))
        yield row("d_calibration_error", "pooled", Estimate(error))
        if len(repeats) == 1:  # repeats share their patients: their tests are not joined
            p_value = Estimate(measures.calibration_p_value(bins[0]))
            yield row("d_calibration_p_value", "pooled", p_value)

    def _sums(
        self,
        repeats: Sequence[Repeat],
        pairs_of: pairs.PairsOf,
        within: bool,
        by_reference: bool = False,
        resample: bool = True,
    ) -> Resampled:
        bootstrap = self.scoring.bootstrap
        risks = [repeat.reference if by_reference else repeat.risk for repeat in repeats]
        return pairs.sums_of_pairs(
            repeats, risks, pairs_of, within, self.n_groups, bootstrap if resample else None
        )


def _precision(repeat: Repeat, counts: np.ndarray) -> np.ndarray:
    """Return the average precision of each fold, [..., n_folds], where groups count [..., n]."""
    return np.stack(
        [
            measures.average_precision(
                repeat.risk[fold.rows],
                repeat.event[fold.rows],
                counts[..., repeat.group[fold.rows]],
            )
            for fold in repeat.folds()
        ],
        axis=-1,
    )


def _brier_sums(repeat: Repeat, n_groups: int) -> np.ndarray:
    """Return error, number and error of one Kaplan-Meier curve for each group, [n_groups, 3]."""
    sums = np.zeros((n_groups, 3))
    for fold in repeat.folds():
        rows, horizons = fold.rows, fold.horizons
        if len(horizons) < 2:
            continue
        followed = repeat.time[fold.training], repeat.event[fold.training]
        at_horizons = measures.step_at(*measures.survival_curve(*followed), horizons)
        told = (fold.survival, np.broadcast_to(at_horizons, (len(rows), len(horizons))))
        errors = [
            measures.mean_over_time(
                measures.brier_terms(
                    repeat.time[rows], repeat.event[rows], each, horizons, fold.censoring
                ),
                horizons,
            )
            for each in told
        ]
        terms = np.column_stack([errors[0], np.ones(len(rows)), errors[1]])
        np.add.at(sums, repeat.group[rows], terms)
    return sums


def _skill(sums: np.ndarray) -> np.ndarray:
    """Return 1 - error / error of one Kaplan-Meier curve, from [..., 3]."""
    return 1 - pairs.ratio(sums[..., [0, 2]])


def _equals(table: pa.Table, name: str, value: str) -> np.ndarray:
    column = table[name].combine_chunks()
    return column.indices.to_numpy() == column.dictionary.to_pylist().index(value)


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
)
