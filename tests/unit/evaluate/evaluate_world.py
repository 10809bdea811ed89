"""A small planted world, written as the expression and embed stages write theirs."""

import json
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
from bulkformer.evaluate.tasks.disease_annotation_split import disease_annotation_split
from bulkformer.evaluate.tasks.imputation_split import imputation_split
from bulkformer.expression.store import create_store

KEYS = ["study_id", "patient_id", "donor_id", "tissue", "disease", "cancer_type", "sample_type"]
DATASET = {"name": "planted", "cohort": "series", "label": "disease", "group_by": "study_id"}


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
                "group": "study_id:" + table["study_id"],
                "study_id": table["study_id"],
                "patient_id": table["patient_id"],
                "donor_id": table["donor_id"],
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
        graph = self.root / "string.json"
        graph.write_text(json.dumps({"origin": "external"}))
        exposure(self.corpus, list(cohorts), paths, models, path, graph)
        return path


def annotation_settings(**dataset: str) -> str:
    """Section disease_annotation of the config, with one dataset."""
    return json.dumps(
        {
            "datasets": [DATASET | dataset],
            "variable_genes": 10,
            "legacy": {"folds": 5, "components": 5, "trees": 30, "further_heads": []},
            "strict": {
                "folds": 4,
                "repeats": 2,
                "heads": ["logistic_regression", "random_forest"],
                "trees": 30,
            },
            "further": {
                "head": "logistic_regression",
                "few_shot": [],
                "held_out_studies": 0,
                "probes": [],
            },
        }
    )


def split_annotation(world: World, text: str) -> Path:
    """Write the folds of the dataset in the settings `text`."""
    path = world.root / "split.parquet"
    cohort = json.loads(text)["datasets"][0]["cohort"]
    disease_annotation_split([cohort], [world.samples(cohort)], text, 42, path)
    return path


def split_imputation(world: World, max_samples: int = 100) -> Path:
    """Write the test samples of the corpus and of the cohort `external`."""
    path = world.root / "split.parquet"
    imputation_split(world.corpus, max_samples, 42, path, ["external"], [world.samples("external")])
    return path


def configuration(task: str, embedder: str = "any", settings: str = "{}") -> str:
    """What shapes the numbers of a model: section of the task, row of the model, no pretraining."""
    row = {"model": "any", "embedder": embedder, "settings": settings}
    return json.dumps({"task": json.loads(task), "model": row, "pretrain": None})


def profiles(n: int, n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """ln(TPM + 1) of two gene programs over genes of very different means, never at zero."""
    mean = rng.uniform(2, 9, n_genes)
    loadings = rng.normal(0, 0.4, (2, n_genes))
    return mean + rng.normal(size=(n, 2)) @ loadings + rng.normal(0, 0.2, (n, n_genes))
