"""The store gives back what was written, and never takes an absent gene for zero."""

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.expression.store import BATCH_SAMPLES, ExpressionStore, create_store

SAMPLES, GENES = 2 * BATCH_SAMPLES + 5, 11


@pytest.fixture
def written(tmp_path):
    measured = np.ones(GENES, bool)
    measured[[3, 10]] = False
    values = np.random.default_rng(1).random((SAMPLES, GENES)).astype(np.float32)
    values[0, 0] = 0.0
    values[:, ~measured] = np.nan
    path = tmp_path / "log_tpm.arrow"
    with create_store(path, measured, "log_tpm") as writer:
        writer.write([f"s{n}" for n in range(50)], values[:50])
        writer.write([f"s{n}" for n in range(50, SAMPLES)], values[50:])
    return path, values, measured


def test_values_and_ids_come_back_as_they_went_in(written):
    path, values, _ = written
    store = ExpressionStore(path)
    assert len(store) == SAMPLES
    assert np.array_equal(store.read(), values, equal_nan=True)
    assert store.sample_ids[51] == "s51"
    blocks = list(store.blocks())
    assert np.array_equal(np.concatenate([b for _, b in blocks]), values, equal_nan=True)


def test_samples_are_found_by_id_in_any_order(written):
    path, values, _ = written
    store = ExpressionStore(path)
    rows = store.rows(["s130", "s2", "s70"])
    assert np.array_equal(store.read(rows), values[[130, 2, 70]], equal_nan=True)


def test_an_unknown_sample_is_an_error_that_names_it(written):
    with pytest.raises(InputError, match="'s999'"):
        ExpressionStore(written[0]).rows(["s1", "s999"])


def test_absent_genes_are_marked_and_measured_zeros_are_zeros(written):
    path, _, measured = written
    store = ExpressionStore(path)
    assert np.array_equal(store.measured, measured)
    assert np.isnan(store.read()[:, ~measured]).all()
    assert store.read()[0, 0] == 0.0


def test_a_store_that_breaks_off_is_not_left_behind(tmp_path):
    path = tmp_path / "log_tpm.arrow"
    with pytest.raises(RuntimeError), create_store(path, np.ones(2, bool), "log_tpm") as writer:
        writer.write(["s"], np.ones((1, 2)))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"ARROW1 but not really", b"<html>"])
def test_a_file_that_is_no_store_is_named(tmp_path, content):
    path = tmp_path / "log_tpm.arrow"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"log_tpm\.arrow"):
        ExpressionStore(path)


def test_an_empty_cohort_reads_as_no_samples(tmp_path):
    with create_store(tmp_path / "s.arrow", np.ones(4, bool), "log_tpm"):
        pass
    assert ExpressionStore(tmp_path / "s.arrow").read().shape == (0, 4)
