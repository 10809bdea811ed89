"""How well hidden values are predicted: sums over hidden values, by gene and by group of samples.

Every figure comes from the same few sums, so that tables by gene, by decile and by split cannot
disagree. The floor is the mean of each gene over the training samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from bulkformer.pretrain.batches import CorpusSamples, in_order
from bulkformer.pretrain.masking import ASSESSMENT_MASKS, draw_mask, hidden_counts, hide, seeded

FEWEST_VALUES = 10  # of a gene, for a correlation
RESAMPLES = 1000  # of groups, for an interval
FEWEST_GROUPS = 5  # for an interval: resampling fewer gives one that is too narrow
DECILES = 10
OPPOSED = -0.3  # a correlation below it is no accident over a hundred samples
SURE = 3.0  # deviations of a correlation by chance: over fewer samples it must lie further out
FEWEST_GENES = 10  # for the median correlation of a tenth of genes
HISTOGRAM = np.linspace(-1, 1, 41)


@dataclass
class HiddenSums:
    """Sums over the hidden values of each gene, and over all genes by group of samples.

    Attributes
    ----------
    n : float64 [n_genes], hidden values
    truth, predicted, truth_2, predicted_2, product : float64 [n_genes], sums, squares and products
        of deviations from the training mean of the gene, so that no digits are lost in differences
    error_2 : float64 [n_genes], sum of squared errors
    by_group : {group: [squared error, squared error of the gene mean]}
    """

    n: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    truth_2: np.ndarray
    predicted_2: np.ndarray
    product: np.ndarray
    error_2: np.ndarray
    by_group: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, n_genes: int) -> HiddenSums:
        """Start at zero."""
        return cls(*np.zeros((7, n_genes)))

    def add(
        self, truth: np.ndarray, predicted: np.ndarray, mask: np.ndarray, groups: Sequence[str]
    ) -> None:
        """Add samples: deviations from the gene mean float64 [n, n_genes], and what was hidden."""
        truth, predicted = np.where(mask, truth, 0.0), np.where(mask, predicted, 0.0)
        error_2 = (truth - predicted) ** 2
        self.n += mask.sum(0)
        self.truth += truth.sum(0)
        self.predicted += predicted.sum(0)
        self.truth_2 += (truth**2).sum(0)
        self.predicted_2 += (predicted**2).sum(0)
        self.product += (truth * predicted).sum(0)
        self.error_2 += error_2.sum(0)
        both = np.stack([error_2.sum(1), (truth**2).sum(1)], axis=1)
        for group, sums in zip(groups, both, strict=True):
            self.by_group[group] = self.by_group.get(group, np.zeros(2)) + sums


def measure(
    model: torch.nn.Module,
    samples: CorpusSamples,
    indices: np.ndarray,
    groups: Sequence[str],
    mean: np.ndarray,
    fraction: float,
    repeats: int,
    seed: int,
    batch_size: int,
    covering: bool,
) -> HiddenSums:
    """Hide `fraction` of the measured genes of each sample, predict, and sum up.

    Parameters
    ----------
    indices : samples to take
    groups : the group of every sample of `samples`
    mean : float64 [n_genes], the training mean of each gene
    repeats : how often each sample is gone through, every time with other masks
    covering : go on with each sample until every measured gene was hidden (see `covering_masks`),
        rather than hiding once
    """
    device = next(model.parameters()).device
    sums = HiddenSums.of(samples.n_genes)
    for places in in_order(len(indices), batch_size):
        part = indices[places]
        values = samples.read(part)
        measured = ~values.isnan()
        n_hidden = hidden_counts(samples.measured_counts[part], fraction)
        truth = values.nan_to_num(0.0).double().numpy() - mean
        for repeat in range(repeats):
            generators = [seeded(seed, ASSESSMENT_MASKS, repeat, int(index)) for index in part]
            masks = (
                covering_masks(measured, n_hidden, generators)
                if covering
                else [draw_mask(measured, n_hidden, generators)]
            )
            for mask in masks:
                seen, share = hide(values, mask)
                with torch.inference_mode():
                    predicted = model(seen.to(device), share.to(device)).cpu().double().numpy()
                sums.add(truth, predicted - mean, mask.numpy(), [groups[index] for index in part])
    return sums


def covering_masks(
    measured: torch.Tensor, n_hidden: np.ndarray, generators: Sequence[torch.Generator]
) -> Iterator[torch.Tensor]:
    """Yield masks that together hide every measured gene of every sample at least once.

    The genes of a sample are put in random order, and windows of `n_hidden` genes go over them.
    Independent masks would need many more passes before none is left out.

    Parameters
    ----------
    measured : bool [n_samples, n_genes]
    n_hidden : int [n_samples]
    """
    orders = [
        genes[torch.randperm(len(genes), generator=generator)]
        for genes, generator in zip(map(_places, measured), generators, strict=True)
    ]
    n_masks = max(-(-len(order) // int(n)) for order, n in zip(orders, n_hidden, strict=True))
    for number in range(n_masks):
        mask = torch.zeros_like(measured)
        for row, order, n in zip(mask, orders, n_hidden, strict=True):
            window = torch.arange(int(n)) + number * len(order) // n_masks
            row[order[window % len(order)]] = True
        yield mask


def gene_moments(samples: CorpusSamples, batch_size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each gene, float64 [n_genes], where it was measured.

    A gene that no sample measured has mean 0 and deviation NaN.
    """
    n, total, squares = np.zeros((3, samples.n_genes))
    for indices in in_order(len(samples), batch_size):
        values = samples.read(indices).double().numpy()
        n += (~np.isnan(values)).sum(0)
        values = np.nan_to_num(values, nan=0.0)
        total, squares = total + values.sum(0), squares + (values**2).sum(0)
    mean = total / np.maximum(n, 1)
    variance = np.maximum(squares / np.maximum(n, 1) - mean**2, 0.0)
    return mean, np.where(n > 0, np.sqrt(variance), np.nan)


