"""Large matrices of text: read in pieces, turned from genes to samples outside of memory."""

import io
import tempfile

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.sources import text_matrix
from bulkformer.sources.reader import open_cohort
from bulkformer.sources.tiles import Tiles


def test_runs_of_genes_become_whole_samples_on_disk_as_in_memory():
    values = np.random.default_rng(1).integers(0, 2**32, size=(7, 50)).astype(float)
    values[:, 20:30] += 0.25  # expected counts keep every digit, whole counts take half the space
    for in_memory in [1, 2**20]:
        with Tiles(in_memory) as tiles:
            for start, stop in [(0, 20), (20, 30), (30, 30), (30, 50)]:
                tiles.append(values[:, start:stop])
            np.testing.assert_array_equal(tiles.samples(0, 7), values)
            np.testing.assert_array_equal(tiles.samples(2, 5), values[2:5])
            assert tiles.n_genes == 50


def test_a_scratch_file_that_cannot_grow_is_said_with_its_place(monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", full)
    with Tiles() as tiles, pytest.raises(InputError, match=r"No space left.*set TMPDIR"):
        tiles.append(np.ones((2, 3)))


def test_a_matrix_is_read_twice_however_many_samples_it_has(tmp_path, monkeypatch):
    opened = []
    original = text_matrix.open_bytes
    monkeypatch.setattr(
        text_matrix, "open_bytes", lambda path: opened.append(path) or original(path)
    )
    path = tmp_path / "m.tsv"
    path.write_text("gene\ta\tb\tc\td\te\n" + "TP53\t1\t2\t3\t4\t5\n" * 3)
    counts = open_cohort("matrix", path, None)
    assert len(list(counts.blocks(1))) == 5
    assert len(opened) == 3  # the header, the identifiers, the values


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(text_matrix, "PARSE_BYTES", 100)
    monkeypatch.setattr(text_matrix, "PARSE_BYTES_A_COLUMN", 1)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_rows_stay_whole_wherever_a_piece_of_the_file_ends(tmp_path, small_pieces, end):
    values = np.arange(600).reshape(200, 3)
    path = tmp_path / "m.tsv"
    lines = ["\t".join(map(str, [f"g{at}", *row])) for at, row in enumerate(values)]
    for last in ["", end]:
        path.write_bytes((end.join(["gene\ta\tb\tc", *lines]) + last).encode())
        counts = open_cohort("matrix", path, None)
        assert counts.gene_ids == [f"g{at}" for at in range(200)]
        blocks = np.concatenate([block for _, block in counts.blocks(2)])
        np.testing.assert_array_equal(blocks, values.T)


def test_no_more_than_the_next_piece_is_read_ahead(small_pieces):
    text = io.BytesIO(b"gene\ta\n" + b"TP53\t1\n" * 5000)
    batches = text_matrix.parse(text, 2, skip=1, numbers=[1])
    next(batches)
    assert text.tell() <= 300
    assert 1 + sum(len(batch) > 0 for batch in batches) > 300


def test_the_line_of_a_damaged_row_is_named_far_into_the_file(tmp_path, small_pieces):
    path = tmp_path / "m.tsv"
    path.write_text("gene\ta\n" + "TP53\t1\n" * 4000 + "MYC\n" + "TP53\t1\n" * 10)
    with pytest.raises(InputError, match="line 4002: Expected 2 columns, got 1: MYC"):
        open_cohort("matrix", path, None)
