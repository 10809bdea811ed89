"""Prognosis: the rows of the metrics table that one head has, from its predictions as arrays.

Pairs that cross cancers are weighed by the censoring of all cancers together, as others do it;
pairs within a cancer, and errors of predicted survival, by the censoring of that cancer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bulkformer.evaluate import survival_measures as measures
from bulkformer.evaluate.measures import mean_of_defined, ratio
from bulkformer.evaluate.statistics import Estimate, Resampled, defined
from bulkformer.evaluate.task import Score, Scoring
from bulkformer.evaluate.tasks import prognosis_curves as curves
from bulkformer.evaluate.tasks import prognosis_pairs as pairs
from bulkformer.evaluate.tasks.prognosis_outcomes import FEW_EVENTS
from bulkformer.evaluate.tasks.prognosis_repeats import Repeat

YEARS = (1, 3, 5)
FEW = f"fewer_than_{FEW_EVENTS}_events"
WITHIN = "within_cancer_"
PRIMARY = f"{WITHIN}c_index"


@dataclass(frozen=True)
class Scorer:
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
            weighted = self._sums(repeats, pairs.by_weighted_event(within), within)
            estimate = weighted.estimate(pairs.joined)
            yield row(f"{WITHIN * within}uno_c_index", "weighted", estimate)
            for years in YEARS:
                at_year = self._sums(repeats, pairs.by_year(years, within), within)
                estimate = at_year.estimate(pairs.joined)
                name = f"auc_at_{years}_year{'s' * (years > 1)}"
                yield row(WITHIN * within + name, "weighted", estimate)
        yield from self._curves(repeats, row)

    def folds(self, repeat: Repeat, number: int) -> Iterator[Score]:
        """Score each fold by itself, for paired tests; one fold has no interval of its own."""
        legacy = self.scoring.protocol == "legacy"
        pairs_of = pairs.by_label if legacy else pairs.by_event
        sums = self._sums([repeat], pairs_of, not legacy, resample=False).observed[0]
        for fold, value in zip(repeat.folds(), ratio(sums.sum(axis=1)), strict=True):
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

    @staticmethod
    def cancers_with_events(repeat: Repeat) -> list[str]:
        """Return the cancers with events enough to be judged by themselves."""
        names, events = np.unique(repeat.cancer[repeat.event], return_counts=True)
        return names[events >= FEW_EVENTS].tolist()

    def cancers(self, repeats: Sequence[Repeat], resample: bool = True) -> Iterator[Score]:
        """Score each cancer by itself over all repeats; those with few events say so."""
        first = repeats[0]
        many = self.cancers_with_events(first)
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
                condition=None if cancer in many else FEW,
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
            [pairs.precision(repeat, everyone) for repeat in repeats],
            [] if counts is None else [pairs.precision(repeat, counts) for repeat in repeats],
        )
        yield row("auprc", "fold_mean", precision.estimate(mean_of_defined))

    def _concordance(self, repeats: Sequence[Repeat], row: Callable[..., Score]) -> Iterator[Score]:
        """Harrell's C within cancers and over all of them, and what vectors add to the clinic."""
        first = repeats[0]
        within = self._sums(repeats, pairs.by_event, within=True)
        yield row(PRIMARY, "weighted", within.estimate(pairs.joined))
        many = self.cancers_with_events(first)
        if len(many) > 1:
            places = np.searchsorted(np.unique(first.cancer), many)
            estimate = within.estimate(pairs.mean_of_cancers(places))
            n = int(np.isin(first.cancer, many).sum())
            yield row(PRIMARY, "mean_over_groups", estimate, n=n, n_groups=len(many))
        pooled = self._sums(repeats, pairs.by_event, within=False)
        yield row("c_index", "weighted", pooled.estimate(pairs.joined))
        if any(curves.cross(repeat) for repeat in repeats):
            by_curve = self._sums(repeats, curves.by_curve, within=True)
            yield row(f"{WITHIN}antolini_concordance", "weighted", by_curve.estimate(pairs.joined))
        if all(repeat.reference is not None for repeat in repeats):
            for name, sums, inside in ((PRIMARY, within, True), ("c_index", pooled, False)):
                clinic = self._sums(repeats, pairs.by_event, inside, by_reference=True)
                both = pairs.side_by_side(sums, clinic)
                yield row(f"{name}_gain_over_clinical", "weighted", both.estimate(pairs.gain))
            yield self._likelihood_gain(repeats, row)

    def _likelihood_gain(self, repeats: Sequence[Repeat], row: Callable[..., Score]) -> Score:
        """Log partial likelihood that vectors add to the clinic, for each event of test patients.

        Twice its sum over events is the statistic of a likelihood-ratio test, on patients whom
        neither model saw. The test itself is not made on training patients: a penalty that inner
        folds chose leaves no number of parameters for its chi-squared distribution, and the larger
        model fits its own patients better whatever its vectors are. The interval lies a little low:
        who is drawn twice is at risk beside a copy, which leaves less to gain.
        """
        both, clinic = (
            self._sums(repeats, pairs.by_risk_set, within=True, by_reference=by_reference)
            for by_reference in (False, True)
        )
        gained = pairs.side_by_side(both, clinic).estimate(pairs.gain)
        return row(f"{WITHIN}log_likelihood_gain_over_clinical", "weighted", gained)

    def _curves(self, repeats: Sequence[Repeat], row: Callable[..., Score]) -> Iterator[Score]:
        """Errors and calibration of predicted survival; beside them those of one Kaplan-Meier
        curve of all training patients."""
        over_groups = self.scoring.bootstrap.over_groups
        errors = over_groups([curves.brier_sums(repeat, self.n_groups) for repeat in repeats])
        yield row("integrated_brier_score", "pooled", errors.estimate(ratio))
        yield row("integrated_brier_skill", "pooled", errors.estimate(curves.brier_skill))
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
