"""A small world for the embed stage: vocabulary, samples, and a way to fit and load."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.embed.interface import Embedder
from bulkformer.embed.registry import fit, load
from bulkformer.embed.training import TrainingData

SMALL = {
    "autoencoder": {"latent": 4, "hidden": [16], "epochs": 2},
    "pca": {"components": 4},
    "vae": {"latent": 4, "hidden": [16], "epochs": 2},
    "nearest_neighbours": {"neighbours": 3},
    "ridge": {"predictors": 5},
    "soft_impute": {"rank": 5},
}
UNFITTED = ["log_tpm", "library_size", "visible_mean"]


def frame(n_samples: int, prefix: str = "s", seed: int = 0) -> pd.DataFrame:
    """Return a samples table with the columns that models may look at."""
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sample_id": [f"{prefix}{i}" for i in range(n_samples)],
            "tissue": generator.choice(["liver", "lung", "brain"], n_samples),
            "library_size": generator.uniform(1e6, 1e8, n_samples),
            "n_genes_detected": generator.integers(100, 200, n_samples),
            "missing_rate": generator.uniform(0, 0.2, n_samples),
        }
    )


def expression(n_samples: int, n_genes: int, seed: int) -> np.ndarray:
    """Draw float32 ln(TPM + 1) [n, G] from three programs; every seed has the same programs."""
    programs = np.random.default_rng(99).normal(size=(3, n_genes))
    base = np.random.default_rng(98).gamma(2, 1, size=n_genes)
    generator = np.random.default_rng(seed)
    values = base + generator.normal(size=(n_samples, 3)) @ programs
    values += generator.normal(scale=0.3, size=values.shape)
    return np.maximum(values, 0).astype(np.float32)


def write_genes(path: Path, n_genes: int) -> Path:
    pq.write_table(pa.table({"gene_id": [f"ENSG{i:011d}" for i in range(n_genes)]}), path)
    return path


def build(
    folder: Path,
    embedder: str,
    values: np.ndarray,
    samples: pd.DataFrame | None = None,
    settings: dict | None = None,
    seed: int = 0,
) -> Embedder:
    """Fit (where there is something to fit) and load an embedder; its files go to `folder`."""
    text = json.dumps(SMALL.get(embedder, {}) if settings is None else settings)
    genes = write_genes(folder / "genes.parquet", values.shape[1])
    weights = None
    if embedder not in UNFITTED:
        weights = folder / f"{embedder}.safetensors"
        samples = frame(len(values)) if samples is None else samples
        fit(embedder, text, TrainingData.of(values, samples), seed, weights)
    return load(embedder, text, weights, genes, seed, batch_size=2)
