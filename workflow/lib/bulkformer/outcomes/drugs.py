"""The drug step: one row a compound, however many ids and spellings its screens have.

Two ids of one compound in different folds would let a model be tested on what it was trained on, so
they are joined here, once: rows that share a name (spelling aside), a PubChem CID, an InChIKey or a
SMILES are one compound. InChIKey and scaffold are computed from SMILES, which are null unless a
table gives them.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import pandas as pd
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.compounds import inchikey, scaffold
from bulkformer.expression.components import connected_components
from bulkformer.outcomes.tables import DRUGS, finish
from bulkformer.sources.fields import parse_mapping
from bulkformer.sources.gdsc import (
    COMPOUNDS_KEY,
    STRUCTURES,
    STRUCTURES_KEY,
    normal_name,
    read_compounds,
    read_structures,
)

EXAMPLES = 20


def drugs(
    compounds: Annotated[Path, Option(help="List of compounds.")],
    format: Annotated[str, Option(help="gdsc or table.")],
    dataset: Annotated[str, Option(help="Whose drug ids these are, such as GDSC.")],
    output: Annotated[Path, Option(help="drugs.parquet to write.")],
    summary: Annotated[Path, Option(help="drugs.json to write.")],
    columns: Annotated[str, Option(help="ours=theirs;… of a table.")] = "",
    structures: Annotated[Path | None, Option(help="Table of name, pubchem_cid, smiles.")] = None,
    structure_columns: Annotated[str, Option(help="ours=theirs;… of that table.")] = "",
    licence: Annotated[list[str] | None, Option(help="Licences of the sources.")] = None,
) -> None:
    """Write one row a compound."""
    listed = read_compounds(format, compounds, parse_mapping(columns, COMPOUNDS_KEY))
    if structures:
        mapping = parse_mapping(structure_columns, STRUCTURES_KEY)
        listed = add_structures(listed, read_structures(structures, mapping))
    listed = add_inchikeys(listed, structures or compounds)
    rows, content = one_row_a_compound(listed, dataset)
    stored = pa.Table.from_pylist(rows, schema=DRUGS)
    files = [path for path in [compounds, structures] if path]
    finish(output, stored, summary, content, (files, licence or []))


def add_structures(compounds: pd.DataFrame, structures: pd.DataFrame) -> pd.DataFrame:
    """Fill unknown structures of `compounds` from a table, by name; its first row of a name holds.

    A name matches whatever its spelling (see `normal_name`).
    """
    known: dict[str, dict[str, str | None]] = {}
    for row in structures.to_dict("records"):
        known.setdefault(normal_name(row["name"]), row)
    rows = compounds.to_dict("records")
    for row in rows:
        for name, value in known.get(normal_name(row["name"]), {}).items():
            row[name] = row[name] or value
    return pd.DataFrame(rows, columns=compounds.columns, dtype=object)


def add_inchikeys(compounds: pd.DataFrame, source: Path) -> pd.DataFrame:
    """Compute the InChIKeys that are unknown, so that two spellings of a SMILES are one compound.

    Raises InputError that names the drug if its SMILES, of the table `source`, is none.
    """
    keys = []
    for row in compounds.to_dict("records"):
        try:
            keys.append(row["inchikey"] or inchikey(row["smiles"]))
        except InputError as error:
            raise InputError(f"{source}: drug '{row['name']}': {error}") from error
    return compounds.assign(inchikey=pd.Series(keys, index=compounds.index, dtype=object))


def one_row_a_compound(
    compounds: pd.DataFrame, dataset: str
) -> tuple[list[dict[str, object]], dict[str, object]]:
    """Return the rows of `drugs`, sorted by drug_id, and what was joined on the way.

    `compounds` has drug, name, pubchem_cid, inchikey, smiles, one row an id of the provider. A
    compound is called by its first id, numbers before other ids; a field is what its first id
    that has one says.
    """
    ordered = sorted(compounds.to_dict("records"), key=lambda row: _natural(row["drug"]))
    keys = [
        [f"name {normal_name(row['name'])}"]
        + [f"{field} {row[field]}" for field in STRUCTURES if row[field]]
        for row in ordered
    ]
    members: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row, component in zip(ordered, connected_components(keys), strict=True):
        members[component].append(row)
    rows, contradictions = [], []
    for same in members.values():
        first = {
            field: next((row[field] for row in same if row[field]), None) for field in STRUCTURES
        }
        if len({row["pubchem_cid"] for row in same if row["pubchem_cid"]}) > 1:
            contradictions.append(same[0]["name"])
        source_ids = [f"{dataset}:{row['drug']}" for row in same]
        rows.append(
            {
                "drug_id": source_ids[0],
                "name": same[0]["name"],
                "pubchem_cid": int(first["pubchem_cid"]) if first["pubchem_cid"] else None,
                "inchikey": first["inchikey"],
                "smiles": first["smiles"],
                "scaffold": scaffold(first["smiles"]),
                "source_ids": source_ids,
            }
        )
    rows.sort(key=lambda row: row["drug_id"])
    redundant = sorted(
        (row["name"], row["source_ids"]) for row in rows if len(row["source_ids"]) > 1
    )
    content = {
        "dropped": {},
        "joined": {
            "ids_in_list": len(compounds),
            "compounds_with_several_ids": len(redundant),
            "with_smiles": sum(row["smiles"] is not None for row in rows),
            "with_pubchem_cid": sum(row["pubchem_cid"] is not None for row in rows),
            "scaffolds": len({row["scaffold"] for row in rows if row["scaffold"]}),
        },
        "redundant_examples": dict(redundant[:EXAMPLES]),
        "with_several_cids": sorted(contradictions)[:EXAMPLES],
    }
    return rows, content


def _natural(drug: str) -> tuple[bool, int, str]:
    return (not drug.isdigit(), int(drug) if drug.isdigit() else 0, drug)


if __name__ == "__main__":
    command(drugs)
