"""Correlation in tiles, and the strongest partners of each gene: exact, whatever the tiles are."""

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.graph.coexpression import TrainingValues, coexpression_edges
from bulkformer.graph.correlation import GeneClasses, correlation_tiles

GENES = 30


def draw(rng, samples, genes=GENES):
    """Expression of a few programs with very different levels of the genes."""
    activity = rng.normal(size=(samples, 4)) @ rng.normal(size=(4, genes))
    values = rng.uniform(0, 9, genes) + activity + rng.normal(size=(samples, genes))
    return np.clip(values, 0, None).astype(np.float32)


def correlation(values, measured, sizes, min_common=10, block_genes=7):
    """Put the tiles of [n_genes, n] together; NaN where no tile speaks of a pair."""
    r = np.full((len(values), len(values)), np.nan)
    classes = GeneClasses(measured, sizes)
    for tile in correlation_tiles(values.copy(), classes, min_common, block_genes):
        assert np.isnan(r[np.ix_(tile.genes, tile.partners)]).all()  # each pair has one turn
        r[np.ix_(tile.genes, tile.partners)] = tile.left @ tile.right.T
        r[np.ix_(tile.partners, tile.genes)] = tile.right @ tile.left.T
    return r


def test_on_complete_data_it_is_pearsons_r():
    values = np.ascontiguousarray(draw(np.random.default_rng(0), 80).T)
    found = correlation(values, np.ones((1, GENES), bool), [80])
    np.testing.assert_allclose(found, np.corrcoef(values), atol=2e-6)


def test_where_cohorts_measured_different_genes_it_is_pearsons_r_of_all_common_samples():
    rng = np.random.default_rng(1)
    sizes = [40, 25, 60]
    # Cohorts that differ in level: what is common to two genes must be pooled, not averaged.
    values = np.concatenate(
        [draw(rng, n) + shift for n, shift in zip(sizes, [0, 3, 8], strict=True)]
    ).T
    measured = rng.random((3, GENES)) < 0.6
    sample_pattern = np.repeat(range(3), sizes)
    masked = np.where(measured.T[:, sample_pattern], values, np.nan).astype(np.float32)
    found = correlation(masked, measured, sizes)
    for a in range(GENES):
        for b in range(GENES):
            common = (measured[:, a] & measured[:, b])[sample_pattern]
            if common.any():
                expected = np.corrcoef(values[a, common], values[b, common])[0, 1]
                assert found[a, b] == pytest.approx(expected, abs=2e-5)
            else:
                assert np.isnan(found[a, b])


def test_what_stands_where_a_gene_was_not_measured_is_never_used():
    rng = np.random.default_rng(2)
    values, measured = draw(rng, 60).T.copy(), np.ones((2, GENES), bool)
    measured[0, 5:9] = False
    first = correlation(values, measured, [30, 30])
    values[5:9, :30] = -10
    np.testing.assert_array_equal(correlation(values, measured, [30, 30]), first)


def test_constant_genes_correlate_with_nothing():
    values = draw(np.random.default_rng(3), 40).T.copy()
    values[3], values[4] = 0, 7.1
    found = correlation(values, np.ones((1, GENES), bool), [40])
    assert (found[[3, 4]] == 0).all()
    assert (found[:, [3, 4]] == 0).all()
    assert np.isfinite(found).all()


def test_pairs_with_too_few_common_samples_are_left_out():
    values = draw(np.random.default_rng(4), 100).T.copy()
    measured = np.ones((2, GENES), bool)
    measured[1, 0] = False
    found = correlation(values, measured, [19, 81], min_common=20)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1:, 1:]).all()


def test_a_measured_value_that_is_no_number_is_an_error():
    values = draw(np.random.default_rng(5), 40).T.copy()
    values[2, 3] = np.nan
    with pytest.raises(InputError, match="not a number"):
        correlation(values, np.ones((1, GENES), bool), [40])


def edges(values, neighbours=5, min_correlation=0.3, block_genes=1024, measured=None, sizes=None):
    """The graph of values [n_genes, n] as {(gene, partner): weight}, each edge once."""
    if measured is None:
        measured, sizes = np.ones((1, len(values)), bool), [values.shape[1]]
    training = TrainingValues(values.copy(), measured, sizes, [])
    found = coexpression_edges(training, neighbours, min_correlation, block_genes)
    return {(int(a), int(b)): w for a, b, w in zip(*found, strict=True) if a < b}


