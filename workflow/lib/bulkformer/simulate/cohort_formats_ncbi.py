"""Series of GEO as NCBI publishes their counts: one table of Entrez ids for each series, in a tar.

Beside it lie the sample table of the cohort and NCBI's annotation. The quirks are NCBI's: two
samples whose runs failed have no counts, one file lists its genes in another order, descriptions
hold quotes, some genes have no Ensembl id and two Entrez ids may share one.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np

from bulkformer.files import atomic
from bulkformer.simulate.annotation import Annotation
from bulkformer.simulate.cohorts import Cohort
from bulkformer.simulate.nomenclature import Nomenclature
from bulkformer.simulate.writers import gzip_text, tab_line

ABSENT = 0.1  # share of the vocabulary that NCBI's annotation does not contain
NO_ENSEMBL_ID = 5  # genes whose annotation leaves the Ensembl id blank
SECOND_ENTREZ_ID = 3  # genes that stand under a second, discontinued Entrez id without reads
FIRST_SECOND_ID = 999_000_001
COLUMNS = ["GeneID", "Symbol", "Description", "GeneType", "EnsemblGeneID", "Length"]
FAILED = ["GSM9599991", "GSM9599992"]


def write_ncbi(
    tar: Path,
    annotation_table: Path,
    sample_table: Path,
    cohort: Cohort,
    counts: np.ndarray,
    annotation: Annotation,
    nomenclature: Nomenclature,
    rng: np.random.Generator,
) -> None:
    """Write a tar of raw counts, one member a series, with NCBI's annotation and a sample table.

    A tenth of the vocabulary is absent.
    """
    coding = np.flatnonzero(annotation.coding)
    absent = set(rng.permutation(coding)[: int(ABSENT * len(coding))].tolist())
    genes = [
        gene for gene in range(len(annotation)) if not annotation.patch[gene] and gene not in absent
    ]
    gene_ids = [nomenclature.entrez_id[gene] for gene in genes]
    second = {FIRST_SECOND_ID + at: gene for at, gene in enumerate(genes[:SECOND_ENTREZ_ID])}
    values = np.zeros((len(genes) + len(second), len(cohort)), dtype=counts.dtype)
    values[: len(genes)] = counts.T[genes]
    rows = [*gene_ids, *second]
    _write_annotation(annotation_table, rows, [*genes, *second.values()], annotation)

    accessions = list(dict.fromkeys(sample.study_id for sample in cohort.samples))
    with atomic(tar) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive:
        for number, accession in enumerate(accessions):
            order = range(len(rows)) if number else reversed(range(len(rows)))
            here = [at for at, sample in enumerate(cohort.samples) if sample.study_id == accession]
            lines = [tab_line(["GeneID", *(cohort.samples[at].sample_id for at in here)])]
            table = values[:, here].tolist()
            lines += [tab_line([rows[row], *table[row]]) for row in order]
            content = gzip.compress("".join(lines).encode(), mtime=0)
            member = tarfile.TarInfo(f"{accession}_raw_counts_GRCh38.p13_NCBI.tsv.gz")
            member.size, member.mtime, member.mode = len(content), 0, 0o644
            archive.addfile(member, io.BytesIO(content))

    with atomic(sample_table) as partial, partial.open("w") as file:
        file.write(tab_line(["sample_id", "study_id", "tissue", "disease"]))
        for sample in cohort.samples:
            file.write(tab_line([sample.sample_id, sample.study_id, sample.tissue, sample.disease]))
        # A case and a control of the last series, whose runs could not be aligned.
        last = cohort.samples[-1]
        case = next(s.disease for s in reversed(cohort.samples) if s.disease != "control")
        for sample_id, disease in zip(FAILED, [case, "control"], strict=True):
            file.write(tab_line([sample_id, last.study_id, last.tissue, disease]))


def _write_annotation(
    path: Path, gene_ids: list[int], genes: list[int], annotation: Annotation
) -> None:
    with gzip_text(path) as file:
        file.write(tab_line(COLUMNS))
        for row, (gene_id, gene) in enumerate(zip(gene_ids, genes, strict=True)):
            coding = annotation.biotype[gene] == "protein_coding"
            file.write(
                tab_line(
                    [
                        gene_id,
                        annotation.symbol[gene] or f"LOC{gene_id}",
                        f'simulated 5" gene {gene + 1}' if row % 50 == 0 else "simulated gene",
                        "protein-coding" if coding else "ncRNA",
                        "" if row < NO_ENSEMBL_ID else annotation.gene_id[gene],
                        annotation.length_bp[gene],
                    ]
                )
            )
