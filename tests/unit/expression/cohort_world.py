"""A small gene axis, matrices on it, and the cohort step with settings that keep all samples."""

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from bulkformer.expression.cohort import cohort
from bulkformer.expression.genes import vocabulary_table

N_GENES = 8
GENE_IDS = [f"ENSG{number:011d}" for number in range(1, N_GENES + 1)]
SAMPLES = ["s3", "s1", "s2", "s4"]
COUNTS = np.random.default_rng(5).integers(1, 400, (4, N_GENES)).astype(float)


def write_genes(folder):
    """Write genes.parquet with GENE_IDS and return its path."""
    annotation = pd.DataFrame(
        {
            "gene_id": GENE_IDS,
            "symbol": [f"GENE{number}" for number in range(N_GENES)],
            "entrez": [str(100 + number) for number in range(N_GENES)],
            "length_bp": 500 + 100 * np.arange(N_GENES),
            "biotype": "protein_coding",
            "chromosome": "1",
        }
    )
    path = folder / "genes.parquet"
    pq.write_table(vocabulary_table(annotation, None, ["protein_coding"], "annotation"), path)
    return path


def write_matrix(folder, counts=COUNTS, samples=SAMPLES, gene_ids=GENE_IDS):
    path = folder / "matrix.tsv"
    table = pd.DataFrame(np.asarray(counts).T, index=list(gene_ids), columns=list(samples))
    table.to_csv(path, sep="\t", index_label="gene")
    return path


def bring_in(genes, expression, name="c", **changes):
    folder = genes.parent / name
    settings = {
        "cohort": name,
        "expression": expression,
        "format": "matrix",
        "gene_ids": "ensembl",
        "unit": "counts",
        "min_shared_vocabulary": 0.5,
        "min_detected_genes": 1,
        "min_library_size": 1,
        "max_single_cell_probability": 0.5,
        "genes": genes,
        "counts": folder / "counts.arrow",
        "log_tpm": folder / "log_tpm.arrow",
        "samples_output": folder / "samples.parquet",
        "coverage": folder / "coverage.json",
    }
    cohort(**settings | changes)
    return folder


def write_archs4(folder, n_samples, chunks, genes=GENE_IDS):
    counts = np.random.default_rng(8).negative_binomial(0.5, 0.001, (n_samples, len(genes)))
    path = folder / "archs4.h5"
    with h5py.File(path, "w") as file:
        order = np.argsort(np.array(genes))
        file.create_dataset(
            "data/expression",
            data=counts.T[np.argsort(order)].astype(np.uint32),
            chunks=chunks,
            compression="gzip",
        )
        file["meta/genes/ensembl_gene"] = list(genes)
        file["meta/samples/geo_accession"] = [f"GSM{at}" for at in range(n_samples)]
        file["meta/samples/series_id"] = ["GSE1"] * n_samples
        biosamples = [f"BioSample: https://x/SAMN{at}" for at in range(n_samples)]
        file["meta/samples/relation"] = biosamples
    return path
