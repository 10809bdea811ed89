"""How correlations spread over genes: their quartiles, and their means by expression and variance.

A mean over genes hides that strongly expressed genes are told well and silent ones not at all, and
that a gene which hardly varies has little to be told.
"""

import json

import numpy as np
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.evaluate.statistics import LEVEL, MIN_GROUPS, Bootstrap, Estimate

SPREADS = b"training_spread"  # in the schema metadata: JSON {gene: standard deviation in training}
EXPRESSION_DECILE, VARIANCE_DECILE = "expression_decile", "variance_decile"
QUARTILES = {"lower_quartile_over_groups": 0.25, "upper_quartile_over_groups": 0.75}


def read_spreads(predictions: pq.ParquetFile) -> dict[str, float]:
    """Return {gene: standard deviation in training}, which the metadata of predictions names."""
    metadata = predictions.schema_arrow.metadata or {}
    if SPREADS not in metadata:
        raise InputError("the predictions do not say how genes vary in training; make them again")
    return json.loads(metadata[SPREADS])


def quartiles(values: np.ndarray, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """Return {aggregation: estimate} of both quartiles of values [n], NaN left out.

    A quartile is the smallest value that at least a quarter (three quarters) do not exceed.
    """
    values = np.sort(values[~np.isnan(values)])
    n = len(values)
    if n == 0:
        return {name: Estimate(None) for name in QUARTILES}
    observed = {
        name: float(values[int(np.ceil(share * n)) - 1]) for name, share in QUARTILES.items()
    }
    if n < MIN_GROUPS or bootstrap.n_boot == 0:
        return {name: Estimate(value) for name, value in observed.items()}
    drawn = {name: np.empty(bootstrap.n_boot) for name in QUARTILES}
    for number, times in enumerate(bootstrap.draws(n)):
        reached = np.cumsum(times)
        for name, share in QUARTILES.items():
            drawn[name][number] = values[reached.searchsorted(share * n)]
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return {
        name: Estimate(value, *np.quantile(drawn[name], ends).tolist())
        for name, value in observed.items()
    }


def deciles(values: np.ndarray, level: np.ndarray) -> dict[str, np.ndarray]:
    """Return {decile: values} of genes by their level in training, from "01", the lowest, to "10".

    Genes without a value are left out before the deciles are cut, equal levels in gene order.
    """
    defined = ~np.isnan(values)
    ordered = values[defined][np.argsort(level[defined], kind="stable")]
    parts = np.array_split(ordered, 10)
    return {f"{number:02d}": part for number, part in enumerate(parts, start=1) if len(part)}
