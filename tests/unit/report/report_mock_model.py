"""Writes a run and its assessment as the pretrain stage writes them, with made-up numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from report_mock import corpus
from report_mock_stages import history_rows, training

SHARES = (0.05, 0.15, 0.5)
SKILLS = {"validation": (0.38, 0.41, -2.5), "validation_samples": (0.4, 0.44, -2.2)}
CLUSTERS, SETS = 6, 5


def write_model(folder: Path, genes: int = 300) -> dict[str, Any]:
    """Write all inputs below `folder` and return the arguments of the model step."""
    run, assessment = folder / "run", folder / "run.assessment"
    run.mkdir()
    assessment.mkdir()
    floors = [
        {"split": split, "mask_fraction": share, "loss": 1.2345}
        for split in SKILLS
        for share in SHARES
    ]
    (run / "provenance.json").write_text(
        json.dumps(training() | {"gene_mean_losses": floors, "training": {"epochs": 30}})
    )
    history = pd.DataFrame(history_rows())
    history.to_parquet(run / "history.parquet")
    train = history[history["split"] == "train"]
    tables = {
        "accuracy": accuracy(),
        "genes": gene_scores(genes),
        "deciles": deciles(),
        "learning": train[["step", "loss", "learning_rate"]].assign(smooth_loss=0.7),
        "gene_map": gene_map(genes),
        "clusters": clusters(),
        "controls": controls(),
    }
    for name, table in tables.items():
        table.to_parquet(assessment / f"{name}.parquet")
    (assessment / "assessment.json").write_text(json.dumps(summary(genes)))
    (assessment / "gene_map.json").write_text(json.dumps(map_summary(genes)))
    (folder / "corpus.json").write_text(json.dumps(corpus()))
    return {
        "title": "A run",
        "run": run,
        "assessment": assessment,
        "corpus": folder / "corpus.json",
        "page": folder / "model.html",
    }


def summary(genes: int) -> dict[str, Any]:
    """Return assessment.json."""
    bins = np.linspace(-1, 1, 41)
    spread = {
        "left": bins[:-1].tolist(), "right": bins[1:].tolist(), "genes": [7] * 40,
        "quantiles": {"q05": -0.2, "q25": 0.4, "median": 0.613, "q75": 0.8, "q95": 0.9},
        "genes_with_skill": 251, "genes_judged": 287, "genes_correlated": 280,
        "genes_opposed": 9, "opposed_below": -0.3,
    }  # fmt: skip
    machine = {
        "device": "NVIDIA H100 80GB HBM3", "processes": 4, "batch_size": 16, "steps": 900,
        "hours": 61.25, "device_hours": 245.0, "samples_per_second": 812.5, "memory_gb": 71.3,
        "mfu": 0.4127,
    }  # fmt: skip
    return {
        "run": "bulkformer_37m", "variant": "paper", "mode": "train", "licence": "MIT",
        "model": {"n_genes": genes, "dim": 32, "features": None}, "parameters": 133420,
        "genes": genes, "genes_measured": genes - 4, "edges": 9876, "training_samples": 240,
        "splits": {"validation": {"samples": 42, "of": 42},
                   "validation_samples": {"samples": 16, "of": 20}},
        "pearson": dict.fromkeys(SKILLS, spread),
        "main_fraction": 0.15, "repeats": 1, "seed": 42,
        "cost": {"hours": 61.25, "device_hours": 245.0, "starts": 2, "samples": 7200,
                 "flops_per_sample": 1.234e11, "flops": 8.88e14, "machines": [machine]},
    }  # fmt: skip


def accuracy() -> pd.DataFrame:
    """Return figures by split and share of hidden genes."""
    rows = [
        {
            "split": split, "mask_fraction": share, "every_gene_hidden": share == 0.15,
            "n_samples": 42, "n_groups": 7, "n_values": 90300, "mse": 1.2345 * (1 - value),
            "gene_mean_mse": 1.2345, "mse_skill": value, "ci_low": value - 0.05,
            "ci_high": value + 0.05, "gene_pearson_median": 0.613,
            "n_genes_correlated": 280,
        }
        for split, values in SKILLS.items()
        for share, value in zip(SHARES, values, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def gene_scores(genes: int) -> pd.DataFrame:
    """Return one row a gene and split; gene 0 is predicted best and the last one worst."""
    score = np.linspace(0.98, -0.6, genes)
    score[1] = np.nan  # never expressed
    table = pd.DataFrame(
        {
            "gene_id": [f"ENSG{n:011d}" for n in range(genes)],
            "symbol": [f"GENE{n}" for n in range(genes)],
            "mean": np.linspace(0, 9, genes),
            "sd": 0.75,
            "n_values": 45,
            "mse": 0.4,
            "gene_mean_mse": 0.8,
            "mse_skill": score - 0.1,
            "pearson": score,
        }
    )
    return pd.concat([table.assign(split=split) for split in SKILLS], ignore_index=True)


def deciles() -> pd.DataFrame:
    """Return tenths of genes; the lowest tenth by expression is not known better than its mean."""
    return pd.DataFrame(
        [
            {
                "split": split, "by": by, "decile": decile, "n_genes": 30,
                "lowest": decile - 1.0, "highest": decile + 0.0,
                "mse_skill": 0.05 * decile - 0.06, "gene_pearson_median": 0.07 * decile,
            }
            for split in SKILLS
            for by in ("expression", "variance")
            for decile in range(1, 11)
        ]
    )  # fmt: skip


def gene_map(genes: int) -> pd.DataFrame:
    """Return places of genes."""
    rng = np.random.default_rng(0)
    number = np.arange(genes) % CLUSTERS
    x, y = 10 * np.cos(number), 10 * np.sin(number)
    return pd.DataFrame(
        {
            "gene_id": [f"ENSG{n:011d}" for n in range(genes)],
            "symbol": [f"GENE{n}" for n in range(genes)],
            "x": (x + rng.normal(size=genes)).astype(np.float32),
            "y": (y + rng.normal(size=genes)).astype(np.float32),
            "cluster": number.astype(np.int32),
        }
    )


def clusters() -> pd.DataFrame:
    """Return clusters; no set is enriched in the last one."""
    return pd.DataFrame(
        [
            {
                "cluster": n, "n_genes": 50, "x": 10 * np.cos(n), "y": 10 * np.sin(n),
                "level": 3.21,
                **({"set_id": f"HALLMARK_SET_{n}", "overlap": 17.0, "set_genes": 40.0,
                    "expected": 6.7, "q": 2.5e-9 * 10**n} if n < SETS else {}),
                "sets_enriched": int(n < SETS),
            }
            for n in range(CLUSTERS)
        ]
    )  # fmt: skip


def controls() -> pd.DataFrame:
    """Return the comparison with sources that learned nothing."""
    together = {
        "contextual": (5, 0.42), "identity": (5, 0.39), "untrained": (1, 0.19),
        "principal_components": (4, 0.33), "level": (0, 0.171), "permuted": (0.2, 0.168),
    }  # fmt: skip
    return pd.DataFrame(
        [
            {
                "source": name, "n_clusters": CLUSTERS, "n_sets": SETS, "sets_enriched": sets,
                "clusters_enriched": sets, "set_pairs_together": share,
                "set_pairs_over_chance": share / 0.167,
                "edges_together": share + 0.1, "pairs_together": 0.167,
            }
            for name, (sets, share) in together.items()
        ]
    )  # fmt: skip


def map_summary(genes: int) -> dict[str, Any]:
    """Return gene_map.json."""
    return {
        "of": "contextual", "genes": genes, "genes_not_measured": 4, "clusters": CLUSTERS,
        "components": 50, "gene_sets": SETS, "set_sizes": [5, 500], "false_discovery_rate": 0.05,
        "permutations": 20, "perplexity": 30, "seed": 42,
    }  # fmt: skip
