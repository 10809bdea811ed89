"""What the graph and pretraining stages and the literature tables hand to the report, made up."""

from typing import Any

import numpy as np
import pandas as pd


def graph() -> dict[str, Any]:
    """Return the summary of a gene graph, as the graph stage writes it."""
    return {
        "kind": "coexpression", "origin": "training samples of the corpus",
        "weight": "|Pearson r|", "neighbours": 20, "n_genes": 2000, "n_edges": 9876,
        "isolated_genes": 812, "degree_mean": 9.876, "largest_component_share": 0.55,
        "degree_quantiles": {"min": 0, "q25": 0, "median": 5, "q75": 14, "q95": 31, "max": 120},
        "degree_histogram": {"left": [0, 1, 2, 4, 8, 16, 32, 64], "right": [1, 2, 4, 8, 16, 32, 64,
                             128], "genes": [812, 90, 120, 240, 420, 240, 60, 18]},
    }  # fmt: skip


def recovery(name: str) -> dict[str, Any]:
    """Return how well a graph found the planted edges."""
    return {
        "graph": name, "n_edges": 9876, "n_planted": 5000, "auroc": 0.912, "precision": 0.411,
        "average_precision": 0.503, "precision_by_chance": 0.0025, "recall": 0.83,
        "within_program_precision": 0.97, "correlation_auroc": 0.955, "n_training_samples": 240,
    }  # fmt: skip


LOOKS = [("validation", 0.15, 0.08), ("validation", 0.5, 0.6), ("validation_samples", 0.15, 0.03)]


def history_rows(epochs: int = 30, steps: int = 30) -> list[dict[str, Any]]:
    """Return the history of a pretraining."""
    rng, rows = np.random.default_rng(1), []
    for step in range(1, epochs * steps + 1):
        loss = 0.5 + 1.6 * np.exp(-step / 150)
        rate = 0.003 * min(1, step / 45) * 0.5 * (1 + np.cos(np.pi * step / (epochs * steps)))
        about = {"step": step, "epoch": (step - 1) // steps, "learning_rate": rate}
        loss_of_batch = loss + rng.normal(0, 0.05)
        rows.append(about | {"split": "train", "mask_fraction": None, "loss": loss_of_batch})
        if step % steps == 0:
            for split, share, more in LOOKS:
                look = {"split": split, "mask_fraction": share, "loss": loss + more}
                rows.append(about | look)
    return rows


def training() -> dict[str, Any]:
    """Return provenance.json of a pretraining."""
    return {
        "model": {"variant": "paper", "dim": 32, "layers": 1, "heads": 4, "features": None},
        "parameters": 133420, "in_distribution_samples": 16, "selecting_mask_fraction": 0.15,
        "training_samples": 240, "validation_samples": 42, "steps": 900, "best_step": 870,
        "best_validation_loss": 0.5912, "gene_mean_validation_loss": 1.2345, "device": "cpu",
        "graph": "coexpression", "training_samples_sha256": "ef" * 32,
        "versions": {"bulkformer": "0.1.0", "torch": "2.13.0"},
    }  # fmt: skip


def literature(source: str = "A paper, doi 10.1101/2025.06.11.659222") -> pd.DataFrame:
    """Return published values of a task that was run and of one that was not."""
    columns = ["task", "dataset", "metric", "aggregation", "model", "value", "version"]
    rows = [
        ("imputation", "PreBULK", "PCC", "pooled", "BulkFormer", 0.954, "preprint"),
        ("imputation", "PreBULK", "PCC", "pooled", "scGPT", None, "preprint"),
        ("prognosis", "TCGA", "AUROC", "pooled", "BulkFormer", 0.747, "preprint"),
    ]
    return pd.DataFrame(rows, columns=columns).assign(source=source, note="as printed")
