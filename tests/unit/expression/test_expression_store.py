"""The store gives back what was written, and never takes an absent gene for zero."""

from pathlib import Path

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.expression.store import (
    BATCH_SAMPLES,
    ExpressionStore,
    StoreWriter,
    create_store,
)
from bulkformer.files import sha256

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


def test_a_store_goes_on_after_the_batches_that_are_on_disk(tmp_path):
    measured = np.array([True, False, True])
    values = np.random.default_rng(0).random((300, 3)).astype(np.float32)
    ids = [f"s{n}" * (1 + n % 3) for n in range(300)]
    whole = StoreWriter(tmp_path / "whole", measured, "counts", hashed=True)
    broken = StoreWriter(tmp_path / "broken", measured, "counts")
    for writer in [whole, broken]:
        writer.write(ids[:100], values[:100])
        writer.write(ids[100:170], values[100:170])
    kept = broken.flush()
    broken.write(ids[170:200], values[170:200])
    broken.abandon()
    again = StoreWriter(tmp_path / "broken", measured, "counts", kept, hashed=True)
    for writer in [whole, again]:
        writer.write(ids[170:], values[170:])
        writer.close()
    assert (tmp_path / "broken").read_bytes() == (tmp_path / "whole").read_bytes()
    assert again.sha256 == whole.sha256 == sha256(tmp_path / "whole")
    assert ExpressionStore(tmp_path / "broken").sample_ids == ids


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


def resident(path):
    """Bytes of a mapped file that count as memory of this process."""
    bytes_resident, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            inside = words[-1] == str(path)
        elif inside and words[0] == "Rss:":
            bytes_resident += int(words[1]) * 1024
    return bytes_resident


def test_a_store_that_was_read_to_its_end_takes_no_memory(tmp_path):
    path, n_genes = tmp_path / "large.arrow", 5_000
    values = np.ones((10 * BATCH_SAMPLES, n_genes), np.float32)
    with create_store(path, np.ones(n_genes, bool), "log_tpm") as writer:
        writer.write([f"s{n}" for n in range(len(values))], values)
    store = ExpressionStore(path)
    views = [block for _, block in store.blocks() if block.sum() == block.size]
    assert len(views) == 10
    assert store.read().sum() == values.size
    assert resident(path) < path.stat().st_size / 20
    assert all((view == 1).all() for view in views)  # what was given back can be read again
    assert resident(path) > path.stat().st_size / 2
