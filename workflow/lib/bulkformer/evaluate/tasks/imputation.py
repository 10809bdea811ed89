"""Hides values by fixed masks that all models share, and saves what each model predicts for them.

A mask depends on the sample (or its study), the repeat and the seed, and on nothing else: not on
the model, the order of samples, or which others are tested.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.embed.registry import load
from bulkformer.errors import InputError
from bulkformer.evaluate.records import pair
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.tasks.imputation_genes import SPREADS
from bulkformer.evaluate.tasks.imputation_masks import (
    PANEL,
    RANDOM,
    hidden_values,
    most_variable,
    plan,
    read_panel,
    read_training_genes,
)
from bulkformer.evaluate.tasks.imputation_scores import NAME, PREDICTIONS
from bulkformer.expression.store import ExpressionStore
from bulkformer.files import atomic


def imputation(
    protocol: Annotated[str, Option(help="legacy or strict.")],
    model: Annotated[str, Option()],
    embedder: Annotated[str, Option(help="Column embedder of the models table.")],
    settings: Annotated[str, Option(help="Settings of the embedder, as JSON.")],
    split: Annotated[Path, Option(help="Manifest of the task.")],
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    cohort: Annotated[list[str], Option()],
    samples: Annotated[list[Path], Option(help="samples.parquet of each cohort, same order.")],
    store: Annotated[list[Path], Option(help="log_tpm.arrow of each cohort, same order.")],
    reference: Annotated[Path, Option(help="Fitted gene mean: mean and spread of each gene.")],
    mask_fractions: Annotated[list[float], Option(help="Shares of genes hidden.")],
    mask_repeats: Annotated[int, Option(help="Random masks of 15 %; legacy takes one.")],
    seed: Annotated[int, Option()],
    batch_size: Annotated[int, Option(help="Samples a forward pass.")],
    output: Annotated[Path, Option()],
    weights: Annotated[Path | None, Option(help="Run folder or fit, if the model has one.")] = None,
    mask_kinds: Annotated[
        list[str] | None, Option(help="random, whole_gene, low_expression, panel.")
    ] = None,
    panel: Annotated[Path | None, Option(help="Genes that stay visible, one a line.")] = None,
    panel_genes: Annotated[
        int | None, Option(help="Without --panel: how many of the most variable genes it has.")
    ] = None,
    further_mask_repeats: Annotated[
        int | None, Option(help="Random masks of every other share, if fewer.")
    ] = None,
) -> None:
    """Predict hidden expression values of the test samples; legacy hides at random only."""
    gene_ids = pq.read_table(genes, columns=["gene_id"])["gene_id"].to_pylist()
    training = read_training_genes(reference, len(gene_ids))
    legacy = protocol == "legacy"
    kinds = [RANDOM] if legacy or not mask_kinds else mask_kinds
    shown = None
    if PANEL in kinds and panel:
        shown = read_panel(panel, genes)
    elif PANEL in kinds and panel_genes:
        shown = most_variable(training, panel_genes)
    masks = plan(kinds, mask_fractions, 1 if legacy else mask_repeats, shown, further_mask_repeats)
    tests = read_test_samples(
        read_manifest(split, "imputation", protocol).to_pandas(),
        pair(cohort, store, "--store"),
        pair(cohort, samples, "--samples"),
        ever_measured=None if legacy else training.ever_measured,
    )
    if tests.values.shape[1] != len(gene_ids):
        raise InputError(
            f"{genes}: {len(gene_ids)} genes, but the stores have {tests.values.shape[1]}; "
            "run the expression stage again"
        )
    chosen = load(embedder, settings, weights, genes, seed, batch_size)
    spread = dict(zip(gene_ids, training.spread.tolist(), strict=True))
    with (
        atomic(output) as partial,
        pq.ParquetWriter(
            partial, PREDICTIONS.with_metadata({SPREADS: json.dumps(spread)}), compression="zstd"
        ) as writer,
    ):
        for mask, repeat in [(each, repeat) for each in masks for repeat in range(each.repeats)]:
            hidden = hidden_values(mask, repeat, seed, tests.rows, tests.may_hide, training, shown)
            visible = np.where(hidden, np.float32(np.nan), tests.values)
            predicted = chosen.impute(visible, tests.samples)
            about = {"model": model, "condition": mask.condition, "seed": seed, "repeat": repeat}
            for (dataset, regime), rows in tests.rows.groupby(
                ["dataset", "regime"]
            ).indices.items():
                about |= {"dataset": dataset, "regime": regime}
                table = _table(tests, rows, hidden, predicted, training.mean, gene_ids, about)
                writer.write_table(table, row_group_size=max(table.num_rows, 1))
            print(f"{mask.condition}, repeat {repeat}: {hidden.sum()} hidden", file=sys.stderr)


@dataclass(frozen=True)
class HeldOutSamples:
    """The test samples of one protocol, all in one order.

    Attributes
    ----------
    rows : their rows of the manifest
    samples : their labels
    values : float32 [n, G], ln(TPM + 1), NaN where the model must not see anything
    may_hide : bool [n, G], positions that may be hidden and scored
    """

    rows: pd.DataFrame
    samples: pd.DataFrame
    values: np.ndarray
    may_hide: np.ndarray


def read_test_samples(
    manifest: pd.DataFrame,
    stores: dict[str, Path],
    samples: dict[str, Path],
    ever_measured: np.ndarray | None,
) -> HeldOutSamples:
    """Read the samples of the manifest from their cohorts.

    Parameters
    ----------
    stores, samples : {cohort: file}
    ever_measured : bool [G], genes that the training corpus measured; no model can have learned
        the others, which are not scored. Genes that a cohort did not measure are neither shown nor
        scored. None for the legacy protocol: there absent genes become zeros, which are shown,
        hidden and scored like the rest.
    """
    parts = []
    for cohort, rows in manifest.groupby("cohort", sort=True):
        if cohort not in stores:
            raise InputError(f"no --store for cohort '{cohort}', which the manifest names")
        store = ExpressionStore(stores[cohort])
        table = pd.read_parquet(samples[cohort])
        # A sample that its source lists twice has a second row here, which was not kept.
        labels = table[table["kept"]].set_index("sample_id", drop=False)
        absent = rows.loc[~rows["unit"].isin(labels.index), "unit"]
        if len(absent):
            raise InputError(
                f"{samples[cohort]}: no row for sample '{absent.iloc[0]}' of the manifest; "
                "make the split again"
            )
        values = store.read(store.rows(rows["unit"].tolist()))
        measured = np.broadcast_to(store.measured, values.shape)
        parts.append((rows, labels.loc[rows["unit"]], values, measured))
    rows, labels, values, measured = zip(*parts, strict=True)
    values, measured = np.concatenate(values), np.concatenate(measured)
    if ever_measured is None:
        values, may_hide = np.where(measured, values, np.float32(0)), np.ones_like(measured)
    else:
        values, may_hide = np.where(measured, values, np.float32(np.nan)), measured & ever_measured
    return HeldOutSamples(
        pd.concat(rows, ignore_index=True), pd.concat(labels, ignore_index=True), values, may_hide
    )


def _table(
    tests: HeldOutSamples,
    rows: np.ndarray,
    hidden: np.ndarray,
    predicted: np.ndarray,
    mean: np.ndarray,
    gene_ids: list[str],
    about: dict[str, object],
) -> pa.Table:
    """Lay the hidden values of `rows` out as rows of predictions.parquet."""
    sample, gene = np.nonzero(hidden[rows])
    n = len(sample)
    own = tests.rows.iloc[rows]
    constant = about | {"task": "imputation", "protocol": own["protocol"].iloc[0], "fold": 0}
    named = {
        "sample_id": (sample, own["unit"].tolist()),
        "group": (sample, own["group"].tolist()),
        "target_id": (gene, gene_ids),
    }
    numbers = {
        "y_true": tests.values[rows][sample, gene],
        "y_pred": predicted[rows][sample, gene],
        "y_reference": mean[gene],
    }
    arrays = []
    for field in PREDICTIONS:
        if field.name in numbers:
            arrays.append(pa.array(numbers[field.name], pa.float32()))
        elif field.name in named:
            codes, names = named[field.name]
            arrays.append(_dictionary(codes, names))
        elif field.type == NAME:
            arrays.append(_dictionary(np.zeros(n), [constant[field.name]]))
        else:
            arrays.append(pa.array(np.full(n, constant[field.name]), field.type))
    return pa.table(arrays, schema=PREDICTIONS)


def _dictionary(codes: np.ndarray, names: list[str]) -> pa.DictionaryArray:
    """Return names by code; names that stand twice are joined first, as Arrow demands."""
    unique = list(dict.fromkeys(names))
    if len(unique) < len(names):
        position = {name: i for i, name in enumerate(unique)}
        codes = np.array([position[name] for name in names])[codes]
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), unique)


if __name__ == "__main__":
    command(imputation)
