"""Counts in the formats of their providers, quirks included.

One function a format. The quirks are those that a reader has to survive in the real files:
superseries lists, `_PAR_Y` rows, version suffixes, STAR's `N_` rows, genes that a provider's gene
model does not know.
"""

import gzip
import hashlib
import io
import tarfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from bulkformer.files import atomic
from bulkformer.simulate.annotation import Annotation
from bulkformer.simulate.cohorts import Cohort

GTEX_NAMES = {
    "blood": ("Blood", "Whole Blood"),
    "brain": ("Brain", "Brain - Cortex"),
    "liver": ("Liver", "Liver"),
    "lung": ("Lung", "Lung"),
    "stomach": ("Stomach", "Stomach"),
}
PAR_Y_SHARE = 0.1  # of a pseudoautosomal gene's reads are reported for its Y copy


@contextmanager
def gzip_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open `path` for compressed text whose bytes hold neither a time nor a file name."""
    with (
        atomic(path) as partial,
        partial.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
    ):
        yield text


def tab_line(fields: Iterable[object]) -> str:
    """Join `fields` by tabs into one line."""
    return "\t".join(map(str, fields)) + "\n"


def write_archs4(path: Path, cohort: Cohort, counts: np.ndarray, annotation: Annotation) -> None:
    """Write the HDF5 layout of ARCHS4 v2: genes in rows, metadata as lists of strings."""
    samples = cohort.samples
    single_cell = [sample.flaw == "single_cell_by_probability" for sample in samples]
    by_source = [sample.flaw == "single_cell_by_source" for sample in samples]
    text = {
        "geo_accession": [sample.sample_id for sample in samples],
        "series_id": [sample.series for sample in samples],
        "library_source": [
            "transcriptomic single cell" if flagged else "transcriptomic" for flagged in by_source
        ],
        "library_strategy": ["RNA-Seq"] * len(samples),
        "molecule_ch1": ["total RNA" if row % 3 else "polyA RNA" for row in range(len(samples))],
        "characteristics_ch1": [
            f"tissue: {sample.tissue},disease: {_healthy(sample.disease)}" for sample in samples
        ],
        "relation": [_relation(sample.biosample_of or sample.sample_id) for sample in samples],
        "source_name_ch1": [f"{sample.tissue} tissue" for sample in samples],
        "title": [f"{sample.tissue} replicate {row + 1}" for row, sample in enumerate(samples)],
    }
    with atomic(path) as partial, h5py.File(partial, "w") as file:

        def save(name: str, values: np.ndarray | list[str] | str, **storage: object) -> None:
            dtype = None if isinstance(values, np.ndarray) else h5py.string_dtype()
            # Object times would make two runs differ in their bytes.
            file.create_dataset(name, data=values, dtype=dtype, track_times=False, **storage)

        expression = counts.T.astype(np.uint32)
        chunks = (min(500, expression.shape[0]), min(32, expression.shape[1]))
        save("data/expression", expression, chunks=chunks, compression="gzip")
        save("meta/genes/symbol", annotation.written_symbol)
        save("meta/genes/ensembl_gene", annotation.gene_id)
        save("meta/genes/biotype", annotation.biotype)
        for name, values in text.items():
            save(f"meta/samples/{name}", values)
        probability = np.where(single_cell, 0.93, 0.01 + 0.2 * np.array(by_source))
        save("meta/samples/singlecellprobability", probability)
        save("meta/samples/alignedreads", counts.sum(axis=1).astype(np.int64))
        save("meta/info/version", "2.5")
        save("meta/info/creation-date", "2024-08-24")


def write_gdc(
    tar: Path,
    sheet: Path,
    cohort: Cohort,
    counts: np.ndarray,
    annotation: Annotation,
    rng: np.random.Generator,
) -> None:
    """Write one tar of STAR count files in folders named by file id, and its sample sheet."""
    rows = np.flatnonzero(annotation.in_older_models)
    on_y = np.flatnonzero(annotation.pseudoautosomal)
    gene_id = older_ids(annotation, rows) + older_ids(annotation, on_y, suffix="_PAR_Y")
    shown = np.concatenate([rows, on_y])
    symbol = [annotation.written_symbol[row] for row in shown]
    biotype = [annotation.biotype[row] for row in shown]
    values = split_pseudoautosomal(counts, annotation, rows, rng)
    # All samples of a vocabulary share the same labels; only the numbers change.
    labels = ["\t".join(row) for row in zip(gene_id, symbol, biotype, strict=True)]
    length, coding = annotation.length_bp[shown], np.array(biotype) == "protein_coding"

    manifest = tab_line(["id", "filename", "md5", "size", "state"])
    file_columns = ["File ID", "File Name", "Data Category", "Data Type"]
    sheet_text = tab_line([*file_columns, "Project ID", "Case ID", "Sample ID", "Sample Type"])
    with atomic(tar) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive:
        for sample, row in zip(cohort.samples, values, strict=True):
            file_id, run_id = (str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(2))
            name = f"{run_id}.rna_seq.augmented_star_gene_counts.tsv"
            content = _star_counts(labels, row, length, coding, rng).encode()
            _add_to_tar(archive, f"{file_id}/{name}", content)
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            manifest += tab_line([file_id, f"{file_id}/{name}", md5, len(content), "released"])
            kind = ["Transcriptome Profiling", "Gene Expression Quantification"]
            identity = [sample.study_id, sample.patient_id, sample.sample_id, sample.sample_type]
            sheet_text += tab_line([file_id, name, *kind, *identity])
        _add_to_tar(archive, "MANIFEST.txt", manifest.encode())
    with atomic(sheet) as partial:
        partial.write_text(sheet_text)


def write_gtex(
    gct: Path,
    attributes: Path,
    cohort: Cohort,
    counts: np.ndarray,
    annotation: Annotation,
    rng: np.random.Generator,
) -> None:
    """Write a GCT 1.2 of gene reads and the table of sample attributes.

    The table also lists specimens without RNA-seq, as GTEx's does.
    """
    rows = np.flatnonzero(annotation.in_older_models)
    on_y = np.flatnonzero(annotation.pseudoautosomal)
    gene_id = older_ids(annotation, rows) + older_ids(annotation, on_y, suffix="_PAR_Y")
    symbol = [annotation.written_symbol[row] for row in np.concatenate([rows, on_y])]
    values = split_pseudoautosomal(counts, annotation, rows, rng).T
    with gzip_text(gct) as file:
        file.write(f"#1.2\n{values.shape[0]}\t{values.shape[1]}\n")
        file.write(tab_line(["Name", "Description", *(s.sample_id for s in cohort.samples)]))
        for name, description, row in zip(gene_id, symbol, values.tolist(), strict=True):
            file.write(tab_line([name, description, *row]))
    with atomic(attributes) as partial, partial.open("w") as file:
        file.write(
            tab_line(["SAMPID", "SMATSSCR", "SMCENTER", "SMRIN", "SMTS", "SMTSD", "SMAFRZE"])
        )
        for number, sample in enumerate(cohort.samples):
            organ, site = GTEX_NAMES[sample.tissue]
            integrity = f"{rng.uniform(5.7, 9.5):.1f}"
            autolysis = "" if organ == "Blood" else number % 3
            file.write(
                tab_line([sample.sample_id, autolysis, "C1", integrity, organ, site, "RNASEQ"])
            )
            if number % 10 == 0:
                other = f"{sample.patient_id}-9001-SM-{number:05d}"
                file.write(tab_line([other, "", "B1", "", "Blood", "Whole Blood", "WGS"]))


def older_ids(annotation: Annotation, rows: np.ndarray, suffix: str = "") -> list[str]:
    """Return versioned ids of `rows` as a GENCODE release before Ensembl 107 would print them."""
    return [f"{annotation.gene_id[row]}.{annotation.version[row] - 1}{suffix}" for row in rows]


def split_pseudoautosomal(
    counts: np.ndarray, annotation: Annotation, rows: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return counts [n_samples, len(rows) + n_par]: genes of `rows`, then the `_PAR_Y` copies.

    The two copies of a pseudoautosomal gene add up to its count.
    """
    values = counts.copy()
    on_y = np.flatnonzero(annotation.pseudoautosomal)
    copies = rng.binomial(counts[:, on_y], PAR_Y_SHARE).astype(counts.dtype)
    values[:, on_y] -= copies
    return np.concatenate([values[:, rows], copies], axis=1)


