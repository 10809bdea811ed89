"""Disease annotation: how well disease is told from control, within folds and within studies.

Scores of two folds are never ranked together: each fold has a head of its own, and one that knows
nothing is the less certain of disease the more of it its fold took from training.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bulkformer.evaluate import measures
from bulkformer.evaluate.statistics import Bootstrap, Estimate, defined
from bulkformer.evaluate.task import Score
from bulkformer.evaluate.tasks.disease_annotation_repeats import Repeat

WITHIN_STUDY = "within_study_disease_auc"
CONTROL_LABELS = frozenset({"control", "healthy", "normal"})


def controls_of(classes: Sequence[str]) -> list[int]:
    """Return the codes of the classes that are no disease."""
    return [code for code, name in enumerate(classes) if name.lower() in CONTROL_LABELS]


def disease_against_control(
    repeats: Sequence[Repeat],
    classes: Sequence[str],
    bootstrap: Bootstrap,
    row: Callable[..., Score],
) -> Iterator[Score]:
    """Yield the AUC of "not a control" within folds, and within studies that have both.

    Folds and studies weigh as much as they have samples; the interval resamples studies. `row`
    makes a score of metric, aggregation and estimate. Nothing where no class is a control.
    """
    controls = controls_of(classes)
    if not controls:
        return
    by_fold = [disease_auc_sums(each, controls, each.fold) for each in repeats]
    over_folds = np.array([sums.sum(axis=0) for sums in by_fold])
    yield row(
        "disease_auc",
        "weighted",
        Estimate(defined(measures.ratio(over_folds).mean())),
        n=int(over_folds[0, 1]),
        ci_unit=None,
    )
    by_study = [disease_auc_sums(each, controls, each.study) for each in repeats]
    both = np.any([sums[:, 1] > 0 for sums in by_study], axis=0)
    if both.any():
        by_study = [sums[both] for sums in by_study]
        yield row(
            WITHIN_STUDY,
            "weighted",
            bootstrap.over_groups(by_study).estimate(measures.ratio),
            n=int(by_study[0][:, 1].sum()),
            n_groups=int(both.sum()),
            ci_unit="study",
        )


def disease_auc_of_studies(
    repeats: Sequence[Repeat], classes: Sequence[str]
) -> tuple[list[str], np.ndarray] | None:
    """Return the studies that have both, and the AUC within each [n], averaged over repeats.

    None where no class is a control or no study has both.
    """
    controls = controls_of(classes)
    if not controls or not repeats[0].studies:
        return None
    areas = [measures.ratio(disease_auc_sums(each, controls, each.study)) for each in repeats]
    known = np.isfinite(areas).any(axis=0)
    if not known.any():
        return None
    names = [repeats[0].studies[number] for number in np.flatnonzero(known)]
    return names, np.nanmean(np.array(areas)[:, known], axis=0)


def disease_auc_sums(repeat: Repeat, controls: Sequence[int], part: np.ndarray) -> np.ndarray:
    """Return the sums of n AUC and of n over the folds of each part, [n_parts, 2].

    `part` codes [n] are the fold or study of each sample. A fold in which a part lacks cases or
    controls has no AUC and adds nothing; neither do samples of no part (-1).
    """
    disease = ~np.isin(repeat.truth, controls)
    likely = 1 - repeat.probabilities[:, controls].astype(np.float64).sum(axis=1)
    sums = np.zeros((int(part.max()) + 1, 2))
    for number in range(len(sums)):
        for one in np.unique(repeat.fold[part == number]):
            rows = (part == number) & (repeat.fold == one)
            area = measures.auc(likely[rows], disease[rows])
            if np.isfinite(area):
                sums[number] += rows.sum() * area, rows.sum()
    return sums
