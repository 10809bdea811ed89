"""Calls the genes that differ between two classes on measured counts, once for all models.

The genes that are tested are chosen here too: all models are judged on the same ones.
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
from bulkformer.errors import InputError
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.tasks.imputation_counts import (
    check_counts,
    differential_expression,
    enough_reads,
)
from bulkformer.evaluate.tasks.imputation_differential_split import SECTION, TASK
from bulkformer.evaluate.tasks.imputation_masks import read_training_genes
from bulkformer.expression.store import ExpressionStore
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.files import write_table

MIN_GENES = 10


def imputation_differential_truth(
    split: Annotated[Path, Option(help="Manifest of the task.")],
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    counts: Annotated[Path, Option(help="counts.arrow of the cohort.")],
    reference: Annotated[Path, Option(help="Fitted gene mean.")],
    settings: Annotated[str, Option(help="Section imputation_differential, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
) -> None:
    """Draw the genes to test, and test them on measured counts."""
    section = json.loads(settings)
    vocabulary = Vocabulary.load(genes)
    training = read_training_genes(reference, len(vocabulary))
    rows = read_manifest(split, TASK, "strict").to_pandas()
    check_counts(counts)
    store = ExpressionStore(counts)
    values = store.read(store.rows(rows["unit"].tolist()))
    is_second = (rows["stratum"] == section["classes"][1]).to_numpy()
    usable = store.measured & training.ever_measured & vocabulary.has_length
    tested = np.flatnonzero(usable & enough_reads(values, is_second))
    if len(tested) < MIN_GENES:
        raise InputError(
            f"{counts}: {len(tested)} genes have enough reads to be tested; choose other samples "
            f"under {SECTION}"
        )
    if section["max_genes"]:
        drawn = np.random.default_rng(seed).permutation(tested)[: section["max_genes"]]
        tested = np.sort(drawn)
    names = [vocabulary.gene_ids[gene] for gene in tested]
    found = differential_expression(values[:, tested], names, is_second)
    called = int((found["padj"] < section["fdr"]).sum())
    print(f"{len(names)} genes tested, {called} at an FDR of {section['fdr']}", file=sys.stderr)
    table = pd.DataFrame({"gene_id": names}).join(found.reset_index(drop=True))
    write_table(output, pa.Table.from_pandas(table, preserve_index=False))


if __name__ == "__main__":
    command(imputation_differential_truth)
