"""L1000 files: profiles and genes by id, -666 is missing, and only chosen columns are read."""

import gzip
import io

import h5py
import numpy as np
import pandas as pd
import pytest

from bulkformer.errors import InputError
from bulkformer.sources import perturbation
from bulkformer.sources.l1000 import (
    open_gctx,
    open_table,
    read_landmarks,
    read_profile_table,
    read_structures,
)
from bulkformer.sources.perturbation import stripes

INFO = "inst_id\trna_plate\tpert_id\tpert_iname\tpert_type\tpert_dose\tpert_dose_unit\tpert_time"
INFO += "\tpert_time_unit\tcell_id\n"
GENES = ["5720", "466", "6009", "2309"]
LANDMARKS = pd.DataFrame({"entrez": ["6009", "466"], "symbol": ["RHEB", "ATF1"]}, dtype=object)
VALUES = np.arange(20, dtype=np.float32).reshape(5, 4)
PROFILES = [f"P:{n}" for n in range(5)]


def gctx(folder, values=VALUES, profiles=PROFILES, genes=GENES, zipped=True):
    """Write a GCTX file with padded ids."""
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        file["0/DATA/0/matrix"] = values
        file["0/META/COL/id"] = np.array(profiles, "S40")
        file["0/META/ROW/id"] = np.array(genes, "S40")
    path = folder / ("level3.gctx.gz" if zipped else "level3.gctx")
    path.write_bytes(gzip.compress(held.getvalue()) if zipped else held.getvalue())
    return path


def info(folder, *rows):
    path = folder / "inst_info.txt"
    path.write_text(INFO + "".join("\t".join(row) + "\n" for row in rows))
    return path


def row(profile, kind="trt_cp", dose="10", unit="um", time="6", plate="X1"):
    return (profile, plate, "BRD-1", "drug", kind, dose, unit, time, "h", "A375")


@pytest.mark.parametrize("zipped", [True, False])
def test_profiles_and_genes_are_found_by_id(tmp_path, zipped):
    # Described in another order than the matrix has, and only three of its five.
    table = read_profile_table(info(tmp_path, row("P:4"), row("P:0"), row("P:2"), row("P:9")))
    scratch = tmp_path / "scratch"
    with open_gctx(gctx(tmp_path, zipped=zipped), table, LANDMARKS, scratch) as profiles:
        assert profiles.table["profile_id"].tolist() == ["P:0", "P:2", "P:4"]
        assert profiles.genes["entrez"].tolist() == ["466", "6009"]
        chosen = np.array([True, False, True])
        at, values = map(np.concatenate, zip(*profiles.blocks(chosen), strict=True))
        assert at.tolist() == [0, 2]
        np.testing.assert_array_equal(values, VALUES[[0, 4]][:, [1, 2]])
        assert profiles.left_out == {
            "profiles_without_description": 2, "described_profiles_not_in_matrix": 1,
        }  # fmt: skip
    assert not scratch.exists() or not list(scratch.iterdir())


def test_minus_666_is_missing_among_values_and_doses(tmp_path):
    values = VALUES.copy()
    values[1, 2] = -666
    table = read_profile_table(
        info(tmp_path, row("P:1", dose="-666", unit="-666", plate="-666"), row("P:0"))
    )
    assert np.isnan(table["dose_um"][0])
    assert table["plate"][0] is None
    with open_gctx(gctx(tmp_path, values), table, LANDMARKS, tmp_path) as profiles:
        _, found = next(profiles.blocks(np.array([True, True])))
    np.testing.assert_array_equal(found, [[1, 2], [5, np.nan]])


@pytest.mark.parametrize(
    ("dose", "unit", "micromolar"),
    [
        ("10", "um", 10.0), ("500", "nM", 0.5), ("0.04", "µM", 0.04), ("1", "ug", np.nan),
        ("10|3.3", "um", np.nan), ("-666.000000", "um", np.nan),
    ],
)  # fmt: skip
def test_doses_are_micromolar_or_missing(tmp_path, dose, unit, micromolar):
    table = read_profile_table(info(tmp_path, row("P:1", dose=dose, unit=unit)))
    np.testing.assert_allclose(table["dose_um"], [micromolar])


def test_vehicles_vectors_and_untreated_wells_are_controls(tmp_path):
    kinds = ["ctl_vehicle", "ctl_vector", "ctl_untrt", "trt_cp", "trt_sh"]
    table = read_profile_table(info(tmp_path, *(row(f"P:{k}", k) for k in kinds)))
    assert table["kind"].tolist() == ["control"] * 3 + ["treated"] * 2


def test_smiles_come_from_the_table_of_perturbagens_unless_restricted(tmp_path):
    path = tmp_path / "pert_info.txt"
    path.write_text("pert_id\tcanonical_smiles\nBRD-1\tCCO\nBRD-2\t-666\nBRD-3\trestricted\n")
    assert read_structures(path) == {"BRD-1": "CCO"}
    assert read_profile_table(info(tmp_path, row("P:1")), path)["smiles"].tolist() == ["CCO"]


def test_only_genes_that_were_measured_are_landmarks(tmp_path):
    path = tmp_path / "gene_info.txt"
    path.write_text("pr_gene_id\tpr_gene_symbol\tpr_is_lm\n466\tATF1\t1\n100\tADA\t0\n")
    assert read_landmarks(path)["entrez"].tolist() == ["466"]
    path.write_text("pr_gene_id\tpr_gene_symbol\tpr_is_lm\n100\tADA\t0\n")
    with pytest.raises(InputError, match="no gene has pr_is_lm = 1"):
        read_landmarks(path)
    path.write_text("pr_gene_id\tpr_gene_symbol\tpr_is_lm\n466\tATF1\t1\n466\tATF1\t1\n")
    with pytest.raises(InputError, match="pr_gene_id '466' stands twice"):
        read_landmarks(path)


