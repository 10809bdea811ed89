"""Calls the genes that differ between two classes on counts that a model completed.

Some values are hidden, imputed as ln(TPM + 1) and brought back to counts; the rest stays as
measured. What DESeq2 then finds is held against what it finds on the measured counts. Values that a
model does not tell stay gaps: a gene is tested on the samples that show it, and one that too few
show is not called. The control `masked_counts` tells none, so that the others show what it adds to
impute.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.embed.registry import load
from bulkformer.errors import InputError
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.tasks.imputation import read_test_samples
from bulkformer.evaluate.tasks.imputation_counts import (
    check_counts,
    differential_expression,
    rebuilt_counts,
)
from bulkformer.evaluate.tasks.imputation_differential_scores import PREDICTIONS
from bulkformer.evaluate.tasks.imputation_differential_split import TASK
from bulkformer.evaluate.tasks.imputation_masks import hidden_values, plan, read_training_genes
from bulkformer.expression.store import ExpressionStore
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.files import write_table


def imputation_differential(
    model: Annotated[str, Option()],
    embedder: Annotated[str, Option(help="Column embedder of the models table.")],
    embedder_settings: Annotated[str, Option(help="Settings of the embedder, as JSON.")],
    split: Annotated[Path, Option(help="Manifest of the task.")],
    truth: Annotated[Path, Option(help="Genes tested on measured counts.")],
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    samples: Annotated[Path, Option(help="samples.parquet of the cohort.")],
    log_tpm: Annotated[Path, Option(help="log_tpm.arrow of the cohort.")],
    counts: Annotated[Path, Option(help="counts.arrow of the cohort.")],
    reference: Annotated[Path, Option(help="Fitted gene mean.")],
    settings: Annotated[str, Option(help="Section imputation_differential, as JSON.")],
    seed: Annotated[int, Option()],
    batch_size: Annotated[int, Option(help="Samples a forward pass.")],
    output: Annotated[Path, Option()],
    weights: Annotated[Path | None, Option(help="Run folder or fit, if the model has one.")] = None,
) -> None:
    """Hide values, impute them, and test every gene on the completed counts."""
    section = json.loads(settings)
    vocabulary = Vocabulary.load(genes)
    training = read_training_genes(reference, len(vocabulary))
    cohort = section["cohort"]
    rows = read_manifest(split, TASK, "strict").to_pandas()
    tests = read_test_samples(rows, {cohort: log_tpm}, {cohort: samples}, training.ever_measured)
    check_counts(counts)
    store = ExpressionStore(counts)
    measured = store.read(store.rows(tests.rows["unit"].tolist()))
    true = _read_truth(truth)
    column = {gene: at for at, gene in enumerate(vocabulary.gene_ids)}
    tested = np.array([column[gene] for gene in true["gene_id"]])
    is_second = (tests.rows["stratum"] == section["classes"][1]).to_numpy()
    chosen = load(embedder, embedder_settings, weights, genes, seed, batch_size)
    tables = []
    for mask in plan(section["mask_kinds"], section["mask_fractions"], 1, None):
        hidden = hidden_values(mask, 0, seed, tests.rows, tests.may_hide, training)
        visible = np.where(hidden, np.float32(np.nan), tests.values)
        predicted = chosen.impute(visible, tests.samples)
        completed = rebuilt_counts(measured, tests.values, hidden, predicted, vocabulary.length_bp)
        found = differential_expression(completed[:, tested], true["gene_id"].tolist(), is_second)
        share = hidden[:, tested].mean(axis=0)
        about = {"model": model, "condition": mask.condition, "seed": seed}
        about |= {name: tests.rows[name].iloc[0] for name in ("dataset", "protocol", "regime")}
        tables.append(_table(true, found, share, about))
        print(f"{mask.condition}: {(share > 0).sum()} genes were hidden", file=sys.stderr)
    write_table(output, pa.concat_tables(tables))


def _read_truth(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: not a readable table ({error}); make it again") from error


def _table(
    true: pd.DataFrame, found: pd.DataFrame, share: np.ndarray, about: dict[str, object]
) -> pa.Table:
    """Lay the tested genes that had hidden values out as rows of predictions.parquet."""
    rows = np.flatnonzero(share > 0)
    n = len(rows)
    constant = about | {"task": TASK, "fold": 0, "repeat": 0}
    columns = {
        "target_id": true["gene_id"].to_numpy()[rows],
        "group": true["gene_id"].to_numpy()[rows],
        "y_true": true["log2_fold_change"].to_numpy()[rows],
        "y_pred": found["log2_fold_change"].to_numpy()[rows],
        "padj_true": true["padj"].to_numpy()[rows],
        "padj_pred": found["padj"].to_numpy()[rows],
        "hidden_share": share[rows],
    }
    return pa.table(
        [
            pa.array(columns.get(field.name, [constant.get(field.name)] * n), field.type)
            for field in PREDICTIONS
        ],
        schema=PREDICTIONS,
    )


if __name__ == "__main__":
    command(imputation_differential)
