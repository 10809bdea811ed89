"""Drug response: the predictions of one repeat, reduced to scores and sums of drugs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bulkformer.evaluate import measures, response_measures
from bulkformer.evaluate.response_pairs import SEEN_DRUGS

NDCG_DRUGS = 10  # of those that suit a line best
PER_DRUG = ("per_drug_pearson", "per_drug_spearman")


@dataclass(frozen=True)
class Repeat:
    """Scores of one repeat: by drug [n_drugs], by line [n_lines], and sums by drug or group.

    Attributes
    ----------
    by_drug : {metric: values}, NaN for a drug without a score
    ndcg : by line, NaN for one that was not tested in this repeat
    sums : {metric: moments [n_drugs, 6]} of pooled correlations
    errors : squared errors of the prediction and of the training mean, by drug [n_drugs, 2]
    by_fold : {metric: mean over drugs within each fold [n_folds]}
    by_group : where lines were held out, moments of centred values of every target in every group,
        [n_groups, n_folds, n_targets, 6]
    drug_of_target : codes of `drugs` int [n_targets]
    n : pairs
    trials : settings that the head chose among
    """

    by_drug: Mapping[str, np.ndarray]
    ndcg: np.ndarray
    sums: Mapping[str, np.ndarray]
    errors: np.ndarray
    by_fold: Mapping[str, np.ndarray]
    by_group: np.ndarray | None
    drug_of_target: np.ndarray
    n: int
    trials: int


def summarise(
    rows: pa.Table, drugs: Sequence[str], lines: Sequence[str], groups: Sequence[str]
) -> Repeat:
    """Reduce the predictions of one repeat to scores and sums of drugs.

    `drugs`, `lines` and `groups` are those of all repeats, sorted, so that values stand at the same
    place in each.
    """
    truth, told, mean, additive = (
        rows[name].to_numpy().astype(np.float64)
        for name in ("y_true", "y_pred", "train_mean", "additive")
    )
    target, targets = _codes(rows, "target_id")
    line, drug = _codes(rows, "sample_id", lines)[0], _codes(rows, "drug_id", drugs)[0]
    drug_of_target = np.zeros(len(targets), dtype=np.int64)
    drug_of_target[target] = drug
    fold = rows["fold"].to_numpy().astype(np.int64)
    n_targets, n_lines, n_drugs = len(targets), len(lines), len(drugs)
    n_folds = int(fold.max()) + 1
    block, part = target * n_folds + fold, line * n_folds + fold
    largest = max(float(np.abs(values).max()) for values in (truth, told, mean))
    t, p = (response_measures.without_mean(values, block, largest) for values in (truth, told))
    off_t, off_p = response_measures.deviations(truth, told, mean, block)

    by_group = None
    if rows["regime"][0].as_py() in SEEN_DRUGS:
        group, _ = _codes(rows, "group", groups)
        shape = len(groups), n_folds, n_targets
        by_group = response_measures.fold_moments(t, p, (group, fold, target), shape)
    ranked = [response_measures.ranks_by_group(values, block) for values in (t, p)]
    within = [
        response_measures.fold_moments(*pair, (fold, target), (n_folds, n_targets))
        for pair in ((t, p), ranked)
    ]
    pearson = response_measures.pearson_by_target
    by_target = {
        **{
            metric: measures.pearson_over_folds(sums, response_measures.MIN_LINES)
            for metric, sums in zip(PER_DRUG, within, strict=True)
        },
        "per_drug_pearson_deviation": pearson(off_t, off_p, target, n_targets),
        "per_drug_pearson_raw": pearson(truth, told, target, n_targets),
        "per_drug_rmse": response_measures.rmse_by_target(truth, told, target, n_targets),
    }
    ceiling = response_measures.between_screens(
        t, (line, fold, target), (n_lines, n_folds, n_targets), drug_of_target, n_drugs
    )
    of_line = additive - mean
    compared = {
        "pearson": (truth - truth.mean(), told - truth.mean()),
        "spearman": tuple(measures.ranks(values) - len(truth) / 2 for values in (truth, told)),
        "interaction_pearson": tuple(
            response_measures.interactions(values, block, part, largest) for values in (t, p)
        ),
        # No measure of interactions: what truth and prediction share of the subtracted means, and
        # of what the means miss, brings it to 0.9 where drug and line only add up.
        "pearson_less_training_means": (off_t - of_line, off_p - of_line),
    }
    return Repeat(
        by_drug={
            metric: response_measures.mean_within(values, drug_of_target, n_drugs)
            for metric, values in by_target.items()
        }
        | {"replicate_screens_pearson": ceiling},
        ndcg=response_measures.ndcg_by_line(off_t, off_p, line, n_lines, NDCG_DRUGS),
        sums={metric: measures.moments(*pair, drug, n_drugs) for metric, pair in compared.items()},
        by_fold={
            metric: response_measures.means_of_folds(sums, drug_of_target, n_drugs)
            for metric, sums in zip(PER_DRUG, within, strict=True)
        },
        errors=np.column_stack(
            [
                np.bincount(drug, weights=error**2, minlength=n_drugs)
                for error in (told - truth, mean - truth)
            ]
        ),
        by_group=by_group,
        drug_of_target=drug_of_target,
        n=len(truth),
        trials=rows["tuning_trials"][0].as_py(),
    )


def _codes(
    table: pa.Table, name: str, among: Sequence[str] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Return codes [n] by sorted name, and the names: those that occur, or sorted `among`."""
    column = table[name].combine_chunks()
    names = column.dictionary.to_pylist()
    used = np.unique(column.indices.to_numpy())
    own = sorted(names[code] for code in used) if among is None else list(among)
    place = {each: code for code, each in enumerate(own)}
    code = np.array([place.get(each, -1) for each in names], dtype=np.int64)
    return code[column.indices.to_numpy()], own
