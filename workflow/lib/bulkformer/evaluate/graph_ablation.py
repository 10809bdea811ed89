"""The graph ablation: does it matter to imputation over which graph the network convolves?

The same network was trained anew on each graph, several times. Two networks that differ in nothing
but their seed differ as well: a graph counts as better only if the difference over held-out groups
is shown and its worst repeat lies beyond the other's best.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.comparison_sentences import (
    BETTER,
    NO_DIFFERENCE,
    TOO_FEW,
    WORSE,
    plural,
    signed,
    small,
    verdict,
)
from bulkformer.evaluate.graph_ablation_runs import check_alike
from bulkformer.evaluate.paired_tests import PairTester, holm
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import load_task
from bulkformer.evaluate.units import read_units
from bulkformer.files import write_table

if TYPE_CHECKING:
    import pandas as pd

ABLATION = pa.schema(
    [
        *((name, pa.string()) for name in ("protocol", "dataset", "regime", "condition")),
        *((name, pa.string()) for name in ("metric", "unit_kind", "graph", "reference")),
        ("n_repeats", pa.int32()),
        ("n_units", pa.int64()),
        *((name, pa.float64()) for name in ("value", "least_repeat", "greatest_repeat")),
        *((name, pa.float64()) for name in ("mean_difference", "low", "high", "win_rate")),
        *((name, pa.float64()) for name in ("p_wilcoxon", "p_sign_flip", "p_adjusted")),
        ("repeats_agree", pa.bool_()),
        *((name, pa.string()) for name in ("verdict", "exposure", "sentence")),
    ]
)
PLACE = ["dataset", "regime", "condition"]
DECIDED = (BETTER, WORSE)


def graph_ablation(
    graph: Annotated[list[str], Option(help="Graph of each run; the first is the reference.")],
    units: Annotated[list[Path], Option(help="units.parquet of each run, same order.")],
    metrics: Annotated[list[Path], Option(help="metrics.parquet of each run, same order.")],
    provenance: Annotated[list[Path], Option(help="provenance.json of each run, same order.")],
    protocol: Annotated[str, Option()],
    bootstrap: Annotated[int, Option(help="Resamples behind every interval.")],
    sign_flips: Annotated[int, Option(help="Random sign patterns behind every permutation test.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
) -> None:
    """Compare the imputation skill of networks that were trained on different graphs."""
    metric = load_task("imputation").paired[protocol]
    if not len(graph) == len(units) == len(metrics) == len(provenance):
        raise InputError("--graph, --units, --metrics and --provenance: give as many of each")
    check_alike(graph, provenance)
    scores = _read_scores(graph, units, metric)
    seen = _read_exposure(graph, metrics)
    tester = PairTester(Bootstrap(bootstrap, seed), sign_flips)
    arms = []
    for key, own in scores.groupby([*PLACE, "unit_kind"], dropna=False, sort=True):
        place = {
            name: value if isinstance(value, str) else None
            for name, value in zip([*PLACE, "unit_kind"], key, strict=True)
        }
        runs = own.pivot(index="unit", columns=["graph", "repeat"], values="value").dropna()
        arms += [Arm(place, name, runs[name], runs[graph[0]], tester) for name in unique(graph)]
    others = [arm for arm in arms if arm.graph != graph[0] and arm.test.p is not None]
    adjusted = dict(zip(map(id, others), holm([arm.test.p for arm in others]), strict=True))
    rows = []
    for arm in arms:
        about = arm.row(metric, graph[0], adjusted.get(id(arm)))
        where = arm.graph, arm.place["dataset"], arm.place["regime"]
        rows.append(about | {"protocol": protocol, "exposure": seen.get(where)})
    write_table(output, pa.Table.from_pylist(rows, schema=ABLATION))


class Arm:
    """One graph in one place: the mean over its repeats, unit by unit, beside the reference."""

    def __init__(
        self,
        place: dict[str, str | None],
        graph: str,
        runs: pd.DataFrame,
        reference: pd.DataFrame,
        tester: PairTester,
    ) -> None:
        """Test `runs` [units, repeats] against those of the reference on the same units."""
        self.place, self.graph = place, graph
        self.n_repeats = runs.shape[1]
        self.by_repeat = runs.mean(axis=0)
        self.test = tester.over_units((runs.mean(axis=1) - reference.mean(axis=1)).to_numpy())
        least, greatest = self.by_repeat.min(), self.by_repeat.max()
        others = reference.mean(axis=0)
        self.repeats_agree = bool(least > others.max() or greatest < others.min())

    def row(self, metric: str, reference: str, p_adjusted: float | None) -> dict[str, Any]:
        """Return what the table says of this graph; the reference has no difference to itself."""
        test, is_reference = self.test, self.graph == reference
        said = None if is_reference else verdict(test, p_adjusted)
        if said in DECIDED and not self.repeats_agree:
            said = NO_DIFFERENCE
        return {
            **self.place,
            "metric": metric,
            "graph": self.graph,
            "reference": reference,
            "n_repeats": self.n_repeats,
            "n_units": test.n_units,
            "value": float(self.by_repeat.mean()),
            "least_repeat": float(self.by_repeat.min()),
            "greatest_repeat": float(self.by_repeat.max()),
            **({} if is_reference else self._difference()),
            "p_adjusted": p_adjusted,
            "verdict": said,
            "sentence": None if is_reference else self._sentence(metric, reference, p_adjusted),
        }

    def _difference(self) -> dict[str, Any]:
        test = self.test
        return {
            "mean_difference": test.mean.value,
            "low": test.mean.low,
            "high": test.mean.high,
            "win_rate": test.win_rate,
            "p_wilcoxon": test.p_wilcoxon,
            "p_sign_flip": test.p_sign_flip,
            "repeats_agree": self.repeats_agree,
        }

    def _sentence(self, metric: str, reference: str, p_adjusted: float | None) -> str:
        test, measured = self.test, metric.replace("_", " ")
        units = f"{test.n_units} {plural(self.place['unit_kind'] or 'unit', test.n_units)}"
        size = f"mean difference {signed(test.mean.value)}"
        if test.mean.low is not None:
            size += f" [{signed(test.mean.low)}, {signed(test.mean.high)}]"
        said = verdict(test, p_adjusted)
        names = f"graph '{self.graph}' and graph '{reference}'"
        if said == TOO_FEW:
            return f"Too few to decide between {names}: {measured} on {units}, {size}."
        basis = f"{size} over {units} (Holm-adjusted p {small(p_adjusted)})"
        if said in DECIDED and self.repeats_agree:
            return f"Graph '{self.graph}' is {said} than '{reference}' by {measured}: {basis}."
        why = "; networks of one graph differ as much among themselves" if said in DECIDED else ""
        return f"No difference shown between {names} by {measured}: {basis}{why}."


def unique(names: list[str]) -> list[str]:
    """Return names in their order, each once."""
    return list(dict.fromkeys(names))


def _read_scores(graph: list[str], units: list[Path], metric: str) -> pd.DataFrame:
    """Return the scores of all runs by the primary metric, with columns graph and repeat."""
    import pandas as pd

    parts, repeats = [], dict.fromkeys(graph, 0)
    for name, path in zip(graph, units, strict=True):
        table = read_units(path).to_pandas()
        own = table[table["metric"] == metric]
        if own.empty:
            raise InputError(f"{path}: no scores by {metric}; run the metrics step again")
        parts.append(own.astype(dict.fromkeys([*PLACE, "unit_kind", "unit"], object)))
        parts[-1] = parts[-1].assign(graph=name, repeat=repeats[name])
        repeats[name] += 1
    return pd.concat(parts, ignore_index=True)


def _read_exposure(graph: list[str], metrics: list[Path]) -> dict[tuple[str, str, str], str]:
    """Return {(graph, dataset, regime): exposure}, which is the same for all repeats."""
    import pandas as pd

    found = {}
    for name, path in zip(graph, metrics, strict=True):
        rows = pd.read_parquet(path, columns=["dataset", "regime", "exposure"]).drop_duplicates()
        for dataset, regime, exposure in rows.itertuples(index=False):
            found[name, dataset, regime] = exposure
    return found


if __name__ == "__main__":
    command(graph_ablation)
