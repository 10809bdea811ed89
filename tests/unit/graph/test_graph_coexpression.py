"""Co-expression: the right correlation of the right samples, and nothing from held-out ones."""

import hashlib
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.expression.genes import vocabulary_table
from bulkformer.expression.store import create_store
from bulkformer.graph.coexpression import coexpression, training_samples
from bulkformer.graph.correlation import correlation_blocks, strongest
from bulkformer.graph.edges import read_graph

GENES = 30


def draw(rng, samples, genes=GENES):
    """Expression of a few programs with very different levels of the genes."""
    activity = rng.normal(size=(samples, 4)) @ rng.normal(size=(4, genes))
    values = rng.uniform(0, 9, genes) + activity + rng.normal(size=(samples, genes))
    return np.clip(values, 0, None).astype(np.float32)


def correlation(values, measured, sizes, min_common=10, block_genes=7):
    """Put the blocks of [n_genes, n] together; NaN where no block speaks of a pair."""
    r = np.full((len(values), len(values)), np.nan)
    for genes, partners, block in correlation_blocks(
        values, measured, sizes, min_common, block_genes
    ):
        assert np.isnan(r[np.ix_(genes, partners)]).all()  # each pair has one turn
        r[np.ix_(genes, partners)] = block
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


def test_the_strongest_partners_are_kept_with_their_absolute_correlation():
    r = np.array([[1.0, -0.9, 0.5, 0.7], [-0.9, 1.0, 0.2, 0.1]], dtype=np.float32)
    source, target, strength = strongest(np.array([0, 1]), np.arange(4), r, 2, 0.4)
    assert list(zip(source, target, strict=True)) == [(0, 1), (0, 3), (1, 0)]
    np.testing.assert_allclose(strength, [0.9, 0.7, 0.9])


def test_of_partners_that_tie_the_first_in_the_vocabulary_are_kept():
    r = np.full((1, 6), 0.8, dtype=np.float32)
    _, target, _ = strongest(np.array([2]), np.arange(6), r, 3, 0.4)
    assert target.tolist() == [0, 1, 3]


@pytest.fixture
def study(tmp_path):
    """Two cohorts, the smaller of which lacks some genes; half of the samples are held out."""
    return Study(tmp_path / "study", seed=6)


class Study:
    def __init__(self, folder, seed, replace_held_out=False, reverse=False, rare_in="two"):
        rng = np.random.default_rng(seed)
        annotation = pd.DataFrame(
            {
                "gene_id": [f"ENSG{n:011d}" for n in range(GENES)],
                "symbol": [f"G{n}" for n in range(GENES)],
                "entrez": None,
                "length_bp": 1000,
                "biotype": "protein_coding",
                "chromosome": "1",
            }
        )
        folder.mkdir()
        self.genes, self.corpus = folder / "genes.parquet", folder / "corpus.parquet"
        pq.write_table(vocabulary_table(annotation, None, ["protein_coding"], "a"), self.genes)
        values = draw(rng, 120)
        self.stores, rows = [], []
        for cohort, numbers in [("one", range(70)), ("two", range(70, 120))]:
            measured = np.ones(GENES, bool)
            measured[20:24] = cohort != rare_in
            splits = [["train", "train", "validation", "train", "held_out_groups",
                       "held_out_samples"][n % 6] for n in numbers]  # fmt: skip
            block = np.where(measured, values[list(numbers)], np.nan).astype(np.float32)
            if replace_held_out:
                held_out = np.array(splits) != "train"
                block[held_out] = np.random.default_rng(99).uniform(0, 13, block[held_out].shape)
            ids = [f"s{n:03d}" for n in numbers]
            order = slice(None, None, -1) if reverse else slice(None)
            path = folder / cohort / "log_tpm.arrow"
            with create_store(path, measured, "log_tpm") as store:
                store.write(ids[order], block[order])
            self.stores.append(path)
            rows += [(cohort, i, split) for i, split in zip(ids, splits, strict=True)][order]
        self.values, self.table = (
            values,
            pd.DataFrame(rows, columns=["cohort", "sample_id", "split"]),
        )
        self.table.to_parquet(self.corpus)

    def graph(self, folder, **changes):
        folder.mkdir(exist_ok=True)
        settings = {
            "genes": self.genes,
            "corpus": self.corpus,
            "store": self.stores,
            "neighbours": 5,
            "min_correlation": 0.3,
            "max_samples": 1000,
            "seed": 1,
            "output": folder / "coexpression.parquet",
            "summary": folder / "coexpression.json",
        }
        coexpression(**settings | changes)
        return read_graph(settings["output"], GENES), json.loads(settings["summary"].read_text())


