"""The one interface behind which every model stands, from the gene mean to BulkFormer.

A model gets ln(TPM + 1) on the vocabulary, with NaN for whatever it may not see, and gives sample
vectors, imputed expression, or both. What it can do is what it implements.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from bulkformer.embed.training import TrainingData
from bulkformer.errors import InputError
from bulkformer.files import sha256

WeightsState = Literal["trained", "released", "fine_tuned", "random", "fitted", "none"]


@dataclass(frozen=True)
class State:
    """What a fitted model remembers of the corpus: arrays, and lists of names that go with them."""

    tensors: Mapping[str, np.ndarray]
    names: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """All that a model is given besides its settings.

    Attributes
    ----------
    gene_ids : the vocabulary, in column order
    seed : for random weights and gene permutations
    batch_size : samples a forward pass
    weights : the file or folder that `--weights` named, None for a model that has none
    state : content of that file for a fitted model, else None
    """

    gene_ids: list[str]
    seed: int
    batch_size: int
    weights: Path | None = None
    state: State | None = None


@dataclass(frozen=True)
class Provenance:
    """Which weights produced a result, and how; everything here goes to embed.json.

    `licence` is that of the weights, None where there are none to license. `genes_matched` counts
    the vocabulary genes that the model knows.
    """

    weights: WeightsState
    weights_sha256: str | None
    licence: str | None
    tensors_loaded: int
    genes_matched: int
    dtype: str = "float32"
    device: str = "cpu"
    pooling: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Embedder(ABC):
    """A model of the models table; implement `_embed`, `_impute` or both, and `_gene_tokens` with
    `_knows` if it has a vector for every gene of a sample.

    Class attributes: `settings_type`, a frozen dataclass that the settings column is read into, and
    `needs`, what `--weights` must name.
    """

    settings_type: ClassVar[type]
    needs: ClassVar[Literal["nothing", "fit", "run"]] = "nothing"

    def __init__(self, name: str, settings: Any, context: Context) -> None:
        self.name = name
        self.settings = settings
        self.context = context

    @property
    def can_embed(self) -> bool:
        return type(self)._embed is not Embedder._embed

    @property
    def can_impute(self) -> bool:
        return type(self)._impute is not Embedder._impute

    def embed(self, log_tpm: np.ndarray, measured: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        """Turn samples into vectors, float32 [n, d].

        Parameters
        ----------
        log_tpm : float [n, G], ln(TPM + 1), NaN where not measured
        measured : bool [G], the genes that the cohort measured
        samples : n rows of the cohort's samples table, in the order of `log_tpm`

        Raises InputError if the model gives no sample vectors or one that is not finite.
        """
        if not self.can_embed:
            raise InputError(
                f"'{self.name}' gives no sample vectors; take it off the tasks that need them"
            )
        values = self._checked(log_tpm, samples)
        if measured.shape != (values.shape[1],):
            raise ValueError(f"measured has shape {measured.shape}, expected [{values.shape[1]}]")
        return self._finite(self._embed(values, measured, samples), len(values))

    def impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        """Fill the NaN positions, float32 [n, G]; values that were visible come back unchanged.

        Parameters
        ----------
        values : float [n, G], ln(TPM + 1), NaN where masked or not measured
        samples : n rows with labels, in the order of `values`; numbers in them that were computed
            from the whole profile are never used, because hidden values went into them

        A gene that the model does not know (see `predicts`) stays NaN, so that nobody takes an
        invented value for a prediction. Raises InputError if the model cannot impute or predicts
        something that is not finite for a gene that it knows.
        """
        if not self.can_impute:
            raise InputError(f"'{self.name}' cannot impute; take it off the imputation task")
        values = self._checked(values, samples)
        known = self.predicts()
        predicted = np.full(values.shape, np.nan, dtype=np.float32)
        predicted[:, known] = self._finite(self._impute(values, samples)[:, known], len(values))
        return np.where(np.isnan(values), predicted, values)

    def predicts(self) -> np.ndarray:
        """Return bool [G], the vocabulary genes that `impute` predicts; all, unless overridden."""
        return np.ones(len(self.context.gene_ids), dtype=bool)

    @property
    def can_give_gene_tokens(self) -> bool:
        return type(self)._gene_tokens is not Embedder._gene_tokens

    def gene_tokens(
        self, log_tpm: np.ndarray, measured: np.ndarray, samples: pd.DataFrame, genes: np.ndarray
    ) -> np.ndarray:
        """Return what the model makes of single genes in the context of each sample.

        Parameters
        ----------
        log_tpm, measured, samples : as for `embed`
        genes : vocabulary columns int [k], the genes that are asked for

        Returns float16 [n, k, d]; a gene that the model does not `know` is all zeros. Raises
        InputError if the model has no such vectors, or one that is not finite in half precision.
        """
        if not self.can_give_gene_tokens:
            raise InputError(
                f"'{self.name}' has no gene tokens; take the heads that need them off its row"
            )
        values = self._checked(log_tpm, samples)
        tokens = self._gene_tokens(values, measured, samples, genes)
        self._finite(tokens.reshape(len(tokens), -1), len(values))
        return tokens

    def knows(self, genes: np.ndarray) -> np.ndarray:
        """Return bool [k], the vocabulary columns of which the model has gene tokens."""
        return self._knows(genes)

    def provenance(self) -> Provenance:
        """Say which weights are in use; models with other weights than a fit override this."""
        state, weights = self.context.state, self.context.weights
        return Provenance(
            weights="none" if state is None else "fitted",
            weights_sha256=None if weights is None else sha256(weights),
            licence=None,
            tensors_loaded=0 if state is None else len(state.tensors),
            genes_matched=len(self.context.gene_ids),
        )

    def _embed(
        self, log_tpm: np.ndarray, measured: np.ndarray, samples: pd.DataFrame
    ) -> np.ndarray:
        raise NotImplementedError

    def _impute(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        raise NotImplementedError

    def _gene_tokens(
        self, log_tpm: np.ndarray, measured: np.ndarray, samples: pd.DataFrame, genes: np.ndarray
    ) -> np.ndarray:
        raise NotImplementedError

    def _knows(self, genes: np.ndarray) -> np.ndarray:
        return np.zeros(len(genes), dtype=bool)

    def _checked(self, values: np.ndarray, samples: pd.DataFrame) -> np.ndarray:
        if values.shape != (len(samples), len(self.context.gene_ids)):
            raise ValueError(
                f"values have shape {values.shape}, expected "
                f"[{len(samples)}, {len(self.context.gene_ids)}]: samples by vocabulary genes"
            )
        return np.asarray(values, dtype=np.float32)

    def _finite(self, result: np.ndarray, n_samples: int) -> np.ndarray:
        result = np.ascontiguousarray(result, dtype=np.float32)
        bad = np.flatnonzero(~np.isfinite(result).all(axis=1))
        if len(result) != n_samples or len(bad):
            raise InputError(
                f"'{self.name}': the result of {len(bad)} of {n_samples} samples is not finite; "
                "its weights are damaged or diverged, make them again"
            )
        return result


class FittedEmbedder(Embedder):
    """A model that is fitted to the training samples of the corpus, once, before any cohort."""

    needs = "fit"

    @property
    def state(self) -> State:
        if self.context.state is None:
            raise ValueError(f"'{self.name}' was built without its fitted state")
        return self.context.state

    def predicts(self) -> np.ndarray:
        """Return bool [G], the genes that a training sample measured: "count" is above 0."""
        count = self.state.tensors.get("count")
        return super().predicts() if count is None else count > 0

    @classmethod
    @abstractmethod
    def fit(cls, settings: Any, training: TrainingData, seed: int) -> State:
        """Learn from `training`, which holds nothing but training samples."""
