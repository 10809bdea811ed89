"""The background step: what expression profiles have in common, so that the rest is a fingerprint.

Tissue, pipeline and protocol dominate every profile: two brains of two people correlate at 0.99.
Taken out are the mean and the leading principal components of the corpus; what remains on the genes
that vary most beyond them (sex, HLA, deletions, the chance of one library) tells samples apart.
It is fitted before the corpus is split, and nothing but the search for copies reads it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.store import ExpressionStore
from bulkformer.files import write_table

MAX_SAMPLES = 2_000
MIN_MEAN = 0.5  # ln(TPM + 1): below, values are mostly the chance of few reads
MAX_GENES = 2_048
MAX_COMPONENTS = 40
# With fewer samples a component, components describe single samples and erase their fingerprint.
SAMPLES_A_COMPONENT = 8
MIN_COMMON_GENES = 100
# A cohort's mean is taken out as well, for it holds what its pipeline does to each gene; of a
# cohort with this many samples half of it, because few say more of themselves than of the pipeline.
SAMPLES_OF_HALF_SHIFT = 20


def background(
    store: Annotated[list[Path], Option(help="log_tpm.arrow of each corpus cohort.")],
    output: Annotated[Path, Option(help="background.parquet to write.")],
) -> None:
    """Fit mean and leading components of ln(TPM + 1) over evenly spaced samples of the corpus."""
    fitted = fit([ExpressionStore(path) for path in store])
    loadings = pa.array(fitted.components.T.astype(np.float32).ravel())
    table = pa.table(
        {
            "gene": pa.array(fitted.genes, pa.int32()),
            "mean": pa.array(fitted.mean, pa.float32()),
            "loadings": pa.FixedSizeListArray.from_arrays(loadings, len(fitted.components)),
        }
    )
    write_table(output, table.replace_schema_metadata({"n_genes": str(fitted.n_genes)}))
    print(
        f"{len(fitted.genes)} genes, {len(fitted.components)} components taken out",
        file=sys.stderr,
    )


@dataclass(frozen=True)
class Background:
    """What samples have in common.

    Attributes
    ----------
    n_genes : length of the gene axis
    genes : int [n], places on the gene axis of the genes that tell samples apart
    mean : float32 [n], ln(TPM + 1)
    components : float32 [n_components, n], orthonormal
    """

    n_genes: int
    genes: np.ndarray
    mean: np.ndarray
    components: np.ndarray

    @classmethod
    def read(cls, path: Path) -> Background:
        """Read background.parquet; raises InputError if it is not one."""
        try:
            table = pq.read_table(path)
            n_genes = int((table.schema.metadata or {})[b"n_genes"])
            genes, mean = table["gene"].to_numpy(), table["mean"].to_numpy()
            loadings = table["loadings"].combine_chunks()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise InputError(
                f"{path}: not a readable background ({error!r}); make it again"
            ) from error
        components = loadings.flatten().to_numpy().reshape(len(genes), -1).T
        return cls(n_genes, genes, mean, np.ascontiguousarray(components))

    def shift(self, store: ExpressionStore) -> np.ndarray:
        """Return how a cohort's mean differs from `mean`, float32 [n], shrunk; absent genes 0."""
        values = store.read(evenly_spaced(len(store), MAX_SAMPLES))[:, self.genes]
        share = len(store) / (len(store) + SAMPLES_OF_HALF_SHIFT)
        return np.nan_to_num((values.mean(axis=0) - self.mean) * np.float32(share))

    def among(self, measured: np.ndarray, shift: np.ndarray, path: Path) -> Fingerprints:
        """Return fingerprints of a cohort with this `shift`, on the genes `measured` [n_genes].

        Raises InputError, naming `path`, if the axis differs or too few genes are left.
        """
        if len(measured) != self.n_genes:
            raise InputError(
                f"{path}: {len(measured)} genes, but the background of the corpus has "
                f"{self.n_genes}; the files come from different runs, run the expression stage "
                "again"
            )
        known = measured[self.genes]
        if known.sum() < MIN_COMMON_GENES:
            raise InputError(
                f"{path}: {known.sum()} of the {len(known)} genes that tell samples apart were "
                f"measured, and {MIN_COMMON_GENES} are needed to recognise a sample; take the "
                "cohort out of the corpus or the evaluation, or correct its gene_ids"
            )
        mean = (self.mean + shift)[known]
        return Fingerprints(self.genes[known], known, mean, self.components[:, known])