def _healthy(disease: str) -> str:
    return "healthy" if disease == "control" else disease


def _star_counts(
    labels: list[str],
    counts: np.ndarray,
    length_bp: np.ndarray,
    coding: np.ndarray,
    rng: np.random.Generator,
) -> str:
    """Return one `augmented_star_gene_counts` file; formulas as in the GDC's mRNA pipeline."""
    total = int(counts.sum())
    summaries = {
        "N_unmapped": total // 30,
        "N_multimapping": total // 12,
        "N_noFeature": total // 20,
        "N_ambiguous": total // 50,
    }
    first = rng.binomial(counts, 0.5)
    per_base = counts / length_bp
    tpm = per_base / per_base.sum() * 1e6
    fpkm = per_base * 1e9 / counts[coding].sum()
    upper_quartile = np.percentile(counts[coding], 75)
    fpkm_uq = per_base * 1e9 / (upper_quartile * coding.sum())
    lines = ["# gene-model: GENCODE v36"]
    lines.append(
        "gene_id\tgene_name\tgene_type\tunstranded\tstranded_first\tstranded_second"
        "\ttpm_unstranded\tfpkm_unstranded\tfpkm_uq_unstranded"
    )
    lines += [f"{name}\t\t\t{n}\t{n}\t{n}\t\t\t" for name, n in summaries.items()]
    second = counts - first
    columns = (counts, first, second, tpm, fpkm, fpkm_uq)
    lines += [
        f"{label}\t{a}\t{b}\t{c}\t{d:.4f}\t{e:.4f}\t{f:.4f}"
        for label, a, b, c, d, e, f in zip(labels, *(x.tolist() for x in columns), strict=True)
    ]
    return "\n".join(lines) + "\n"


def _relation(sample_id: str) -> str:
    """Return GEO's field of links for a GSM: one BioSample and one SRA experiment each."""
    number = sample_id.removeprefix("GSM")
    return (
        f"BioSample: https://www.ncbi.nlm.nih.gov/biosample/SAMN0{number},"
        f"SRA: https://www.ncbi.nlm.nih.gov/sra?term=SRX{number}"
    )


def _add_to_tar(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Append a file whose header holds no time and no owner."""
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), 0, 0o644
    archive.addfile(member, io.BytesIO(content))
