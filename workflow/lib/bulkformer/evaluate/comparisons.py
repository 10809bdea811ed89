"""The comparisons step: is one model better than another, on the same units, or was nothing shown?

The primary family was declared before any model runs and is small: the headline of a dataset, that
is one score, regime, condition and kind of units, and foundation models only. Holm corrects it, all
other comparisons are corrected by Benjamini-Hochberg, metric by metric.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.comparison_arms import Chooser, exposures
from bulkformer.evaluate.comparison_pairs import PLACE, Pairing, pair_up, tests_of
from bulkformer.evaluate.comparison_sentences import sentence, verdict
from bulkformer.evaluate.paired_tests import PairedTest, PairTester, benjamini_hochberg, holm
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import load_task
from bulkformer.evaluate.units import read_units
from bulkformer.files import write_table

if TYPE_CHECKING:
    import pandas as pd

COMPARISONS = pa.schema(
    [
        *((name, pa.string()) for name in ("task", "protocol", "dataset", "regime", "condition")),
        *((name, pa.string()) for name in ("metric", "unit_kind", "role")),
        *((name, pa.string()) for name in ("model", "head", "opponent", "opponent_head")),
        ("opponent_rule", pa.string()),
        ("primary", pa.bool_()),
        ("n_units", pa.int64()),
        ("n_units_model", pa.int64()),
        ("n_units_opponent", pa.int64()),
        *((name, pa.float64()) for name in ("value_model", "value_opponent")),
        *((name, pa.float64()) for name in ("mean_difference", "mean_low", "mean_high")),
        *((name, pa.float64()) for name in ("median_difference", "median_low", "median_high")),
        ("win_rate", pa.float64()),
        # Of a score with units of two kinds p_wilcoxon is the larger p, see comparison_pairs.
        *((name, pa.float64()) for name in ("p_wilcoxon", "p_sign_flip", "p_corrected_t")),
        ("decided_by", pa.string()),
        ("correction", pa.string()),
        ("n_family", pa.int64()),
        ("p_adjusted", pa.float64()),
        ("verdict", pa.string()),
        *((name, pa.string()) for name in ("exposure", "opponent_exposure", "sentence")),
        ("n_boot", pa.int32()),
        ("seed", pa.int64()),
    ]
)
ORDER = ["task", "protocol", *PLACE, "role", "model", "head"]


def comparisons(
    metrics: Annotated[Path, Option(help="The long table of all metrics.")],
    units: Annotated[list[Path], Option(help="units.parquet of each task, protocol and model.")],
    kinds: Annotated[str, Option(help="JSON {model: kind}, as in the models table.")],
    bootstrap: Annotated[int, Option(help="Resamples behind every interval.")],
    sign_flips: Annotated[int, Option(help="Random sign patterns behind every permutation test.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
    reference: Annotated[
        list[str] | None, Option(help="task=model: its reference; other tasks follow the rule.")
    ] = None,
) -> None:
    """Compare every model with the best simple one and with the null, unit by unit."""
    table, seen = _read_metrics(metrics)
    kind_of, named = json.loads(kinds), dict(each.split("=", 1) for each in reference or [])
    tester = PairTester(Bootstrap(bootstrap, seed), sign_flips)
    drawn = {"n_boot": bootstrap, "seed": seed}
    rows = []
    for (task, protocol), scores in _by_task(units):
        chooser = Chooser.of(load_task(task), protocol, table, kind_of, named.get(task))
        pairings = list(pair_up(scores, chooser))
        about = {"task": task, "protocol": protocol}
        for family in families(pairings, tests_of(pairings, tester)):
            counted = sum(each.p_adjusted is not None for each in family)
            rows += [about | _row(each, counted, about, seen) | drawn for each in family]
    found = pa.Table.from_pylist(rows, schema=COMPARISONS)
    write_table(output, found.sort_by([(name, "ascending") for name in ORDER]))


@dataclass(frozen=True)
class Finding:
    """A pairing and its test; `p_adjusted` is None if units were too few to count in a family."""

    pairing: Pairing
    test: PairedTest
    p_adjusted: float | None
    correction: str


def families(pairings: Sequence[Pairing], tests: Sequence[PairedTest]) -> Iterator[list[Finding]]:
    """Yield families of a role with adjusted p: the headline of a dataset, or all else by a metric.

    A comparison of too few units has no p and does not count in its family.
    """
    members: dict[tuple[bool, str, str | None], list[tuple[Pairing, PairedTest]]] = {}
    for pairing, test in zip(pairings, tests, strict=True):
        name = pairing.place["dataset" if pairing.primary else "metric"]
        key = pairing.primary, pairing.opponent.role, name
        members.setdefault(key, []).append((pairing, test))
    for (primary, *_), family in members.items():
        correction, adjust = (
            ("holm", holm) if primary else ("benjamini_hochberg", benjamini_hochberg)
        )
        adjusted = iter(adjust([test.p for _, test in family if test.p is not None]).tolist())
        yield [
            Finding(pairing, test, None if test.p is None else next(adjusted), correction)
            for pairing, test in family
        ]


def _row(
    finding: Finding,
    n_family: int,
    about: Mapping[str, str],
    seen: Mapping[tuple[Any, ...], str],
) -> dict[str, Any]:
    pairing, test, p_adjusted = finding.pairing, finding.test, finding.p_adjusted
    arm, other = pairing.arm, pairing.opponent
    where = *about.values(), pairing.place["dataset"], pairing.place["regime"]
    states = {model: seen.get((*where, model)) for model in (arm.model, other.arm.model)}
    means = pairing.pairs.mean(axis=0).tolist() if len(pairing.pairs) else (None, None)
    return {
        **pairing.place,
        "role": other.role,
        "model": arm.model,
        "head": arm.head,
        "opponent": other.arm.model,
        "opponent_head": other.arm.head,
        "opponent_rule": other.rule,
        "primary": pairing.primary,
        "n_units": test.n_units,
        "n_units_model": pairing.n_units[0],
        "n_units_opponent": pairing.n_units[1],
        "value_model": means[0],
        "value_opponent": means[1],
        "mean_difference": test.mean.value,
        "mean_low": test.mean.low,
        "mean_high": test.mean.high,
        "median_difference": test.median.value,
        "median_low": test.median.low,
        "median_high": test.median.high,
        "win_rate": test.win_rate,
        "p_wilcoxon": test.p_wilcoxon,
        "p_sign_flip": test.p_sign_flip,
        "p_corrected_t": test.p_corrected_t,
        "decided_by": test.decided_by,
        "correction": finding.correction if p_adjusted is not None else None,
        "n_family": n_family,
        "p_adjusted": p_adjusted,
        "verdict": verdict(test, p_adjusted),
        "exposure": states[arm.model],
        "opponent_exposure": states[other.arm.model],
        "sentence": sentence(
            str(arm),
            other,
            pairing.place["metric"],
            pairing.place["unit_kind"],
            test,
            p_adjusted,
            finding.correction,
            states,
        ),
    }


def _read_metrics(path: Path) -> tuple[pd.DataFrame, dict[tuple[Any, ...], str]]:
    """Return the metrics table, and what it says of exposure."""
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable table ({error}); make it again") from error
    return table, exposures(table)


def _by_task(paths: Sequence[Path]) -> Iterator[tuple[tuple[str, str], pa.Table]]:
    """Yield the scores of one task and protocol after the other."""
    by_task: dict[tuple[str, str], list[pa.Table]] = {}
    for path in paths:
        table = read_units(path)
        if table.num_rows:
            task, protocol = table["task"][0].as_py(), table["protocol"][0].as_py()
            by_task.setdefault((task, protocol), []).append(table)
    for key in sorted(by_task):
        yield key, pa.concat_tables(by_task.pop(key)).unify_dictionaries().combine_chunks()


if __name__ == "__main__":
    command(comparisons)
