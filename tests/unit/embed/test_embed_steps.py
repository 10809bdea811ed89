"""The two steps: what they read, what they write, and what they must never look at."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from embed_world import SMALL, expression, frame, write_genes

from bulkformer.embed import registry
from bulkformer.embed.embed import embed
from bulkformer.embed.fit import fit
from bulkformer.embed.interface import FittedEmbedder
from bulkformer.embed.training import read_training_data
from bulkformer.errors import InputError
from bulkformer.expression.store import create_store
from bulkformer.files import sha256

N_GENES = 30
FITTED = [
    name
    for name in registry.EMBEDDERS
    if issubclass(registry._embedder_class(name), FittedEmbedder)
]


def write_cohort(
    folder: Path, values: np.ndarray, samples: pd.DataFrame, blocks: int = 3
) -> tuple[Path, Path]:
    """Write the store (in several writes) and the samples table of a cohort."""
    store, table = folder / "log_tpm.arrow", folder / "samples.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    with create_store(store, ~np.isnan(values).all(axis=0), "log_tpm") as writer:
        for rows in np.array_split(np.arange(len(values)), blocks):
            writer.write([samples["sample_id"].iloc[i] for i in rows], values[rows])
    samples.to_parquet(table)
    return table, store


def cohort_frame(n_samples: int, prefix: str) -> pd.DataFrame:
    return frame(n_samples, prefix).assign(kept=True, reason=None, study_id="GSE1")


@pytest.fixture
def corpus(tmp_path):
    """Two cohorts; the second did not measure the first ten genes. Every third sample is held out.

    Returns (corpus table, samples tables, stores, the values of both cohorts).
    """
    parts, tables, stores, values = [], [], [], {}
    for seed, cohort in enumerate(["archs4", "gtex"]):
        expressed = expression(40, N_GENES, seed)
        if cohort == "gtex":
            expressed[:, :10] = np.nan
        samples = cohort_frame(40, cohort)
        table, store = write_cohort(tmp_path / cohort, expressed, samples)
        split = np.where(np.arange(40) % 3 == 0, "test", "train")
        rows = samples[["sample_id", "study_id"]].assign(cohort=cohort, group="g", split=split)
        parts.append(rows)
        tables.append(table)
        stores.append(store)
        values[cohort] = expressed
    path = tmp_path / "corpus.parquet"
    pd.concat(parts).sample(frac=1, random_state=0).to_parquet(path)
    return path, tables, stores, values


@pytest.mark.parametrize("name", FITTED)
def test_a_fit_sees_training_samples_and_nothing_else(name, corpus, tmp_path):
    path, tables, stores, values = corpus
    settings = json.dumps(SMALL.get(name, {}))

    def digest() -> str:
        fit(name, path, tables, stores, 7, tmp_path / "fit.safetensors", settings)
        return sha256(tmp_path / "fit.safetensors")

    honest = digest()
    held_out = np.arange(40) % 3 == 0
    for cohort, expressed in values.items():
        noise = np.random.default_rng(1).uniform(0, 15, size=expressed.shape)
        other = np.where(held_out[:, None] & ~np.isnan(expressed), noise, expressed)
        samples = cohort_frame(40, cohort)
        samples.loc[held_out, "tissue"] = "a tissue of the test"
        write_cohort(tmp_path / cohort, other.astype(np.float32), samples)
    assert digest() == honest
    changed = values["archs4"].copy()
    changed[1] += 1
    write_cohort(tmp_path / "archs4", changed, cohort_frame(40, "archs4"))
    assert digest() != honest


def test_training_rows_come_with_their_own_labels_and_cohort(corpus):
    path, tables, stores, values = corpus
    training = read_training_data(path, tables, stores)
    kept = np.arange(40) % 3 != 0
    expected = np.concatenate([values["archs4"][kept], values["gtex"][kept]])
    np.testing.assert_array_equal(training.matrix(1000, seed=0), expected)
    ids = [f"{cohort}{i}" for cohort in values for i in np.flatnonzero(kept)]
    assert training.samples["sample_id"].tolist() == ids
    tissue = pd.concat([cohort_frame(40, cohort)[kept]["tissue"] for cohort in values])
    assert training.samples["tissue"].tolist() == tissue.tolist()
    assert np.isnan(training.matrix(1000, seed=0)[len(ids) // 2 :, :10]).all()


def test_a_subsample_is_drawn_by_seed_and_keeps_the_order(corpus):
    path, tables, stores, _ = corpus
    training = read_training_data(path, tables, stores)
    everything = training.matrix(1000, seed=0)
    some = training.matrix(10, seed=3)
    # gene 20 was measured in both cohorts and no two samples share its value
    rows = [int(np.flatnonzero(everything[:, 20] == row[20])[0]) for row in some]
    assert rows == sorted(set(rows))
    assert len(rows) == 10
    np.testing.assert_array_equal(training.matrix(10, seed=3), some)
    assert not np.array_equal(training.matrix(10, seed=4), some, equal_nan=True)


def test_corpus_tables_that_do_not_fit_together_are_refused(corpus, tmp_path):
    path, tables, stores, _ = corpus
    with pytest.raises(InputError, match="no store for cohort 'gtex'"):
        read_training_data(path, tables[:1], stores[:1])
    with pytest.raises(InputError, match="1 samples tables for 2 stores"):
        read_training_data(path, tables[:1], stores)
    table = pd.read_parquet(path)
    table.assign(split="test").to_parquet(path)
    with pytest.raises(InputError, match="no row has split 'train'"):
        read_training_data(path, tables, stores)


def test_a_fit_is_only_used_with_the_settings_and_genes_it_was_made_with(corpus, tmp_path):
    path, tables, stores, _ = corpus
    genes, weights = write_genes(tmp_path / "genes.parquet", N_GENES), tmp_path / "fit.safetensors"
    fit("pca", path, tables, stores, 7, weights, '{"components": 4}')
    registry.load("pca", '{"components": 4}', weights, genes, 0, 8)
    with pytest.raises(InputError, match="fitted with settings"):
        registry.load("pca", '{"components": 5}', weights, genes, 0, 8)
    with pytest.raises(InputError, match="fitted with embedder pca"):
        registry.load("gene_mean", "{}", weights, genes, 0, 8)
    with pytest.raises(InputError, match="fitted with n_genes 30"):
        other = write_genes(tmp_path / "other.parquet", 31)
        registry.load("pca", '{"components": 4}', weights, other, 0, 8)
    with pytest.raises(InputError, match="'pca' needs --weights"):
        registry.load("pca", "{}", None, genes, 0, 8)
    with pytest.raises(InputError, match="'log_tpm' learns nothing"):
        registry.load("log_tpm", "{}", weights, genes, 0, 8)
    with pytest.raises(InputError, match="'log_tpm' has nothing to fit"):
        fit("log_tpm", path, tables, stores, 7, weights, "{}")
    weights.write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match="not a readable fit"):
        registry.load("pca", '{"components": 4}', weights, genes, 0, 8)


@pytest.fixture
def embedded(tmp_path):
    """Embed a cohort of 18 kept samples; its table has two more rows and another order.

    One of the two bears the id of a kept sample, as a second run of it would.
    """
    values = expression(18, N_GENES, seed=3)
    values[:, 25:] = np.nan
    kept = cohort_frame(18, "x").assign(cancer_type="BRCA")
    dropped = kept.iloc[:2].assign(
        sample_id=["x3", "y"], tissue="wrong", kept=False, reason="duplicate"
    )
    table, store = write_cohort(tmp_path / "cohort", values, kept)
    pd.concat([kept, dropped]).sample(frac=1, random_state=1).to_parquet(table)
    genes = write_genes(tmp_path / "genes.parquet", N_GENES)

    def run(name: str = "out") -> tuple[Path, Path]:
        output, description = tmp_path / f"{name}.parquet", tmp_path / f"{name}.json"
        embed("log_tpm_pca", "log_tpm", genes, store, table, 1, 8, output, description)
        return output, description

    return run, values, kept


def test_each_kept_sample_gets_its_own_vector_and_labels_in_store_order(embedded):
    run, values, kept = embedded
    table = pq.read_table(run()[0])
    for column in ["sample_id", "tissue", "study_id", "cancer_type", "library_size"]:
        assert table[column].to_pylist() == kept[column].tolist()
    assert not {"kept", "reason"} & set(table.column_names)
    assert table.schema.field("embedding").type.list_size == N_GENES
    vectors = np.array(table["embedding"].to_pylist(), dtype=np.float32)
    np.testing.assert_array_equal(vectors, np.nan_to_num(values, nan=0.0))


def test_the_description_says_how_and_is_the_same_twice(embedded):
    run, _, _ = embedded
    first, second = run("first"), run("second")
    assert [sha256(path) for path in first] == [sha256(path) for path in second]
    description = json.loads(first[1].read_text())
    assert description["model"] == "log_tpm_pca"
    assert description["embedder"] == "log_tpm"
    assert description["weights"] == "none"
    assert description["weights_sha256"] is None
    assert (description["n_samples"], description["dimension"]) == (18, N_GENES)
    assert (description["genes_matched"], description["genes_measured"]) == (N_GENES, 25)


def test_a_samples_table_of_another_run_is_refused(embedded, tmp_path):
    run, _, kept = embedded
    table = tmp_path / "cohort" / "samples.parquet"
    kept.iloc[1:].to_parquet(table)
    with pytest.raises(InputError, match=r"1 samples are kept but not in .*, first 'x0'"):
        run()
    pd.concat([kept, cohort_frame(1, "z")]).to_parquet(table)
    with pytest.raises(InputError, match=r"1 samples are kept but not in .*, first 'z0'"):
        run()


def test_labels_of_training_come_from_the_row_that_was_kept(corpus):
    path, tables, stores, _ = corpus
    samples = pd.read_parquet(tables[0])
    second = samples.iloc[[1]].assign(kept=False, reason="duplicate", tissue="wrong")
    pd.concat([second, samples]).to_parquet(tables[0])
    training = read_training_data(path, tables, stores)
    assert len(training) == len(training.matrix(1000, seed=0))
    assert "wrong" not in set(training.samples["tissue"])
