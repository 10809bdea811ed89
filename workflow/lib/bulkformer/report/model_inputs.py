"""Reads what the page about the model shows: the run, its assessment and the map of its genes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bulkformer.report.inputs import HISTORY_COLUMNS, read_json, read_parquet

GENE = ("gene_id", "symbol")
SCORES = ("n_values", "mse", "gene_mean_mse", "mse_skill", "pearson")
TABLES = {
    "accuracy": (
        "split", "mask_fraction", "n_samples", "n_groups", "n_values", "mse", "gene_mean_mse",
        "mse_skill", "ci_low", "ci_high", "gene_pearson_median", "n_genes_correlated",
    ),
    "genes": (*GENE, "split", "mean", "sd", *SCORES),
    "deciles": ("split", "by", "decile", "n_genes", "lowest", "highest", "mse_skill",
                "gene_pearson_median"),
    "learning": ("step", "loss", "smooth_loss", "learning_rate"),
    "gene_map": (*GENE, "x", "y", "cluster"),
    "clusters": ("cluster", "n_genes", "x", "y", "level", "set_id", "overlap", "set_genes",
                 "expected", "q", "sets_enriched"),
    "controls": ("source", "n_clusters", "n_sets", "sets_enriched", "clusters_enriched",
                 "set_pairs_together", "set_pairs_over_chance", "edges_together", "pairs_together"),
}  # fmt: skip


@dataclass(frozen=True)
class ModelInputs:
    """Everything that the page shows.

    Attributes
    ----------
    simulated : whether the samples were simulated
    training : provenance.json of the run
    history : losses of training and validation; empty for weights that were made elsewhere
    assessment : assessment.json
    map : gene_map.json
    corpus : corpus.json
    accuracy, genes, deciles, learning, gene_map, clusters, controls : the tables of the assessment
    code : revision of the code that makes the page, None where it is not under git
    """

    simulated: bool
    training: dict[str, Any]
    history: pd.DataFrame
    assessment: dict[str, Any]
    map: dict[str, Any]
    corpus: dict[str, Any]
    accuracy: pd.DataFrame
    genes: pd.DataFrame
    deciles: pd.DataFrame
    learning: pd.DataFrame
    gene_map: pd.DataFrame
    clusters: pd.DataFrame
    controls: pd.DataFrame
    code: dict[str, Any] | None

    @property
    def main_fraction(self) -> float:
        """The share of hidden genes at which the model is looked at most closely."""
        return self.assessment["main_fraction"]

    def main_row(self, split: str) -> dict[str, Any] | None:
        """Return the figures of a split at that share, None if the split has no samples."""
        rows = self.accuracy[
            (self.accuracy["split"] == split)
            & (self.accuracy["mask_fraction"] == self.main_fraction)
        ]
        return rows.to_dict("records")[0] if len(rows) else None

    @property
    def trained_here(self) -> bool:
        """Whether this run took training steps."""
        return not self.history.empty


def read_inputs(
    run: Path, assessment: Path, corpus: Path, simulated: bool, code: dict[str, Any] | None
) -> ModelInputs:
    """Read the two folders; raises InputError naming what is absent or of another form."""
    return ModelInputs(
        simulated=simulated,
        training=read_json(run / "provenance.json"),
        history=read_parquet(run / "history.parquet", HISTORY_COLUMNS),
        assessment=read_json(assessment / "assessment.json"),
        map=read_json(assessment / "gene_map.json"),
        corpus=read_json(corpus),
        **{
            name: read_parquet(assessment / f"{name}.parquet", columns)
            for name, columns in TABLES.items()
        },
        code=code,
    )
