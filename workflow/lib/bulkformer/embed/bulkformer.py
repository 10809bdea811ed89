"""BulkFormer as a model of the benchmarks: a run folder in, sample vectors and predictions out.

Besides the trained network it serves the two controls that share its code: untrained weights, and
genes that were permuted so that the network meets every value under another gene's name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from bulkformer.embed.feeding import (
    NOT_IN_VOCABULARY,
    Pooling,
    align,
    pool,
    to_model_genes,
    to_vocabulary,
)
from bulkformer.embed.interface import Context, Embedder, Provenance, WeightsState
from bulkformer.errors import InputError
from bulkformer.files import sha256
from bulkformer.graph.edges import read_graph
from bulkformer.model.bulkformer import BulkFormer
from bulkformer.model.checkpoint import load_run
from bulkformer.model.variants import gene_table_of, initialise_model

# What tables call weights, by the mode of pretraining that made them.
WEIGHTS_OF_MODE: dict[str, WeightsState] = {
    "train": "trained",
    "released": "released",
    "fine-tune": "fine_tuned",
}
SUMMARY_SCALARS = 3  # missing rate, mean and non-zero share, the last entries of every gene token


@dataclass(frozen=True)
class BulkFormerSettings:
    """How samples are fed and gene tokens pooled.

    Attributes
    ----------
    pooling : rule from gene tokens to sample vector
    summary_scalars : keep the three statistics of the sample that end the vector of the paper
    weights : "trained" for those of the run folder, trained here or elsewhere; "random" replaces
        them by seeded initial ones
    shuffle_genes : feed one fixed, seeded permutation of the genes
    absent_value : what a gene that the cohort did not measure is fed as when embedding; the paper's
        benchmarks used zero, its pretraining the mask
    """

    pooling: Pooling = "max"
    summary_scalars: bool = True
    weights: Literal["trained", "random"] = "trained"
    shuffle_genes: bool = False
    absent_value: Literal["mask", "zero"] = "mask"


class BulkFormerEmbedder(Embedder):
    """Either variant of BulkFormer. A hidden or absent gene is -10 in the input, a measured 0 is 0.

    Genes of the vocabulary that the network does not know are not predicted, and counted on stderr.
    """

    settings_type = BulkFormerSettings
    needs = "run"

    def __init__(self, name: str, settings: BulkFormerSettings, context: Context) -> None:
        super().__init__(name, settings, context)
        folder = context.weights
        if folder is None:
            raise ValueError("a BulkFormer needs its run folder")
        model, genes, self.run = load_run(folder)
        self.tensors = len(model.state_dict())
        if settings.weights == "random":
            graph = read_graph(folder / "graph.parquet", model.config.n_genes)
            # As training itself starts: a control that cannot even say what expression is on
            # average would make any trained model look good.
            start = self.run["training"].get("prediction_start")
            # What training leaves as it is, such as embeddings of proteins, is no merit of it.
            kept = None if model.config.gene_table_trained else gene_table_of(model).detach()
            model = initialise_model(model.config, graph, context.seed, start, kept).eval()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device)
        self.mask_value = model.config.mask_value
        self.columns = align(genes["gene_id"].tolist(), context.gene_ids)
        if (self.columns == NOT_IN_VOCABULARY).all():
            raise InputError(
                f"{folder / 'genes.parquet'}: shares no gene with the vocabulary; "
                "give the vocabulary that the run was trained on"
            )
        if settings.shuffle_genes:
            # The network's gene j then reads, and predicts, the vocabulary column of another gene.
            self.columns = np.random.default_rng(context.seed).permutation(self.columns)

    def provenance(self) -> Provenance:
        """Untrained weights have neither hash nor licence, and no tensor was loaded for them."""
        provenance = Provenance(
            weights=WEIGHTS_OF_MODE[self.run["training"].get("mode", "train")],
            weights_sha256=sha256(self.context.weights / "model.safetensors"),
            licence=self.run["training"].get("licence", "not stated"),
            tensors_loaded=self.tensors,
            genes_matched=int((self.columns != NOT_IN_VOCABULARY).sum()),
            device=self.device.type,
            pooling=self.settings.pooling,
            details={
                "variant": self.run["variant"],
                "graph_sha256": sha256(self.context.weights / "graph.parquet"),
                "parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            },
        )
        if self.settings.weights == "trained":
            return provenance
        return replace(
            provenance, weights="random", weights_sha256=None, licence=None, tensors_loaded=0
        )

    def _embed(
        self, log_tpm: np.ndarray, measured: np.ndarray, samples: pd.DataFrame
    ) -> np.ndarray:
        values, known = self._fed(log_tpm, measured)
        chosen = torch.from_numpy(known).to(self.device)

        def vectors(x: Tensor) -> Tensor:
            tokens = self._run(self.model.embed, x)
            if isinstance(self.model, BulkFormer) and not self.settings.summary_scalars:
                tokens = tokens[..., :-SUMMARY_SCALARS]
            return pool(tokens, chosen, self.settings.pooling)

        return self._in_batches(vectors, values)

    def _gene_tokens(
        self, log_tpm: np.ndarray, measured: np.ndarray, samples: pd.DataFrame, genes: np.ndarray
    ) -> np.ndarray:
        """The last layer of the trunk, without the statistics of the sample that end the vector."""
        values, _ = self._fed(log_tpm, measured)
        place = self._places(genes)
        known = torch.from_numpy(place >= 0).to(self.device)
        chosen = torch.from_numpy(np.maximum(place, 0)).to(self.device)

        def tokens(x: Tensor) -> Tensor:
            own = self._run(self.model.embed, x)[:, chosen]
            if isinstance(self.model, BulkFormer):
                own = own[..., :-SUMMARY_SCALARS]
            return (own * known[:, None]).half()

        return self._in_batches(tokens, values)

    def _knows(self, genes: np.ndarray) -> np.ndarray:
        return self._places(genes) >= 0

    def _places(self, genes: np.ndarray) -> np.ndarray:
        """Return which of the network's genes stands for each vocabulary column, -1 if none."""
        place_of = {column: place for place, column in enumerate(self.columns.tolist())}
        return np.array([place_of.get(gene, -1) for gene in genes.tolist()], dtype=np.int64)

    def _fed(self, log_tpm: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what the network reads [n, M], and which of its genes the cohort measured [M]."""
        known = (self.columns != NOT_IN_VOCABULARY) & measured[self.columns]
        if not known.any():
            raise InputError(f"'{self.name}': the cohort measured no gene that the model knows")
        values = to_model_genes(log_tpm, self.columns)
        if self.settings.absent_value == "zero":
            values[:, ~known] = 0
        return values, known

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        if self.settings.absent_value == "zero":
            raise InputError(
                f"'{self.name}': absent_value 'zero' would tell a model that hidden genes are not "
                "expressed; use 'mask' for the imputation task"
            )
        fed = to_model_genes(values, self.columns)
        predicted = self._in_batches(lambda x: self._run(self.model, x), fed)
        unknown = int((~self.predicts()).sum())
        if unknown:
            print(
                f"{self.name}: {unknown} vocabulary genes are unknown to the model; "
                "they are not predicted",
                file=sys.stderr,
            )
        return to_vocabulary(predicted, self.columns, values.shape[1])

    def predicts(self) -> np.ndarray:
        known = np.zeros(len(self.context.gene_ids), dtype=bool)
        known[self.columns[self.columns != NOT_IN_VOCABULARY]] = True
        return known

    def _run(self, step: Callable[..., Tensor], x: Tensor) -> Tensor:
        """Call the network; the paper's variant also wants the share of -10 in each row."""
        if not isinstance(self.model, BulkFormer):
            return step(x)
        return step(x, (x == self.mask_value).to(x.dtype).mean(dim=1))

    def _in_batches(self, step: Callable[[Tensor], Tensor], values: np.ndarray) -> np.ndarray:
        """Apply `step` to NaN-masked rows, so that gene tokens exist for one batch at a time."""
        fed = np.where(np.isnan(values), np.float32(self.mask_value), values).astype(np.float32)
        size = self.context.batch_size
        results = []
        with torch.inference_mode():
            for start in tqdm(range(0, len(fed), size), desc=self.name, mininterval=10, delay=10):
                batch = torch.from_numpy(fed[start : start + size]).to(self.device)
                results.append(step(batch).cpu().numpy())
        return np.concatenate(results)
