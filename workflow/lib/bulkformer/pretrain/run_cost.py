"""What a run cost: hours by device, samples, operations and speed, from the tables that it kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

COLUMNS = (
    "step", "start", "seconds", "samples_per_second", "memory_gb", "mfu", "processes", "batch_size",
    "device",
)  # fmt: skip
MACHINE = ["device", "processes", "batch_size"]


def run_cost(
    cost: pd.DataFrame, training: Mapping[str, Any], flops_per_sample: float
) -> dict[str, Any] | None:
    """Return the cost of a run, ready for JSON; None for one that was not trained here.

    Parameters
    ----------
    cost : one row each time the state was saved, with COLUMNS; `seconds` counts from the start of
        the run, over all its restarts
    training : provenance.json of the run
    flops_per_sample : operations of forward and backward pass

    `machines` has one entry for each device, number of processes and batch size, in the order in
    which they took part; speeds are medians over their rows. `device_hours` counts every process.
    `starts` counts the starts of the run after which anything was saved: 1 if it was never resumed.
    Work that a kill undid is not counted.
    """
    if cost.empty:
        return None
    cost = cost.sort_values("step", kind="stable", ignore_index=True)
    spent = cost.assign(
        spent=cost["seconds"].diff().fillna(cost["seconds"]),
        steps=cost["step"].diff().fillna(cost["step"]),
    )
    machines = [
        {
            "device": str(device),
            "processes": int(processes),
            "batch_size": int(batch_size),
            "steps": int(part["steps"].sum()),
            "hours": float(part["spent"].sum() / 3600),
            "device_hours": float(part["spent"].sum() / 3600 * processes),
            "samples_per_second": float(part["samples_per_second"].median()),
            "memory_gb": float(part["memory_gb"].max()),
            "mfu": _median(part["mfu"]),
        }
        for (device, processes, batch_size), part in spent.groupby(MACHINE, sort=False)
    ]
    settings = training.get("training") or {}
    samples = None
    if settings.get("epochs") and training.get("training_samples"):
        samples = settings["epochs"] * training["training_samples"]
    return {
        "starts": int(cost["start"].nunique()),
        "hours": float(cost["seconds"].max() / 3600),
        "device_hours": sum(machine["device_hours"] for machine in machines),
        "samples": samples,
        "flops_per_sample": flops_per_sample,
        "flops": None if samples is None else samples * flops_per_sample,
        "machines": machines,
    }


def _median(values: pd.Series) -> float | None:
    known = values.dropna()
    return float(known.median()) if len(known) else None
