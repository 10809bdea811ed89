"""Reads what the page about the data shows: the inventory and what each stage wrote of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

INVENTORY_COLUMNS = (
    "source", "file", "version", "bytes", "sha256", "checked", "url", "retrieved", "licence",
    "licence_url", "citation",
)  # fmt: skip


@dataclass(frozen=True)
class DataInputs:
    """Everything that the page shows, in the order in which it was given.

    Attributes
    ----------
    simulated : whether the files were written by the simulator
    cohorts : {cohort: its row of the cohorts table}
    inventory : one row a file
    coverage : coverage.json of each cohort
    corpus : corpus.json
    overlap : what the search for corpus samples in each cohort found
    outcomes : the summary of each outcome table, with its name as "table"
    graphs : the summary of each gene graph, with its name as "graph"
    """

    simulated: bool
    cohorts: dict[str, dict[str, Any]]
    inventory: pd.DataFrame
    coverage: list[dict[str, Any]]
    corpus: dict[str, Any]
    overlap: list[dict[str, Any]]
    outcomes: list[dict[str, Any]]
    graphs: list[dict[str, Any]]
