"""The readers on slices of real public data, whose traps no invented file has all of."""

import os
from pathlib import Path

import numpy as np
import pytest

from bulkformer.sources.ensembl import read_annotation
from bulkformer.sources.reader import open_cohort
from bulkformer.sources.string_db import read_links

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("BULKFORMER_DATA", ROOT.parent / "shared" / "data"))

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(
        not DATA.is_dir(), reason=f"no development data at {DATA}; set BULKFORMER_DATA"
    ),
]


@pytest.mark.parametrize(
    ("expression", "samples", "columns", "n_genes", "n_samples"),
    [
        (
            "tcga_rsem/tcga_rsem_normcount.parquet",
            "sample_labels.tsv",
            "sample_id=sample;patient_id=patient;cancer_type=label",
            20_531,
            317,
        ),
        (
            "tcga_counts/tcga_brca_counts_symbols.parquet",
            "tcga_counts/tcga_brca_sets.tsv",
            "sample_id=sample",
            20_124,
            115,
        ),
        ("tcga_counts/tcga_stad_blca_counts_ensg.parquet", None, "", 60_483, 15),
        (
            "gtex_brain/gtex_v6_acc_fc_counts.parquet",
            "gtex_brain/gtex_v6_acc_fc_samples.tsv",
            "sample_id=sample;tissue=class",
            21_363,
            40,
        ),
        (
            "tb_hiv/tb_hiv_counts.parquet",
            "tb_hiv/tb_hiv_samples.tsv",
            "sample_id=sample;disease=Disease",
            25_369,
            31,
        ),
    ],
)
def test_every_sample_of_a_published_matrix_is_read(
    expression, samples, columns, n_genes, n_samples
):
    counts = open_cohort(
        "matrix", DATA / expression, DATA / samples if samples else None, sample_columns=columns
    )
    assert (len(counts.gene_ids), len(counts.samples)) == (n_genes, n_samples)
    blocks = list(counts.blocks(64))
    assert [i for ids, _ in blocks for i in ids] == counts.samples["sample_id"].tolist()
    assert sum(len(values) for _, values in blocks) == n_samples
    assert all(values.shape[1] == n_genes for _, values in blocks)


def test_normals_among_tumours_are_told_by_their_barcodes():
    counts = open_cohort("matrix", DATA / "tcga_rsem/tcga_rsem_normcount.parquet", None)
    types = counts.samples["sample_type"].value_counts()
    assert types["Solid Tissue Normal"] == 13
    assert types["Primary Tumor"] == 304


def test_counts_beyond_single_precision_arrive_exactly():
    counts = open_cohort("matrix", DATA / "tb_hiv/tb_hiv_counts.parquet", None)
    ids, values = next(counts.blocks())
    hbb = values[ids.index("R02_28"), counts.gene_ids.index("HBB")]
    assert values.dtype == np.int32
    assert hbb / values[ids.index("R02_28")].sum(dtype=float) > 0.75


def test_the_string_slice_becomes_pairs_of_genes():
    pairs, counts = read_links("edge_table", DATA / "graph/string_v12_700_edges.tsv.gz", None)
    assert counts["rows"] == 174_962
    assert counts["rows_without_gene"] == 2_414
    assert (pairs["gene1"] < pairs["gene2"]).all()
    assert not pairs.duplicated(["gene1", "gene2"]).any()
    assert pairs["combined_score"].between(400, 999).all()


def test_the_annotation_table_becomes_one_row_a_gene():
    genes = read_annotation("table", DATA / "ids/anno_grch38_ensg_entrez_symbol.tsv.gz")
    assert genes["gene_id"].is_unique
    assert (genes["length_bp"] > 0).all()
    assert 19_000 < (genes["biotype"] == "protein_coding").sum() < 20_500
    assert set(genes["chromosome"]) == {*map(str, range(1, 23)), "X", "Y", "MT"}
