"""Readings: what two intervals of the metrics table allow to say about a model.

A reading compares only where two intervals lie; it makes no number and is no test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bulkformer.report.cells import is_missing, spoken
from bulkformer.report.figures import Estimate
from bulkformer.report.views import Comparison, Measure

VERDICTS = {
    "above": "above",
    "below": "below",
    "overlap": "overlapping",
    "unknown": "not comparable",
}


@dataclass(frozen=True)
class Reading:
    """Where an interval lies (above, below, overlap or unknown), by which measure, against what."""

    verdict: str
    text: str
    basis: str = ""
    protocol: str = ""
    role: str = ""
    other: str = ""


def readings(
    comparison: Comparison, subject: str | None, kinds: Mapping[str, str], untrained: Sequence[str]
) -> list[Reading]:
    """Return the sentences about `subject`: against floor, best simple model and no training."""
    if subject is None:
        return [Reading("unknown", "No foundation model was run on this dataset.")]
    legacy, strict = comparison.legacy, comparison.strict[0]
    against = [
        (legacy, comparison.higher_floor(legacy), "the floor"),
        (strict, comparison.higher_floor(strict), "the floor"),
        (strict, comparison.best_simple(strict, kinds, subject), "the best simple model"),
        *(
            (m, model, "its untrained architecture")
            for model in untrained
            for m in (legacy, strict)
        ),
    ]
    return [
        reading(comparison, measure, subject, other, role)
        for measure, other, role in against
        if other
    ]


def reading(
    comparison: Comparison, measure: Measure, subject: str, other: str, role: str
) -> Reading:
    """Say how the interval of `subject` lies to that of `other`."""
    verdict = compare(*comparison.estimates(subject, other, measure))
    words = VERDICTS[verdict]
    head = f", {measure.head}" if len(comparison.strict) > 1 and measure.head else ""
    basis = f"{measure.protocol} {measure.name}{head}"
    return Reading(verdict, f"{words} {other}, {role}", basis, measure.protocol, role, other)


def compare(one: Estimate | None, other: Estimate | None) -> str:
    """Return where the interval of `one` lies: above, below, overlap; unknown if one has none."""
    if one is None or other is None:
        return "unknown"
    if any(is_missing(end) for end in (one.low, one.high, other.low, other.high)):
        return "unknown"
    if one.low > other.high:
        return "above"
    return "below" if one.high < other.low else "overlap"


def at_another_mask(comparison: Comparison, subject: str) -> Reading:
    """Say in one line how `subject` stands to the floor under a condition beside the headline."""
    legacy, strict = (
        reading(comparison, measure, subject, comparison.higher_floor(measure), "the floor")
        for measure in (comparison.legacy, comparison.strict[0])
    )
    return Reading(
        strict.verdict,
        f"with {spoken(comparison.condition)}: {VERDICTS[strict.verdict]} {strict.other}",
        f"{strict.basis}; {legacy.basis}: {VERDICTS[legacy.verdict]} {legacy.other}",
    )


def untrained_models(comparison: Comparison, models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the models with random weights, in the order of the models table."""
    random = set(comparison.rows.loc[comparison.rows["weights"] == "random", "model"])
    return [model for model in models if model in random]
