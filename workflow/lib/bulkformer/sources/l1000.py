"""LINCS L1000: expression of 978 landmark genes after perturbation, as GCTX with tables beside it.

GCTX is HDF5: `0/DATA/0/matrix` [profiles, genes], ids in `0/META/COL/id` (profiles) and
`0/META/ROW/id` (genes, Entrez). Of its 12,328 genes 978 were measured and the others inferred from
them; only the measured ones are read. `-666` stands for "missing" everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.sources.fields import check_ids, numbers, read_fields
from bulkformer.sources.hdf5_links import check_links
from bulkformer.sources.perturbation import COLUMNS, Blocks, Profiles, stripes, unpacked

PROFILE = {"profile_id": "inst_id", "perturbagen_type": "pert_type", "cell_id": "cell_id"}
PROFILE_OPTIONAL = {
    "perturbagen": "pert_iname",
    "perturbagen_id": "pert_id",
    "smiles": "smiles",
    "dose": "pert_dose",
    "dose_unit": "pert_dose_unit",
    "time": "pert_time",
    "time_unit": "pert_time_unit",
    "plate": "rna_plate",
}
MICROMOLAR = {"um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3}
MISSING = -666
MATRIX, PROFILE_IDS, GENE_IDS = "0/DATA/0/matrix", "0/META/COL/id", "0/META/ROW/id"
TABLE_ROWS = 4096
ENTREZ = re.compile(r"\d+")


def read_profile_table(path: Path, perturbagens: Path | None = None) -> pd.DataFrame:
    """Read inst_info, one row a profile, with COLUMNS of the perturbation table.

    SMILES come from `perturbagens` (pert_info, or any table of pert_id and canonical_smiles or
    smiles) where inst_info has none. A dose in a unit other than molar is NaN. Raises InputError
    if a profile has no id or type, or stands twice.
    """
    table = read_fields(path, PROFILE, PROFILE_OPTIONAL)
    check_ids(table, "profile_id", path, "inst_id")
    untyped = table["perturbagen_type"].isna().to_numpy()
    if untyped.any():
        raise InputError(f"{path}: row {int(untyped.argmax()) + 1} of the data has no pert_type")
    scale = [MICROMOLAR.get((unit or "").casefold(), np.nan) for unit in table["dose_unit"]]
    hours = [1.0 if unit in ("h", None) else np.nan for unit in table["time_unit"]]
    dose = np.array([_dose(value) for value in table["dose"]])
    table["dose_um"] = dose * np.array(scale)
    time = numbers(table, "time", path)
    table["time_h"] = np.where(time >= 0, time, np.nan) * np.array(hours)
    table["kind"] = [
        "control" if (kind or "").startswith("ctl") else "treated"
        for kind in table["perturbagen_type"]
    ]
    if perturbagens:
        known = read_structures(perturbagens)
        pairs = zip(table["smiles"], table["perturbagen_id"], strict=True)
        table["smiles"] = [smiles or known.get(perturbagen) for smiles, perturbagen in pairs]
    table["perturbagen"] = table["perturbagen"].where(
        table["perturbagen"].notna(), table["perturbagen_id"]
    )
    return table[COLUMNS]


def read_structures(path: Path) -> dict[str, str]:
    """Return {pert_id: SMILES} of pert_info or a table of its kind; "restricted" is no SMILES."""
    table = read_fields(
        path, {"id": "pert_id"}, {"canonical": "canonical_smiles", "plain": "smiles"}
    )
    smiles = table["canonical"].where(table["canonical"].notna(), table["plain"])
    pairs = zip(table["id"], smiles, strict=True)
    return {key: value for key, value in pairs if key and value and value != "restricted"}


def read_landmarks(path: Path) -> pd.DataFrame:
    """Return entrez and symbol of the genes that gene_info marks as measured (pr_is_lm = 1)."""
    genes = read_fields(
        path, {"entrez": "pr_gene_id", "symbol": "pr_gene_symbol", "landmark": "pr_is_lm"}
    )
    genes = genes[genes["landmark"] == "1"].reset_index(drop=True)
    if not len(genes):
        raise InputError(f"{path}: no gene has pr_is_lm = 1; give gene_info of GSE92742")
    check_ids(genes, "entrez", path, "pr_gene_id", ENTREZ)
    return genes[["entrez", "symbol"]]


@contextmanager
def open_gctx(
    expression: Path, table: pd.DataFrame, genes: pd.DataFrame, scratch: Path
) -> Iterator[Profiles]:
    """Open a GCTX file, plain or gzipped; the landmark genes and the profiles of `table` only.

    Parameters
    ----------
    table : profiles by id (`read_profile_table`); the result has them in the order of the matrix
    genes : landmark genes (`read_landmarks`)
    scratch : folder for the unpacked copy of a gzipped file

    Raises InputError if the file is no GCTX, lacks landmark genes, or shares no profile with
    `table`.
    """
    with unpacked(expression, scratch) as path:
        try:
            with h5py.File(path, "r") as file:
                check_links(file, "0", expression)
                profile_ids, gene_ids = _ids(file, PROFILE_IDS), _ids(file, GENE_IDS)
                shape = file[MATRIX].shape
        except (OSError, KeyError) as error:
            raise InputError(
                f"{expression}: not a readable GCTX file ({error}); fetch it again"
            ) from error
        if shape != (len(profile_ids), len(gene_ids)):
            raise InputError(
                f"{expression}: the matrix is {shape}, but {len(profile_ids)} profiles and "
                f"{len(gene_ids)} genes are named; fetch it again"
            )
        columns, genes = _columns(gene_ids, genes, expression)
        at, matched = _match(profile_ids, table, expression)

        def blocks(chosen: np.ndarray) -> Blocks:
            wanted = np.zeros(len(profile_ids), dtype=bool)
            wanted[at[chosen]] = True
            row_of = np.full(len(profile_ids), -1)
            row_of[at] = np.arange(len(at))
            order = np.argsort(columns)
            try:
                with h5py.File(path, "r") as file:
                    matrix = file[MATRIX]
                    chunk = matrix.chunks[0] if matrix.chunks else 1
                    row_bytes = matrix.shape[1] * matrix.dtype.itemsize
                    for start, stop in stripes(wanted, row_bytes, chunk):
                        here = np.flatnonzero(wanted[start:stop])
                        values = np.empty((len(here), len(columns)), dtype=np.float32)
                        # All genes are read and most dropped: picking 978 of 12,328 columns
                        # inside HDF5 takes longer than reading the stripe whole.
                        values[:, order] = matrix[start:stop][np.ix_(here, columns[order])]
                        values[values == MISSING] = np.nan
                        yield row_of[start + here], values
            except OSError as error:
                raise InputError(
                    f"{expression}: cannot be read to its end ({error}); fetch it again"
                ) from error

        left_out = {
            "profiles_without_description": len(profile_ids) - len(at),
            "described_profiles_not_in_matrix": len(table) - len(at),
        }
        yield Profiles(matched, genes, blocks, left_out)


def open_table(expression: Path, table: pd.DataFrame) -> Profiles:
    """Open a Parquet table: profiles in rows (`inst_id`), genes by Entrez id in columns.

    Raises InputError as `open_gctx` does.
    """
    try:
        file = pq.ParquetFile(expression)
        names = file.schema_arrow.names
        if "inst_id" not in names:
            raise InputError(f"{expression}: no column inst_id; name the profiles in it")
        profile_ids = file.read(["inst_id"])["inst_id"].cast(pa.string()).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{expression}: not a readable Parquet table ({error})") from error
    entrez = [name for name in names if name.isdigit()]
    if not entrez:
        raise InputError(f"{expression}: no column is an Entrez id; give the landmark genes by it")
    entrez.sort(key=int)
    at, matched = _match(profile_ids, table, expression)

    def blocks(chosen: np.ndarray) -> Blocks:
        row_of = np.full(len(profile_ids), -1)
        row_of[at[chosen]] = np.flatnonzero(chosen)
        start = 0
        for batch in file.iter_batches(TABLE_ROWS, columns=entrez):
            stop = start + batch.num_rows
            here = np.flatnonzero(row_of[start:stop] >= 0)
            # By name: Arrow keeps the order of the file, whatever order was asked for.
            values = np.stack(
                [batch.column(name).to_numpy(zero_copy_only=False)[here] for name in entrez], axis=1
            ).astype(np.float32)
            values[values == MISSING] = np.nan
            if len(here):
                yield row_of[start + here], values
            start = stop

    genes = pd.DataFrame({"entrez": entrez, "symbol": [None] * len(entrez)}, dtype=object)
    left_out = {
        "profiles_without_description": len(profile_ids) - len(at),
        "described_profiles_not_in_matrix": len(table) - len(at),
    }
    return Profiles(matched, genes, blocks, left_out)


def _ids(file: h5py.File, name: str) -> list[str]:
    """Return ids that HDF5 holds as padded bytes, as text or as numbers."""
    values = file[name][:]
    return [
        (value.decode() if isinstance(value, bytes) else str(value)).strip().strip("\0")
        for value in values
    ]


def _columns(
    gene_ids: list[str], genes: pd.DataFrame, path: Path
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the matrix columns of the landmark genes, and these genes, both by Entrez id."""
    genes = genes.iloc[np.argsort(genes["entrez"].astype(int), kind="stable")]
    position = {gene: at for at, gene in enumerate(gene_ids)}
    absent = [gene for gene in genes["entrez"] if gene not in position]
    if absent:
        raise InputError(
            f"{path}: {len(absent)} of {len(genes)} landmark genes are not in the matrix, first "
            f"{absent[0]}; give the gene_info of the same release"
        )
    return np.array([position[gene] for gene in genes["entrez"]]), genes.reset_index(drop=True)


def _match(
    profile_ids: list[str], table: pd.DataFrame, path: Path
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the matrix rows of described profiles, in its order, and their rows of `table`."""
    row = {profile: number for number, profile in enumerate(table["profile_id"])}
    at = np.array([n for n, profile in enumerate(profile_ids) if profile in row], dtype=np.int64)
    if not len(at):
        raise InputError(
            f"{path}: none of its {len(profile_ids)} profiles is described, first "
            f"'{profile_ids[0] if profile_ids else ''}'; give the inst_info of the same release"
        )
    found = [row[profile_ids[n]] for n in at]
    if len(set(found)) < len(found):
        raise InputError(f"{path}: a profile stands twice in the matrix; fetch it again")
    return at, table.iloc[found].reset_index(drop=True)


def _dose(value: str | None) -> float:
    """Return a dose; several doses of a mixture ("10|3.3") are no dose of one compound.

    Nor is a negative number: "-666.000000" is one more spelling of "missing".
    """
    try:
        dose = float(value) if value is not None else np.nan
    except ValueError:
        return np.nan
    return dose if dose >= 0 else np.nan
