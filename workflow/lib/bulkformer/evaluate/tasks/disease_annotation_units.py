"""Disease annotation: scores of single folds and studies, by which models are compared in pairs.

Folds share most of their training samples, so a paired test over them must be a corrected one. The
AUC within a study is a score of that study, and studies are independent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from bulkformer.evaluate.task import Score
from bulkformer.evaluate.tasks.disease_annotation_auc import WITHIN_STUDY, disease_auc_of_studies
from bulkformer.evaluate.tasks.disease_annotation_repeats import Repeat
from bulkformer.evaluate.units import FOLD, UnitScores


def units_of_folds(scores: Iterable[Score]) -> Iterator[UnitScores]:
    """Gather the scores that are about one fold, a metric, head and repeat at a time."""
    found: dict[tuple[str | int | None, ...], list[Score]] = {}
    for score in scores:
        if score.fold is not None and score.group is None:
            key = score.dataset, score.regime, score.condition, score.head, score.metric
            found.setdefault((*key, score.repeat), []).append(score)
    for (dataset, regime, condition, head, metric, repeat), own in found.items():
        values = [np.nan if each.estimate.value is None else each.estimate.value for each in own]
        yield UnitScores(
            dataset=dataset,
            regime=regime,
            condition=condition,
            head=head,
            metric=metric,
            unit_kind=FOLD,
            unit=[str(each.fold) for each in own],
            value=np.array(values, dtype=float),
            repeat=repeat,
        )


def units_of_studies(
    repeats: Sequence[Repeat], classes: Sequence[str], key: Mapping[str, str | None]
) -> Iterator[UnitScores]:
    """Yield the AUC of disease against control within each study; nothing where none has both."""
    found = disease_auc_of_studies(repeats, classes)
    if found is not None:
        names, areas = found
        yield UnitScores(**key, metric=WITHIN_STUDY, unit_kind="study", unit=names, value=areas)
