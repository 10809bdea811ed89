"""Groups of samples that belong together, and their division into the parts of the corpus.

Samples of one study or patient resemble each other more than any model should get credit for; a
test is strict only if nothing of a test sample's group was learned from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.expression.components import connected_components

TRAIN, VALIDATION = "train", "validation"
HELD_OUT_GROUPS, HELD_OUT_SAMPLES = "held_out_groups", "held_out_samples"
VALIDATION_SAMPLES = "validation_samples"


@dataclass(frozen=True)
class Fractions:
    """How large the parts of the corpus should be, as shares of samples.

    Attributes
    ----------
    validation, held_out_groups : of all samples, in whole groups
    held_out_samples : of the samples that are in neither of the two
    validation_samples : of the samples that are left then; 0 for none
    """

    validation: float
    held_out_groups: float
    held_out_samples: float
    validation_samples: float = 0.0


def sample_groups(
    samples: pd.DataFrame, group_by: list[str], ties: Iterable[tuple[str, str]] = ()
) -> list[str]:
    """Return the group of each sample: the component of samples that share any value.

    Parameters
    ----------
    samples : `sample_id` and the columns `group_by`; a cell may hold several values separated by
        commas, and null or nothing means that the sample shares no value
    ties : pairs of sample ids that belong together whatever they share

    Rows of one sample_id are in one group. A group bears the alphabetically first of its
    "column:value" keys, whatever the order of the samples; a sample without any value is
    "sample_id:..." and a group of its own.
    """
    keys: dict[str, list[str]] = {sample_id: [] for sample_id in samples["sample_id"]}
    for column in group_by:
        for sample_id, cell in zip(samples["sample_id"], samples[column], strict=True):
            if not pd.isna(cell):
                values = [value.strip() for value in str(cell).split(",")]
                keys[sample_id] += [f"{column}:{value}" for value in values if value]
    for each, own in keys.items():
        if not own:
            own.append(f"sample_id:{each}")
    tied = [[keys[one][0], keys[other][0]] for one, other in ties]
    named = connected_components([*keys.values(), *tied])
    group = dict(zip(keys, named, strict=False))
    return [group[sample_id] for sample_id in samples["sample_id"]]


def split_groups(
    sample_ids: pd.Series,
    groups: pd.Series,
    fractions: Fractions,
    seed: int,
    with_copies: Collection[str] = (),
) -> pd.Series:
    """Return the part of each sample: train, or one of the four that are not learned from.

    `validation` and `held_out_groups` consist of whole groups, as close to their shares as whole
    groups allow; `held_out_samples` and `validation_samples` are random samples of the remaining
    groups, each of which keeps at least one sample in `train`. Samples `with_copies` are not taken
    that way, because a copy would stay in training. The result depends on the seed and on which
    samples are in which group, not on their order. Raises InputError if there are too few groups.
    """
    if len(groups) == 0 or groups.nunique() < 3:
        raise InputError(
            f"the corpus has {groups.nunique()} groups, and training, validation and held-out "
            "groups need one each; add cohorts, or group by a finer column in "
            "expression.corpus.group_by"
        )
    rng = np.random.default_rng(seed)
    sizes = groups.value_counts().sort_index()
    order = list(rng.permutation(sizes.index.to_numpy(dtype=object)))
    # Each part leaves a group for every part that comes after it.
    validation = _take(order, sizes, fractions.validation * len(groups), leave=2)
    rest = [group for group in order if group not in validation]
    held_out = _take(rest, sizes, fractions.held_out_groups * len(groups), leave=1)

    split = pd.Series(TRAIN, index=groups.index, dtype=object)
    split[groups.isin(validation)] = VALIDATION
    split[groups.isin(held_out)] = HELD_OUT_GROUPS
    single = (split == TRAIN) & ~sample_ids.isin(with_copies)
    held_out = _siblings(sample_ids, groups, single, fractions.held_out_samples, rng)
    split[held_out] = HELD_OUT_SAMPLES
    if fractions.validation_samples:
        # Drawn last: whether there are any moves no other sample.
        single &= split == TRAIN
        watched = _siblings(sample_ids, groups, single, fractions.validation_samples, rng)
        split[watched] = VALIDATION_SAMPLES
    return split


def _take(order: list[str], sizes: pd.Series, target: float, leave: int) -> set[str]:
    """Take groups in `order` that fit into `target` samples, at least one; at least `leave` stay.

    One more, the smallest, is taken if that comes closer to the target.
    """
    taken: set[str] = set()
    total = 0
    for group in order:
        if len(taken) < len(order) - leave and total + sizes[group] <= target:
            taken.add(group)
            total += sizes[group]
    rest = [group for group in order if group not in taken]
    if len(rest) > leave:
        smallest = min(rest, key=lambda group: sizes[group])
        if not taken or abs(total + sizes[smallest] - target) < abs(total - target):
            taken.add(smallest)
    return taken


def _siblings(
    sample_ids: pd.Series,
    groups: pd.Series,
    remaining: pd.Series,
    fraction: float,
    rng: np.random.Generator,
) -> list[int]:
    """Return labels of random samples of the `remaining`, never the last one of a group."""
    shuffled = sample_ids[remaining].sort_values().index.to_numpy()
    shuffled = rng.permutation(shuffled)
    has_sibling = groups.loc[shuffled].duplicated().to_numpy()
    if not has_sibling.any():
        raise InputError(
            "no two training samples share a group, so none can be held out while a sibling stays "
            "in training; name in expression.corpus.group_by a column that ties samples, such as "
            "study_id"
        )
    n = max(1, round(fraction * len(shuffled)))
    return list(shuffled[has_sibling][:n])
