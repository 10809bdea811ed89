"""Disease annotation: how well a class is told from easy negatives, and from hard ones.

A disease of the skin is easily told from samples of blood, by the tissue alone. Whether the disease
was told shows only against samples of the same tissue. Both rows rest on the same cases, and say
what was taken as negatives.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bulkformer.evaluate import measures
from bulkformer.evaluate.statistics import MIN_GROUPS, Bootstrap, Resampled
from bulkformer.evaluate.task import Score
from bulkformer.evaluate.tasks.disease_annotation_auc import controls_of
from bulkformer.evaluate.tasks.disease_annotation_repeats import Repeat

NEGATIVES = "negatives"  # kind of group of both rows
EASY, HARD = "all other classes", "other classes of the same tissue"
MAX_GROUPS = 4000  # with more, pairs of groups would fill the memory, and no interval is given


def one_against_rest(
    repeats: Sequence[Repeat],
    classes: Sequence[str],
    bootstrap: Bootstrap,
    row: Callable[..., Score],
) -> Iterator[Score]:
    """Yield the AUC of diseases, or of classes where none is a control, as a mean over cases.

    The interval resamples groups, of cases and of negatives together. Nothing where tissues are not
    known, or all alike.
    """
    controls = controls_of(classes)
    cases = [code for code in range(len(classes)) if code not in controls]
    n_groups = 1 + max(int(each.group.max()) for each in repeats)
    if n_groups > MAX_GROUPS or any(not (each.tissue >= 0).any() for each in repeats):
        return
    found = [wins_over_negatives(each, cases, n_groups) for each in repeats]
    if any(each is None for each in found):
        return
    for negatives in (EASY, HARD):
        sums = [each[negatives] for each in found if each is not None]
        yield row(
            "one_against_rest_auc",
            "weighted",
            _resampled(sums, bootstrap).estimate(measures.ratio),
            n=round(sums[0][..., 1].sum()),
            n_groups=int((sums[0][..., 1] > 0).any(axis=1).sum()),
            group_kind=NEGATIVES,
            group=negatives,
        )


def wins_over_negatives(
    repeat: Repeat, classes: Sequence[int], n_groups: int
) -> dict[str, np.ndarray] | None:
    """Return {EASY or HARD: wins and pairs by group of case and of negative, [G, G, 2]}.

    A case wins over a negative that is given less chance of its class, and half over one that is
    given as much. All pairs of a case weigh 1 together, so that the share of wins is the mean over
    cases of their area under the curve. Scores of two folds are never compared. A case counts if
    its fold holds a negative of its tissue, in both rows; `classes` are those whose samples are
    cases. None where matching leaves no negative out: then both rows would say the same.
    """
    sums = {name: np.zeros((n_groups, n_groups, 2)) for name in (EASY, HARD)}
    differ = False
    for fold in np.unique(repeat.fold):
        for one in classes:
            inside = repeat.fold == fold
            case = inside & (repeat.truth == one) & (repeat.tissue >= 0)
            other = inside & (repeat.truth != one)
            for tissue in np.unique(repeat.tissue[case]):
                own, hard = case & (repeat.tissue == tissue), other & (repeat.tissue == tissue)
                if not hard.any():
                    continue
                differ = differ or bool((other & ~hard).any())
                for name, negative in ((EASY, other), (HARD, hard)):
                    _add(sums[name], repeat, own, negative, one)
    return sums if differ else None


def _add(
    sums: np.ndarray, repeat: Repeat, case: np.ndarray, negative: np.ndarray, one: int
) -> None:
    """Add the wins of cases over negatives to `sums` [G, G, 2], by group of both."""
    # Rounded, as the last bit of a probability is no evidence.
    score = np.round(repeat.probabilities[:, one].astype(np.float64), 6)
    above = score[case][:, None] > score[negative]
    wins = above + 0.5 * (score[case][:, None] == score[negative])
    rows, row = np.unique(repeat.group[case], return_inverse=True)
    columns, column = np.unique(repeat.group[negative], return_inverse=True)
    of_case = (row == np.arange(len(rows))[:, None]).astype(np.float64)
    of_negative = (column[:, None] == np.arange(len(columns))) / len(column)
    for part, values in enumerate((wins, np.ones_like(wins))):
        sums[np.ix_(rows, columns, [part])] += (of_case @ values @ of_negative)[..., None]


def _resampled(repeats: Sequence[np.ndarray], bootstrap: Bootstrap) -> Resampled:
    """Draw groups: a pair counts as often as the group of its case times that of its negative."""
    n_groups = len(repeats[0])
    observed = [sums.sum(axis=(0, 1)) for sums in repeats]
    if n_groups < MIN_GROUPS or bootstrap.n_boot == 0:
        return Resampled(n_groups, observed, [])
    weights = bootstrap.draws(n_groups).astype(np.float64)
    drawn = [
        np.stack([((weights @ sums[..., part]) * weights).sum(axis=1) for part in (0, 1)], axis=-1)
        for sums in repeats
    ]
    return Resampled(n_groups, observed, drawn)
