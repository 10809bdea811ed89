"""Which two models are compared: every one with a named simple one, and with the null.

What a vector is worth shows only under the same head: the reference has the head of the model that
meets it. Beside that, the best head of each model meets the best simple model with whatever head.
Both are simple models, chosen by a rule that never looks at a foundation model: the highest primary
metric on the same test splits, unless the configuration names one. Being chosen for its score there
favours the simple model, not the one that has to beat it.

Some heads are fitted to a part of the targets only: the most selective genes, the drugs with most
lines. A score of those is no score of all, so only arms that were scored on the same meet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bulkformer.errors import InputError
from bulkformer.evaluate.task import Task

if TYPE_CHECKING:
    import pandas as pd

COVERAGE_DIGITS = 9  # a share is a mean over repeats, whose last digits are no genes
SIMPLE_KINDS = ("baseline", "classical")
REFERENCE, BEST_OF_EACH, NULL = "reference", "best_of_each", "null"
NAMED = "named in the configuration"  # how a rule begins that is no rule

ScoredOn = tuple[int, float | None]  # number of values or targets, share of the task's targets


@dataclass(frozen=True)
class Arm:
    """A model with one head, None in tasks without heads."""

    model: str
    head: str | None

    def __str__(self) -> str:
        # A baseline with one head of its own bears the name of it.
        return self.model if self.head in (None, self.model) else f"{self.model} with {self.head}"


@dataclass(frozen=True)
class Opponent:
    """What others are compared with, in which role, and by which rule it was chosen.

    `knows` is what the null knows nevertheless, "" for other roles: the end of "name, which ...".
    """

    role: str
    arm: Arm
    rule: str
    knows: str = ""


@dataclass(frozen=True)
class Chooser:
    """Chooses opponents in one task and protocol.

    Attributes
    ----------
    ranking : {(dataset, regime): {arm: mean of the primary metric over conditions}}
    scored_on : {(dataset, regime, condition): {arm: what its primary metric was measured on}}
    kinds : {model: kind}
    named : the reference that the configuration names, or None for the rule
    """

    task: Task
    protocol: str
    ranking: Mapping[tuple[str, str], Mapping[Arm, float]]
    scored_on: Mapping[tuple[str | None, ...], Mapping[Arm, ScoredOn]]
    kinds: Mapping[str, str]
    named: str | None

    @classmethod
    def of(
        cls,
        task: Task,
        protocol: str,
        metrics: pd.DataFrame,
        kinds: Mapping[str, str],
        named: str | None,
    ) -> Chooser:
        """Rank arms by rows of the metrics table that are about all of the data."""
        if named is not None and kinds.get(named) not in SIMPLE_KINDS:
            raise InputError(
                f"evaluate.comparisons.references, {task.name}: '{named}' is no model of kind "
                f"{' or '.join(SIMPLE_KINDS)} in the models table; name a simple one, or "
                "remove the entry"
            )
        metric, aggregation = task.primary[protocol]
        rows = metrics[
            (metrics["task"] == task.name)
            & (metrics["protocol"] == protocol)
            & (metrics["metric"] == metric)
            & (metrics["aggregation"] == aggregation)
            & metrics[["group", "fold", "repeat"]].isna().all(axis=1)
        ]
        scored_on: dict[tuple[str | None, ...], dict[Arm, ScoredOn]] = {}
        for row in rows.to_dict("records"):
            place = row["dataset"], row["regime"], _name(row["condition"])
            arm = Arm(row["model"], _name(row["head"]))
            scored_on.setdefault(place, {})[arm] = scored_on_of(row)
        rows = rows.dropna(subset=["value"])
        ranking: dict[tuple[str, str], dict[Arm, float]] = {}
        by_arm = rows.groupby(["dataset", "regime", "model", "head"], dropna=False)["value"].mean()
        for (dataset, regime, model, head), value in by_arm.items():
            ranking.setdefault((dataset, regime), {})[Arm(model, _name(head))] = float(value)
        return cls(task, protocol, ranking, scored_on, kinds, named)

    def opponents(
        self, dataset: str, regime: str, condition: str | None, arm: Arm
    ) -> list[Opponent]:
        """Return whom `arm` meets in a dataset, regime and condition: in each role one at the most.

        Nobody meets itself, or an arm that was scored on other targets; without a simple model of
        the same head there is no reference.
        """
        scored_on = self.scored_on.get((dataset, regime, condition), {})
        everyone = self.ranking.get((dataset, regime), {})
        arms = {
            other: value
            for other, value in everyone.items()
            if arm in scored_on and scored_on.get(other) == scored_on[arm]
        }
        simple = {
            other: value
            for other, value in arms.items()
            if other.model == (self.named or other.model)
            and other.model != self.task.null
            and self.kinds.get(other.model) in SIMPLE_KINDS
        }
        same_head = {other: value for other, value in simple.items() if other.head == arm.head}
        own = {other: value for other, value in arms.items() if other.model == arm.model}
        nulls = {other: value for other, value in arms.items() if other.model == self.task.null}
        metric = " ".join(self.task.primary[self.protocol]).replace("_", " ")
        chosen = f"highest {metric} on these test splits, which favours it"
        which = NAMED if self.named else f"simple model of {chosen}"
        if len(arms) < len(everyone):
            which += "; of those scored on the same targets"
        knows = self.task.null_knows.get(self.protocol, "knows nothing of a unit")
        found = []
        if same_head:
            rule = which if arm.head is None else f"{which}; both with the same head"
            found.append(Opponent(REFERENCE, _best(same_head), rule))
        if simple and arm.head is not None and own and arm == _best(own):
            rule = f"{which}; each with the head of highest {metric} there"
            found.append(Opponent(BEST_OF_EACH, _best(simple), rule))
        if nulls:
            rule = f"declared for the task: {knows}"
            found.append(Opponent(NULL, _best(nulls), rule, knows))
        return [each for each in found if each.arm.model != arm.model]


def scored_on_of(row: Mapping[str, Any]) -> ScoredOn:
    """Return on how much a row of the metrics table was measured; alike for the same targets."""
    coverage = row["gene_coverage"]
    unknown = coverage is None or math.isnan(coverage)
    return int(row["n"]), None if unknown else round(coverage, COVERAGE_DIGITS)


def _name(value: Any) -> str | None:
    """Return a name of the metrics table, None where it has none."""
    return value if isinstance(value, str) else None


def _best(arms: Mapping[Arm, float]) -> Arm:
    """Return the arm of the highest value, the alphabetically first one of equals."""
    return max(arms, key=lambda arm: (arms[arm], _last(arm)))


def _last(arm: Arm) -> tuple[int, ...]:
    """Order arms of equal value so that the alphabetically first one is the maximum."""
    return tuple(-ord(letter) for letter in str(arm))


def exposures(metrics: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """Return {(task, protocol, dataset, regime, model): exposure} as the metrics table says."""
    place = ["task", "protocol", "dataset", "regime", "model"]
    rows = metrics.drop_duplicates(place)
    return dict(zip(rows[place].itertuples(index=False, name=None), rows["exposure"], strict=True))
