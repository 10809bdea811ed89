"""The comparisons step: is one model better than another, on the same units, or was nothing shown?

Two families: the primary score of each task and protocol, declared before any model runs, is
corrected by Holm; all other scores of units by Benjamini-Hochberg, metric by metric.
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
from bulkformer.evaluate.comparison_arms import Arm, Chooser, Opponent, exposures
from bulkformer.evaluate.comparison_sentences import sentence, verdict
from bulkformer.evaluate.paired_tests import PairedTest, PairTester, benjamini_hochberg, holm
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import load_task
from bulkformer.evaluate.units import FOLD, read_units
from bulkformer.files import write_table

if TYPE_CHECKING:
    import numpy as np
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
PLACE = ["dataset", "regime", "condition", "metric", "unit_kind"]
ORDER = ["task", "protocol", *PLACE, "role", "model", "head"]


@dataclass(frozen=True)
class Pairing:
    """One model against one opponent in one place: {dataset, regime, condition, metric, unit_kind}.

    `pairs` float [n, 2]: the scores of both on the units that both have.
    """

    place: Mapping[str, str | None]
    arm: Arm
    opponent: Opponent
    pairs: np.ndarray
    n_units: tuple[int, int]
    test: PairedTest
    primary: bool


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
    rows = []
    for (task, protocol), scores, arms in _by_task(units):
        chooser = Chooser.of(load_task(task), protocol, table, kind_of, named.get(task))
        for family in families(pair_up(scores, arms, chooser, tester)):
            for pairing, p_adjusted, correction in family:
                about = {"task": task, "protocol": protocol}
                rows.append(
                    about
                    | _row(pairing, p_adjusted, correction, len(family), about, seen)
                    | {"n_boot": bootstrap, "seed": seed}
                )
    found = pa.Table.from_pylist(rows, schema=COMPARISONS)
    write_table(output, found.sort_by([(name, "ascending") for name in ORDER]))


def pair_up(
    scores: pd.DataFrame, arms: Mapping[int, Arm], chooser: Chooser, tester: PairTester
) -> Iterator[Pairing]:
    """Pair every arm with its opponents, place by place, on the units that both have.

    `scores` are rows of units.parquet of one task and protocol, with a key of `arms` as `arm`.
    """
    primary = chooser.task.paired.get(chooser.protocol)
    # Regimes that rank no model are no part of the primary family.
    ranked = chooser.task.ranked.get(chooser.protocol)
    for key, own in scores.groupby(PLACE, dropna=False, observed=True, sort=True):
        place = {
            name: value if isinstance(value, str) else None
            for name, value in zip(PLACE, key, strict=True)
        }
        if place["unit_kind"] != FOLD:  # repeats of a unit are no further units
            own = own.groupby(["unit", "arm"], observed=True, as_index=False)["value"].mean()
            own["repeat"] = 0
        wide = own.pivot(index=["repeat", "unit"], columns="arm", values="value").sort_index()
        wide.columns = [arms[code] for code in wide]
        for opponent in chooser.opponents(place["dataset"], place["regime"]):
            if opponent.arm not in wide:
                continue
            for arm in sorted(wide, key=str):
                if arm.model == opponent.arm.model and arm.head == opponent.arm.head:
                    continue
                both = wide[[arm, opponent.arm]].dropna()
                pairs = both.to_numpy()
                differences = pairs[:, 0] - pairs[:, 1]
                yield Pairing(
                    place=place,
                    arm=arm,
                    opponent=opponent,
                    pairs=pairs,
                    n_units=(int(wide[arm].count()), int(wide[opponent.arm].count())),
                    test=tester.over_folds(differences, both.index.get_level_values("repeat"))
                    if place["unit_kind"] == FOLD
                    else tester.over_units(differences),
                    primary=place["metric"] == primary and ranked in (None, place["regime"]),
                )


def families(
    pairings: Iterator[Pairing],
) -> Iterator[list[tuple[Pairing, float | None, str]]]:
    """Yield families with adjusted p: all of one role by the primary score, or by another metric.

    A comparison of too few units has no p and does not count in its family.
    """
    members: dict[tuple[str, str], list[Pairing]] = {}
    for pairing in pairings:
        name = "" if pairing.primary else pairing.place["metric"]
        members.setdefault((pairing.opponent.role, name), []).append(pairing)
    for (_, name), family in members.items():
        correction, adjust = ("benjamini_hochberg", benjamini_hochberg) if name else ("holm", holm)
        decided = [pairing for pairing in family if pairing.test.p is not None]
        adjusted = iter(adjust([pairing.test.p for pairing in decided]))
        yield [
            (pairing, None if pairing.test.p is None else float(next(adjusted)), correction)
            for pairing in family
        ]


def _row(
    pairing: Pairing,
    p_adjusted: float | None,
    correction: str,
    n_family: int,
    about: Mapping[str, str],
    seen: Mapping[tuple[Any, ...], str],
) -> dict[str, Any]:
    arm, other, test = pairing.arm, pairing.opponent, pairing.test
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
        "correction": correction if p_adjusted is not None else None,
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
            correction,
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


def _by_task(
    paths: Sequence[Path],
) -> Iterator[tuple[tuple[str, str], pd.DataFrame, dict[int, Arm]]]:
    """Yield the scores of one task and protocol after the other, and the arms behind the codes."""
    by_task: dict[tuple[str, str], list[pa.Table]] = {}
    for path in paths:
        table = read_units(path)
        if table.num_rows:
            task, protocol = table["task"][0].as_py(), table["protocol"][0].as_py()
            by_task.setdefault((task, protocol), []).append(table)
    for key in sorted(by_task):
        scores = pa.concat_tables(by_task.pop(key)).unify_dictionaries().to_pandas()
        scores["repeat"] = scores["repeat"].fillna(0).astype(int)
        by_arm = scores.groupby(["model", "head"], dropna=False, observed=True)
        scores["arm"] = by_arm.ngroup()
        names = scores.drop_duplicates("arm").set_index("arm")[["model", "head"]]
        arms = {
            code: Arm(model, head if isinstance(head, str) else None)
            for code, model, head in names.itertuples(name=None)
        }
        yield key, scores, arms


if __name__ == "__main__":
    command(comparisons)
