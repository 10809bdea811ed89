"""Co-expression: the right correlation of the right samples, and nothing from held-out ones."""

import hashlib
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.evaluate.fold_samples import fold_samples
from bulkformer.evaluate.splits import Units, manifest, write_manifest
from bulkformer.expression.genes import vocabulary_table
from bulkformer.expression.store import create_store
from bulkformer.files import sha256
from bulkformer.graph.coexpression import coexpression, training_samples, training_source
from bulkformer.graph.edges import read_graph

GENES = 30


def draw(rng, samples, genes=GENES):
    """Expression of a few programs with very different levels of the genes."""
    activity = rng.normal(size=(samples, 4)) @ rng.normal(size=(4, genes))
    values = rng.uniform(0, 9, genes) + activity + rng.normal(size=(samples, genes))
    return np.clip(values, 0, None).astype(np.float32)


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
            "corpus": None if "samples" in changes else self.corpus,
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
    _, summary = study.graph(tmp_path / "out", max_samples=max_samples)
    other = Study(tmp_path / "reversed", seed=6, reverse=True)
    other.stores = other.stores[::-1]
    _, other_summary = other.graph(tmp_path / "other", max_samples=max_samples)
    first, second = (tmp_path / out / "coexpression.parquet" for out in ["out", "other"])
    assert first.read_bytes() == second.read_bytes()
    # Only the file that names the samples is another one.
    assert summary | {"split_sha256": ""} == other_summary | {"split_sha256": ""}


def test_a_gene_that_only_a_small_cohort_measured_has_no_edges(tmp_path):
    study = Study(tmp_path / "study", seed=6, rare_in="one")
    edges, summary = study.graph(tmp_path / "out")
    assert not set(range(20, 24)) & set(edges.source)
    assert summary["genes_with_too_few_samples"] == 4
    assert summary["min_common_samples"] == 30


def test_the_summary_names_the_training_samples_by_their_hash(study, tmp_path):
    _, summary = study.graph(tmp_path / "out")
    assert summary["origin"] == "training samples of the corpus"
    assert summary["split_sha256"] == sha256(study.corpus)
    train = sorted(study.table.loc[study.table["split"] == "train", "sample_id"])
    assert summary["training_samples"] == summary["samples_used"] == len(train)
    assert summary["samples_sha256"] == hashlib.sha256("\n".join(train).encode()).hexdigest()
    assert summary["genes_with_too_few_samples"] == 0


def test_more_samples_than_asked_for_are_drawn_with_the_seed(study):
    source = training_source(study.corpus, None)
    chosen, available = training_samples(source, 20, seed=1)
    assert available == 60
    assert len(set(chosen)) == 20
    assert chosen == training_samples(source, 20, seed=1)[0]
    assert chosen != training_samples(source, 20, seed=2)[0]
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


@pytest.fixture
def fold(study, tmp_path):
    """The training samples of fold 1 of a task on the samples of both cohorts, as its table."""
    ids, cohorts = study.table["sample_id"].tolist(), study.table["cohort"].tolist()
    rows = manifest(
        Units(ids, ids, "sample", [""] * len(ids), cohorts),
        (study.table["split"] != "train").to_numpy().astype(int),
        task="imputation", dataset="both", protocol="strict", regime="grouped", repeat=0, seed=1,
    )  # fmt: skip
    write_manifest(tmp_path / "split.parquet", [rows])
    settings = {
        "manifest": tmp_path / "split.parquet",
        "task": "imputation",
        "dataset": "both",
        "protocol": "strict",
        "regime": "grouped",
        "fold": 1,
        "output": tmp_path / "fold.parquet",
    }
    fold_samples(**settings)
    return settings


def test_a_graph_for_one_fold_is_that_of_its_training_samples_and_says_so(study, fold, tmp_path):
    of_corpus, _ = study.graph(tmp_path / "corpus")
    of_fold, summary = study.graph(tmp_path / "fold", samples=fold["output"])
    for one, other in zip(of_corpus, of_fold, strict=True):
        np.testing.assert_array_equal(one, other)
    assert "strict grouped, repeat 0, fold 1 held out" in summary["origin"]
    assert summary["split_sha256"] == sha256(fold["manifest"])
    train = sorted(study.table.loc[study.table["split"] == "train", "sample_id"])
    assert summary["samples_sha256"] == hashlib.sha256("\n".join(train).encode()).hexdigest()


@pytest.mark.parametrize("file", ["coexpression.parquet", "coexpression.json"])
def test_samples_outside_the_fold_leave_its_graph_byte_identical(study, fold, tmp_path, file):
    study.graph(tmp_path / "out", samples=fold["output"])
    noisy = Study(tmp_path / "noisy", seed=6, replace_held_out=True)
    noisy.graph(tmp_path / "noisy_out", samples=fold["output"])
    assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "noisy_out" / file).read_bytes()


def test_a_table_of_ones_own_samples_is_its_own_split(study, tmp_path):
    path = tmp_path / "mine.parquet"
    study.table[study.table["split"] == "train"][["cohort", "sample_id"]].to_parquet(path)
    _, summary = study.graph(tmp_path / "out", samples=path)
    assert summary["origin"] == "samples of mine.parquet"
    assert summary["split_sha256"] == sha256(path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"fold": 7}, "no fold 7 of both, strict grouped; it has 0, 1"),
        ({"dataset": "neither"}, "no dataset 'neither' of imputation, strict; it has both"),
        ({"repeat": 3}, "no repeat '3'"),
        ({"regime": "loose"}, "no regime 'loose' of imputation, strict; it has grouped"),
    ],
)
def test_a_fold_that_the_manifest_lacks_is_named_with_those_it_has(fold, change, complaint):
    with pytest.raises(InputError, match=complaint):
        fold_samples(**fold | change)


def test_a_regime_need_not_be_named_where_there_is_one(fold, tmp_path):
    named = fold["output"].read_bytes()
    fold_samples(**fold | {"regime": None})
    assert fold["output"].read_bytes() == named
    table = pq.read_table(fold["manifest"])
    place = table.column_names.index("regime")
    other = table.set_column(place, "regime", pa.array(["loose"] * len(table)))
    write_manifest(tmp_path / "two.parquet", [table, other.cast(table.schema)])
    with pytest.raises(InputError, match=r"no regime was named for .*it has grouped, loose"):
        fold_samples(**fold | {"regime": None, "manifest": tmp_path / "two.parquet"})


def test_training_samples_come_from_one_place_and_stand_there_once(study, tmp_path):
    with pytest.raises(InputError, match="either --corpus or --samples"):
        study.graph(tmp_path / "out", corpus=None)
    path = tmp_path / "mine.parquet"
    pd.concat([study.table] * 2).to_parquet(path)
    with pytest.raises(InputError, match="stands twice"):
        study.graph(tmp_path / "out", samples=path)
    path.write_text("s1")
    with pytest.raises(InputError, match="not a readable table of samples"):
        study.graph(tmp_path / "out", samples=path)
