"""A cohort leaves as h5ad, with everything that is known of it under the right ids."""

import json
import time

import anndata
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulkformer.embed.export import export
from bulkformer.errors import InputError
from bulkformer.expression.store import BATCH_SAMPLES, create_store
from bulkformer.files import sha256
from bulkformer.sources.reader import open_cohort

GENES = [f"ENSG{at:011d}" for at in range(5)]
MEASURED = np.array([True, True, False, True, True])
N_SAMPLES = BATCH_SAMPLES + 6  # two record batches
IDS = [f"s{at}" for at in range(N_SAMPLES)]
COUNTS = np.random.default_rng(0).integers(0, 50, size=(N_SAMPLES, 5)).astype(np.float32)
COUNTS[:, ~MEASURED] = np.nan
LOG_TPM = np.log1p(COUNTS)
VECTORS = np.random.default_rng(1).normal(size=(N_SAMPLES, 3)).astype(np.float32)


def write_vectors(path, order, width=3):
    values = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS[order, :width].ravel()), width)
    pq.write_table(pa.table({"sample_id": [IDS[at] for at in order], "embedding": values}), path)
    return path


@pytest.fixture
def files(tmp_path):
    """Samples in another order than the store, and one that was not kept."""
    paths = {
        name: tmp_path / file
        for name, file in {
            "genes": "genes.parquet",
            "log_tpm": "log_tpm.arrow",
            "counts": "counts.arrow",
            "samples": "samples.parquet",
            "coverage": "coverage.json",
        }.items()
    }
    for name, values in [("log_tpm", LOG_TPM), ("counts", COUNTS)]:
        with create_store(paths[name], MEASURED, name) as store:
            store.write(IDS, values)
    genes = {"gene_id": GENES, "symbol": ["A", None, "C", "D", "E"], "length_bp": [1, 2, 3, 4, 5]}
    pq.write_table(pa.table(genes), paths["genes"])
    rows = [("s3", None, None, 1.0, False), ("shallow", "asthma", None, 1.0, False)]
    rows += [
        (id_, ["asthma", "", None][at % 3], None, at + 0.5, True)
        for at, id_ in reversed(list(enumerate(IDS)))
    ]
    columns = ["sample_id", "disease", "patient_id", "library_size", "kept"]
    table = {
        name: list(cells) for name, cells in zip(columns, zip(*rows, strict=True), strict=True)
    }
    table["patient_id"] = pa.nulls(len(rows), pa.string())
    pq.write_table(pa.table(table), paths["samples"])
    paths["coverage"].write_text(json.dumps({"cohort": "c", "genes_measured": 4, "x": None}))
    description = tmp_path / "embed.json"
    description.write_text(json.dumps({"weights_sha256": "abc"}))
    paths["model"] = ["pca", "mean"]
    paths["embedding"] = [
        write_vectors(tmp_path / "pca.parquet", list(range(N_SAMPLES))[::-1]),
        write_vectors(tmp_path / "mean.parquet", list(range(N_SAMPLES)), width=2),
    ]
    paths["description"] = [description, description]
    return paths


@pytest.fixture
def exported(files, tmp_path):
    export(**files, output=tmp_path / "c.h5ad")
    return tmp_path / "c.h5ad"


def test_values_stand_under_their_samples_and_genes(exported):
    data = anndata.read_h5ad(exported)
    assert data.obs_names.tolist() == IDS
    assert data.var_names.tolist() == GENES
    assert data.X.dtype == np.float32
    np.testing.assert_array_equal(data.X, LOG_TPM)
    np.testing.assert_array_equal(data.layers["counts"], COUNTS)


def test_genes_that_were_not_measured_are_nan_and_marked(exported):
    data = anndata.read_h5ad(exported)
    assert data.var["measured"].tolist() == MEASURED.tolist()
    assert np.isnan(data.X[:, ~MEASURED]).all()
    assert not np.isnan(data.X[:, MEASURED]).any()
    assert data.var["symbol"].tolist() == ["A", "", "C", "D", "E"]
    assert data.var["length_bp"].tolist() == [1, 2, 3, 4, 5]


def test_labels_are_joined_by_id_and_unknown_stays_apart_from_empty(exported):
    obs = anndata.read_h5ad(exported).obs
    assert obs["library_size"].tolist() == [at + 0.5 for at in range(N_SAMPLES)]
    assert obs["disease"].tolist()[:2] == ["asthma", ""]
    assert obs["disease"].isna().tolist() == [at % 3 == 2 for at in range(N_SAMPLES)]
    assert obs["kept"].all()
    assert "patient_id" not in obs  # unknown for all


def test_every_embedding_is_joined_by_id(exported):
    data = anndata.read_h5ad(exported)
    assert set(data.obsm) == {"X_pca", "X_mean"}
    np.testing.assert_array_equal(data.obsm["X_pca"], VECTORS)
    np.testing.assert_array_equal(data.obsm["X_mean"], VECTORS[:, :2])


def test_provenance_goes_with_the_file(exported):
    uns = anndata.read_h5ad(exported).uns
    assert json.loads(uns["cohort"])["genes_measured"] == 4
    assert json.loads(uns["models"]["pca"]) == {"weights_sha256": "abc"}
    assert "natural logarithm" in uns["values"]["X"]


def test_a_file_without_counts_and_models_is_one_too(files, tmp_path):
    plain = {name: files[name] for name in ["genes", "log_tpm", "samples", "coverage"]}
    export(**plain, output=tmp_path / "plain.h5ad")
    data = anndata.read_h5ad(tmp_path / "plain.h5ad")
    assert not data.layers
    assert not data.obsm
    assert "counts" not in data.uns["values"]


def test_the_file_can_be_read_in_pieces_and_come_back_as_a_cohort(exported, files):
    backed = anndata.read_h5ad(exported, backed="r")
    np.testing.assert_array_equal(backed.X[2:4], LOG_TPM[2:4])
    backed.file.close()
    opened = open_cohort("h5ad:layers/counts", exported, None)
    assert opened.samples["sample_id"].tolist() == IDS
    with pytest.raises(InputError, match=f"'{GENES[2]}' .* is missing"):
        list(opened.blocks())


def test_the_same_input_gives_the_same_bytes(files, exported, tmp_path):
    time.sleep(1.1)  # HDF5 can store times in seconds
    export(**files, output=tmp_path / "again.h5ad")
    assert sha256(tmp_path / "again.h5ad") == sha256(exported)


def test_parts_that_do_not_belong_together_are_refused(files, tmp_path):
    output = tmp_path / "x.h5ad"
    short = write_vectors(tmp_path / "short.parquet", [0, 1, 2])
    with pytest.raises(InputError, match="no embedding of 67 samples, first 's3'"):
        export(**{**files, "embedding": [short, short]}, output=output)
    with pytest.raises(InputError, match="as many --model"):
        export(**{**files, "model": ["pca"]}, output=output)
    table = pq.read_table(files["samples"])
    pq.write_table(table.slice(0, 10), files["samples"])
    with pytest.raises(InputError, match=r"samples\.parquet: no row for"):
        export(**files, output=output)
    pq.write_table(table, files["samples"])
    pq.write_table(pq.read_table(files["genes"]).slice(1), files["genes"])
    with pytest.raises(InputError, match="5 genes, and the vocabulary has 4"):
        export(**files, output=output)
    assert not output.exists()
