"""Similarity of annotated genes, against numbers counted by hand and a plain reference."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from bulkformer.graph import semantic
from bulkformer.graph.semantic import (
    LIN,
    RESNIK,
    best_match_blocks,
    information_content,
    nearest,
    simgic_blocks,
)

# A root 0 with two branches: 1 with the leaves 3 and 4, and 2.
ANCESTORS = [[0], [0, 1], [0, 2], [0, 1, 3], [0, 1, 4]]
DIRECT = [[3], [4], [3, 4], [2], []]


def membership(terms_of_genes, n_terms):
    dense = np.zeros((len(terms_of_genes), n_terms))
    for gene, terms in enumerate(terms_of_genes):
        dense[gene, terms] = 1
    return csr_array(dense)


def propagate(direct, ancestors):
    return [sorted({above for term in terms for above in ancestors[term]}) for terms in direct]


def whole(blocks, n_genes):
    matrix = np.full((n_genes, n_genes), np.nan)
    for genes, similarity in blocks:
        matrix[genes] = similarity
    return matrix


@pytest.fixture
def small_blocks(monkeypatch):
    for name in ["BLOCK_GENES", "BLOCK_TERMS", "DENSE_FROM"]:
        monkeypatch.setattr(semantic, name, 3)


def test_rare_terms_tell_more_and_the_root_tells_nothing():
    has_term = membership(propagate(DIRECT, ANCESTORS), 5)
    content = information_content(has_term, np.zeros(5, dtype=int))
    # Four of the five genes are annotated: three below 1, one below 2, two with 3 and with 4.
    np.testing.assert_allclose(content, -np.log([4 / 4, 3 / 4, 1 / 4, 2 / 4, 2 / 4]))


def test_each_aspect_has_a_root_of_its_own():
    has_term = csr_array(np.array([[1, 1, 0, 0], [1, 0, 1, 1], [1, 0, 0, 0]]))
    content = information_content(has_term, np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(content, [0, np.log(3), 0, 0])


def test_simgic_is_the_content_of_common_terms_over_that_of_all():
    has_term = membership(propagate(DIRECT, ANCESTORS), 5)
    content = information_content(has_term, np.zeros(5, dtype=int))
    found = whole(simgic_blocks(has_term, content), 5)
    branch, leaf = content[1], content[3]
    assert found[0, 1] == pytest.approx(branch / (branch + 2 * leaf))
    assert found[0, 2] == pytest.approx((branch + leaf) / (branch + 2 * leaf))
    assert found[0, 3] == pytest.approx(0)
    assert found[4, 4] == 0  # without terms, a gene is not even like itself


def test_best_matches_are_averaged_over_the_terms_of_both_genes():
    has_term = membership(propagate(DIRECT, ANCESTORS), 5)
    content = information_content(has_term, np.zeros(5, dtype=int))
    direct = membership(DIRECT, 5)
    lin = whole(best_match_blocks(direct, ANCESTORS, content, LIN), 5)
    siblings = content[1] / content[3]  # of 3 and 4, whose common ancestor is 1
    assert lin[0, 1] == pytest.approx(siblings, abs=1e-6)
    # The one term of gene 0 is matched in full; of gene 2's terms one in full, one as a sibling.
    assert lin[0, 2] == pytest.approx((1 + (1 + siblings) / 2) / 2, abs=1e-6)
    assert lin[0, 3] == 0
    assert lin[0, 4] == 0
    resnik = whole(best_match_blocks(direct, ANCESTORS, content, RESNIK), 5)
    assert resnik[0, 1] == pytest.approx(content[1] / content[2], abs=1e-6)
    assert resnik[3, 3] == pytest.approx(1)


def random_annotations(rng, n_genes=20, n_terms=30):
    ancestors = [[0]]
    for term in range(1, n_terms):
        parents = rng.choice(term, size=min(term, 2), replace=False)
        ancestors.append(sorted({term}.union(*(ancestors[parent] for parent in parents))))
    direct = [
        sorted(rng.choice(n_terms, rng.integers(0, 4), replace=False)) for _ in range(n_genes)
    ]
    return direct, ancestors


@pytest.mark.parametrize("seed", range(5))
def test_blocks_give_what_a_plain_loop_over_pairs_gives(small_blocks, seed):
    direct, ancestors = random_annotations(np.random.default_rng(seed))
    n_genes, n_terms = len(direct), len(ancestors)
    every = propagate(direct, ancestors)
    has_term = membership(every, n_terms)
    content = information_content(has_term, np.zeros(n_terms, dtype=int))

    def of_terms(measure, one, other):
        common = max((content[a] for a in set(ancestors[one]) & set(ancestors[other])), default=0)
        if measure == RESNIK:
            return common / content.max()
        mean = (content[one] + content[other]) / 2
        return common / mean if mean else 0

    def of_genes(measure, one, other):
        if not direct[one] or not direct[other]:
            return 0
        table = np.array([[of_terms(measure, a, b) for b in direct[other]] for a in direct[one]])
        return (table.max(axis=1).mean() + table.max(axis=0).mean()) / 2

    def gic(one, other):
        either = content[sorted({*every[one], *every[other]})].sum()
        return content[sorted({*every[one]} & {*every[other]})].sum() / either if either else 0

    pairs = [(one, other) for one in range(n_genes) for other in range(n_genes)]
    found = whole(simgic_blocks(has_term, content), n_genes)
    np.testing.assert_allclose(found.ravel(), [gic(*pair) for pair in pairs], atol=1e-5)
    for measure in [RESNIK, LIN]:
        blocks = best_match_blocks(membership(direct, n_terms), ancestors, content, measure)
        expected = [of_genes(measure, *pair) for pair in pairs]
        np.testing.assert_allclose(whole(blocks, n_genes).ravel(), expected, atol=1e-5)


def test_each_gene_keeps_its_nearest_and_ties_go_to_the_first():
    similarity = np.array(
        [[9, 0.5, 0.5, 0.7], [0.5, 9, 0.1, 0.2], [0.5, 0.1, 9, 0.3], [0.7, 0.2, 0.3, 9]],
        dtype=np.float32,
    )
    source, target, value = nearest(iter([(np.arange(4), similarity)]), 2, 0.25)
    assert list(zip(source.tolist(), target.tolist(), strict=True)) == [
        (0, 3), (0, 1), (1, 0), (2, 0), (2, 3), (3, 0), (3, 2),
    ]  # fmt: skip
    assert value.tolist() == [0.7, 0.5, 0.5, 0.5, 0.3, 0.7, 0.3]
