"""A universe small enough to write in a second, for the tests of its formats."""

from pathlib import Path

import pytest

from bulkformer.simulate.universe import universe

SIZES = {
    "genes": 200,
    "programs": 5,
    "corpus_studies": 8,
    "corpus_samples": 48,
    "tcga_patients": 48,
    "gtex_samples": 15,
    "series_samples": 24,
}
FILES = {
    "archs4": "human_gene.h5",
    "gdc_counts": "star_counts.tar",
    "gdc_sheet": "sample_sheet.tsv",
    "gtex_counts": "gene_reads.gct.gz",
    "gtex_attributes": "SampleAttributesDS.txt",
    "ncbi_counts": "raw_counts.tar",
    "ncbi_samples": "samples.tsv",
    "ncbi_annotation": "Human.GRCh38.p13.annot.tsv.gz",
    "string_links": "links.txt.gz",
    "string_aliases": "aliases.txt.gz",
    "gtf": "genes.gtf.gz",
    "hgnc": "hgnc_complete_set.txt",
    "truth_genes": "genes.parquet",
    "truth_edges": "edges.parquet",
    "truth_samples": "truth_samples.parquet",
}


def write_universe(folder: Path, seed: int = 7, **sizes: int) -> dict[str, Path]:
    """Write a universe to `folder`; return its files by the name of their option."""
    paths = {name: folder / file for name, file in FILES.items()}
    universe(**(SIZES | sizes), seed=seed, **paths)
    return paths


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of one universe, by the name of their option."""
    return write_universe(tmp_path_factory.mktemp("universe"))


@pytest.fixture(scope="session")
def simulate_again():
    """The function that writes another universe."""
    return write_universe
