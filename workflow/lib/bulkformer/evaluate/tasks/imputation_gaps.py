"""Differential expression on counts with gaps: each gene on the samples that show it.

DESeq2 takes no missing counts. What imputation adds is judged against leaving values out, so the
steps of PyDESeq2 that fit one gene are given that gene's visible samples alone; what genes share
(size factors, the trend of the dispersion, its prior) stays PyDESeq2's own. Importing this module
imports PyDESeq2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydeseq2 import utils
from pydeseq2.default_inference import DefaultInference

ROUNDS = 20  # of depth and fill in turn, which depend on each other
MIN_VISIBLE = 2  # samples of each class; one alone says nothing of the spread within it


def enough_samples(counts: np.ndarray, is_second: np.ndarray) -> np.ndarray:
    """Return bool [G]: genes with reads that MIN_VISIBLE samples of either class show.

    `counts` [n, G] are NaN where hidden.
    """
    visible = np.isfinite(counts)
    shown = [visible[of].sum(axis=0) >= MIN_VISIBLE for of in (is_second, ~is_second)]
    return shown[0] & shown[1] & (np.nan_to_num(counts, nan=0.0) > 0).any(axis=0)


def filled(counts: np.ndarray) -> np.ndarray:
    """Return counts [n, G] whose gaps hold the gene's visible mean at the depth of the sample.

    Every gene must be visible somewhere.
    Only size factors and the mean level of a gene are taken from the filled table. The fill knows
    nothing of classes, and what it holds is never tested.
    """
    visible = np.isfinite(counts)
    # Genes that are never 0 where they are visible, as for the median of ratios.
    positive = ~(counts == 0).any(axis=0)
    depth = np.ones((len(counts), 1))
    for _ in range(ROUNDS):
        whole = np.where(visible, counts, depth * np.nanmean(counts / depth, axis=0))
        if not positive.any():
            break
        logs = np.log(whole[:, positive])
        depth = np.exp(np.median(logs - logs.mean(axis=0), axis=1, keepdims=True))
    return np.rint(whole)


class VisibleSamples(DefaultInference):
    """PyDESeq2's fits, each on the samples in which the gene is visible.

    `visible` bool [n, G]. Arguments and results are those of the methods that are replaced; where a
    gene is hidden, a sample has a fitted mean and no leverage.
    """

    def __init__(self, visible: np.ndarray) -> None:
        super().__init__(n_cpus=1)
        self.visible = visible

    def _genes(self, n_genes: int) -> Iterator[tuple[int, np.ndarray]]:
        if n_genes != self.visible.shape[1]:
            raise ValueError(f"{n_genes} genes, but gaps are known of {self.visible.shape[1]}")
        return enumerate(self.visible.T)

    def lin_reg_mu(
        self,
        counts: np.ndarray,
        size_factors: np.ndarray,
        design_matrix: np.ndarray,
        min_mu: float,
    ) -> np.ndarray:
        means = np.full(counts.shape, min_mu, dtype=np.float64)
        for gene, rows in self._genes(counts.shape[1]):
            means[rows, gene] = utils.fit_lin_mu(
                counts[rows, gene], size_factors[rows], design_matrix[rows], min_mu
            )
        return means

    def alpha_mle(
        self,
        counts: np.ndarray,
        design_matrix: np.ndarray,
        mu: np.ndarray,
        alpha_hat: np.ndarray,
        *limits: Any,
        **settings: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        found = [
            utils.fit_alpha_mle(
                counts[rows, gene],
                design_matrix[rows],
                mu[rows, gene],
                alpha_hat[gene],
                *limits,
                **settings,
            )
            for gene, rows in self._genes(counts.shape[1])
        ]
        dispersion, converged = (np.array(part) for part in zip(*found, strict=True))
        return dispersion, converged

    def irls(
        self,
        counts: np.ndarray,
        size_factors: np.ndarray,
        design_matrix: np.ndarray,
        disp: np.ndarray,
        *limits: Any,
        **settings: Any,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        n_genes = counts.shape[1]
        change = np.empty((n_genes, design_matrix.shape[1]))
        leverage, converged = np.zeros(counts.shape), np.zeros(n_genes, dtype=bool)
        for gene, rows in self._genes(n_genes):
            change[gene], _, leverage[rows, gene], converged[gene] = utils.irls_solver(
                counts[rows, gene],
                size_factors[rows],
                design_matrix[rows],
                disp[gene],
                *limits,
                **settings,
            )
        means = size_factors[:, None] * np.exp(design_matrix @ change.T)
        return change, means, leverage, converged

    def wald_test(
        self,
        design_matrix: np.ndarray,
        disp: np.ndarray,
        lfc: np.ndarray,
        mu: np.ndarray,
        *of_test: Any,
        **settings: Any,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = [
            utils.wald_test(
                design_matrix[rows], disp[gene], lfc[gene], mu[rows, gene], *of_test, **settings
            )
            for gene, rows in self._genes(mu.shape[1])
        ]
        p_value, statistic, error = (np.array(part) for part in zip(*found, strict=True))
        return p_value, statistic, error
