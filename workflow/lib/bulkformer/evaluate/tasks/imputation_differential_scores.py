"""Recovery of differential expression: which calls survive when values are hidden and imputed.

A gene is recovered if it is called on measured counts and on completed ones, with the same sign: a
gene that goes the other way leads to the opposite conclusion. Only genes that had hidden values
count; the others are found whatever a model does.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate import measures
from bulkformer.evaluate.task import Score, Scoring, Task

NAME = pa.dictionary(pa.int32(), pa.string())
# One row a gene and condition: y are log2 fold changes, padj NaN where DESeq2 filtered a gene.
PREDICTIONS = pa.schema(
    [
        ("task", NAME),
        ("dataset", NAME),
        ("protocol", NAME),
        ("regime", NAME),
        ("condition", NAME),
        ("model", NAME),
        ("fold", pa.int32()),
        ("seed", pa.int64()),
        ("repeat", pa.int32()),
        ("target_id", NAME),
        ("group", NAME),
        ("y_true", pa.float64()),
        ("y_pred", pa.float64()),
        ("padj_true", pa.float64()),
        ("padj_pred", pa.float64()),
        ("hidden_share", pa.float32()),
    ]
)
CALLED_TRUE, CALLED_PRED, RECOVERED = 0, 1, 2


def score(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[Score]:
    """Score each condition; intervals resample genes."""
    table = predictions.read().unify_dictionaries().to_pandas()
    keys = ["dataset", "regime", "condition"]
    for (dataset, regime, condition), rows in table.groupby(keys, observed=True, sort=True):
        sums = gene_sums(
            *(
                rows[name].to_numpy(dtype=np.float64)
                for name in ("y_true", "y_pred", "padj_true", "padj_pred")
            ),
            fdr=scoring.settings["fdr"],
        )
        resampled = scoring.bootstrap.over_groups([sums])
        for metric, statistic in {
            "f1": f1,
            "precision": lambda sums: ratio(sums[..., RECOVERED], sums[..., CALLED_PRED]),
            "recall": lambda sums: ratio(sums[..., RECOVERED], sums[..., CALLED_TRUE]),
            "log2_fold_change_pearson": lambda sums: measures.pearson(sums[..., 3:9]),
            "log2_fold_change_spearman": lambda sums: measures.pearson(sums[..., 9:15]),
            "genes_called": lambda sums: sums[..., CALLED_PRED],
            "genes_called_on_measured_counts": lambda sums: sums[..., CALLED_TRUE],
        }.items():
            yield Score(
                dataset=str(dataset),
                regime=str(regime),
                condition=str(condition),
                metric=metric,
                aggregation="pooled",
                estimate=resampled.estimate(statistic),
                n=len(rows),
                n_groups=len(rows),
                ci_unit="gene",
                gene_coverage=float(np.isfinite(rows["y_pred"]).mean()),
            )


def gene_sums(
    fold_change: np.ndarray,
    found: np.ndarray,
    padj: np.ndarray,
    found_padj: np.ndarray,
    fdr: float,
) -> np.ndarray:
    """Return, per gene [n, 3 + 6 + 6]: calls on measured and completed counts and whether both
    agree; moments of log2 fold changes and of their ranks, 0 where either is not defined."""
    with np.errstate(invalid="ignore"):
        called, called_now = padj < fdr, found_padj < fdr
    recovered = called & called_now & (np.sign(fold_change) == np.sign(found))
    known = np.flatnonzero(np.isfinite(fold_change) & np.isfinite(found))
    sums = np.zeros((len(fold_change), 15))
    sums[:, :3] = np.column_stack([called, called_now, recovered])
    if len(known):
        pairs = [fold_change[known], found[known]]
        # One shift for both keeps the sums small and changes no correlation.
        shifted = [values - values.mean() for values in pairs]
        ranked = [(ranks := measures.ranks(values)) - ranks.mean() for values in pairs]
        sums[:, 3:9] = measures.moments(*shifted, known, len(sums))
        sums[:, 9:15] = measures.moments(*ranked, known, len(sums))
    return sums


def f1(sums: np.ndarray) -> np.ndarray:
    """Return the harmonic mean of precision and recall; 0 if nothing is recovered."""
    return ratio(2 * sums[..., RECOVERED], sums[..., CALLED_TRUE] + sums[..., CALLED_PRED])


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, NaN where there is nothing to share."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


TASK = Task(
    name="imputation_differential",
    unit="sample",
    target="gene",
    # The paper has no such benchmark; what is shown under either protocol is the strict one.
    primary={"legacy": ("f1", "pooled"), "strict": ("f1", "pooled")},
    predictions=PREDICTIONS,
    heads=lambda protocol, settings: (),
    score=score,
)
