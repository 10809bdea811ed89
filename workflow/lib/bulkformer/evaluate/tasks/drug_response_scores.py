"""Drug response: what its predictions hold, and how they become scores.

Scores of a drug are means over its screens, and intervals resample drugs: two screens of one drug
are no two answers to whether a model would do as well on another drug.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate import measures, response_measures
from bulkformer.evaluate.response_pairs import SEEN_DRUGS
from bulkformer.evaluate.statistics import Estimate
from bulkformer.evaluate.task import Score, Scoring, Task
from bulkformer.evaluate.units import UnitScores

NAME = pa.dictionary(pa.int32(), pa.string())
# One row a tested pair, measure, head and repeat. `train_mean` is the mean of the screen over the
# training pairs of the fold, or that of all screens for a drug that training did not meet;
# `additive` adds the mean deviation of the line, 0 for a line that training did not meet.
PREDICTIONS = pa.schema(
    [
        ("task", NAME),
        ("dataset", NAME),
        ("protocol", NAME),
        ("regime", NAME),
        ("model", NAME),
        ("head", NAME),
        ("measure", NAME),
        ("repeat", pa.int32()),
        ("fold", pa.int32()),
        ("seed", pa.int64()),
        ("sample_id", NAME),
        ("target_id", NAME),
        ("drug_id", NAME),
        ("group", NAME),
        ("y_true", pa.float32()),
        ("y_pred", pa.float32()),
        ("train_mean", pa.float32()),
        ("additive", pa.float32()),
    ]
)
BLOCK = ["dataset", "regime", "measure", "head"]
NDCG_DRUGS = 10


@dataclass(frozen=True)
class Repeat:
    """Scores of one repeat: by drug [n_drugs], by line [n_lines], and sums by drug or group.

    Attributes
    ----------
    by_drug : {metric: values}, NaN for a drug without a score
    ndcg : by line
    sums : {metric: moments [n_drugs, 6]} of pooled correlations
    errors : squared errors of the prediction and of the training mean, by drug [n_drugs, 2]
    by_group : where lines were held out, moments of deviations of every target in every group,
        [n_groups, n_targets, 6]
    screens : how many screens the drug of each target has [n_targets]
    n : pairs
    """

    by_drug: Mapping[str, np.ndarray]
    ndcg: np.ndarray
    sums: Mapping[str, np.ndarray]
    errors: np.ndarray
    by_group: np.ndarray | None
    screens: np.ndarray
    n: int


def score(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[Score]:
    """Score each regime, measure and head over all repeats, and each repeat of several."""
    for key, drugs, repeats in _blocks(predictions):
        about = {
            "dataset": key["dataset"],
            "regime": key["regime"],
            "condition": key["measure"],
            "head": key["head"],
        }
        yield from _scores(list(repeats.values()), drugs, scoring, about, None)
        if len(repeats) > 1:
            for number, repeat in repeats.items():
                yield from _scores([repeat], drugs, scoring, about, number)


def units(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[UnitScores]:
    """Yield the correlations of every drug over its lines, averaged over repeats."""
    for key, drugs, repeats in _blocks(predictions):
        for metric in ("per_drug_pearson", "per_drug_spearman"):
            yield UnitScores(
                dataset=key["dataset"],
                regime=key["regime"],
                condition=key["measure"],
                head=key["head"],
                metric=metric,
                unit_kind="drug",
                unit=drugs,
                value=_over_repeats([each.by_drug[metric] for each in repeats.values()]),
            )


def _blocks(
    predictions: pq.ParquetFile,
) -> Iterator[tuple[dict[str, str], list[str], dict[int, Repeat]]]:
    """Yield what names a block, its drugs, and its repeats."""
    table = predictions.read().unify_dictionaries()
    keys = table.select(BLOCK).group_by(BLOCK).aggregate([]).to_pylist()
    for key in sorted(keys, key=lambda row: tuple(row.values())):
        chosen = np.logical_and.reduce([_equals(table, name, value) for name, value in key.items()])
        rows = table.filter(pa.array(chosen))
        drugs = sorted(rows["drug_id"].unique().to_pylist())
        of_repeat = rows["repeat"].to_numpy()
        yield (
            key,
            drugs,
            {
                int(number): summarise(rows.filter(pa.array(of_repeat == number)), drugs)
                for number in np.unique(of_repeat)
            },
        )


def summarise(rows: pa.Table, drugs: Sequence[str]) -> Repeat:
    """Reduce the predictions of one repeat to scores and sums of drugs."""
    truth, told, mean, additive = (
        rows[name].to_numpy().astype(np.float64)
        for name in ("y_true", "y_pred", "train_mean", "additive")
    )
    target, targets = _codes(rows, "target_id")
    line, lines = _codes(rows, "sample_id")
    drug, own_drugs = _codes(rows, "drug_id")
    code_of_drug = {name: code for code, name in enumerate(drugs)}
    drug = np.array([code_of_drug[name] for name in own_drugs])[drug]
    drug_of_target = np.zeros(len(targets), dtype=np.int64)
    drug_of_target[target] = drug
    fold = rows["fold"].to_numpy().astype(np.int64)
    t, p = response_measures.deviations(truth, told, mean, target * (fold.max() + 1) + fold)
    n_targets, n_lines, n_drugs = len(targets), len(lines), len(drugs)

    by_group = None
    if rows["regime"][0].as_py() in SEEN_DRUGS:
        group, groups = _codes(rows, "group")
        cells = measures.moments(t, p, group * n_targets + target, len(groups) * n_targets)
        by_group = cells.reshape(len(groups), n_targets, 6)
    by_target = {
        "per_drug_pearson": response_measures.pearson_by_target(t, p, target, n_targets),
        "per_drug_spearman": response_measures.spearman_by_target(t, p, target, n_targets),
        "per_drug_raw_pearson": response_measures.pearson_by_target(truth, told, target, n_targets),
        "per_drug_rmse": response_measures.rmse_by_target(truth, told, target, n_targets),
    }
    of_line = additive - mean
    # Within a fold too: what training says of a line falls where the held-out part of it is high.
    part = line * (fold.max() + 1) + fold
    largest = max(float(np.abs(values).max()) for values in (truth, told, mean))
    centred = [response_measures.without_mean(values, part, largest) for values in (t, p)]
    compared = {
        "pearson": (truth - truth.mean(), told - truth.mean()),
        "spearman": tuple(measures.ranks(values) - len(truth) / 2 for values in (truth, told)),
        "interaction_pearson": (t - of_line, p - of_line),
        "line_centred_pearson": tuple(centred),
    }
    return Repeat(
        by_drug={
            metric: response_measures.mean_within(values, drug_of_target, n_drugs)
            for metric, values in by_target.items()
        },
        ndcg=response_measures.ndcg_by_line(t, p, line, n_lines, NDCG_DRUGS),
        sums={metric: measures.moments(*pair, drug, n_drugs) for metric, pair in compared.items()},
        errors=np.column_stack(
            [
                np.bincount(drug, weights=error**2, minlength=n_drugs)
                for error in (told - truth, mean - truth)
            ]
        ),
        by_group=by_group,
        screens=np.bincount(drug_of_target)[drug_of_target],
        n=len(truth),
    )


def _scores(
    repeats: Sequence[Repeat],
    drugs: Sequence[str],
    scoring: Scoring,
    about: Mapping[str, Any],
    number: int | None,
) -> Iterator[Score]:
    """Score repeats together: drugs are averaged over repeats, pooled values too."""
    bootstrap = scoring.bootstrap

    def row(metric: str, aggregation: str, estimate: Estimate, n_groups: int, **more: Any) -> Score:
        shared = {"n": repeats[0].n, "ci_unit": "drug", "repeat": number} | about | more
        return Score(
            metric=metric,
            aggregation=aggregation,
            estimate=estimate,
            n_groups=n_groups,
            n_seeds=len(repeats),
            **shared,
        )

    for metric in repeats[0].by_drug:
        values = _over_repeats([each.by_drug[metric] for each in repeats])
        n_drugs = int(np.isfinite(values).sum())
        mean, median = bootstrap.mean_over_units(values), bootstrap.median_over_units(values)
        yield row(metric, "mean_over_groups", mean, n_drugs)
        yield row(metric, "median_over_groups", median, n_drugs)
        if metric == "per_drug_pearson":
            dropped = len(values) - n_drugs
            yield row("drugs_without_correlation", "pooled", Estimate(dropped), len(values))
            if number is None:
                for name, value in zip(drugs, values, strict=True):
                    if np.isfinite(value):
                        estimate = Estimate(float(value))
                        more = {"group_kind": "drug", "group": name}
                        yield row(metric, "pooled", estimate, 1, **more)
    if repeats[0].by_group is not None:
        # The same value; its interval says what other lines, and not other drugs, would change.
        resampled = bootstrap.over_groups([each.by_group for each in repeats])
        estimate = resampled.estimate(_mean_over_drugs(repeats[0].screens))
        kind = scoring.group_kinds[about["dataset"], about["regime"]]
        more = {"ci_unit": kind}
        metric = "per_drug_pearson_on_other_lines"
        yield row(metric, "mean_over_groups", estimate, resampled.n_groups, **more)
    for metric in repeats[0].sums:
        pooled = bootstrap.over_groups([each.sums[metric] for each in repeats])
        yield row(metric, "pooled", pooled.estimate(measures.pearson), len(drugs))
    errors = bootstrap.over_groups([each.errors for each in repeats])
    skill = errors.estimate(lambda sums: measures.mse_skill(sums[..., 0], sums[..., 1]))
    yield row("mse_skill", "pooled", skill, len(drugs))
    ndcg = _over_repeats([each.ndcg for each in repeats])
    metric = f"per_line_ndcg_{NDCG_DRUGS}"
    estimate, n_lines = bootstrap.mean_over_units(ndcg), int(np.isfinite(ndcg).sum())
    yield row(metric, "mean_over_groups", estimate, n_lines, ci_unit="cell_line")


def _mean_over_drugs(screens: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the mean r over drugs of moments [..., t, 6]; each screen is a share of its drug."""

    def mean(sums: np.ndarray) -> np.ndarray:
        values = measures.pearson(sums)
        defined = np.isfinite(values)
        total = (np.where(defined, values, 0) / screens).sum(axis=-1)
        return total / (defined / screens).sum(axis=-1)

    return mean


