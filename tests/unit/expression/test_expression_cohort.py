"""A cohort on the gene axis: what is stored, what is refused, and what samples.parquet says."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from cohort_world import (
    COUNTS,
    GENE_IDS,
    N_GENES,
    SAMPLES,
    bring_in,
    write_archs4,
    write_genes,
    write_matrix,
)

from bulkformer.errors import InputError
from bulkformer.expression.cohort import LABELS, QUALITY
from bulkformer.expression.store import ExpressionStore
from bulkformer.sources.counts import Counts
from bulkformer.sources.reader import open_cohort


@pytest.fixture
def genes(tmp_path):
    return write_genes(tmp_path)


def test_counts_keep_their_values_and_log_tpm_follows_from_them(genes, tmp_path):
    folder = bring_in(genes, write_matrix(tmp_path))
    stored = ExpressionStore(folder / "counts.arrow")
    assert stored.sample_ids == SAMPLES
    np.testing.assert_array_equal(stored.read(), COUNTS)
    rate = COUNTS / (500 + 100 * np.arange(N_GENES))
    expected = np.log1p(rate / rate.sum(axis=1, keepdims=True) * 1e6)
    np.testing.assert_allclose(ExpressionStore(folder / "log_tpm.arrow").read(), expected, 1e-6)


def test_unmeasured_genes_stay_unmeasured_through_the_files(genes, tmp_path):
    counts = COUNTS[:, :5].copy()
    counts[0, 2] = 0
    folder = bring_in(genes, write_matrix(tmp_path, counts, gene_ids=GENE_IDS[:5]))
    for name in ["counts", "log_tpm"]:
        store = ExpressionStore(folder / f"{name}.arrow")
        assert store.measured.tolist() == [True] * 5 + [False] * 3
        assert np.isnan(store.read()[:, 5:]).all()
        assert store.read()[0, 2] == 0
    samples = pd.read_parquet(folder / "samples.parquet")
    assert (samples["missing_rate"] == 3 / 8).all()


def test_permuting_genes_or_samples_of_the_file_changes_no_bit_of_any_sample(genes, tmp_path):
    first = bring_in(genes, write_matrix(tmp_path))
    rows, columns = [2, 0, 3, 1], np.random.default_rng(0).permutation(N_GENES)
    shuffled = write_matrix(
        tmp_path,
        COUNTS[np.ix_(rows, columns)],
        [SAMPLES[row] for row in rows],
        [GENE_IDS[column] for column in columns],
    )
    second = bring_in(genes, shuffled, "d")
    for name in ["counts.arrow", "log_tpm.arrow"]:
        one, other = ExpressionStore(first / name), ExpressionStore(second / name)
        np.testing.assert_array_equal(one.read(one.rows(SAMPLES)), other.read(other.rows(SAMPLES)))


def test_only_kept_samples_are_stored_and_the_others_keep_a_row_with_their_reason(genes, tmp_path):
    counts = COUNTS.copy()
    counts[1] = 0
    counts[3, 1:] = 0
    folder = bring_in(genes, write_matrix(tmp_path, counts), min_detected_genes=3)
    samples = pd.read_parquet(folder / "samples.parquet")
    assert samples["sample_id"].tolist() == SAMPLES
    assert samples["kept"].tolist() == [True, False, True, False]
    assert samples["reason"].tolist() == [None, "zero_depth", None, "few_detected_genes"]
    assert samples["library_size"].tolist() == counts.sum(axis=1).tolist()
    assert samples["n_genes_detected"].tolist() == [8, 0, 8, 1]
    assert ExpressionStore(folder / "log_tpm.arrow").sample_ids == ["s3", "s2"]
    assert not np.isnan(ExpressionStore(folder / "log_tpm.arrow").read()).any()


def test_detection_and_depth_count_vocabulary_genes_only(genes, tmp_path):
    other = np.full((4, 3), 1000.0)
    path = write_matrix(
        tmp_path, np.hstack([COUNTS, other]), gene_ids=[*GENE_IDS, "N_1", "N_2", "ENSG99999999999"]
    )
    samples = pd.read_parquet(bring_in(genes, path) / "samples.parquet")
    assert samples["library_size"].tolist() == COUNTS.sum(axis=1).tolist()
    assert (samples["n_genes_detected"] == N_GENES).all()


def test_samples_have_the_fixed_columns_first_and_other_labels_after_them(genes, tmp_path):
    table = pd.DataFrame(
        {"sample_id": SAMPLES, "donor": ["d1", "", "d2", "NA"], "site": list("wxyz"), "age": 50}
    )
    table.to_csv(tmp_path / "samples.tsv", sep="\t", index=False)
    folder = bring_in(
        genes,
        write_matrix(tmp_path),
        samples=tmp_path / "samples.tsv",
        sample_columns="donor_id=donor",
    )
    samples = pq.read_table(folder / "samples.parquet")
    assert samples.column_names == ["sample_id", "cohort", *LABELS, *QUALITY, "site", "age"]
    assert samples["donor_id"].to_pylist() == ["d1", None, "d2", None]
    assert samples["age"].to_pylist() == ["50"] * 4
    assert samples["tissue"].to_pylist() == [None] * 4
    for name in [*LABELS, "reason", "site", "age"]:
        assert samples.schema.field(name).type == "string", name


def test_expected_counts_may_be_fractions_and_have_a_library_size(genes, tmp_path):
    folder = bring_in(genes, write_matrix(tmp_path, COUNTS + 0.25), unit="expected_counts")
    samples = pd.read_parquet(folder / "samples.parquet")
    np.testing.assert_allclose(samples["library_size"], COUNTS.sum(axis=1) + 2)


def test_a_wrong_identifier_system_stops_before_counts_are_read(genes, tmp_path):
    counts = COUNTS.copy()
    counts[0, 0] = np.nan  # would be refused if it were read
    path = write_matrix(tmp_path, counts)
    with pytest.raises(InputError) as error:
        bring_in(genes, path, gene_ids="symbol")
    for part in [str(path), "0.0%", "50.0%", "'symbol'", GENE_IDS[0], "correct gene_ids"]:
        assert part in str(error.value)


def test_a_cohort_without_a_sample_that_passes_is_an_error_that_counts_the_reasons(genes, tmp_path):
    with pytest.raises(InputError, match=r"none of 4 samples is kept \(4 shallow_library\)"):
        bring_in(genes, write_matrix(tmp_path), min_library_size=10**6)


def test_coverage_says_what_was_matched_and_who_was_dropped(genes, tmp_path):
    counts = COUNTS.copy()
    counts[1] = 0
    gene_ids = [*GENE_IDS[:6], f"{GENE_IDS[0]}.7_PAR_Y", "N_noFeature"]
    path = write_matrix(tmp_path, counts, gene_ids=gene_ids)
    coverage = json.loads((bring_in(genes, path) / "coverage.json").read_text())
    expected = {
        "cohort": "c",
        "unit": "counts",
        "genes_in_file": 8,
        "genes_matched": 7,
        "genes_measured": 6,
        "vocabulary_genes": 8,
        "vocabulary_share": 0.75,
        "copies_on_y_summed": 1,
        "unmatched_examples": ["N_noFeature"],
        "samples": 4,
        "samples_kept": 3,
        "samples_dropped": {"zero_depth": 1},
        "files": [{"name": "matrix.tsv", "bytes": path.stat().st_size}],
    }
    assert {key: coverage[key] for key in expected} == expected


def test_a_repeated_sample_of_archs4_and_its_single_cells_are_dropped(genes, tmp_path):
    path = tmp_path / "archs4.h5"
    with h5py.File(path, "w") as file:
        file["data/expression"] = COUNTS.T.astype(np.uint32)
        file["meta/genes/ensembl_gene"] = [gene.encode() for gene in GENE_IDS]
        for name, values in {
            "geo_accession": ["GSM1", "GSM2", "GSM1", "GSM3"],
            "series_id": ["GSE1", "GSE1,GSE2", "GSE2", "GSE3"],
            "singlecellprobability": ["0.1", "0.2", "0.1", "0.8"],
        }.items():
            file[f"meta/samples/{name}"] = [value.encode() for value in values]
    folder = bring_in(genes, path, format="archs4")
    assert ExpressionStore(folder / "log_tpm.arrow").sample_ids == ["GSM1", "GSM2"]
    samples = pd.read_parquet(folder / "samples.parquet")
    assert samples["reason"].tolist() == [None, None, "duplicate_sample_id", "single_cell"]
    assert samples["study_id"].tolist() == ["GSE1", "GSE1,GSE2", "GSE2", "GSE3"]
    np.testing.assert_array_equal(ExpressionStore(folder / "counts.arrow").read(), COUNTS[:2])


def test_neither_threads_nor_chunks_nor_the_order_of_genes_change_a_bit(genes, tmp_path):
    def stored(number, threads, chunks, names):
        path = write_archs4(tmp_path, 700, chunks, names)
        folder = bring_in(genes, path, f"c{number}", format="archs4", threads=threads)
        return ExpressionStore(folder / "log_tpm.arrow"), folder

    first, folder = stored(0, 1, (8, 16), GENE_IDS)
    samples = pd.read_parquet(folder / "samples.parquet")
    assert samples["biosample"].tolist()[:2] == ["SAMN0", "SAMN1"]
    for number, (threads, chunks) in enumerate([(3, (3, 700)), (2, (8, 1))], start=1):
        second, _ = stored(number, threads, chunks, GENE_IDS[::-1])
        assert second.sample_ids == first.sample_ids
        np.testing.assert_array_equal(second.read(), first.read())


def test_a_reader_that_gives_other_samples_than_it_announced_is_our_mistake(
    genes, tmp_path, monkeypatch
):
    def swapped(*arguments, **keywords):
        counts = open_cohort(*arguments, **keywords)
        return Counts(
            counts.gene_ids, counts.samples, lambda size: ((i[::-1], v) for i, v in counts.blocks())
        )

    monkeypatch.setattr("bulkformer.expression.cohort.open_cohort", swapped)
    with pytest.raises(ValueError, match="other samples"):
        bring_in(genes, write_matrix(tmp_path))


def test_same_input_same_bytes(genes, tmp_path):
    path = write_matrix(tmp_path)
    folders = [bring_in(genes, path) for _ in range(2)]
    first = {file.name: file.read_bytes() for file in folders[0].iterdir()}
    bring_in(genes, path)
    assert {file.name: file.read_bytes() for file in folders[1].iterdir()} == first


def test_the_command_line_is_the_one_of_the_rule(genes, tmp_path):
    out = tmp_path / "c"
    run = subprocess.run(
        [
            *(sys.executable, "-m", "bulkformer.expression.cohort", "--cohort", "c"),
            *("--expression", write_matrix(tmp_path), "--format", "matrix"),
            *("--gene-ids", "ensembl", "--unit", "counts", "--orientation", "genes_in_rows"),
            *("--min-shared-vocabulary", "0.5", "--min-detected-genes", "1"),
            *("--min-library-size", "10000000", "--max-single-cell-probability", "0.5"),
            *("--genes", genes, "--counts", out / "counts.arrow"),
            *("--log-tpm", out / "log_tpm.arrow", "--samples-output", out / "samples.parquet"),
            *("--coverage", out / "coverage.json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "shallow_library" in run.stderr
