"""Recovery of differential expression: which calls survive when values are hidden and imputed.

A gene is recovered if it is called on measured counts and on completed ones, with the same sign: a
gene that goes the other way leads to the opposite conclusion. Only genes that had hidden values
count; the others are found whatever a model does.

Models are compared gene by gene: is the conclusion on this gene the same as on measured counts? The
genes are a random draw of those with enough reads, and stand for the others. F1 has no value of a
single gene, and repeats of a mask would only say how much the mask matters. Nothing here speaks for
other contrasts or other samples, and genes vary together: intervals over genes are narrow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.evaluate import measures
from bulkformer.evaluate.task import PROTOCOLS, Score, Scoring, Task
from bulkformer.evaluate.units import UnitScores

if TYPE_CHECKING:
    import pandas as pd

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
CALLED_TRUE, CALLED_PRED, RECOVERED, UNCHANGED = 0, 1, 2, 15


def score(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[Score]:
    """Score each condition; intervals resample genes."""
    for (dataset, regime, condition), rows, sums in _by_condition(predictions, scoring):
        resampled = scoring.bootstrap.over_groups([sums])
        for metric, statistic in {
            "f1": f1,
            "precision": lambda sums: ratio(sums[..., RECOVERED], sums[..., CALLED_PRED]),
            "recall": lambda sums: ratio(sums[..., RECOVERED], sums[..., CALLED_TRUE]),
            "call_agreement": lambda sums: ratio(sums[..., UNCHANGED], sums[..., -1]),
            "log2_fold_change_pearson": lambda sums: measures.pearson(sums[..., 3:9]),
            "log2_fold_change_spearman": lambda sums: measures.pearson(sums[..., 9:15]),
            "genes_called": lambda sums: sums[..., CALLED_PRED],
            "genes_called_on_measured_counts": lambda sums: sums[..., CALLED_TRUE],
        }.items():
            yield Score(
                dataset=dataset,
                regime=regime,
                condition=condition,
                metric=metric,
                aggregation="pooled",
                estimate=resampled.estimate(statistic),
                n=len(rows),
                n_groups=len(rows),
                ci_unit="gene",
                gene_coverage=float(np.isfinite(rows["y_pred"]).mean()),
            )


def units(predictions: pq.ParquetFile, scoring: Scoring) -> Iterator[UnitScores]:
    """Score each gene: 1 if the conclusion on it is that on measured counts, else 0.

    All genes for `call_agreement`; for `recall` those that are called on measured counts.
    """
    for (dataset, regime, condition), rows, sums in _by_condition(predictions, scoring):
        for metric, part, column in (
            ("call_agreement", np.ones(len(rows), dtype=bool), UNCHANGED),
            ("recall", sums[:, CALLED_TRUE] > 0, RECOVERED),
        ):
            yield UnitScores(
                dataset=dataset,
                regime=regime,
                condition=condition,
                metric=metric,
                unit_kind="gene",
                unit=rows["target_id"].astype(str).to_numpy()[part],
                value=sums[part, column],
            )


def _by_condition(
    predictions: pq.ParquetFile, scoring: Scoring
) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame, np.ndarray]]:
    """Yield (dataset, regime, condition), its genes and their sums."""
    table = predictions.read().unify_dictionaries().to_pandas()
    keys = ["dataset", "regime", "condition"]
    for key, rows in table.groupby(keys, observed=True, sort=True):
        values = (
            rows[name].to_numpy(dtype=np.float64)
            for name in ("y_true", "y_pred", "padj_true", "padj_pred")
        )
        yield tuple(map(str, key)), rows, gene_sums(*values, fdr=scoring.settings["fdr"])


def gene_sums(
    fold_change: np.ndarray,
    found: np.ndarray,
    padj: np.ndarray,
    found_padj: np.ndarray,
    fdr: float,
) -> np.ndarray:
    """Return, per gene [n, 3 + 6 + 6 + 2]: calls on measured and completed counts and whether both
    are made, with one sign; moments of log2 fold changes and of their ranks, 0 where either is not
    defined; whether the conclusion is unchanged, called alike or by neither; and 1.
    """
    with np.errstate(invalid="ignore"):
        called, called_now = padj < fdr, found_padj < fdr
    recovered = called & called_now & (np.sign(fold_change) == np.sign(found))
    known = np.flatnonzero(np.isfinite(fold_change) & np.isfinite(found))
    sums = np.zeros((len(fold_change), 17))
    sums[:, :3] = np.column_stack([called, called_now, recovered])
    sums[:, UNCHANGED] = recovered | ~(called | called_now)
    sums[:, -1] = 1
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
    units=units,
    paired={"legacy": "call_agreement", "strict": "call_agreement"},
    headline={name: {"condition": ["random 15%"]} for name in PROTOCOLS},
    null="gene_mean",
    null_knows=dict.fromkeys(PROTOCOLS, "knows the mean of each gene and nothing of the sample"),
)