def _over_repeats(values: Sequence[np.ndarray]) -> np.ndarray:
    """Average over the repeats in which a unit has a score; NaN if in none."""
    stacked = np.stack(values)
    defined = np.isfinite(stacked)
    with np.errstate(invalid="ignore"):
        return np.where(defined, stacked, 0).sum(axis=0) / defined.sum(axis=0)


def _codes(table: pa.Table, name: str) -> tuple[np.ndarray, list[str]]:
    """Return codes [n] by sorted name, and the names."""
    column = table[name].combine_chunks()
    names = column.dictionary.to_pylist()
    used = np.unique(column.indices.to_numpy())
    order = sorted(used.tolist(), key=lambda code: names[code])
    code = np.zeros(len(names), dtype=np.int64)
    code[order] = np.arange(len(order))
    return code[column.indices.to_numpy()], [names[each] for each in order]


def _equals(table: pa.Table, name: str, value: str) -> np.ndarray:
    column = table[name].combine_chunks()
    return column.indices.to_numpy() == column.dictionary.to_pylist().index(value)


def heads(protocol: str, settings: Mapping[str, Any]) -> Sequence[str]:
    """Return the heads that a protocol fits on the vectors of every model."""
    return ("mlp",) if protocol == "legacy" else tuple(settings["strict"]["heads"])


TASK = Task(
    name="drug_response",
    unit="pair",
    target="drug",
    primary={
        "legacy": ("pearson", "pooled"),
        "strict": ("per_drug_pearson", "mean_over_groups"),
    },
    predictions=PREDICTIONS,
    heads=heads,
    score=score,
    units=units,
    paired={"legacy": "per_drug_pearson", "strict": "per_drug_pearson"},
    null="drug_mean",
)
