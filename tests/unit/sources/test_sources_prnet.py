"""PRnet's H5AD files: whatever else `obs` has, drug, cell, compound and splits are found."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bulkformer.errors import InputError
from bulkformer.sources.prnet import open_prnet

OBS = {
    "cov_drug_name": ["A375_drug_b", "A375_DMSO", "MCF7_drug_b"],
    "cell_type": ["A375", "A375", "MCF7"],
    "SMILES": ["CCO", "nan", "CCO"],
    "random_split_0": ["train", "train", "test"],
    "paired_control_index": ["1", "1", "1"],
}
VALUES = np.arange(6, dtype=np.float32).reshape(3, 2)


def prnet(folder, values=VALUES, genes=("ATF1", "RHEB"), **columns):
    obs = pd.DataFrame({k: v for k, v in (OBS | columns).items() if v is not None})
    obs.index = ["0", "1", "2"]
    path = folder / "Lincs_L1000.h5ad"
    anndata.AnnData(values, obs, pd.DataFrame(index=list(genes))).write_h5ad(path)
    return path


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_the_chosen_profiles_are_read_from_disk(tmp_path, form):
    with open_prnet(prnet(tmp_path, form(VALUES))) as profiles:
        ((at, values),) = profiles.blocks(np.array([True, False, True]))
        assert at.tolist() == [0, 2]
        np.testing.assert_array_equal(values, VALUES[[0, 2]])
        assert profiles.genes["symbol"].tolist() == ["ATF1", "RHEB"]


def test_drug_names_lose_their_cell_line_and_controls_have_no_compound(tmp_path):
    with open_prnet(prnet(tmp_path)) as profiles:
        table = profiles.table
    assert table["perturbagen"].tolist() == ["drug_b", "DMSO", "drug_b"]
    assert table["kind"].tolist() == ["treated", "control", "treated"]
    assert table["smiles"].tolist() == ["CCO", None, "CCO"]


def test_the_files_own_flag_of_controls_holds(tmp_path):
    with open_prnet(prnet(tmp_path, control=[1, 0, 0])) as profiles:
        assert profiles.table["kind"].tolist() == ["control", "treated", "treated"]


def test_frozen_splits_come_along_and_doses_where_there_are_any(tmp_path):
    with open_prnet(prnet(tmp_path)) as profiles:
        assert profiles.table["random_split_0"].tolist() == ["train", "train", "test"]
        assert profiles.table["dose_um"].isna().all()
    with open_prnet(prnet(tmp_path, pert_dose=["10", "-666", "0.5"])) as profiles:
        np.testing.assert_array_equal(profiles.table["dose_um"], [10, np.nan, 0.5])


def test_profiles_without_a_plate_share_none(tmp_path):
    with open_prnet(prnet(tmp_path, rna_plate=["X1", None, "-666"])) as profiles:
        assert profiles.table["plate"].tolist() == ["X1", None, None]


def test_a_matrix_in_another_file_is_refused(tmp_path):
    path = prnet(tmp_path)
    path.rename(tmp_path / "other.h5ad")
    with h5py.File(path, "w") as file:
        for name in ["X", "obs", "var"]:
            file[name] = h5py.ExternalLink(str(tmp_path / "other.h5ad"), name)
    with pytest.raises(InputError, match="'X' is a link"), open_prnet(path):
        pass


def test_genes_may_be_named_by_entrez_id(tmp_path):
    with open_prnet(prnet(tmp_path, genes=("466", "6009"))) as profiles:
        assert profiles.genes["entrez"].tolist() == ["466", "6009"]


def test_another_h5ad_is_named_by_what_it_lacks(tmp_path):
    with pytest.raises(InputError, match="obs has no column SMILES"), open_prnet(
        prnet(tmp_path, SMILES=None)
    ):  # fmt: skip
        pass


def test_what_is_no_h5ad_is_refused(tmp_path):
    path = tmp_path / "Lincs_L1000.h5ad"
    path.write_text("<html>bandwidth exceeded</html>")
    with pytest.raises(InputError, match="not a readable H5AD file"), open_prnet(path):
        pass
