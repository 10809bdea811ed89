"""The expression rules on slices of real cohorts, each with gene ids of another system.

Numbers of genes depend on the annotation: here it is Ensembl GRCh38 as packaged with IOBR (19,478
protein-coding genes on the assembled chromosomes with a length), without HGNC. Elsewhere, rows that
share a name with any protein-coding gene were counted as 18,529 (tcga_rsem, by Entrez), 18,685
(BRCA, by symbol) and 15,175 (GTEx). Fewer Entrez ids are used here, because an id of several genes
is not guessed at; more symbols, because genes need no Entrez id.
"""

import numpy as np
import pandas as pd
import pytest

from bulkformer.expression.cohort import cohort
from bulkformer.expression.genes import genes as write_genes
from bulkformer.expression.identifiers import map_genes
from bulkformer.expression.store import ExpressionStore
from bulkformer.expression.vocabulary import Vocabulary
from bulkformer.sources.reader import open_cohort

pytestmark = pytest.mark.real_data

COHORTS = {
    "tcga_rsem": ("tcga_rsem/tcga_rsem_normcount.parquet", "symbol_entrez"),
    "tcga_brca": ("tcga_counts/tcga_brca_counts_symbols.parquet", "symbol"),
    "tcga_stad_blca": ("tcga_counts/tcga_stad_blca_counts_ensg.parquet", "ensembl"),
    "gtex_brain": ("gtex_brain/gtex_v6_acc_fc_counts.parquet", "ensembl"),
    "tb_hiv": ("tb_hiv/tb_hiv_counts.parquet", "symbol"),
}


@pytest.fixture(scope="module")
def genes(development_data, tmp_path_factory):
    path = tmp_path_factory.mktemp("real") / "genes.parquet"
    annotation = development_data / "ids/anno_grch38_ensg_entrez_symbol.tsv.gz"
    write_genes(annotation, "table", ["protein_coding"], path)
    return path


@pytest.fixture(scope="module")
def vocabulary(genes):
    return Vocabulary.load(genes)


def identifiers(folder, name):
    return open_cohort("matrix", folder / COHORTS[name][0], None).gene_ids


def mapped(folder, name, vocabulary):
    return map_genes(identifiers(folder, name), COHORTS[name][1], vocabulary)


def bring_in(folder, name, genes, unit):
    out = genes.parent / name
    cohort(
        cohort=name,
        expression=folder / COHORTS[name][0],
        format="matrix",
        gene_ids=COHORTS[name][1],
        unit=unit,
        min_shared_vocabulary=0.5,
        min_detected_genes=9000,
        min_library_size=500_000,
        max_single_cell_probability=0.5,
        genes=genes,
        counts=out / "counts.arrow",
        log_tpm=out / "log_tpm.arrow",
        samples_output=out / "samples.parquet",
        coverage=out / "coverage.json",
    )
    return out


def test_the_vocabulary_is_the_protein_coding_genes_with_a_length(vocabulary):
    assert len(vocabulary) == 19_478


@pytest.mark.parametrize(
    ("name", "measured", "counted_elsewhere"),
    [
        ("tcga_rsem", 18_342, 18_529),
        ("tcga_brca", 19_072, 18_685),
        ("tcga_stad_blca", 19_468, None),
        ("gtex_brain", 15_258, 15_175),
        ("tb_hiv", 18_730, 18_707),
    ],
)
def test_as_many_protein_coding_genes_are_found_as_the_ids_allow(
    development_data, vocabulary, name, measured, counted_elsewhere
):
    found = mapped(development_data, name, vocabulary).summary["genes_measured"]
    assert found == measured
    if counted_elsewhere:
        assert found == pytest.approx(counted_elsewhere, rel=0.025)


def test_rows_without_a_symbol_and_a_repeated_symbol_are_told_by_entrez(
    development_data, vocabulary
):
    rows = identifiers(development_data, "tcga_rsem")
    column = dict(zip(rows, mapped(development_data, "tcga_rsem", vocabulary).column, strict=True))
    assert sum(row.startswith("?|") for row in rows) == 29
    twins = [row for row in rows if row.startswith("SLC35E2|")]
    assert len(twins) == 2
    assert len({column[row] for row in twins}) == 2
    own, others = (vocabulary.table[name].to_pylist() for name in ["entrez", "other_entrez"])
    for row, at in column.items():
        if at >= 0:
            assert row.rpartition("|")[2] in {own[at], *others[at]}


def test_several_entrez_ids_of_one_gene_are_summed(development_data, vocabulary):
    summary = mapped(development_data, "tcga_rsem", vocabulary).summary
    assert summary["genes_matched"] - summary["genes_measured"] >= summary["genes_summed"] > 0
    for gene, rows in summary["summed_examples"].items():
        others = vocabulary.table["other_entrez"][vocabulary.gene_ids.index(gene)].as_py()
        assert {row.rpartition("|")[2] for row in rows} <= set(others)


def test_pseudoautosomal_copies_on_y_are_summed_into_the_gene_on_x(development_data, vocabulary):
    rows = identifiers(development_data, "tcga_stad_blca")
    mapping = mapped(development_data, "tcga_stad_blca", vocabulary)
    copies = [row for row in rows if row.startswith("ENSGR")]
    assert mapping.summary["copies_on_y_summed"] == 18
    assert len(copies) > 18  # the others are not protein-coding
    assert all(len(ids) == 2 for ids in mapping.summary["summed_examples"].values())


def test_gtex_genes_that_were_filtered_upstream_are_missing_and_not_zero(development_data, genes):
    out = bring_in(development_data, "gtex_brain", genes, "counts")
    store = ExpressionStore(out / "log_tpm.arrow")
    assert (~store.measured).sum() == 19_478 - 15_258
    values = store.read()
    assert np.isnan(values[:, ~store.measured]).all()
    assert np.isfinite(values[:, store.measured]).all()


def test_upper_quartile_scaled_counts_give_tpm_but_no_library_size(development_data, genes):
    out = bring_in(development_data, "tcga_rsem", genes, "scaled_counts")
    samples = pd.read_parquet(out / "samples.parquet")
    assert samples["library_size"].isna().all()
    assert samples["kept"].all()
    store = ExpressionStore(out / "log_tpm.arrow")
    tpm = np.expm1(store.read().astype(float))[:, store.measured]
    np.testing.assert_allclose(tpm.sum(axis=1), 1e6, rtol=1e-4)
    assert (tpm == 0).all(axis=0).any()  # measured, and zero in every sample


def test_counts_beyond_16_bits_survive_and_one_gene_may_hold_most_of_a_sample(
    development_data, genes, vocabulary
):
    out = bring_in(development_data, "tb_hiv", genes, "counts")
    counts, log_tpm = (ExpressionStore(out / f"{name}.arrow") for name in ["counts", "log_tpm"])
    gene = vocabulary.symbols.index("HBB")
    row = counts.rows(["R02_28"])
    assert counts.read(row)[0, gene] > 8e7
    assert np.expm1(log_tpm.read(row)[0, gene]) > 5e5
