"""Counts of reads: from program activities to what a sequencer and an aligner would report.

The expected count of a gene is its abundance (baseline, programs, gene-wise offsets of the study)
times its length, scaled to the sample's depth; the observed one is negative binomial around it,
because the variance of RNA-seq counts grows faster than their mean (Anders and Huber 2010, Genome
Biology 11:R106), and the weakest genes drop out more often than that.
"""

from dataclasses import dataclass

import numpy as np

from bulkformer.simulate.annotation import Annotation
from bulkformer.simulate.cohorts import Cohort
from bulkformer.simulate.programs import Programs

READS_PER_CODING_GENE = 1_000  # median depth: two million reads for 2,000 genes
DEPTH_SPREAD = 0.45  # natural-log standard deviation of library sizes
ABUNDANCE_SPREAD = 1.7  # natural-log standard deviation of gene means
SILENT = 0.06  # share of coding genes that hardly any sample expresses
SILENCE = -6.0  # natural-log units below the other genes; non-coding genes lie half as low
COHORT_SPREAD = 0.15  # gene-wise offsets, natural-log: each provider has its own protocol
DISPERSION = 0.07  # median negative-binomial dispersion of well expressed genes
DROPOUT = 0.3  # largest extra chance of a zero, reached at an expected count of zero
DROPOUT_SCALE = 5.0  # expected count at which that chance has fallen by a factor e
DEPTH_OF_FLAW = {
    "single_cell_by_probability": 0.3,
    "single_cell_by_source": 0.3,
    "shallow": 0.01,
    "empty": 0.0,
}


@dataclass(frozen=True)
class Abundance:
    """Gene-wise constants: natural-log baseline and negative-binomial dispersion, both [n_genes]"""

    baseline: np.ndarray
    dispersion: np.ndarray


def draw_abundance(annotation: Annotation, rng: np.random.Generator) -> Abundance:
    """Return how much of each gene an average sample holds, per base pair, and how noisily."""
    n_genes = len(annotation)
    baseline = rng.normal(0, ABUNDANCE_SPREAD, n_genes)
    baseline += SILENCE * (rng.random(n_genes) < SILENT)
    baseline[~annotation.coding] += SILENCE / 2
    baseline[annotation.patch] = -np.inf  # aligners report nothing on alternative haplotypes
    return Abundance(baseline, np.exp(rng.normal(np.log(DISPERSION), 0.5, n_genes)))


def draw_counts(
    cohort: Cohort,
    annotation: Annotation,
    programs: Programs,
    abundance: Abundance,
    study_spread: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return read counts uint32 [n_samples, n_genes].

    Parameters
    ----------
    study_spread : natural-log standard deviation of the gene-wise offsets of each study
    """
    log_abundance = np.tile(abundance.baseline, (len(cohort), 1))
    in_a_program = np.flatnonzero(programs.program >= 0)
    log_abundance[:, in_a_program] += np.einsum(
        "sga,ga->sg",
        cohort.activity[:, programs.program[in_a_program]],
        programs.loadings[in_a_program],
        optimize=True,
    )
    log_abundance += rng.normal(0, COHORT_SPREAD, len(annotation))
    offsets: dict[str, np.ndarray] = {}
    for row, sample in enumerate(cohort.samples):
        if sample.study_id not in offsets:
            offsets[sample.study_id] = rng.normal(0, study_spread, len(annotation))
        log_abundance[row] += offsets[sample.study_id]

    fragments = np.exp(log_abundance) * annotation.length_bp
    depth = np.exp(rng.normal(np.log(READS_PER_CODING_GENE), DEPTH_SPREAD, len(cohort)))
    depth *= annotation.coding.sum()
    depth *= [DEPTH_OF_FLAW.get(sample.flaw, 1.0) for sample in cohort.samples]
    expected = fragments / fragments.sum(axis=1, keepdims=True) * depth[:, None]
    # A gamma mixture of Poissons is negative binomial: variance = mean + dispersion * mean^2.
    shape = 1 / abundance.dispersion
    counts = rng.poisson(rng.gamma(shape, 1 / shape, size=expected.shape) * expected)
    counts[rng.random(expected.shape) < DROPOUT * np.exp(-expected / DROPOUT_SCALE)] = 0
    for row, sample in enumerate(cohort.samples):
        if sample.flaw == "duplicate":
            accessions = [other.sample_id for other in cohort.samples]
            counts[row] = counts[accessions.index(sample.sample_id)]
    return counts.astype(np.uint32)
