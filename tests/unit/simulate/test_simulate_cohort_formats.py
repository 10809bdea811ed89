"""Cohorts that are published once more have their forms and can be recognised by expression."""

import gzip
import tarfile

import numpy as np
import pandas as pd
import pytest

from bulkformer.files import sha256
from bulkformer.simulate.cell_lines import cell_lines
from bulkformer.simulate.cohort_formats import cohort_formats
from bulkformer.sources.reader import open_cohort

OUTPUTS = {
    "toil_counts": "expected_count.gz",
    "toil_phenotype": "phenotype.txt.gz",
    "toil_probemap": "probemap",
    "recount3_sums": "gene_sums.gz",
    "recount3_metadata": "recount_qc.MD.gz",
    "depmap_expression": "expression.csv",
}
INPUTS = ["archs4", "gdc_counts", "gdc_sheet", "gtex_counts", "gtex_attributes", "hgnc"]


def write(simulated, folder):
    lines = folder / "cell_lines.parquet"
    cell_lines(simulated["truth_samples"], 7, lines)
    outputs = {name: folder / file for name, file in OUTPUTS.items()}
    inputs = {name: simulated[name] for name in [*INPUTS, "truth_genes", "truth_samples"]}
    cohort_formats(**inputs, cell_lines=lines, seed=7, **outputs)
    return outputs | {"cell_lines": lines}


@pytest.fixture(scope="module")
def written(simulated, tmp_path_factory):
    return write(simulated, tmp_path_factory.mktemp("formats"))


def frame(format, expression, samples, transform=""):
    opened = open_cohort(format, expression, samples, transform=transform)
    blocks = list(opened.blocks())
    values = np.concatenate([values for _, values in blocks])
    ids = [id_ for ids, _ in blocks for id_ in ids]
    genes = pd.Index(opened.gene_ids).str.replace(r"\.\d+", "", regex=True)
    return pd.DataFrame(values, index=ids, columns=genes), opened.samples.set_index("sample_id")


def log_share(values):
    return np.log1p(values.div(values.sum(axis=1), axis=0) * 1e6)


@pytest.fixture(scope="module")
def toil(written):
    return frame("xena", written["toil_counts"], written["toil_phenotype"], "log2(x+1)")


def test_the_same_seed_gives_the_same_bytes(simulated, written, tmp_path):
    again = write(simulated, tmp_path)
    assert {name: sha256(path) for name, path in again.items()} == {
        name: sha256(path) for name, path in written.items()
    }


def test_toil_holds_every_gtex_sample_under_its_id(simulated, toil):
    gtex, _ = frame("gct", simulated["gtex_counts"], simulated["gtex_attributes"])
    values = log_share(toil[0].loc[gtex.index, gtex.columns])
    correlation = values.T.corrwith(log_share(gtex).T)
    assert correlation.min() > 0.99
    others = np.corrcoef(values, log_share(gtex))[: len(gtex), len(gtex) :]
    np.testing.assert_array_equal(others.argmax(axis=1), np.arange(len(gtex)))


def test_toil_holds_tumours_and_leukemias_under_shorter_barcodes(simulated, toil):
    tcga, _ = frame("gdc", simulated["gdc_counts"], simulated["gdc_sheet"])
    _, samples = toil
    of_tcga = samples[samples["study_id"] == "TCGA"]
    assert set(of_tcga.index) == {sample_id[:15] for sample_id in tcga.index}
    assert set(of_tcga["tissue"]) == {"Breast", "Eye", "Liver", "Stomach"}
    assert (of_tcga["patient_id"] == of_tcga.index.str[:12]).all()
    assert (samples["study_id"] == "TARGET").sum() == 4
    assert samples["donor_id"].notna().sum() == (samples["study_id"] == "GTEX").sum()