def gene_scores(sums: HiddenSums) -> pd.DataFrame:
    """Return one row a gene: n_values, mse, gene_mean_mse, mse_skill, pearson; NaN if not known."""
    known = np.where(sums.n > 0, sums.n, np.nan)
    table = pd.DataFrame(
        {
            "n_values": sums.n.astype(np.int64),
            "mse": sums.error_2 / known,
            "gene_mean_mse": sums.truth_2 / known,
        }
    )
    table["mse_skill"] = skill(table["mse"], table["gene_mean_mse"])
    covariance = sums.product / known - sums.truth * sums.predicted / known**2
    of_truth = sums.truth_2 / known - (sums.truth / known) ** 2
    of_predicted = sums.predicted_2 / known - (sums.predicted / known) ** 2
    # A gene that is never expressed, or always predicted alike, has no correlation.
    varies = (of_truth > 1e-9) & (of_predicted > 1e-9) & (sums.n >= FEWEST_VALUES)
    root = np.sqrt(np.where(varies, of_truth * of_predicted, np.nan))
    table["pearson"] = (covariance / root).clip(-1, 1)
    return table


def skill(error: Any, floor: Any) -> Any:
    """Return 1 - error / floor, NaN where the floor makes no error."""
    floor = np.asarray(floor, dtype=np.float64)
    return 1 - np.asarray(error) / np.where(floor > 0, floor, np.nan)


def overall(sums: HiddenSums, table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return the figures of one split and share of hidden genes.

    The interval of the skill resamples groups, the unit in which samples resemble each other.
    """
    n, error, floor = sums.n.sum(), sums.error_2.sum(), sums.truth_2.sum()
    low, high = skill_interval(np.array(list(sums.by_group.values())), seed)
    return {
        "n_groups": len(sums.by_group),
        "n_values": int(n),
        "mse": error / n,
        "gene_mean_mse": floor / n,
        "mse_skill": float(skill(error, floor)),
        "ci_low": low,
        "ci_high": high,
        "gene_pearson_median": median(table["pearson"]),
        "n_genes_correlated": int(table["pearson"].notna().sum()),
    }


def skill_interval(by_group: np.ndarray, seed: int) -> tuple[float, float]:
    """Return the 95% percentile interval of the skill over resampled groups; NaN for few groups.

    Parameters
    ----------
    by_group : float64 [n_groups, 2], squared error and that of the gene mean
    """
    n = len(by_group)
    if n < FEWEST_GROUPS:
        return np.nan, np.nan
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    error, floor = (times @ by_group).T
    low, high = np.nanpercentile(skill(error, floor), [2.5, 97.5])
    return float(low), float(high)


def deciles(value: np.ndarray) -> np.ndarray:
    """Return 1 to 10, a tenth of the genes each, by ascending value; 0 where it is NaN."""
    known = np.flatnonzero(~np.isnan(value))
    order = known[np.argsort(value[known], kind="stable")]
    found = np.zeros(len(value), dtype=np.int64)
    found[order] = 1 + np.arange(len(order)) * DECILES // max(1, len(order))
    return found


def decile_table(genes: pd.DataFrame, by: str, value: str) -> pd.DataFrame:
    """Return one row a decile: its genes, the range of `value` in it, and how well they are known.

    Parameters
    ----------
    genes : `gene_scores` with the column `value` and `{by}_decile`
    """
    rows = []
    for decile, part in genes[genes["n_values"] > 0].groupby(f"{by}_decile"):
        n = part["n_values"]
        mse, floor = (float((part[name] * n).sum() / n.sum()) for name in ("mse", "gene_mean_mse"))
        rows.append(
            {
                "by": by,
                "decile": int(decile),
                "n_genes": len(part),
                "lowest": float(part[value].min()),
                "highest": float(part[value].max()),
                "mse": mse,
                "gene_mean_mse": floor,
                "mse_skill": float(skill(mse, floor)),
                "gene_pearson_median": median(part["pearson"], FEWEST_GENES),
            }
        )
    return pd.DataFrame([row for row in rows if row["decile"]])


def spread(table: pd.DataFrame, n_samples: int) -> dict[str, Any]:
    """Return the distribution over genes of the correlation over samples, ready for JSON."""
    opposed = min(OPPOSED, -SURE / np.sqrt(n_samples))
    known = table["pearson"].dropna()
    counts, _ = np.histogram(known, HISTOGRAM)
    quantiles = np.percentile(known, [5, 25, 50, 75, 95]) if len(known) else [None] * 5
    return {
        "left": HISTOGRAM[:-1].round(2).tolist(),
        "right": HISTOGRAM[1:].round(2).tolist(),
        "genes": counts.tolist(),
        "quantiles": dict(zip(("q05", "q25", "median", "q75", "q95"), quantiles, strict=True)),
        "genes_with_skill": int((table["mse_skill"] > 0).sum()),
        "genes_judged": int(table["mse_skill"].notna().sum()),
        "genes_correlated": len(known),
        "genes_opposed": int((known < opposed).sum()),
        "opposed_below": opposed,
    }


def median(values: pd.Series, fewest: int = 1) -> float:
    """Return the median of what is known, NaN if fewer than `fewest` values are."""
    known = values.dropna()
    return float(known.median()) if len(known) >= fewest else np.nan


def _places(measured: torch.Tensor) -> torch.Tensor:
    return measured.nonzero().squeeze(1)
