"""h5ad files: dense or sparse, counts in X, a layer or raw, never loaded whole."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bulkformer.errors import InputError
from bulkformer.sources import h5ad
from bulkformer.sources.reader import open_cohort

COUNTS = np.array([[0, 1, 2, 0], [4, 0, 6, 7], [0, 0, 0, 11], [3, 0, 0, 0], [1, 2, 3, 4]])
SAMPLES = ["s1", "s2", "s3", "s4", "s5"]
GENES = ["ENSG00000000003", "ENSG00000000005.1", "ENSG00000000419", "ENSG00000000457"]
STORED = {
    "dense": np.asarray,
    "rows": sparse.csr_matrix,
    "columns": sparse.csc_matrix,
    "array": sparse.csr_array,
}


def labels():
    return pd.DataFrame(
        {
            "disease": pd.Categorical(["asthma", "none", None, "asthma", "none"]),
            "age": [1, 2, 3, 4, 5],
            "series": ["GSE1", "GSE1", "GSE2", "GSE2", "GSE3"],
        },
        index=SAMPLES,
    )


@pytest.fixture
def write(tmp_path):
    def written(x, name="c.h5ad", **parts):
        path = tmp_path / name
        data = anndata.AnnData(x, obs=labels(), var=pd.DataFrame(index=GENES), **parts)
        data.write_h5ad(path)
        return path

    return written


def values_of(counts, max_samples=2):
    return np.concatenate([block for _, block in counts.blocks(max_samples)])


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("at_once", [5, h5ad.VALUES_AT_ONCE])
def test_every_storage_gives_the_same_counts(write, monkeypatch, stored, at_once):
    monkeypatch.setattr(h5ad, "VALUES_AT_ONCE", at_once)
    counts = open_cohort("h5ad", write(STORED[stored](COUNTS.astype("float32"))), None)
    assert counts.gene_ids == GENES
    assert [id_ for ids, _ in counts.blocks(2) for id_ in ids] == SAMPLES
    assert all(len(ids) <= 2 for ids, _ in counts.blocks(2))
    np.testing.assert_array_equal(values_of(counts), COUNTS)


@pytest.mark.parametrize("stored", STORED)
def test_counts_may_lie_in_a_layer_or_in_raw(write, stored):
    store = STORED[stored]
    path = write(np.log1p(COUNTS), layers={"counts": store(COUNTS)})
    np.testing.assert_array_equal(values_of(open_cohort("h5ad:layers/counts", path, None)), COUNTS)
    data = anndata.AnnData(store(COUNTS), obs=labels(), var=pd.DataFrame(index=GENES))
    data.raw = data
    path = path.with_name("raw.h5ad")
    few = data[:, :2].copy()
    few.write_h5ad(path)
    counts = open_cohort("h5ad:raw/X", path, None)
    assert counts.gene_ids == GENES
    np.testing.assert_array_equal(values_of(counts), COUNTS)
    assert open_cohort("h5ad", path, None).gene_ids == GENES[:2]


def test_labels_come_from_obs(write):
    counts = open_cohort("h5ad", write(COUNTS), None, sample_columns="study_id=series")
    samples = counts.samples
    assert samples["sample_id"].tolist() == SAMPLES
    assert samples["disease"].tolist() == ["asthma", "none", None, "asthma", "none"]
    assert samples["age"].tolist() == list("12345")
    assert samples["study_id"].tolist() == ["GSE1", "GSE1", "GSE2", "GSE2", "GSE3"]


@pytest.mark.parametrize("stored", STORED)
def test_a_sample_table_beside_the_file_chooses_and_labels(write, tmp_path, stored):
    table = tmp_path / "t.tsv"
    table.write_text("sample_id\tdisease\ns5\tx\ns2\ty\n")
    counts = open_cohort("h5ad", write(STORED[stored](COUNTS)), table)
    assert counts.samples["disease"].tolist() == ["y", "x"]
    np.testing.assert_array_equal(values_of(counts, 1), COUNTS[[1, 4]])


def test_an_absent_part_is_refused_naming_those_that_are_there(write):
    path = write(COUNTS, layers={"umi": COUNTS})
    with pytest.raises(InputError, match=r"no layers/counts; it has X, layers/umi.*h5ad:<part>"):
        open_cohort("h5ad:layers/counts", path, None)
    with pytest.raises(InputError, match="format 'gct:X' is unknown"):
        open_cohort("gct:X", path, None)


def test_logarithms_below_zero_are_named(write):
    with pytest.raises(InputError, match=r"gene 'ENSG00000000003' .* 's1' is -1"):
        values_of(open_cohort("h5ad", write(COUNTS - 1.0), None))


def test_files_that_are_no_h5ad_are_refused(tmp_path):
    path = tmp_path / "c.h5ad"
    path.write_text("<html>")
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        open_cohort("h5ad", path, None)
    with h5py.File(path, "w") as file:
        file["X"] = COUNTS
    with pytest.raises(InputError, match="obs is absent"):
        open_cohort("h5ad", path, None)


def test_a_shape_that_does_not_fit_is_refused(write):
    path = write(COUNTS)
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = COUNTS[:3]
    with pytest.raises(InputError, match=r"X is \(3, 4\), but obs and var name 5 samples and\s+4"):
        open_cohort("h5ad", path, None)


@pytest.mark.parametrize("name", ["X", "obs"])
def test_a_part_that_leads_out_of_the_file_is_refused(write, name):
    path, other = write(COUNTS), write(COUNTS, "other.h5ad")
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = h5py.ExternalLink(other.name, name)
    with pytest.raises(InputError, match=f"'{name}' is a link, or lies in another file"):
        open_cohort("h5ad", path, None)


def test_a_damaged_sparse_matrix_is_refused(write):
    path = write(sparse.csr_matrix(COUNTS))
    with h5py.File(path, "r+") as file:
        file["X/indices"][0] = 99
    with pytest.raises(InputError, match="/X is damaged"):
        values_of(open_cohort("h5ad", path, None))