def test_toil_logs_expected_counts_and_keeps_copies_on_y(written):
    with gzip.open(written["toil_counts"], "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    assert rows[0][0] == "sample"
    values = np.array([row[1:] for row in rows[1:]], dtype=float)
    assert values.min() == 0
    assert values.max() < 33
    assert ((2**values - 1) % 1 > 0.01).any()
    assert sum(row[0].endswith("_PAR_Y") for row in rows) == 3
    probes = pd.read_csv(written["toil_probemap"], sep="\t")
    assert probes["id"].tolist() == [row[0] for row in rows[1:]]


def test_the_phenotype_table_is_not_utf8(written):
    with gzip.open(written["toil_phenotype"]) as file:
        content = file.read()
    assert "Ménétrier" in content.decode("latin-1")
    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")


def test_recount3_holds_samples_of_the_corpus_as_base_coverage(simulated, written):
    corpus, _ = frame("archs4", simulated["archs4"], None)
    corpus = corpus[~corpus.index.duplicated()]
    counts, samples = frame("recount3", written["recount3_sums"], written["recount3_metadata"])
    assert len(counts) == 8
    assert samples.index.str.startswith("SRR").all()
    on_x = counts.T.groupby(counts.columns.str.removesuffix("_PAR_Y")).sum().T[corpus.columns]
    first_sample = on_x.iloc[:2].sum()  # it has two runs
    source = (corpus - first_sample).abs().max(axis=1)
    assert source.min() < 0.1
    with gzip.open(written["recount3_sums"], "rt") as file:
        lines = file.read().splitlines()
    assert [line[:2] for line in lines[:3]] == ["##", "##", "ge"]
    sums = np.array([line.split("\t")[1:] for line in lines[3:]], dtype=np.int64)
    assert sums.sum() > 50 * counts.to_numpy().sum()


def test_depmap_follows_the_activities_of_the_lines(simulated, written):
    tpm, _ = frame("depmap", written["depmap_expression"], None, "log2(x+1)")
    lines = pd.read_parquet(written["cell_lines"])
    assert tpm.index.tolist() == lines["cell_line_id"].tolist()
    np.testing.assert_allclose(tpm.sum(axis=1), 1e6, rtol=1e-3)
    hgnc = pd.read_csv(simulated["hgnc"], sep="\t", dtype=str).set_index("entrez_id")
    genes = pd.read_parquet(simulated["truth_genes"]).set_index("gene_id")
    activity = np.stack(lines["activity"])
    genes = genes.loc[hgnc.loc[tpm.columns, "ensembl_gene_id"]]
    program = genes["program"].to_numpy()
    loading = np.stack(genes["loadings"])[:, 0]
    strong = np.flatnonzero((program >= 0) & (loading > 0.5) & (tpm.median().to_numpy() > 10))
    assert len(strong) > 20
    correlation = [
        np.corrcoef(np.log(tpm.to_numpy()[:, at]), activity[:, int(program[at])])[0, 1]
        for at in strong
    ]
    assert np.median(correlation) > 0.8


def test_ncbi_files_hold_one_series_each_and_one_of_them_in_another_order(simulated):
    with tarfile.open(simulated["ncbi_counts"]) as archive:
        names = [member.name for member in archive]
        tables = [
            pd.read_csv(archive.extractfile(name), sep="\t", compression="gzip") for name in names
        ]
    samples = pd.read_csv(simulated["ncbi_samples"], sep="\t").set_index("sample_id")
    assert [name.split("_")[0] for name in names] == samples["study_id"].unique().tolist()
    for table, name in zip(tables, names, strict=True):
        assert table.columns[0] == "GeneID"
        assert set(samples.loc[table.columns[1:], "study_id"]) == {name.split("_")[0]}
    orders = {tuple(table["GeneID"]) for table in tables}
    assert len(orders) == 2
    assert len({frozenset(order) for order in orders}) == 1
    counted = sum(table.shape[1] - 1 for table in tables)
    assert len(samples) == counted + 2  # the runs of two samples failed


def test_ncbi_annotation_has_blanks_quotes_and_shared_ensembl_ids(simulated):
    with gzip.open(simulated["ncbi_annotation"], "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    table = pd.DataFrame(rows[1:], columns=rows[0])
    assert (table["EnsemblGeneID"] == "").sum() >= 5
    assert table["EnsemblGeneID"][table["EnsemblGeneID"] != ""].duplicated().sum() <= 3
    assert table["GeneID"].is_unique
    assert table["Description"].str.count('"').max() == 1
    assert len(rows) == 1 + len(table)
