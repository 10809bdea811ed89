"""Simulate a universe of genes, programs and cohorts, and write it as the providers would.

The files stand where the downloads would have gone, so that everything after them runs unchanged;
the truth is written beside them, so that what the pipeline found can be compared with it.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.files import write_table
from bulkformer.simulate import reference_writers, writers
from bulkformer.simulate.annotation import Annotation, draw_annotation
from bulkformer.simulate.cohort_formats_ncbi import write_ncbi
from bulkformer.simulate.cohorts import (
    Cohort,
    draw_biology,
    draw_corpus,
    draw_gtex,
    draw_series,
    draw_tcga,
)
from bulkformer.simulate.counts import Abundance, draw_abundance, draw_counts
from bulkformer.simulate.nomenclature import draw_nomenclature
from bulkformer.simulate.programs import Programs, draw_programs
from bulkformer.simulate.reuploads import add_reuploads

# Natural-log standard deviation of gene-wise study offsets. Corpus studies differ moderately;
# TCGA and GTEx are one project each; small series differ so much that they confound the label.
STUDY_SPREAD = {"archs4": 0.25, "tcga": 0.1, "gtex": 0.05, "disignatlas": 0.45}


def universe(
    genes: Annotated[int, typer.Option(help="protein-coding genes")],
    programs: Annotated[int, typer.Option(help="gene programs")],
    corpus_studies: Annotated[int, typer.Option(help="studies of the pretraining corpus")],
    corpus_samples: Annotated[int, typer.Option(help="their samples, without the unfit ones")],
    tcga_patients: Annotated[int, typer.Option(help="patients of four cancer types")],
    gtex_samples: Annotated[int, typer.Option(help="normal samples of five tissues")],
    series_samples: Annotated[int, typer.Option(help="samples of six case-control series")],
    seed: Annotated[int, typer.Option()],
    archs4: Annotated[Path, typer.Option(help="HDF5 of counts")],
    gdc_counts: Annotated[Path, typer.Option(help="tar of STAR counts")],
    gdc_sheet: Annotated[Path, typer.Option(help="GDC sample sheet")],
    gtex_counts: Annotated[Path, typer.Option(help="GCT of gene reads")],
    gtex_attributes: Annotated[Path, typer.Option(help="GTEx sample attributes")],
    ncbi_counts: Annotated[Path, typer.Option(help="tar of NCBI's counts by series")],
    ncbi_samples: Annotated[Path, typer.Option(help="table of those samples")],
    ncbi_annotation: Annotated[Path, typer.Option(help="NCBI's annotation of Entrez genes")],
    string_links: Annotated[Path, typer.Option(help="STRING links")],
    string_aliases: Annotated[Path, typer.Option(help="STRING aliases")],
    gtf: Annotated[Path, typer.Option(help="Ensembl annotation")],
    hgnc: Annotated[Path, typer.Option(help="HGNC complete set")],
    truth_genes: Annotated[Path, typer.Option(help="programs, loadings and abundance by gene")],
    truth_edges: Annotated[Path, typer.Option(help="planted edges")],
    truth_samples: Annotated[Path, typer.Option(help="labels and program activities by sample")],
) -> None:
    """Write a small universe with known truth in the providers' own formats.

    The same sizes and seed give the same bytes; each part has a random stream of its own, so that
    changing the size of one cohort leaves the genes and the other cohorts as they were.
    """
    _check(genes >= 10 * programs > 0, "genes", "at least ten genes for each program")
    _check(genes >= 100, "genes", "at least 100")
    _check(corpus_studies >= 2, "corpus_studies", "at least 2")
    _check(corpus_samples >= 3 * corpus_studies, "corpus_samples", "three for each study")
    _check(tcga_patients >= 8, "tcga_patients", "at least 8")
    _check(gtex_samples >= 5, "gtex_samples", "at least 5")
    _check(series_samples >= 12, "series_samples", "at least 12, two for each series")

    annotation = draw_annotation(genes, _stream(seed, "annotation"))
    nomenclature = draw_nomenclature(annotation, _stream(seed, "nomenclature"))
    planted = draw_programs(annotation.coding, programs, _stream(seed, "programs"))
    abundance = draw_abundance(annotation, _stream(seed, "abundance"))
    biology = draw_biology(programs, _stream(seed, "biology"))
    corpus = draw_corpus(corpus_studies, corpus_samples, biology, _stream(seed, "archs4"))
    tcga = draw_tcga(tcga_patients, biology, _stream(seed, "tcga"))
    gtex = draw_gtex(gtex_samples, biology, _stream(seed, "gtex"))
    series = draw_series(series_samples, biology, _stream(seed, "disignatlas"))

    def counts_of(cohort: Cohort) -> np.ndarray:
        rng = _stream(seed, f"{cohort.name} counts")
        spread = STUDY_SPREAD[cohort.name]
        return draw_counts(cohort, annotation, planted, abundance, spread, rng)

    corpus, corpus_counts = add_reuploads(corpus, counts_of(corpus), _stream(seed, "reuploads"))
    writers.write_archs4(archs4, corpus, corpus_counts, annotation)
    rng = _stream(seed, "gdc format")
    writers.write_gdc(gdc_counts, gdc_sheet, tcga, counts_of(tcga), annotation, rng)
    rng = _stream(seed, "gtex format")
    writers.write_gtex(gtex_counts, gtex_attributes, gtex, counts_of(gtex), annotation, rng)
    rng = _stream(seed, "ncbi format")
    write_ncbi(
        ncbi_counts,
        ncbi_annotation,
        ncbi_samples,
        series,
        counts_of(series),
        annotation,
        nomenclature,
        rng,
    )
    reference_writers.write_gtf(gtf, annotation)
    reference_writers.write_hgnc(hgnc, annotation, nomenclature)
    rng = _stream(seed, "string")
    reference_writers.write_string(string_links, string_aliases, annotation, planted, rng)
    write_table(truth_genes, genes_table(annotation, planted, abundance))
    write_table(truth_edges, edges_table(annotation, planted))
    write_table(truth_samples, samples_table([corpus, tcga, gtex, series]))


def genes_table(annotation: Annotation, programs: Programs, abundance: Abundance) -> pa.Table:
    """Return one row a gene: names, program (null outside all), loadings, abundance, dispersion."""
    program = [int(number) if number >= 0 else None for number in programs.program]
    loadings = pa.array(programs.loadings.astype(np.float32).ravel())
    return pa.table(
        {
            "gene_id": annotation.gene_id,
            "symbol": annotation.symbol,
            "biotype": annotation.biotype,
            "in_vocabulary": annotation.coding,
            "length_bp": annotation.length_bp,
            "program": pa.array(program, pa.int32()),
            "loadings": pa.FixedSizeListArray.from_arrays(loadings, programs.loadings.shape[1]),
            "log_abundance": abundance.baseline,
            "dispersion": abundance.dispersion,
        }
    )


def edges_table(annotation: Annotation, programs: Programs) -> pa.Table:
    """Return one row a planted edge, each pair once: gene ids and the likeness of loadings."""
    return pa.table(
        {
            "source": [annotation.gene_id[gene] for gene in programs.source],
            "target": [annotation.gene_id[gene] for gene in programs.target],
            "weight": programs.weight.astype(np.float32),
        }
    )


def samples_table(cohorts: list[Cohort]) -> pa.Table:
    """Return one row a deposited profile; ids repeat where the provider repeats them.

    `activity` holds the activity of each program itself, without its branches.
    """
    samples = [(cohort.name, sample) for cohort in cohorts for sample in cohort.samples]
    activity = np.concatenate([cohort.activity[:, :, 0] for cohort in cohorts])
    values = pa.array(activity.astype(np.float32).ravel())
    return pa.table(
        {
            "sample_id": [sample.sample_id for _, sample in samples],
            "cohort": [cohort for cohort, _ in samples],
            "study_id": [sample.study_id for _, sample in samples],
            "patient_id": [sample.patient_id for _, sample in samples],
            "tissue": [sample.tissue for _, sample in samples],
            "disease": [sample.disease for _, sample in samples],
            "flaw": [sample.flaw for _, sample in samples],
            "copy_of": [sample.copy_of for _, sample in samples],
            "activity": pa.FixedSizeListArray.from_arrays(values, activity.shape[1]),
        }
    )


def _stream(seed: int, part: str) -> np.random.Generator:
    """Return the random stream of one part of the universe."""
    return np.random.default_rng([seed, *part.encode()])


def _check(holds: bool, key: str, rule: str) -> None:
    if not holds:
        raise InputError(f"config, simulate.{key}: too small; give {rule}")


if __name__ == "__main__":
    command(universe)
