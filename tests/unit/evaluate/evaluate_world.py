"""A small planted world, written as the expression and embed stages write theirs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.embed.registry import fit
from bulkformer.embed.training import read_training_data
from bulkformer.evaluate.exposure import exposure
from bulkformer.expression.store import create_store

KEYS = ["study_id", "patient_id", "donor_id", "tissue", "disease", "cancer_type", "sample_type"]


@dataclass
class World:
    """A results folder: `cohort` writes one, the other paths are where the steps look."""

    root: Path
    n_genes: int = 60

    def __post_init__(self) -> None:
        self.gene_ids = [f"ENSG{i:011d}" for i in range(self.n_genes)]
        self.root.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"gene_id": self.gene_ids}), self.genes)

    @property
    def genes(self) -> Path:
        return self.root / "genes.parquet"

    @property
    def corpus(self) -> Path:
        return self.root / "corpus.parquet"

    @property
    def reference(self) -> Path:
        return self.root / "gene_mean.safetensors"

    def samples(self, cohort: str) -> Path:
        return self.root / cohort / "samples.parquet"

    def store(self, cohort: str) -> Path:
        return self.root / cohort / "log_tpm.arrow"

    def embeddings(self, cohort: str) -> Path:
        return self.root / "embed" / cohort / "samples.parquet"

    def cohort(
        self,
        cohort: str,
        labels: dict[str, Sequence],
        values: np.ndarray | None = None,
        measured: np.ndarray | None = None,
        vectors: np.ndarray | None = None,
    ) -> pd.DataFrame:
        """Write labels, and expression or vectors, of one cohort."""
        n = len(next(iter(labels.values())))
        table = pd.DataFrame(
            {"sample_id": [f"{cohort}_{i:04d}" for i in range(n)]}
            | {key: [None] * n for key in KEYS}
            | {"kept": [True] * n}
            | labels
        )
        self.samples(cohort).parent.mkdir(exist_ok=True)
        table.to_parquet(self.samples(cohort))
        if values is not None:
            known = np.ones(self.n_genes, dtype=bool) if measured is None else measured
            with create_store(self.store(cohort), known, "log_tpm") as writer:
                writer.write(table["sample_id"].tolist(), values.astype(np.float32))
        if vectors is not None:
            self.embeddings(cohort).parent.mkdir(parents=True, exist_ok=True)
            flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
            column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
            embedded = pa.Table.from_pandas(table, preserve_index=False)
            pq.write_table(embedded.append_column("embedding", column), self.embeddings(cohort))
        return table

    def split_corpus(self, cohort: str, split: Sequence[str]) -> None:
        """Write corpus.parquet with `cohort` as the whole corpus, and fit the gene mean to it."""
        table = pd.read_parquet(self.samples(cohort))
        pd.DataFrame(
            {
                "cohort": cohort,
                "sample_id": table["sample_id"],
                "group": table["study_id"],
                "study_id": table["study_id"],
                "split": split,
            }
        ).to_parquet(self.corpus)
        training = read_training_data(self.corpus, [self.samples(cohort)], [self.store(cohort)])
        fit("gene_mean", "{}", training, 0, self.reference)

    def ledger(self, cohorts: Sequence[str], models: str = '{"any": "none"}') -> Path:
        """Write exposure.parquet; a corpus that nobody made is one foreign sample."""
        if not self.corpus.exists():
            foreign = {key: ["other"] for key in ("cohort", "sample_id", "group", "study_id")}
            pd.DataFrame(foreign | {"split": ["train"]}).to_parquet(self.corpus)
        path = self.root / "exposure.parquet"
        paths = [self.samples(cohort) for cohort in cohorts]
        exposure(self.corpus, list(cohorts), paths, models, "string", path)
        return path


def profiles(n: int, n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """ln(TPM + 1) of two gene programs over genes of very different means, never at zero."""
    mean = rng.uniform(2, 9, n_genes)
    loadings = rng.normal(0, 0.4, (2, n_genes))
    return mean + rng.normal(size=(n, 2)) @ loadings + rng.normal(0, 0.2, (n, n_genes))
