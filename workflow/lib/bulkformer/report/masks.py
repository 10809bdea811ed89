"""How the numbers change with the share of hidden genes: curves over the random masks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bulkformer.report.cells import is_missing
from bulkformer.report.figures import Estimate
from bulkformer.report.views import Comparison, Measure, estimate_of, overall

RANDOM_MASK = re.compile(r"random ([0-9.]+)%")


def hidden_percent(condition: Any) -> float | None:
    """Return the percent of genes that a random mask hides, None for any other condition."""
    share = RANDOM_MASK.fullmatch(str(condition))
    return float(share[1]) if share else None


def is_training_mask(condition: Any, mask_fraction: float | Sequence[float] | None) -> bool:
    """Return whether a condition hides a share of genes that pretraining hid.

    Parameters
    ----------
    mask_fraction : share hidden in pretraining, between 0 and 1, or the lowest and the highest
        where it was drawn for each sample; None where it is not known
    """
    percent = hidden_percent(condition)
    if percent is None or mask_fraction is None:
        return False
    ends = [mask_fraction] if isinstance(mask_fraction, int | float) else mask_fraction
    return 100 * min(ends) - 1e-6 < percent < 100 * max(ends) + 1e-6


def mask_curves(
    metrics: pd.DataFrame, comparison: Comparison, measure: Measure
) -> dict[str, list[tuple[float, Estimate]]]:
    """Return {model: (percent of genes hidden, estimate), ascending} over all random masks."""
    rows = overall(metrics[metrics["task"] == comparison.task])
    rows = rows[
        (rows["dataset"] == comparison.dataset)
        & (rows["protocol"] == measure.protocol)
        & (rows["regime"] == comparison.regimes.get(measure.protocol))
        & (rows["metric"] == measure.metric)
        & (rows["aggregation"] == measure.aggregation)
    ]
    curves: dict[str, list[tuple[float, Estimate]]] = {}
    for row in rows.to_dict("records"):
        percent = hidden_percent(row["condition"])
        if percent is not None and not is_missing(row["value"]):
            curves.setdefault(row["model"], []).append((percent, estimate_of(row)))
    return {model: sorted(points, key=lambda point: point[0]) for model, points in curves.items()}