def dense_edges(values, neighbours, min_correlation):
    """The same by the book: all of r in double precision, ties to the first in the vocabulary."""
    strength = np.abs(np.corrcoef(values.astype(np.float64)))
    np.fill_diagonal(strength, 0)
    kept = {}
    for gene, row in enumerate(strength):
        for partner in np.lexsort((np.arange(len(row)), -row))[:neighbours]:
            if row[partner] >= min_correlation:
                kept[min(gene, partner), max(gene, partner)] = row[partner]
    return kept


def test_on_3000_genes_the_edges_are_exactly_those_of_the_dense_matrix():
    rng = np.random.default_rng(7)
    programs = rng.normal(size=(40, 3000)) * (rng.random((40, 3000)) < 0.1)
    values = rng.normal(size=(150, 40)) @ programs + rng.normal(size=(150, 3000))
    values = np.clip(values + rng.uniform(0, 9, 3000), 0, None).T.astype(np.float32)
    found, expected = edges(values, 20, 0.4, 512), dense_edges(values, 20, 0.4)
    assert found.keys() == expected.keys()
    assert max(abs(found[pair] - expected[pair]) for pair in expected) < 2e-6


@pytest.mark.parametrize("block_genes", [4, 7, 30, 1000])
@pytest.mark.parametrize("complete", [True, False])
def test_the_size_of_tiles_is_without_consequence_for_the_edges(block_genes, complete):
    rng = np.random.default_rng(8)
    values, measured = draw(rng, 90).T.copy(), np.ones((2, GENES), bool)
    if not complete:
        measured[0, 5:15] = False
        measured[1, 12:19] = False
    expected = edges(values, 4, 0.2, 1024, measured, [45, 45])
    found = edges(values, 4, 0.2, block_genes, measured, [45, 45])
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(list(found.values()), list(expected.values()), atol=1e-6)


@pytest.mark.parametrize("block_genes", [3, 8, 1000])
def test_of_partners_that_tie_the_first_in_the_vocabulary_are_kept(block_genes):
    rng = np.random.default_rng(9)
    # Genes 2 to 9 have the same values up to sign and level, the others resemble them less.
    common = rng.normal(size=60)
    values = rng.normal(size=(20, 60)) + 0.8 * common
    values[2:10] = common
    values[[3, 5]] = 4 - common
    kept = edges(values.astype(np.float32), 3, 0.3, block_genes)
    among = {pair for pair in kept if pair[0] in range(2, 10) and pair[1] in range(2, 10)}
    first = {(2, 3), (2, 4), (2, 5), (3, 4), (3, 5), (4, 5)}
    assert among == first | {(a, b) for a in (2, 3, 4) for b in range(5, 10)}


def test_a_gene_has_at_most_its_neighbours_and_those_who_chose_it():
    values = draw(np.random.default_rng(10), 80).T.copy()
    kept = edges(values, 2, 0.0)
    assert kept.keys() == dense_edges(values, 2, 0.0).keys()
    assert GENES <= len(kept) <= 2 * GENES


def test_weights_are_absolute_correlations_no_larger_than_one():
    values = draw(np.random.default_rng(11), 40).T.copy()
    values[1], values[2] = values[0], 9 - values[0]
    kept = edges(values)
    assert kept[0, 1] == pytest.approx(1, abs=1e-6)
    assert kept[0, 2] == pytest.approx(1, abs=1e-6)
    assert max(kept.values()) <= 1


def test_the_least_correlation_itself_is_enough():
    rng = np.random.default_rng(12)
    orthogonal = np.linalg.qr(np.column_stack([np.ones(64), rng.normal(size=(64, 3))]))[0][:, 1:]
    values = np.stack([orthogonal[:, 0], 0.6 * orthogonal[:, 0] + 0.8 * orthogonal[:, 1]])
    values = values.astype(np.float32)
    r = float(np.abs(np.corrcoef(values.astype(np.float64))[0, 1]))
    assert list(edges(values, 5, r - 1e-7)) == [(0, 1)]
    assert not edges(values, 5, r + 1e-7)


def test_the_number_of_threads_is_without_consequence_to_the_last_bit():
    from threadpoolctl import threadpool_limits

    values = draw(np.random.default_rng(13), 60, 200).T.copy()
    expected = edges(values, 6, 0.1, 16)
    with threadpool_limits(1, "blas"):
        assert edges(values, 6, 0.1, 16) == expected
