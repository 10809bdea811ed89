"""Disease annotation: how well disease is told from control, within folds and within studies.

Scores of two folds are never ranked together: each fold has a head of its own, and one that knows
nothing is the less certain of disease the more of it its fold took from training.
"""

from collections.abc import Sequence

import numpy as np

from bulkformer.evaluate import measures
from bulkformer.evaluate.tasks.disease_annotation_repeats import Repeat

CONTROL_LABELS = frozenset({"control", "healthy", "normal"})


def controls_of(classes: Sequence[str]) -> list[int]:
    """Return the codes of the classes that are no disease."""
    return [code for code, name in enumerate(classes) if name.lower() in CONTROL_LABELS]


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
