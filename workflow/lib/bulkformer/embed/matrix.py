"""The command for a matrix of one's own: expression in, a vector for each sample out.

It reads what the cohort step reads, brings it onto the genes of the model as that step does, and
feeds the model as the embed step does, so that the vectors are the same ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.embed.feeding import Pooling
from bulkformer.errors import InputError
from bulkformer.files import atomic, sha256, write_json, write_table

SUFFIXES = (".parquet", ".csv", ".tsv", ".h5ad")


@dataclass
class Embedded:
    """Vectors in the order of the file, and the samples that have none: they had no counts."""

    sample_ids: list[str] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def matrix(
    run: Annotated[Path, Option(help="Run folder, results/pretrain/<run>.")],
    expression: Annotated[Path, Option(help="Matrix of samples and genes.")],
    output: Annotated[Path, Option(help="Table to write: .parquet, .csv, .tsv or .h5ad.")],
    gene_ids: Annotated[str, Option(help="ensembl, symbol, entrez or symbol_entrez.")] = "ensembl",
    unit: Annotated[str, Option(help="counts, expected_counts, scaled_counts or tpm.")] = "counts",
    orientation: Annotated[str, Option(help="genes_in_rows or samples_in_rows.")] = "genes_in_rows",
    format: Annotated[str, Option(help="A format of cohorts.tsv.")] = "matrix",
    samples: Annotated[Path | None, Option(help="Sample table, if the format needs it.")] = None,
    sample_columns: Annotated[str, Option(help="ours=theirs;ours=theirs")] = "",
    transform: Annotated[str, Option(help="What was done to the values: log2(x+1), …")] = "",
    pooling: Annotated[Pooling, Option(help="From gene tokens to one vector.")] = "max",
    summary_scalars: Annotated[bool, Option(help="Keep the three statistics of a sample.")] = True,
    absent_value: Annotated[
        Literal["mask", "zero"], Option(help="What an absent gene is fed as.")
    ] = "mask",
    min_shared_vocabulary: Annotated[float, Option(help="Share of the model's genes.")] = 0.5,
    batch_size: Annotated[int, Option(help="Samples a forward pass; memory limits it.")] = 4,
) -> None:
    """Embed every sample of a matrix with the model in RUN, and say beside it how.

    OUTPUT gets one row a sample: sample_id and the embedding. A JSON of the same name says which
    weights, which genes were matched, and what was absent.
    """
    if output.suffix not in SUFFIXES:
        raise InputError(f"{output}: name it {', '.join(SUFFIXES)}")
    if not run.is_dir():
        raise InputError(f"{run}: no such run folder; name one of results/pretrain by --run")
    from bulkformer.embed.registry import load

    plan = plan_of(
        run, expression, gene_ids, unit, orientation, format, samples, sample_columns, transform,
        min_shared_vocabulary,
    )  # fmt: skip
    found = plan.mapping.summary
    print(
        f"{expression}: {found['genes_measured']:,} of the {found['vocabulary_genes']:,} genes of "
        f"{run} ({found['vocabulary_share']:.1%}), {found['genes_absent']:,} absent, "
        f"{len(plan.opened.samples):,} samples",
        file=sys.stderr,
    )
    settings = {"pooling": pooling, "absent_value": absent_value}
    settings["summary_scalars"] = summary_scalars
    ready = load("bulkformer", json.dumps(settings), run, run / "genes.parquet", 0, batch_size)
    embedded = Embedded()
    for sample_ids, values, left_out in log_tpm_blocks(plan):
        embedded.left_out += left_out
        if sample_ids:
            embedded.sample_ids += sample_ids
            frame = pd.DataFrame({"sample_id": sample_ids})
            embedded.vectors.append(ready.embed(values, plan.mapping.measured, frame))
    if not embedded.sample_ids:
        raise InputError(f"{expression}: no sample has any expression in the genes of {run}")
    if embedded.left_out:
        print(
            f"{expression}: no expression in these genes, and so no vector, for "
            f"{len(embedded.left_out)} of the samples, first '{embedded.left_out[0]}'",
            file=sys.stderr,
        )
    vectors = np.concatenate(embedded.vectors)
    write_vectors(output, embedded.sample_ids, vectors)
    provenance = dict(vars(ready.provenance()))
    # Its genes are those of the run itself; how many of them the matrix has stands in `genes`.
    provenance.pop("genes_matched")
    write_json(
        output.with_suffix(".json"),
        {
            "run": run.resolve().name,
            "expression": expression.name,
            "expression_sha256": sha256(expression),
            "format": format,
            "unit": unit,
            "transform": transform,
            "orientation": orientation,
            "settings": settings,
            "n_samples": len(vectors),
            "samples_left_out": embedded.left_out,
            "dimension": vectors.shape[1],
            "genes": found,
            **provenance,
        },
    )


def plan_of(
    run: Path, expression: Path, gene_ids: str, unit: str, orientation: str, format: str,
    samples: Path | None, sample_columns: str, transform: str, min_share: float,
) -> Any:  # fmt: skip
    """Open the matrix and find its genes on those of the run; the Plan of the cohort step.

    Raises InputError as `open_cohort` and `map_genes` do, if the run does not know the names by
    which the matrix calls its genes, and if fewer than `min_share` of its genes are there.
    """
    from bulkformer.expression.conversion import UNITS, Plan
    from bulkformer.expression.identifiers import map_genes
    from bulkformer.expression.normalise import choose_denominator
    from bulkformer.expression.quality import Thresholds
    from bulkformer.expression.vocabulary import Vocabulary
    from bulkformer.sources.reader import open_cohort

    if unit not in UNITS:
        raise InputError(f"--unit '{unit}' is unknown; known are {', '.join(UNITS)}")
    vocabulary = Vocabulary.load(run / "genes.parquet")
    opened = open_cohort(
        format,
        expression,
        samples,
        orientation=orientation,
        sample_columns=sample_columns,
        transform=transform,
    )
    mapping = map_genes(opened.gene_ids, gene_ids, vocabulary)
    if not vocabulary.names(gene_ids)[0]:
        raise InputError(
            f"{run / 'genes.parquet'}: knows no {gene_ids} ids of its genes; give a matrix by "
            "--gene-ids ensembl or symbol"
        )
    check_shared(mapping.summary, expression, run, min_share)
    # Every gene of the model that was measured makes the million, as in the cohort step.
    denominator = choose_denominator("vocabulary", opened.gene_ids, mapping, vocabulary, None)
    nothing_is_dropped = Thresholds(0, 0.0, np.inf)
    return Plan(
        opened, mapping, denominator, vocabulary.length_bp, unit, nothing_is_dropped, expression
    )


def check_shared(found: dict[str, Any], expression: Path, run: Path, min_share: float) -> None:
    """Raise InputError if too few genes of the model were measured for it to mean anything."""
    if found["genes_measured"] and found["vocabulary_share"] >= min_share:
        return
    examples = ", ".join(f"'{name}'" for name in found["unmatched_examples"][:3])
    unmatched = f"; identifiers that match none are {examples}" if examples else ""
    lengths = found["genes_without_length"]
    more = f", and {lengths} genes have no length in {run / 'genes.parquet'}" if lengths else ""
    raise InputError(
        f"{expression}: has {found['vocabulary_share']:.1%} of the model's genes by --gene-ids "
        f"{found['gene_ids']}, and {min_share:.1%} are asked for"
        f"{unmatched}{more}. Correct --gene-ids or --orientation, or lower --min-shared-vocabulary "
        "if a model that guesses most genes is what you want"
    )


def log_tpm_blocks(plan: Any) -> Iterator[tuple[list[str], np.ndarray, list[str]]]:
    """Yield (sample ids, ln(TPM + 1) [n, n_genes], ids of samples without any expression).

    Blocks are those of the stores of the cohort step. Raises InputError for values that are not
    of the plan's unit.
    """
    from bulkformer.expression.conversion import (
        Aligner,
        check_not_logarithms,
        check_unit,
        open_blocks,
    )
    from bulkformer.expression.store import BATCH_SAMPLES

    blocks, mapping, denominator = open_blocks(plan, 0)
    align, largest = Aligner(plan, mapping, denominator), 0.0
    for sample_ids, values in blocks:
        check_unit(values, sample_ids, plan)
        largest = max(largest, float(values.max(initial=0)))
        for start in range(0, len(sample_ids), BATCH_SAMPLES):
            ids = sample_ids[start : start + BATCH_SAMPLES]
            batch = align.batch(values[start : start + BATCH_SAMPLES], [None] * len(ids))
            kept = set(batch.kept.tolist())
            left_out = [name for row, name in enumerate(ids) if row not in kept]
            yield [ids[row] for row in batch.kept], batch.log_tpm, left_out
    check_not_logarithms(largest, plan.unit, plan.path)


def write_vectors(output: Path, sample_ids: list[str], vectors: np.ndarray) -> None:
    """Write one row a sample; Parquet keeps the vector in one column, text gives each a column."""
    if output.suffix == ".parquet":
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        write_table(output, pa.table({"sample_id": sample_ids, "embedding": column}))
        return
    names = [f"embedding_{number}" for number in range(vectors.shape[1])]
    with atomic(output) as partial:
        if output.suffix == ".h5ad":
            from anndata import AnnData  # slow to import

            obs = pd.DataFrame(index=pd.Index(sample_ids, name="sample_id"))
            table = AnnData(vectors, obs=obs, var=pd.DataFrame(index=names))
            table.write_h5ad(partial)
        else:
            frame = pd.DataFrame(vectors, columns=names)
            frame.insert(0, "sample_id", sample_ids)
            separator = "," if output.suffix == ".csv" else "\t"
            frame.to_csv(partial, sep=separator, index=False, float_format="%.9g")


if __name__ == "__main__":
    command(matrix)
