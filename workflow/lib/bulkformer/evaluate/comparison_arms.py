"""Which two models are compared: every one with one named reference, and with the null.

The reference is a simple model, chosen by a rule that never looks at a foundation model: the one
with the highest primary metric on the same splits, unless the configuration names it. Being chosen
for its score there favours the reference, not the model that has to beat it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bulkformer.errors import InputError
from bulkformer.evaluate.task import Task

if TYPE_CHECKING:
    import pandas as pd

SIMPLE_KINDS = ("baseline", "classical")
REFERENCE, NULL = "reference", "null"


@dataclass(frozen=True)
class Arm:
    """A model with one head, None in tasks without heads."""

    model: str
    head: str | None

    def __str__(self) -> str:
        return self.model if self.head is None else f"{self.model} with {self.head}"


@dataclass(frozen=True)
class Opponent:
    """What others are compared with, in which role, and by which rule it was chosen."""

    role: str
    arm: Arm
    rule: str


@dataclass(frozen=True)
class Chooser:
    """Chooses opponents in one task and protocol.

    Attributes
    ----------
    ranking : {(dataset, regime): {arm: mean of the primary metric over conditions}}
    kinds : {model: kind}
    named : the reference that the configuration names, or None for the rule
    """

    task: Task
    protocol: str
    ranking: Mapping[tuple[str, str], Mapping[Arm, float]]
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
                f"{' or '.join(SIMPLE_KINDS)} in the models table; name a simple one, or null"
            )
        metric, aggregation = task.primary[protocol]
        rows = metrics[
            (metrics["task"] == task.name)
            & (metrics["protocol"] == protocol)
            & (metrics["metric"] == metric)
            & (metrics["aggregation"] == aggregation)
            & metrics[["group", "fold", "repeat"]].isna().all(axis=1)
        ].dropna(subset=["value"])
        ranking: dict[tuple[str, str], dict[Arm, float]] = {}
        by_arm = rows.groupby(["dataset", "regime", "model", "head"], dropna=False)["value"].mean()
        for (dataset, regime, model, head), value in by_arm.items():
            arm = Arm(model, head if isinstance(head, str) else None)
            ranking.setdefault((dataset, regime), {})[arm] = float(value)
        return cls(task, protocol, ranking, kinds, named)

    def opponents(self, dataset: str, regime: str) -> list[Opponent]:
        """Return the reference and the null of a dataset and regime, each if there is one."""
        arms = self.ranking.get((dataset, regime), {})
        metric = " ".join(self.task.primary[self.protocol]).replace("_", " ")
        simple = {
            arm: value
            for arm, value in arms.items()
            if arm.model == (self.named or arm.model)
            and arm.model != self.task.null
            and self.kinds.get(arm.model) in SIMPLE_KINDS
        }
        nulls = {arm: value for arm, value in arms.items() if arm.model == self.task.null}
        how = f"highest {metric} on these splits"
        rules = {
            REFERENCE: (
                simple,
                f"named in the configuration; its head by {how}"
                if self.named
                else f"simple model of {how}, which favours it",
            ),
            NULL: (nulls, "declared for the task: knows nothing of a unit"),
        }
        return [
            Opponent(role, max(found, key=lambda arm: (found[arm], _last(arm))), rule)
            for role, (found, rule) in rules.items()
            if found
        ]


def _last(arm: Arm) -> tuple[int, ...]:
    """Order arms of equal value so that the alphabetically first one is the maximum."""
    return tuple(-ord(letter) for letter in str(arm))


def exposures(metrics: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """Return {(task, protocol, dataset, regime, model): exposure} as the metrics table says."""
    place = ["task", "protocol", "dataset", "regime", "model"]
    rows = metrics.drop_duplicates(place)
    return dict(zip(rows[place].itertuples(index=False, name=None), rows["exposure"], strict=True))
