"""PRnet's H5AD files: LINCS L1000 and Sci-Plex profiles with compounds, doses and frozen splits.

`obs` has cov_drug_name ("<cell type>_<drug>"), cell_type, SMILES and split columns
(`random_split_0`, `drug_split_0`, …); the other columns vary and are used where they are. The file
stays on disk and is read a run of profiles at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.fields import NOTHING
from bulkformer.sources.hdf5_links import check_links
from bulkformer.sources.perturbation import COLUMNS, Blocks, Profiles, stripes
from bulkformer.sources.samples import UNKNOWN

REQUIRED = ["cov_drug_name", "cell_type", "SMILES"]
SPLIT = re.compile(r"\w*split\w*|paired_control_index")
CONTROL_FLAGS = ["control", "neg_control", "is_control"]
CONTROL_NAMES = {"dmso", "vehicle", "control", "ctrl", "untreated"}
DOSES, TIMES = ["dose", "pert_dose", "dose_val"], ["time", "pert_time"]
PLATES = ["rna_plate", "plate", "det_plate"]


@contextmanager
def open_prnet(path: Path) -> Iterator[Profiles]:
    """Open one of the files; raises InputError if it is no H5AD or lacks a column of `obs`.

    Values are as the file has them. A profile is a control by the file's own flag or, without one,
    by a drug name such as DMSO.
    """
    # Slow to import, and only this format needs them.
    import anndata
    import h5py

    try:
        with h5py.File(path, "r") as file:
            for name in file:
                check_links(file, name, path)
        data = anndata.read_h5ad(path, backed="r")
    # What anndata raises for a file of another layout are these.
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a readable H5AD file ({error}); fetch it again") from error
    try:
        obs = data.obs
        if absent := [name for name in REQUIRED if name not in obs]:
            raise InputError(
                f"{path}: obs has no column {', '.join(absent)}; it has {', '.join(obs.columns)}. "
                "Give Lincs_L1000.h5ad or Sci_Plex.h5ad of PRnet"
            )
        table = _table(obs, path)
        names = [str(name) for name in data.var_names]
        entrez = all(name.isdigit() for name in names)
        genes = pd.DataFrame(
            {"entrez": names if entrez else None, "symbol": None if entrez else names},
            index=range(len(names)),
            dtype=object,
        )

        def blocks(chosen: np.ndarray) -> Blocks:
            for start, stop in stripes(chosen, 4 * len(names), 1):
                here = start + np.flatnonzero(chosen[start:stop])
                values = data.X[start:stop]
                dense = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
                yield here, dense[here - start].astype(np.float32)

        yield Profiles(table, genes, blocks)
    finally:
        data.file.close()


def _table(obs: pd.DataFrame, path: Path) -> pd.DataFrame:
    cell = obs["cell_type"].astype(str).tolist()
    pairs = zip(obs["cov_drug_name"].astype(str), cell, strict=True)
    drug = [name.removeprefix(f"{line}_") for name, line in pairs]
    flag = next((name for name in CONTROL_FLAGS if name in obs), None)
    if flag:
        control = obs[flag].astype(str).str.casefold().isin(["1", "1.0", "true"]).to_numpy()
    else:
        control = np.array([name.casefold() in CONTROL_NAMES for name in drug])
    plate = next((name for name in PLATES if name in obs), None)
    table = pd.DataFrame(
        {
            "profile_id": obs.index.astype(str),
            "perturbagen": drug,
            "perturbagen_id": None,
            "perturbagen_type": np.where(control, "ctl_vehicle", "trt_cp"),
            "smiles": _texts(obs, "SMILES"),
            "dose_um": _numeric(obs, DOSES),
            "time_h": _numeric(obs, TIMES),
            "cell_id": cell,
            "plate": _texts(obs, plate) if plate else None,
            "kind": np.where(control, "control", "treated"),
        }
    ).reset_index(drop=True)
    table.loc[control, "smiles"] = None
    if table["profile_id"].duplicated().any():
        raise InputError(f"{path}: profiles of obs share a name; fetch it again")
    splits = [name for name in obs.columns if SPLIT.fullmatch(str(name))]
    for name in splits:
        table[name] = obs[name].astype(str).to_numpy()
    return table[[*COLUMNS, *splits]]


def _texts(obs: pd.DataFrame, name: str) -> list[str | None]:
    """Return a column as str; None for what is missing, which `astype` would spell "nan"."""
    return [
        None if value in UNKNOWN or value in NOTHING else value for value in obs[name].astype(str)
    ]


def _numeric(obs: pd.DataFrame, names: list[str]) -> np.ndarray | float:
    name = next((name for name in names if name in obs), None)
    if name is None:
        return np.nan
    values = pd.to_numeric(obs[name].astype(str), errors="coerce").to_numpy(dtype=float)
    return np.where(values < 0, np.nan, values)  # -666
