"""Writes toil, recount3 and DepMap expression as their providers do, quirks included.

Logarithms of different quantities with four decimals, versions of another GENCODE release, `_PAR_Y`
rows, base coverage in place of counts, a table that is not UTF-8.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.files import atomic
from bulkformer.simulate.cohorts import CANCER_OF_PROJECT, TISSUE_OF_DISEASE
from bulkformer.simulate.writers import PAR_Y_SHARE, gzip_text, tab_line

PIPELINE_SPREAD = 0.15  # gene-wise, natural-log: what another aligner and quantifier change
TARGET_SAMPLES = 4  # each a mixture of two tumours of TCGA
LEUKEMIA = "Acute Lymphoblastic Leukemia"
READ_LENGTH = (50, 101)  # base pairs; a run of paired reads has twice as many
SECOND_RUNS = 2  # samples of recount3 that were sequenced in two runs
LINE_NOISE = 0.25  # natural-log standard deviation around what the programs explain


def write_toil(
    matrix: Path,
    phenotype: Path,
    probemap: Path,
    tcga: tuple[pd.DataFrame, pd.DataFrame],
    gtex: tuple[pd.DataFrame, pd.DataFrame],
    rng: np.random.Generator,
) -> None:
    """Write the expected counts of TCGA and GTEx through another pipeline, and a few of TARGET.

    Parameters
    ----------
    tcga, gtex : counts, samples by genes, and the samples, as the readers give them

    TCGA samples lose their vial: of several aliquots of a sample the first one is taken.
    """
    counts, samples = tcga[0].copy(), tcga[1]
    counts.index = samples["sample_id"].str[:15]
    labels = samples.set_index(counts.index)
    first = ~counts.index.duplicated()
    counts, labels = counts[first], labels[first]
    tumours = counts.to_numpy()[rng.permutation(len(counts))[: 2 * TARGET_SAMPLES]]
    target = pd.DataFrame(
        np.sqrt(tumours[::2] * tumours[1::2]),
        index=[f"TARGET-10-PSIM{at:02d}-09" for at in range(len(tumours) // 2)],
        columns=counts.columns,
    )
    values = pd.concat([counts, gtex[0][counts.columns], target])
    values = values * np.exp(rng.normal(0, PIPELINE_SPREAD, values.shape[1]))
    genes = [_renamed(gene) for gene in values.columns]
    logged = np.log2(values.to_numpy() + 1)
    with gzip_text(matrix) as file:
        file.write(tab_line(["sample", *values.index]))
        for gene, row in zip(genes, logged.T.tolist(), strict=True):
            file.write(tab_line([gene, *(f"{value:.4f}" for value in row)]))

    rows = []
    for id_, row in labels.iterrows():
        cancer = CANCER_OF_PROJECT[row["study_id"]]
        site = TISSUE_OF_DISEASE[cancer].capitalize()
        rows.append([id_, cancer, cancer, site, row["sample_type"], "", "TCGA"])
    rows += [
        [row["sample_id"], *[row["tissue_detail"]] * 2, row["tissue"], "Normal Tissue", "", "GTEX"]
        for _, row in gtex[1].iterrows()
    ]
    blood = [LEUKEMIA, LEUKEMIA, "White blood cell", "Primary Blood Derived Cancer - Bone Marrow"]
    rows += [[id_, *blood, "", "TARGET"] for id_ in target.index]
    # A sample without counts; its accents are what makes the file Latin-1.
    rows.append(["GTEX-0000-0001-SM-00000", "Ménétrier", "Ménétrier", "Stomach", "", "", "GTEX"])
    with gzip_text(phenotype) as file:
        file.reconfigure(encoding="latin-1")
        header = ["sample", "detailed_category", "primary disease or tissue", "_primary_site"]
        file.write(tab_line([*header, "_sample_type", "_gender", "_study"]))
        file.writelines(tab_line(row) for row in rows)
    with atomic(probemap) as partial, partial.open("w") as file:
        file.write(tab_line(["id", "gene", "chrom", "chromStart", "chromEnd", "strand"]))
        for at, gene in enumerate(genes):
            file.write(tab_line([gene, f"SIM{at}", "chr1", 1000 * at + 1, 1000 * at + 900, "+"]))


def write_recount3(
    sums: Path, metadata: Path, counts: pd.DataFrame, on_y: list[str], rng: np.random.Generator
) -> None:
    """Write gene sums of `counts`, samples by genes without versions, under accessions of runs.

    The first samples have two runs. `on_y` are the `_PAR_Y` genes of another provider.
    """
    runs, lengths = [], []
    for number, row in enumerate(counts.to_numpy().astype(np.int64)):
        half = rng.binomial(row, 0.5) if number < SECOND_RUNS else np.zeros_like(row)
        for part in [row - half, half] if number < SECOND_RUNS else [row]:
            runs.append(part)
            lengths.append(round(rng.integers(*READ_LENGTH) * rng.uniform(1.8, 2.0), 2))
    coverage = np.rint(np.array(runs) * np.array(lengths)[:, None]).astype(np.int64)
    copies = {gene.partition(".")[0] for gene in on_y}
    names, columns = [], []
    for at, gene in enumerate(counts.columns):
        on_x = coverage[:, at]
        if gene in copies:
            names.append(f"{gene}.{at % 17 + 1}_PAR_Y")
            columns.append(np.rint(on_x * PAR_Y_SHARE).astype(np.int64))
            on_x = on_x - columns[-1]
        names.append(f"{gene}.{at % 17 + 1}")
        columns.append(on_x)
    accessions = [f"SRR{990_001 + at}" for at in range(len(runs))]
    with gzip_text(sums) as file:
        file.write("##annotation=G026\n##date.generated=2020-10-01\n")
        file.write(tab_line(["gene_id", *accessions]))
        for name, row in zip(names, columns, strict=True):
            file.write(tab_line([name, *row.tolist()]))
    # Metadata come in another order than the columns of the sums.
    with gzip_text(metadata) as file:
        header = ["rail_id", "external_id", "study", "aligned_reads%.chrm", "star.all_mapped_reads"]
        header += ["star.average_input_read_length", "star.average_mapped_length"]
        file.write(tab_line(header))
        for at in reversed(range(len(runs))):
            reads, length = int(runs[at].sum()), lengths[at]
            row = [900_001 + at, accessions[at], "SRP009615", f"{rng.uniform(0, 9):.2f}", reads]
            file.write(tab_line([*row, f"{length / 0.98:.0f}", f"{length:.2f}"]))


def write_depmap(
    expression: Path,
    cell_lines: pd.DataFrame,
    genes: pd.DataFrame,
    hgnc: pd.DataFrame,
    rng: np.random.Generator,
) -> None:
    """Write log2(TPM + 1) of protein-coding genes: models in rows, `SYMBOL (ENTREZ)` in columns.

    Parameters
    ----------
    cell_lines : cell_line_id and activity [n_programs] of each line
    genes : the truth of each gene: program, loadings, log_abundance, length_bp
    """
    named = hgnc[hgnc["entrez_id"] != ""].drop_duplicates("ensembl_gene_id")
    named = named.set_index("ensembl_gene_id")[["symbol", "entrez_id"]]
    genes = genes[genes["in_vocabulary"]].join(named, on="gene_id", how="inner", rsuffix="_hgnc")
    program = genes["program"].fillna(-1).to_numpy(dtype=int)
    loading = np.stack(genes["loadings"].to_numpy())[:, 0] * (program >= 0)
    activity = np.stack(cell_lines["activity"].to_numpy())
    log_abundance = genes["log_abundance"].to_numpy() + activity[:, program] * loading
    log_abundance += rng.normal(0, LINE_NOISE, log_abundance.shape)
    tpm = np.exp(log_abundance)
    tpm *= 1e6 / tpm.sum(axis=1, keepdims=True)
    header = [
        f"{symbol} ({entrez})"
        for symbol, entrez in zip(genes["symbol_hgnc"], genes["entrez_id"], strict=True)
    ]
    with atomic(expression) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", *header])
        for line, row in zip(cell_lines["cell_line_id"], np.log2(tpm + 1).tolist(), strict=True):
            writer.writerow([line, *(f"{value:.6f}" for value in row)])


def _renamed(gene: str) -> str:
    """Return a versioned id as an older GENCODE release prints it; `_PAR_Y` stays."""
    stem, _, version = gene.partition(".")
    number, copy, _ = version.partition("_PAR_Y")
    return f"{stem}.{max(1, int(number) - 1)}{copy}"
