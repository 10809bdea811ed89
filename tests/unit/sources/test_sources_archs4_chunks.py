"""Chunks read past the HDF5 library hold what the library would have read."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import h5py
import numpy as np
import pytest

from bulkformer.sources.hdf5_chunks import ChunkedMatrix, stripes

HEIGHT, WIDTH = 37, 53
VALUES = np.random.default_rng(3).negative_binomial(0.3, 0.0005, (HEIGHT, WIDTH))

LAYOUTS = {
    "gzip": {"compression": "gzip"},
    "shuffled gzip": {"compression": "gzip", "shuffle": True},
    "no filter": {},
    "lzf, which h5py undoes": {"compression": "lzf"},
    "checksums, which h5py undoes": {"compression": "gzip", "fletcher32": True},
}


def read(path, rows, columns, threads=2):
    with (
        h5py.File(path) as file,
        closing(ChunkedMatrix(file["data"])) as matrix,
        ThreadPoolExecutor(threads) as pool,
    ):
        return matrix.read(np.array(rows), np.array(columns), pool)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("chunks", [(HEIGHT, 2), (3, WIDTH), (10, 10), (HEIGHT, WIDTH), (1, 1)])
@pytest.mark.parametrize("dtype", ["<u4", ">u4", "<u2", "<i8", "<f4"])
def test_every_layout_gives_the_values_that_were_written(tmp_path, layout, chunks, dtype):
    path = tmp_path / "a.h5"
    values = VALUES.astype(dtype)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=values, chunks=chunks, **LAYOUTS[layout])
    for rows, columns in [
        (range(HEIGHT), range(WIDTH)),
        ([0, 5, 6, 7, 36], [1, 2, 40, 52]),
        ([9], range(8, 12)),
    ]:
        got = read(path, rows, columns)
        assert got.dtype == values.dtype
        np.testing.assert_array_equal(got, values[np.ix_(rows, columns)].T)


def test_a_matrix_without_chunks_is_read_too(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = VALUES
    got = read(tmp_path / "a.h5", [0, 3], [1, 2, 7, 50])
    np.testing.assert_array_equal(got, VALUES[np.ix_([0, 3], [1, 2, 7, 50])].T)


def test_a_chunk_that_was_never_written_has_the_fill_value(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset(
            "data", (8, 8), "u4", chunks=(4, 4), compression="gzip", fillvalue=7
        )
        data[:4, :4] = 1
    got = read(tmp_path / "a.h5", range(8), range(8))
    assert (got[:4, :4] == 1).all()
    assert (got[4:] == 7).all()


def test_a_chunk_that_went_without_a_filter_is_recognised(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset(
            "data", (4, 4), "<u4", chunks=(4, 4), compression="gzip", shuffle=True
        )
        data.id.write_direct_chunk((0, 0), np.arange(16, dtype="<u4").tobytes(), filter_mask=3)
    np.testing.assert_array_equal(
        read(tmp_path / "a.h5", range(4), range(4)), np.arange(16).reshape(4, 4).T
    )


def test_a_file_behind_a_user_block_is_read_at_the_right_place(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        file.create_dataset("data", data=VALUES, chunks=(10, 10), compression="gzip")
    np.testing.assert_array_equal(read(tmp_path / "a.h5", range(HEIGHT), range(WIDTH)), VALUES.T)


@pytest.mark.parametrize("content", [b"no gzip", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_a_chunk_of_other_content_or_length_is_an_error(tmp_path, content):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", (4, 4), "u4", chunks=(2, 2), compression="gzip")
        data.id.write_direct_chunk((2, 2), content)
    with pytest.raises(OSError, match=r"chunk at row 2, column 2|incorrect header"):
        read(tmp_path / "a.h5", range(4), range(4))


def test_stripes_end_with_chunks_unless_memory_forbids():
    columns = np.arange(10)
    assert stripes(columns, width=4, most=100, target=1) == [(0, 4), (4, 8), (8, 10)]
    assert stripes(columns, width=4, most=100, target=5) == [(0, 8), (8, 10)]
    assert stripes(columns, width=4, most=6, target=5) == [(0, 4), (4, 10)]
    assert stripes(columns, width=4, most=5, target=5) == [(0, 4), (4, 8), (8, 10)]
    assert stripes(columns, width=8, most=3, target=3) == [(0, 3), (3, 6), (6, 8), (8, 10)]
    assert stripes(columns[:0], width=8, most=3, target=3) == []


def test_stripes_of_chosen_columns_hold_each_once_and_no_more_than_fit():
    rng = np.random.default_rng(0)
    for _ in range(200):
        columns = np.flatnonzero(rng.random(60) < rng.random())
        width, most = rng.integers(1, 20, 2)
        runs = stripes(columns, int(width), int(most), int(rng.integers(1, most + 1)))
        assert [at for a, b in runs for at in range(a, b)] == list(range(len(columns)))
        assert all(0 < b - a <= most for a, b in runs)
