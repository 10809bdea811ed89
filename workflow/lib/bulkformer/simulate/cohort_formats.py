"""Cohorts that several providers publish once more: toil, recount3 and DepMap.

The first two hold samples that are also in GDC, GTEx and ARCHS4, through another pipeline and under
other names, so that the search for samples that a model has already seen has something to find.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from bulkformer.cli import command
from bulkformer.simulate import cohort_formats_writers as writers
from bulkformer.sources.reader import open_cohort

RECOUNTED = 6  # samples of the corpus that recount3 holds again


def cohort_formats(
    archs4: Annotated[Path, typer.Option(help="HDF5 of the corpus")],
    gdc_counts: Annotated[Path, typer.Option(help="tar of STAR counts")],
    gdc_sheet: Annotated[Path, typer.Option(help="GDC sample sheet")],
    gtex_counts: Annotated[Path, typer.Option(help="GCT of gene reads")],
    gtex_attributes: Annotated[Path, typer.Option(help="GTEx sample attributes")],
    hgnc: Annotated[Path, typer.Option(help="HGNC complete set")],
    truth_genes: Annotated[Path, typer.Option(help="programs, loadings and abundance by gene")],
    truth_samples: Annotated[Path, typer.Option(help="samples and their flaws")],
    cell_lines: Annotated[Path, typer.Option(help="cell lines with program activities")],
    seed: Annotated[int, typer.Option()],
    toil_counts: Annotated[Path, typer.Option(help="matrix of log2(expected count + 1)")],
    toil_phenotype: Annotated[Path, typer.Option(help="its phenotype table")],
    toil_probemap: Annotated[Path, typer.Option(help="its table of genes")],
    recount3_sums: Annotated[Path, typer.Option(help="gene sums of a project")],
    recount3_metadata: Annotated[Path, typer.Option(help="quality metadata of its runs")],
    depmap_expression: Annotated[Path, typer.Option(help="log2(TPM + 1) of cell lines")],
) -> None:
    """Write the cohorts toil, recount3 and DepMap in the formats of their providers."""
    tcga, tcga_samples = _read("gdc", gdc_counts, gdc_sheet)
    gtex, gtex_samples = _read("gct", gtex_counts, gtex_attributes)
    rng = np.random.default_rng([seed, *b"toil format"])
    writers.write_toil(
        toil_counts, toil_phenotype, toil_probemap, (tcga, tcga_samples), (gtex, gtex_samples), rng
    )

    truth = pd.read_parquet(truth_samples, columns=["sample_id", "cohort", "flaw"])
    good = truth["sample_id"][(truth["cohort"] == "archs4") & (truth["flaw"] == "")].tolist()
    corpus, _ = _read("archs4", archs4, None)
    corpus = corpus[~corpus.index.duplicated()]
    again = corpus.loc[good[:: max(1, len(good) // RECOUNTED)][:RECOUNTED]]
    on_y = [gene for gene in gtex.columns if gene.endswith("_PAR_Y")]
    rng = np.random.default_rng([seed, *b"recount3 format"])
    writers.write_recount3(recount3_sums, recount3_metadata, again, on_y, rng)

    rng = np.random.default_rng([seed, *b"depmap format"])
    writers.write_depmap(
        depmap_expression,
        pd.read_parquet(cell_lines),
        pd.read_parquet(truth_genes),
        pd.read_csv(hgnc, sep="\t", dtype=str, keep_default_na=False),
        rng,
    )


def _read(format: str, expression: Path, samples: Path | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return counts, samples by genes, and the samples of a cohort as its provider wrote it."""
    opened = open_cohort(format, expression, samples)
    blocks = list(opened.blocks())
    ids = [sample_id for ids, _ in blocks for sample_id in ids]
    values = np.concatenate([values for _, values in blocks])
    return pd.DataFrame(values, index=ids, columns=opened.gene_ids), opened.samples


if __name__ == "__main__":
    command(cohort_formats)
