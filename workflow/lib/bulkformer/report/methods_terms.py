"""The parts of the methods section, and how settings are written in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bulkformer.report.cells import MISSING, is_missing, label, plural

Terms = Sequence[tuple[str, str]]


# What each control is, in the words of a reader who asks how it was made.
CONTROLS: Terms = [
    (
        "permuted labels",
        "the labels of samples are exchanged within their study, or among all samples where "
        "studies have one label each; training and test rows alike, since otherwise a study rich "
        "in one class would still be told. What a classifier then scores is what the design gives",
    ),
    (
        "permuted outcomes",
        "survival is exchanged among patients of one cancer, changes among training profiles, "
        "effects among training lines; lines exchange their expression in drug response",
    ),
    (
        "untrained weights",
        "the same network with random weights: what pooling and the head do without pretraining",
    ),
    ("shuffled genes", "the trained network, fed with one fixed permutation of the genes"),
    ("library size", "log library size and detected genes only: what depth alone tells"),
    (
        "probabilities of a support vector machine",
        "the softmax of its decision values times one number, chosen on inner test rows by log "
        "loss; one number cannot change which class is told",
    ),
]


@dataclass(frozen=True)
class Block:
    """A heading with a paragraph and named settings below it."""

    heading: str
    text: str = ""
    terms: Terms = ()


def corpus_groups(config: Mapping[str, Any]) -> str:
    """Return what is never split in the corpus: studies, or groups that share study or patient."""
    columns = config.get("expression", {}).get("corpus", {}).get("group_by") or []
    kinds = [column.removesuffix("_id") for column in columns]
    if len(kinds) == 1:
        return plural(label(kinds[0]))
    return f"groups that share {' or '.join(label(kind) for kind in kinds)}" if kinds else "groups"


def shown(value: Any) -> str:
    """Write a setting, or a dash if the configuration has none."""
    return MISSING if is_missing(value) else str(value)


def words(values: Sequence[str] | None) -> str:
    """Write a list of names."""
    return ", ".join(label(value) for value in values) if values else "none"


def as_list(share: float | Sequence[float] | None) -> Sequence[float | None]:
    """Return a share, or the two ends of a range of shares, as a list."""
    return share if isinstance(share, list | tuple) else [share]


def percents(shares: Sequence[float | None] | None) -> str:
    """Write shares as percentages."""
    known = [share for share in shares or [] if not is_missing(share)]
    return ", ".join(f"{100 * share:g}" for share in known) + " %" if known else MISSING