class Fingerprints:
    """What makes each sample itself, on one set of genes; made by `Background.among`."""

    def __init__(
        self, genes: np.ndarray, known: np.ndarray, mean: np.ndarray, components: np.ndarray
    ) -> None:
        self.genes = genes
        self.known = known  # bool [n of the background], the genes in use
        self._mean = mean
        self._components = components
        # Least squares on the genes that are there: absent ones do not count as average.
        self._scores = np.linalg.pinv(components.astype(np.float64)).astype(np.float32)

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return float32 [n, n genes in use] of ln(TPM + 1) [n, n_genes]; rows of length one.

        The product of two rows is the correlation of what is left of the two samples. A sample
        that leaves nothing is all zero.
        """
        rest = values[:, self.genes] - self._mean
        rest -= (rest @ self._scores) @ self._components
        rest -= rest.mean(axis=1, keepdims=True)
        length = np.linalg.norm(rest, axis=1, keepdims=True)
        return rest / np.where(length > 0, length, 1)


def fit(stores: Sequence[ExpressionStore]) -> Background:
    """Return the background of up to MAX_SAMPLES samples, evenly spaced over all stores.

    Raises InputError if the stores share too few expressed genes.
    """
    ends = np.cumsum([len(store) for store in stores])
    chosen = evenly_spaced(ends[-1], MAX_SAMPLES)
    values = np.concatenate(
        [
            store.read(chosen[(chosen >= end - len(store)) & (chosen < end)] - (end - len(store)))
            for store, end in zip(stores, ends, strict=True)
        ]
    )
    measured = np.logical_and.reduce([store.measured for store in stores])
    mean = values.mean(axis=0)
    genes = np.flatnonzero(measured & (np.nan_to_num(mean) > MIN_MEAN))
    if len(genes) < MIN_COMMON_GENES:
        raise InputError(
            f"{stores[0].path}: {len(genes)} genes are measured in all cohorts of the corpus and "
            f"have a mean ln(TPM + 1) above {MIN_MEAN}, and {MIN_COMMON_GENES} are needed to "
            "recognise a sample; correct gene_ids in the cohorts table"
        )
    n_components = max(1, min(MAX_COMPONENTS, len(chosen) // SAMPLES_A_COMPONENT))
    centred = values[:, genes] - mean[genes]
    components = leading_components(centred, n_components)
    spread = (centred - (centred @ components.T) @ components).std(axis=0)
    own = np.sort(np.argsort(-spread, kind="stable")[:MAX_GENES])
    components = leading_components(centred[:, own], n_components)
    return Background(len(measured), genes[own], mean[genes[own]], components)


def evenly_spaced(n: int, most: int) -> np.ndarray:
    """Return at the most `most` of the rows 0 to n - 1, in order."""
    return np.linspace(0, max(n - 1, 0), min(n, most)).astype(np.int64)


def leading_components(centred: np.ndarray, n_components: int) -> np.ndarray:
    """Return the leading principal axes float32 [n_components, n_genes] of [n, n_genes].

    Axes that the samples do not span are left out. Each points to where its largest loading is
    positive.
    """
    exact = centred.astype(np.float64)
    power, vectors = np.linalg.eigh(exact @ exact.T)
    order = np.argsort(-power)[:n_components]
    order = order[power[order] > 1e-9 * power.max()]
    axes = (vectors[:, order] / np.sqrt(power[order])).T @ exact
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1))
    return (axes * signs).astype(np.float32)


if __name__ == "__main__":
    command(background)