def test_large_files_are_read_in_stripes_and_only_where_something_is_wanted(monkeypatch):
    monkeypatch.setattr(perturbation, "READ_BYTES", 1000)
    chosen = np.zeros(100, dtype=bool)
    chosen[[3, 17, 95]] = True
    # 10 rows are affordable, two chunks of 4 fit in.
    assert list(stripes(chosen, 100, 4)) == [(3, 4), (17, 18), (95, 96)]
    assert list(stripes(np.ones(20, bool), 100, 4)) == [(0, 8), (8, 16), (16, 20)]
    assert list(stripes(np.ones(2, bool), 10_000, 64)) == [(0, 1), (1, 2)]


def test_stripes_give_the_same_values_as_one_piece(tmp_path, monkeypatch):
    table = read_profile_table(info(tmp_path, *(row(name) for name in PROFILES)))
    chosen = np.array([True, False, True, True, False])
    with open_gctx(gctx(tmp_path), table, LANDMARKS, tmp_path) as profiles:
        ((_, whole),) = profiles.blocks(chosen)
        monkeypatch.setattr(perturbation, "READ_BYTES", 32)
        parts = list(profiles.blocks(chosen))
    assert len(parts) == 2
    np.testing.assert_array_equal(np.concatenate([values for _, values in parts]), whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"genes": GENES[:3]}, "the matrix is"),
        ({"genes": ["1", "2", "3", "4"]}, "2 of 2 landmark genes are not in the matrix"),
        ({"profiles": [f"Q:{n}" for n in range(5)]}, "none of its 5 profiles is described"),
        ({"profiles": ["P:0"] * 5}, "stands twice in the matrix"),
    ],
)
def test_files_of_different_releases_are_told_apart(tmp_path, change, message):
    table = read_profile_table(info(tmp_path, row("P:0"), row("P:1")))
    path = gctx(tmp_path, **change)
    with pytest.raises(InputError, match=message), open_gctx(path, table, LANDMARKS, tmp_path):
        pass


@pytest.mark.parametrize("content", [b"<html>", gzip.compress(b"x" * 999)[:-9], b"\x89HDF\r\n"])
def test_a_damaged_file_is_named_and_leaves_no_scratch(tmp_path, content):
    path, scratch = tmp_path / "level3.gctx.gz", tmp_path / "scratch"
    path.write_bytes(content)
    table = read_profile_table(info(tmp_path, row("P:0")))
    with pytest.raises(InputError, match="fetch it again"), open_gctx(
        path, table, LANDMARKS, scratch
    ):  # fmt: skip
        pass
    assert not scratch.exists() or not list(scratch.iterdir())


def test_what_a_killed_run_unpacked_is_overwritten_and_not_joined(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path = gctx(tmp_path)
    (scratch / f".{path.name}.unpacked").write_bytes(b"\x89HDF, cut" * 10_000)
    table = read_profile_table(info(tmp_path, row("P:0")))
    with open_gctx(path, table, LANDMARKS, scratch) as profiles:
        assert len(list(scratch.iterdir())) == 1
        _, values = next(profiles.blocks(np.array([True])))
    np.testing.assert_array_equal(values, [[1, 2]])
    assert not list(scratch.iterdir())


def test_a_matrix_in_another_file_is_refused(tmp_path):
    gctx(tmp_path, zipped=False).rename(tmp_path / "other.gctx")
    with h5py.File(tmp_path / "level3.gctx", "w") as file:
        file["0"] = h5py.ExternalLink(str(tmp_path / "other.gctx"), "0")
    table = read_profile_table(info(tmp_path, row("P:0")))
    with (
        pytest.raises(InputError, match="'0' is a link"),
        open_gctx(tmp_path / "level3.gctx", table, LANDMARKS, tmp_path),
    ):
        pass


def test_a_parquet_table_gives_genes_in_order_of_their_ids(tmp_path):
    frame = pd.DataFrame(VALUES, index=pd.Index(PROFILES, name="inst_id"), columns=GENES)
    frame.to_parquet(tmp_path / "level3.parquet")
    table = read_profile_table(info(tmp_path, row("P:3"), row("P:1")))
    profiles = open_table(tmp_path / "level3.parquet", table)
    assert profiles.genes["entrez"].tolist() == ["466", "2309", "5720", "6009"]
    assert profiles.table["profile_id"].tolist() == ["P:1", "P:3"]
    ((at, values),) = profiles.blocks(np.array([False, True]))
    assert at.tolist() == [1]
    np.testing.assert_array_equal(values, [VALUES[3, [1, 3, 0, 2]]])


def test_a_profile_without_an_id_or_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="row 2 of the data has no inst_id"):
        read_profile_table(info(tmp_path, row("P:1"), row("")))
    with pytest.raises(InputError, match="inst_id 'P:1' stands twice"):
        read_profile_table(info(tmp_path, row("P:1"), row("P:1")))
    with pytest.raises(InputError, match="row 1 of the data has no pert_type"):
        read_profile_table(info(tmp_path, row("P:1", kind="-666")))
    with pytest.raises(InputError, match="no row below the header"):
        read_profile_table(info(tmp_path))


def test_a_time_below_zero_is_missing(tmp_path):
    table = read_profile_table(info(tmp_path, row("P:1", time="-666.00"), row("P:2", time="24")))
    np.testing.assert_array_equal(table["time_h"], [np.nan, 24])
