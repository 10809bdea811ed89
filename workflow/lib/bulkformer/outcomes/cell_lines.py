"""The cell line step: one identity a line, whatever provider speaks of it.

DepMap calls a line ACH-..., Sanger SIDM...; their tables name each other's ids, not always and not
always alike. Lines that any source ties to one patient, or that derive from each other, are given
one patient, because a model that has seen one of them has seen the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.components import connected_components
from bulkformer.outcomes.tables import CELL_LINES, finish
from bulkformer.sources.cell_models import read_passports
from bulkformer.sources.depmap_tables import read_models

EXAMPLES = 20
DESCRIPTION = ["name", "lineage", "cellosaurus"]


def cell_lines(
    output: Annotated[Path, Option(help="cell_lines.parquet to write.")],
    summary: Annotated[Path, Option(help="cell_lines.json to write.")],
    models: Annotated[Path | None, Option(help="Model.csv of DepMap.")] = None,
    passports: Annotated[Path | None, Option(help="Model list of Cell Model Passports.")] = None,
    licence: Annotated[list[str] | None, Option(help="Licences of the sources.")] = None,
) -> None:
    """Write one row a cell line that DepMap or Cell Model Passports knows."""
    if models is None and passports is None:
        raise InputError(
            "config, outcomes.cell_lines: neither models nor passports is given; name at least one"
        )
    lines, content = identities(
        read_models(models) if models else None, read_passports(passports) if passports else None
    )
    stored = pa.Table.from_pandas(lines, schema=CELL_LINES, preserve_index=False)
    files = [path for path in [models, passports] if path]
    finish(output, stored, summary, content, (files, licence or []))


def identities(
    models: pd.DataFrame | None, passports: pd.DataFrame | None
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Join the two tables; return the lines sorted by cell_line_id, and what was found on the way.

    Where the tables contradict each other about a pair of ids, DepMap's own table holds, and the
    contradiction is listed. A Sanger model with several ACH ids is given to each of them that names
    no other; a model without any keeps its SIDM id as cell_line_id.
    """
    register = Register()
    for model in [] if models is None else models.to_dict("records"):
        register.add_model(model)
    for passport in [] if passports is None else passports.to_dict("records"):
        register.add_passport(passport, only_known_lines=models is not None)
    rows, parent = register.rows, register.parent_lines()
    ids = sorted(rows)
    patient_of = _patients(ids, register.patients, parent)
    table = pd.DataFrame(
        [
            rows[line]
            | {"cell_line_id": line, "patient_id": patient_of[line], "parent": parent.get(line)}
            for line in ids
        ],
        columns=CELL_LINES.names,
        dtype=object,
    )
    n_patients = table["patient_id"].nunique()
    content = {
        "dropped": {},
        "joined": {
            "in_depmap": 0 if models is None else len(models),
            "in_passports": 0 if passports is None else len(passports),
            "with_both_ids": int(
                sum(line.startswith("ACH") and bool(rows[line]["sanger_id"]) for line in ids)
            ),
            "without_ach_id": sum(not line.startswith("ACH") for line in ids),
        },
        "patients": int(n_patients),
        "lines_that_share_a_patient": int(table["patient_id"].duplicated(keep=False).sum()),
        "lines_without_a_patient": sum(not register.patients[line] for line in ids),
        "contradictions": len(register.conflicts),
        "contradiction_examples": sorted(register.conflicts)[:EXAMPLES],
    }
    return table, content


@dataclass
class Register:
    """Lines as far as they are known, while one table after the other is read.

    Attributes
    ----------
    rows : cell_line_id -> name, lineage, cellosaurus, sanger_id
    patients : cell_line_id -> patients that any source names
    line_of : SIDM -> cell_line_id
    parents : cell_line_id -> SIDM of the line that it derives from
    conflicts : pairs of ids about which the sources contradict each other
    """

    rows: dict[str, dict[str, str | None]] = field(default_factory=dict)
    patients: dict[str, list[str]] = field(default_factory=dict)
    line_of: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)

    def add_model(self, model: dict[str, str | None]) -> None:
        """Take a row of DepMap's table; every model is a line."""
        line, sanger_id = model["cell_line_id"], model["sanger_id"]
        self.rows[line] = {name: model[name] for name in [*DESCRIPTION, "sanger_id"]}
        self.patients[line] = [model["patient_id"]] if model["patient_id"] else []
        if sanger_id:
            if sanger_id in self.line_of:
                self.conflicts.append(f"{sanger_id}: {self.line_of[sanger_id]}, {line}")
            self.line_of.setdefault(sanger_id, line)

    def add_passport(self, passport: dict[str, Any], *, only_known_lines: bool) -> None:
        """Take a row of the passports; it fills what the lines that it means do not say.

        With `only_known_lines`, ACH ids that DepMap does not have make no further lines.
        """
        sanger_id = passport["sanger_id"]
        lines = [self.line_of[sanger_id]] if sanger_id in self.line_of else []
        for line in passport["depmap_ids"]:
            known = self.rows.get(line, {}).get("sanger_id")
            another = lines and line not in lines and line in self.rows
            if known not in (None, sanger_id) or another:
                self.conflicts.append(
                    f"{sanger_id}: {line}, which DepMap calls {known or 'otherwise'}"
                )
            elif line not in lines and (not only_known_lines or line in self.rows or not lines):
                lines.append(line)
        for line in lines or [sanger_id]:
            row = self.rows.setdefault(line, dict.fromkeys(DESCRIPTION))
            row |= {name: row[name] or passport[name] for name in DESCRIPTION}
            row["sanger_id"] = sanger_id
            self.patients.setdefault(line, []).extend(filter(None, [passport["patient_id"]]))
            if passport["parent"]:
                self.parents[line] = passport["parent"]
        self.line_of.setdefault(sanger_id, (lines or [sanger_id])[0])

    def parent_lines(self) -> dict[str, str]:
        """Return the line from which a line derives, for those that have one."""
        return {
            line: self.line_of[sanger_id]
            for line, sanger_id in self.parents.items()
            if self.line_of.get(sanger_id, line) != line
        }


def _patients(
    ids: list[str], patients: dict[str, list[str]], parent: dict[str, str]
) -> dict[str, str]:
    """Return one patient a line: what any source or descent ties together is one patient.

    A line of which no source names a patient stands for a patient of its own.
    """
    own = {line: sorted(patients[line]) or [line] for line in ids}
    keys = [own[line] + (own.get(parent[line], []) if line in parent else []) for line in ids]
    return dict(zip(ids, connected_components(keys), strict=True))


def resolver(table: pa.Table) -> dict[str, str]:
    """Return {ACH or SIDM id: cell_line_id} of cell_lines.parquet, for tables that mix the two.

    Where two lines share a SIDM id, it means the first of them.
    """
    found: dict[str, str] = {}
    for line, sanger_id in zip(
        table["cell_line_id"].to_pylist(), table["sanger_id"].to_pylist(), strict=True
    ):
        found[line] = line
        if sanger_id:
            found.setdefault(sanger_id, line)
    return found


if __name__ == "__main__":
    command(cell_lines)
