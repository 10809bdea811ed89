"""GDSC: fitted dose response curves of drugs on cancer cell lines, and the list of compounds.

Releases are two workbooks, GDSC1 and GDSC2, of one row a curve. A compound may have several
DRUG_IDs and occur in both, names of lines and drugs vary in spelling, and only SANGER_MODEL_ID and
DRUG_ID identify anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.errors import InputError
from bulkformer.sources.fields import numbers, read_fields
from bulkformer.sources.workbook import read_sheet

FORMATS = ["gdsc", "table"]
CURVES = {
    "dataset": "DATASET",
    "drug": "DRUG_ID",
    "drug_name": "DRUG_NAME",
    "cell_line": "SANGER_MODEL_ID",
    "ln_ic50": "LN_IC50",
    "auc": "AUC",
    "rmse": "RMSE",
    "max_conc_um": "MAX_CONC",
}
MEASURES = ["ln_ic50", "auc", "rmse", "max_conc_um"]
COMPOUNDS = {"drug": "DRUG_ID", "name": "DRUG_NAME"}
STRUCTURES = ["pubchem_cid", "inchikey", "smiles"]
CURVES_KEY = "outcomes.response.curve_columns"
COMPOUNDS_KEY = "outcomes.response.compound_columns"
STRUCTURES_KEY = "outcomes.response.structure_columns"

# Misspellings in the releases, as `normal_name` spells them.
MISSPELT = {"venotoclax": "venetoclax"}
CONCENTRATION = re.compile(r"\(\s*[\d.]+\s*[munpµμ]m\s*\)", re.IGNORECASE)
INCHIKEY = re.compile(r"[A-Z]{14}-[A-Z]{10}-[A-Z]")


def normal_name(name: str) -> str:
    """Return a drug name by which spellings compare: letters and digits, small, no concentration.

    "ABT-737" and "ABT737" are one name; so are "Bleomycin" and "Bleomycin (50 uM)".
    """
    letters = "".join(c for c in CONCENTRATION.sub("", name).casefold() if c.isalnum())
    return MISSPELT.get(letters, letters)


def read_curves(format: str, path: Path, dataset: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read fitted curves, one row a curve.

    Parameters
    ----------
    format : "gdsc" is a workbook of fitted dose response; "table" is a TSV, CSV or Parquet file
        whose `columns` map drug, cell_line, ln_ic50 and, where it has them, drug_name, auc, rmse
        and max_conc_um to its own names
    dataset : what to call the dataset of a table; a workbook says it itself

    Returns
    -------
    dataset, drug (the provider's id), drug_name, cell_line (an ACH or SIDM id) as str or None, and
    ln_ic50 (natural logarithm of micromolar), auc, rmse, max_conc_um (micromolar) as float.
    """
    if format == "gdsc":
        sheet = read_sheet(path, None, list(CURVES.values()))
        table = pd.DataFrame({ours: sheet[CURVES[ours]] for ours in CURVES}, dtype=object)
        for name in table.columns.difference(MEASURES):
            table[name] = _texts(table[name])
    elif format == "table":
        required = {name: columns.get(name, name) for name in ["drug", "cell_line", "ln_ic50"]}
        optional = {
            name: columns.get(name, name) for name in CURVES if name not in {*required, "dataset"}
        }
        table = read_fields(path, required, optional, CURVES_KEY).assign(dataset=dataset)
        table["drug_name"] = table["drug_name"].where(table["drug_name"].notna(), table["drug"])
    else:
        raise InputError(f"response format '{format}' is unknown; known are {', '.join(FORMATS)}")
    for name in MEASURES:
        table[name] = numbers(table, name, path)
    return table[list(CURVES)]


def read_compounds(format: str, path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read the list of compounds, one row a drug id of the provider.

    GDSC's own list has no structures; a table may. Returns drug, name, pubchem_cid, inchikey,
    smiles, all str or None; a CID that is not one number ("several") and what is no InChIKey are
    None. Raises InputError if a drug id is absent or stands twice.
    """
    names = COMPOUNDS if format == "gdsc" else {"name": "name"}
    required = {ours: columns.get(ours, theirs) for ours, theirs in names.items()}
    optional = {
        name: columns.get(name, name) for name in ["drug", *STRUCTURES] if name not in required
    }
    table = read_fields(path, required, optional, COMPOUNDS_KEY)
    if "drug" not in columns and format == "table":
        table["drug"] = table["name"]
    table["drug"] = _texts(table["drug"])
    for row, (drug, name) in enumerate(zip(table["drug"], table["name"], strict=True)):
        if drug is None or name is None:
            raise InputError(
                f"{path}: row {row + 1} of the data has no {'name' if drug else 'drug id'}; fill "
                "it or remove the row"
            )
    if repeated := sorted(table["drug"][table["drug"].duplicated()]):
        raise InputError(
            f"{path}: drug '{repeated[0]}' stands twice; name the column with the provider's own "
            f"ids as drug in {COMPOUNDS_KEY}"
        )
    return clean_structures(table)


def read_structures(path: Path, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read structures: name and pubchem_cid, inchikey, smiles as far as they are known.

    `columns` map these to the table's own names, as for pert_info of L1000.
    """
    theirs = {name: (columns or {}).get(name, name) for name in ["name", *STRUCTURES]}
    required = {"name": theirs.pop("name")}
    table = clean_structures(read_fields(path, required, theirs, STRUCTURES_KEY))
    unnamed = table["name"].isna().to_numpy()
    if unnamed.any():
        raise InputError(f"{path}: row {int(unnamed.argmax()) + 1} of the data has no name")
    return table


def clean_structures(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with None for a CID that is not one number and for what is no InChIKey.

    Nor is "restricted" a SMILES: so L1000 says that a structure may not be shown.
    """
    cids = [value.removesuffix(".0") if value else "" for value in table["pubchem_cid"]]
    return table.assign(
        pubchem_cid=[cid if cid.isdigit() else None for cid in cids],
        inchikey=[
            value if value and INCHIKEY.fullmatch(value) else None for value in table["inchikey"]
        ],
        smiles=[None if value == "restricted" else value for value in table["smiles"]],
    )


def _texts(values: Sequence[object]) -> list[str | None]:
    """Return cells as str; a whole number loses the fraction that Excel or a table gave it."""
    found: list[str | None] = []
    for value in values:
        if value is None or (isinstance(value, float) and np.isnan(value)):
            found.append(None)
        elif isinstance(value, float) and value.is_integer():
            found.append(str(int(value)))
        else:
            text = str(value).strip()
            found.append(re.sub(r"^(\d+)\.0$", r"\1", text) or None)
    return found
