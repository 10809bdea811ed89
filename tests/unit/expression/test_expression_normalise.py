"""TPM: its definition, its denominator, and what cannot be ln(TPM + 1)."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.expression.genes import vocabulary_table
from bulkformer.expression.identifiers import map_genes
from bulkformer.expression.normalise import (
    Denominator,
    Normaliser,
    check_log_tpm,
    choose_denominator,
)
from bulkformer.expression.vocabulary import Vocabulary

LENGTHS = np.array([1000.0, 2000.0, 500.0, 4000.0])
ALL = np.ones(4, dtype=bool)
COUNTS = np.array([[10.0, 40.0, 0.0, 80.0], [1.0, 0.0, 3.0, 0.0]])


def definition(counts, lengths, inside=slice(None), further=0.0):
    """TPM in double precision, written as in the literature."""
    rate = np.asarray(counts, dtype=np.float64) / lengths
    return rate / (rate[:, inside].sum(axis=1, keepdims=True) + further) * 1e6


def normaliser(lengths=LENGTHS, measured=ALL, inside=None):
    inside = np.ones(len(measured), dtype=bool) if inside is None else inside
    nothing = np.empty(0, dtype=np.int64), np.empty(0)
    return Normaliser(lengths, measured, Denominator("vocabulary", inside, *nothing))


def log_tpm(counts, lengths=LENGTHS, measured=ALL, inside=None):
    return normaliser(lengths, measured, inside).log_tpm(np.asarray(counts, dtype=np.float32))


def tpm(counts, lengths=LENGTHS, measured=ALL, inside=None):
    return np.expm1(log_tpm(counts, lengths, measured, inside).astype(np.float64))


def test_tpm_is_the_share_of_the_count_per_base_in_a_million():
    expected = np.array([10 / 1000, 40 / 2000, 0, 80 / 4000])
    np.testing.assert_allclose(tpm(COUNTS)[0], expected / expected.sum() * 1e6, rtol=2e-6)


def test_the_logarithm_is_natural():
    values = log_tpm(COUNTS)
    assert values.dtype == np.float32
    log2 = np.log2(definition(COUNTS, LENGTHS) + 1)
    np.testing.assert_allclose(values, log2 * 0.6931471805599453, atol=1e-6)


def test_single_precision_is_within_a_millionth_of_the_definition():
    rng = np.random.default_rng(3)
    counts = rng.poisson(np.exp(rng.normal(1, 3, (40, 20_000)))).astype(np.uint32)
    counts[:5, 7] = 2**31  # one gene has nearly all
    lengths = rng.integers(8, 100_000, 20_000).astype(float)
    values = log_tpm(counts, lengths, np.ones(20_000, bool))
    difference = np.abs(values - np.log1p(definition(counts, lengths))).max()
    assert difference <= 1e-6


def test_tpm_sums_to_a_million_over_the_measured_vocabulary_genes():
    measured = np.array([True, True, False, True])
    counts = np.where(measured, COUNTS, np.nan)
    values = tpm(counts, LENGTHS, measured)
    np.testing.assert_allclose(values[:, measured].sum(axis=1), 1e6, rtol=1e-5)
    assert np.isnan(values[:, ~measured]).all()


def test_another_denominator_changes_tpm_by_one_factor_a_sample():
    inside = np.array([True, True, False, True])
    counts = np.array([[10.0, 40.0, 0.0, 80.0], [1.0, 2.0, 3.0, 4.0]])
    some, every = tpm(counts, inside=inside), tpm(counts)
    ratio = some[:, inside] / every[:, inside]
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(3), rtol=5e-6)
    assert ratio[0, 0] == pytest.approx(1)  # nothing was counted in the gene that is left out
    assert ratio[1, 0] > 1.1
    np.testing.assert_allclose(some[:, inside].sum(axis=1), 1e6, rtol=1e-5)
    np.testing.assert_allclose(some, definition(counts, LENGTHS, inside), rtol=2e-6)


def test_a_constant_factor_on_the_counts_of_a_sample_cancels():
    np.testing.assert_allclose(tpm(COUNTS * np.array([[3.7], [0.01]])), tpm(COUNTS), rtol=5e-6)


def test_a_sample_gets_the_same_bits_alone_and_in_a_block():
    rng = np.random.default_rng(0)
    counts, lengths = rng.poisson(40, (33, 20_000)), rng.uniform(300, 9000, 20_000)
    measured = rng.random(20_000) > 0.2
    block = log_tpm(counts, lengths, measured)
    for row in [0, 7, 32]:
        alone = log_tpm(counts[row : row + 1], lengths, measured)
        np.testing.assert_array_equal(alone[0], block[row])


def test_a_sample_without_counts_has_no_tpm_and_no_nan_is_made_of_it():
    with pytest.raises(ValueError, match="no counts"):
        log_tpm(np.zeros((1, 4)))


@pytest.mark.parametrize("length", [0.0, np.nan])
def test_a_gene_without_length_is_refused(length):
    with pytest.raises(ValueError, match="length"):
        log_tpm(COUNTS, np.array([1000.0, length, 500.0, 4000.0]))


def test_a_missing_length_of_an_unmeasured_gene_does_no_harm():
    measured = np.array([True, False, True, True])
    lengths = np.array([1000.0, np.nan, 500.0, 4000.0])
    assert not np.isnan(log_tpm(COUNTS, lengths, measured)[:, measured]).any()


def test_tpm_values_are_only_brought_onto_the_denominator():
    of_file = np.array([[1e5, 3e5, 0, 0]])
    np.testing.assert_allclose(tpm(of_file, None)[0], [2.5e5, 7.5e5, 0, 0], rtol=2e-6)


NAMES = [f"ENSG{number:011d}" for number in range(1, 7)]
BIOTYPES = ["protein_coding"] * 3 + ["lncRNA"] * 3


@pytest.fixture
def genes(tmp_path):
    """Vocabulary of the genes 1, 2 and 4, and all six as annotation."""
    annotation = pd.DataFrame(
        {
            "gene_id": NAMES,
            "symbol": NAMES,
            "entrez": [str(number) for number in range(6)],
            "length_bp": [1000, 2000, 500, 4000, 800, 300],
            "biotype": BIOTYPES,
            "chromosome": "1",
        }
    )
    found = []
    for name, rows in {"genes": [0, 1, 3], "annotation": range(6)}.items():
        table = vocabulary_table(annotation.iloc[list(rows)], None, sorted(set(BIOTYPES)), "a")
        pq.write_table(table, tmp_path / f"{name}.parquet")
        found.append(Vocabulary.load(tmp_path / f"{name}.parquet"))
    return found


def tpm_of_file(name, genes, identifiers, counts):
    vocabulary, annotation = genes
    mapping = map_genes(identifiers, "ensembl", vocabulary)
    chosen = choose_denominator(name, identifiers, mapping, vocabulary, annotation)
    normalise = Normaliser(vocabulary.length_bp, mapping.measured, chosen)
    return normalise.log_tpm(mapping.project(counts), normalise.further(counts))


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("vocabulary", [0, 1, 3]),
        ("protein_coding", [0, 1, 2]),
        ("all_supplied", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_each_denominator_sums_over_its_genes(genes, name, inside):
    counts = np.random.default_rng(1).integers(1, 900, (4, 6))
    lengths = np.array([1000, 2000, 500, 4000, 800, 300])
    values = tpm_of_file(name, genes, NAMES, counts)
    expected = definition(counts, lengths, inside)[:, [0, 1, 3]]
    np.testing.assert_allclose(values, np.log1p(expected), rtol=1e-6)


@pytest.mark.parametrize("name", ["vocabulary", "protein_coding", "all_supplied"])
def test_the_order_of_the_genes_in_a_file_changes_no_bit(genes, name):
    rng = np.random.default_rng(2)
    names = [*(f"{gene}.{version}" for gene in NAMES for version in range(30)), "N_unmapped"]
    counts = rng.integers(0, 10**6, (5, len(names)))
    expected = tpm_of_file(name, genes, names, counts)
    for _ in range(5):
        order = rng.permutation(len(names))
        shuffled = [names[at] for at in order]
        values = tpm_of_file(name, genes, shuffled, counts[:, order])
        np.testing.assert_array_equal(values, expected)


def test_genes_that_the_file_lacks_do_not_count(genes):
    counts = np.array([[5, 7, 9]])
    some = tpm_of_file("all_supplied", genes, [NAMES[0], NAMES[1], NAMES[5]], counts)
    expected = definition(counts, np.array([1000, 2000, 300]))
    np.testing.assert_allclose(some[0, :2], np.log1p(expected)[0, :2], rtol=1e-6)
    assert np.isnan(some[0, 2])


def test_a_denominator_that_cannot_be_is_refused(genes):
    vocabulary, _ = genes
    mapping = map_genes(NAMES, "ensembl", vocabulary)
    with pytest.raises(InputError, match=r"'exome'.*vocabulary, protein_coding, all_supplied"):
        choose_denominator("exome", NAMES, mapping, vocabulary, None)
    with pytest.raises(InputError, match="--annotation"):
        choose_denominator("all_supplied", NAMES, mapping, vocabulary, None)
    only = map_genes([NAMES[3]], "ensembl", vocabulary)
    with pytest.raises(InputError, match="no measured gene"):
        choose_denominator("protein_coding", [NAMES[3]], only, *genes)


def test_natural_logarithms_of_tpm_pass_the_range_check():
    one_gene_has_all = np.array([[0.0, 1.0, 0.0, 0.0]])
    check_log_tpm(log_tpm(one_gene_has_all), "here")
    check_log_tpm(np.array([[np.nan, 0.0]]), "here")
    check_log_tpm(np.full((1, 2), np.nan), "here")
    check_log_tpm(np.empty((0, 2)), "here")


@pytest.mark.parametrize("wrong", [np.log2(1e6 + 1), np.log2(0.001), 50_000.0, -10.0])
def test_log2_logs_of_tpm_plus_little_and_linear_values_fail_the_range_check(wrong):
    with pytest.raises(InputError, match=r"here.*13\.82.*ln 2"):
        check_log_tpm(np.array([[0.0, np.nan, wrong]]), "here")
