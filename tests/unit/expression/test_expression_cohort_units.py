"""What the values of a cohort are, what TPM is a share of, and what is taken for neither."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from cohort_world import (
    COUNTS,
    GENE_IDS,
    N_GENES,
    bring_in,
    write_genes,
    write_matrix,
)

from bulkformer.errors import InputError
from bulkformer.expression.genes import vocabulary_table
from bulkformer.expression.store import ExpressionStore


@pytest.fixture
def genes(tmp_path):
    return write_genes(tmp_path)


def test_scaled_counts_have_no_library_size_and_the_same_tpm(genes, tmp_path):
    raw = bring_in(genes, write_matrix(tmp_path))
    scaled = bring_in(
        genes,
        write_matrix(tmp_path, COUNTS / 7.3),
        "d",
        unit="scaled_counts",
        min_library_size=10**9,
    )
    samples = pq.read_table(scaled / "samples.parquet")
    assert samples["library_size"].to_pylist() == [None] * 4
    assert samples["kept"].to_pylist() == [True] * 4
    np.testing.assert_allclose(
        ExpressionStore(scaled / "log_tpm.arrow").read(),
        ExpressionStore(raw / "log_tpm.arrow").read(),
        rtol=1e-6,
    )


def test_fractions_are_no_counts(genes, tmp_path):
    counts = COUNTS.copy()
    counts[1, 2] = 3.5
    path = write_matrix(tmp_path, counts)
    with pytest.raises(InputError) as error:
        bring_in(genes, path)
    for part in [str(path), GENE_IDS[2], "'s1'", "3.5", "expected_counts"]:
        assert part in str(error.value)
    assert not (tmp_path / "c").exists() or not list((tmp_path / "c").iterdir())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("unit", ["counts", "expected_counts", "scaled_counts"])
def test_missing_infinite_and_negative_values_are_refused_with_their_place(
    genes, tmp_path, bad, unit
):
    counts = COUNTS.copy()
    counts[2, 4] = bad
    path = write_matrix(tmp_path, counts)
    with pytest.raises(InputError) as error:
        bring_in(genes, path, unit=unit)
    for part in [str(path), GENE_IDS[4], "'s2'"]:
        assert part in str(error.value)
    assert not list((tmp_path / "c").glob("*"))


@pytest.mark.parametrize("unit", ["expected_counts", "scaled_counts"])
def test_logarithms_are_not_taken_for_counts(genes, tmp_path, unit):
    path = write_matrix(tmp_path, np.log2(COUNTS + 1))
    with pytest.raises(InputError, match="as of logarithms"):
        bring_in(genes, path, unit=unit)


def test_an_unknown_unit_names_the_known_ones(genes, tmp_path):
    with pytest.raises(InputError, match=r"'fpkm'.*counts, expected_counts, scaled_counts, tpm"):
        bring_in(genes, write_matrix(tmp_path), unit="fpkm")


def tpm_of(counts):
    rate = counts / (500 + 100 * np.arange(N_GENES))
    return rate / rate.sum(axis=1, keepdims=True) * 1e6


def test_tpm_need_no_lengths_and_have_no_library_size(genes, tmp_path):
    from_counts = bring_in(genes, write_matrix(tmp_path))
    from_tpm = bring_in(
        genes,
        write_matrix(tmp_path, tpm_of(COUNTS)),
        "d",
        unit="tpm",
        min_library_size=10**9,
    )
    np.testing.assert_allclose(
        ExpressionStore(from_tpm / "log_tpm.arrow").read(),
        ExpressionStore(from_counts / "log_tpm.arrow").read(),
        atol=2e-6,
    )
    samples = pq.read_table(from_tpm / "samples.parquet")
    assert samples["library_size"].to_pylist() == [None] * 4
    assert samples["kept"].to_pylist() == [True] * 4


def test_tpm_of_some_genes_are_brought_onto_the_denominator(genes, tmp_path):
    path = write_matrix(tmp_path, tpm_of(COUNTS)[:, :5], gene_ids=GENE_IDS[:5])
    values = ExpressionStore(bring_in(genes, path, unit="tpm") / "log_tpm.arrow").read()
    np.testing.assert_allclose(np.expm1(values[:, :5]).sum(axis=1), 1e6, rtol=1e-5)


def test_a_logarithm_of_tpm_is_undone(genes, tmp_path):
    plain = bring_in(genes, write_matrix(tmp_path, tpm_of(COUNTS)), unit="tpm")
    path = write_matrix(tmp_path, np.log2(tpm_of(COUNTS) + 1))
    logged = bring_in(genes, path, "d", unit="tpm", transform="log2(x+1)")
    np.testing.assert_allclose(
        ExpressionStore(logged / "log_tpm.arrow").read(),
        ExpressionStore(plain / "log_tpm.arrow").read(),
        atol=2e-6,
    )
    said = [json.loads((folder / "coverage.json").read_text()) for folder in (plain, logged)]
    assert [each["transform"] for each in said] == ["", "log2(x+1)"]


def test_counts_are_not_taken_for_tpm(genes, tmp_path):
    counts = COUNTS * 1e6
    path = write_matrix(tmp_path, counts)
    with pytest.raises(InputError, match=r"matrix\.tsv.*sum to.*million at the most"):
        bring_in(genes, path, unit="tpm")


def test_the_denominator_is_said_and_may_hold_genes_outside_the_vocabulary(genes, tmp_path):
    outside = [f"ENSG{number:011d}" for number in (50, 51)]
    every = pd.DataFrame(
        {
            "gene_id": [*GENE_IDS, *outside],
            "symbol": [*GENE_IDS, *outside],
            "entrez": None,
            "length_bp": [*(500 + 100 * np.arange(N_GENES)), 700, 900],
            "biotype": ["protein_coding"] * N_GENES + ["lncRNA"] * 2,
            "chromosome": "1",
        }
    )
    annotation = tmp_path / "annotation.parquet"
    pq.write_table(vocabulary_table(every, None, None, "annotation"), annotation)
    counts = np.hstack([COUNTS, np.full((4, 2), 1000.0)])
    path = write_matrix(tmp_path, counts, gene_ids=[*GENE_IDS, *outside])
    folder = bring_in(genes, path, tpm_denominator="all_supplied", annotation=annotation)
    rate = counts / np.array(every["length_bp"])
    expected = np.log1p(rate / rate.sum(axis=1, keepdims=True) * 1e6)[:, :N_GENES]
    np.testing.assert_allclose(
        ExpressionStore(folder / "log_tpm.arrow").read(), expected, atol=2e-6
    )
    coverage = json.loads((folder / "coverage.json").read_text())
    assert coverage["tpm_denominator"] == "all_supplied"
    assert coverage["denominator_genes_outside_vocabulary"] == 2
    default = json.loads((bring_in(genes, path, "d") / "coverage.json").read_text())
    assert default["tpm_denominator"] == "vocabulary"
