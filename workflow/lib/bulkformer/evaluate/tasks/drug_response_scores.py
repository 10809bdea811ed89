"""Drug response: what its predictions hold, and how they become scores.

Scores of a drug are means over its screens: two screens of one drug are no two answers to whether a
model would do as well on another drug. All drugs are asked of the same lines and share their luck,
so only where drugs are held out are they the units of intervals and comparisons; elsewhere these
are patients and folds. Lines are compared within a fold, as `response_measures` says.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate import measures, response_measures
from bulkformer.evaluate.records import equals
from bulkformer.evaluate.response_pairs import PAIRS, SEEN_DRUGS, UNSEEN_DRUGS
from bulkformer.evaluate.statistics import Bootstrap, Estimate, interval
from bulkformer.evaluate.task import PROTOCOLS, Score, Scoring, Task
from bulkformer.evaluate.tasks.drug_response_repeats import (
    NDCG_DRUGS,
    PER_DRUG,
    Repeat,
    summarise,
)
from bulkformer.evaluate.units import FOLD, UnitScores

NAME = pa.dictionary(pa.int32(), pa.string())
# One row a tested pair, measure, head and repeat. `train_mean` is the mean of the screen over the
# training pairs of the fold, or that of all screens for a drug that training did not meet;
# `additive` adds the mean deviation of the line, 0 for a line that training did not meet.
# `tuning_trials` are the settings that the head chose among in inner folds.
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
        ("tuning_trials", pa.int32()),
    ]
)
BLOCK = ["dataset", "regime", "measure", "head"]


def score(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[Score]:
    """Score each regime, measure and head over all repeats, and each repeat of several."""
    for key, drugs, repeats in _blocks(predictions):
        about = _about(key)
        yield from _scores(list(repeats.values()), drugs, scoring, about, None)
        if len(repeats) > 1:
            for number, repeat in repeats.items():
                yield from _scores([repeat], drugs, scoring, about, number)


def units(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[UnitScores]:
    """Yield the mean correlation of drugs in every fold, or of each drug where drugs are held out.

    Drugs of which none was held out are told by the same lines, and a vector that was lucky with
    these is lucky with all drugs: compared drug by drug, one random vector would beat another.
    """
    for key, drugs, repeats in _blocks(predictions):
        about = _about(key)
        for metric in PER_DRUG:
            if key["regime"] in UNSEEN_DRUGS:
                found = np.stack([repeat.by_drug[metric] for repeat in repeats.values()])
                value = measures.mean_of_defined(found, axis=0)
                yield UnitScores(**about, metric=metric, unit_kind="drug", unit=drugs, value=value)
                continue
            for number, repeat in repeats.items():
                value = repeat.by_fold[metric]
                folds = [str(fold) for fold in range(len(value))]
                yield UnitScores(
                    **about,
                    metric=metric,
                    unit_kind=FOLD,
                    unit=folds,
                    value=value,
                    repeat=number,
                )


def _about(key: Mapping[str, str]) -> dict[str, str]:
    """Return what names a block in the tables: the measure is a condition there."""
    return {
        "dataset": key["dataset"],
        "regime": key["regime"],
        "condition": key["measure"],
        "head": key["head"],
    }


@lru_cache(maxsize=1)  # scores and scores of units come from the same sums
def _blocks(
    predictions: pq.ParquetFile,
) -> list[tuple[dict[str, str], list[str], dict[int, Repeat]]]:
    """Return of each block what names it, its drugs, and its repeats."""
    table = predictions.read().unify_dictionaries()
    keys = table.select(BLOCK).group_by(BLOCK).aggregate([]).to_pylist()
    blocks = []
    for key in sorted(keys, key=lambda row: tuple(row.values())):
        chosen = np.logical_and.reduce([equals(table, name, value) for name, value in key.items()])
        rows = table.filter(pa.array(chosen))
        drugs, lines, groups = (
            sorted(rows[name].unique().to_pylist()) for name in ("drug_id", "sample_id", "group")
        )
        of_repeat = rows["repeat"].to_numpy()
        repeats = {
            int(number): summarise(rows.filter(pa.array(of_repeat == number)), drugs, lines, groups)
            for number in np.unique(of_repeat)
        }
        blocks.append((key, drugs, repeats))
    return blocks


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
        found = np.stack([each.by_drug[metric] for each in repeats])
        values = measures.mean_of_defined(found, axis=0)
        n_drugs = int(np.isfinite(values).sum())
        mean, median = bootstrap.mean_over_units(values), bootstrap.median_over_units(values)
        over_drugs = metric
        if metric == PER_DRUG[0] and repeats[0].by_group is not None:
            over_drugs = f"{metric}_over_drugs"
            drawn = _on_other_lines(repeats, bootstrap, len(drugs))
            n_patients = len(repeats[0].by_group)
            kind = scoring.group_kinds[about["dataset"], about["regime"]]
            for name, value, middle in (
                ("mean_over_groups", mean.value, np.nanmean),
                ("median_over_groups", median.value, np.nanmedian),
            ):
                estimate = Estimate(value)
                if drawn is not None and value is not None:
                    estimate = interval(value, middle(drawn, axis=1))
                yield row(metric, name, estimate, n_patients, ci_unit=kind)
        yield row(over_drugs, "mean_over_groups", mean, n_drugs)
        yield row(over_drugs, "median_over_groups", median, n_drugs)
        if metric == PER_DRUG[0]:
            dropped = len(values) - n_drugs
            yield row("drugs_without_correlation", "pooled", Estimate(dropped), len(values))
            if number is None:
                for name, value in zip(drugs, values, strict=True):
                    if np.isfinite(value):
                        estimate = Estimate(float(value))
                        more = {"group_kind": "drug", "group": name}
                        yield row(metric, "pooled", estimate, 1, **more)
    for metric in repeats[0].sums:
        pooled = bootstrap.over_groups([each.sums[metric] for each in repeats])
        yield row(metric, "pooled", pooled.estimate(measures.pearson), len(drugs))
    errors = bootstrap.over_groups([each.errors for each in repeats])
    skill = errors.estimate(lambda sums: measures.mse_skill(sums[..., 0], sums[..., 1]))
    yield row("mse_skill", "pooled", skill, len(drugs))
    ndcg = measures.mean_of_defined(np.stack([each.ndcg for each in repeats]), axis=0)
    metric = f"per_line_ndcg_{NDCG_DRUGS}"
    if number is None:
        yield row("tuning_trials", "fold_mean", Estimate(float(repeats[0].trials)), len(drugs))
    estimate, n_lines = bootstrap.mean_over_units(ndcg), int(np.isfinite(ndcg).sum())
    yield row(metric, "mean_over_groups", estimate, n_lines, ci_unit="cell_line")


def _on_other_lines(
    repeats: Sequence[Repeat], bootstrap: Bootstrap, n_drugs: int
) -> np.ndarray | None:
    """Return r of drugs over repeats in each draw of patients [n_boot, n_drugs]; None if few."""
    found = []
    for each in repeats:  # one after the other: the sums of all draws are large
        drawn = bootstrap.over_groups([each.by_group]).drawn
        if not drawn:
            return None
        r = measures.pearson_over_folds(drawn[0], response_measures.MIN_LINES)
        of_drug = response_measures.mean_within(r, each.drug_of_target, n_drugs)
        # Lines without spread were drawn: leaving the drug out would move the interval away.
        found.append(np.where(np.isnan(of_drug), each.by_drug[PER_DRUG[0]], of_drug))
    return measures.mean_of_defined(np.stack(found), axis=0)


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
    # Drugs share the lines that are tested, and so all chance of which these are: folds decide.
    paired_units=dict.fromkeys([*PAIRS, *SEEN_DRUGS], (FOLD,)),
    headline={
        "legacy": {"regime": ["random_pairs"], "condition": ["ln_ic50", "auc"]},
        "strict": {"regime": ["held_out_lines"], "condition": ["ln_ic50", "auc"]},
    },
    null="drug_mean",
    null_knows=dict.fromkeys(PROTOCOLS, "knows the mean of each drug and nothing of the line"),
)