def test_the_graph_is_every_genes_strongest_training_correlations(study, tmp_path):
    edges, summary = study.graph(tmp_path / "out")
    train = (study.table["split"] == "train").to_numpy()
    both = np.corrcoef(study.values[train].T)
    one = np.corrcoef(study.values[train & (study.table["cohort"] == "one").to_numpy()].T)
    strength = np.abs(both)
    strength[20:24], strength[:, 20:24] = np.abs(one)[20:24], np.abs(one)[:, 20:24]
    np.fill_diagonal(strength, 0)
    expected = np.zeros((GENES, GENES))
    for gene in range(GENES):
        for partner in np.argsort(-strength[gene])[:5]:
            if strength[gene, partner] >= 0.3:
                expected[gene, partner] = expected[partner, gene] = strength[gene, partner]
    found = np.zeros((GENES, GENES))
    found[edges.source, edges.target] = edges.weight
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert summary["n_edges"] == np.count_nonzero(expected) // 2
    assert summary["cohorts"] == ["one", "two"]


@pytest.mark.parametrize("file", ["coexpression.parquet", "coexpression.json"])
def test_held_out_samples_leave_the_graph_byte_identical(study, tmp_path, file):
    study.graph(tmp_path / "out")
    noisy = Study(tmp_path / "noisy", seed=6, replace_held_out=True)
    noisy.graph(tmp_path / "noisy_out")
    assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "noisy_out" / file).read_bytes()


@pytest.mark.parametrize("max_samples", [20, 1000])
def test_the_order_of_samples_in_the_files_is_without_consequence(study, tmp_path, max_samples):
    study.graph(tmp_path / "out", max_samples=max_samples)
    other = Study(tmp_path / "reversed", seed=6, reverse=True)
    other.stores = other.stores[::-1]
    other.graph(tmp_path / "other", max_samples=max_samples)
    for file in ["coexpression.parquet", "coexpression.json"]:
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_a_gene_that_only_a_small_cohort_measured_has_no_edges(tmp_path):
    study = Study(tmp_path / "study", seed=6, rare_in="one")
    edges, summary = study.graph(tmp_path / "out")
    assert not set(range(20, 24)) & set(edges.source)
    assert summary["genes_with_too_few_samples"] == 4
    assert summary["min_common_samples"] == 30


def test_the_summary_names_the_training_samples_by_their_hash(study, tmp_path):
    _, summary = study.graph(tmp_path / "out")
    train = sorted(study.table.loc[study.table["split"] == "train", "sample_id"])
    assert summary["training_samples"] == summary["samples_used"] == len(train)
    assert summary["samples_sha256"] == hashlib.sha256("\n".join(train).encode()).hexdigest()
    assert summary["genes_with_too_few_samples"] == 0


def test_more_samples_than_asked_for_are_drawn_with_the_seed(study):
    chosen, available = training_samples(study.corpus, 20, seed=1)
    assert available == 60
    assert len(set(chosen)) == 20
    assert chosen == training_samples(study.corpus, 20, seed=1)[0]
    assert chosen != training_samples(study.corpus, 20, seed=2)[0]
    train = study.table[study.table["split"] == "train"]
    assert {sample_id for _, sample_id in chosen} <= set(train["sample_id"])


def test_a_cohort_without_its_store_is_named(study, tmp_path):
    with pytest.raises(InputError, match=r"no store was given for its cohort 'two'"):
        study.graph(tmp_path / "out", store=study.stores[:1])


def test_a_store_of_another_vocabulary_is_refused(study, tmp_path):
    table = pq.read_table(study.genes)
    pq.write_table(table.slice(0, 25), study.genes)
    with pytest.raises(InputError, match=r"log_tpm.arrow: has 30 genes, the vocabulary 25"):
        study.graph(tmp_path / "out")


def test_a_training_sample_that_its_store_lacks_is_named(study, tmp_path):
    extra = pa.Table.from_pandas(
        pd.concat(
            [study.table, pd.DataFrame([("one", "stray", "train")], columns=study.table.columns)]
        ),
        preserve_index=False,
    )
    pq.write_table(extra, study.corpus)
    with pytest.raises(InputError, match="'stray'"):
        study.graph(tmp_path / "out")


def test_too_few_training_samples_and_no_edge_at_all_are_errors_with_a_remedy(study, tmp_path):
    with pytest.raises(InputError, match=r"lower graph\.coexpression\.min_correlation"):
        study.graph(tmp_path / "out", min_correlation=0.9999)
    study.table.assign(split="validation").to_parquet(study.corpus)
    with pytest.raises(InputError, match=r"0 training samples, and co-expression needs at least"):
        study.graph(tmp_path / "out")
