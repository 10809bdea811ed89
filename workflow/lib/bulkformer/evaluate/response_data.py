"""Drug response as matrices of lines by targets, joined by id from the tables of outcomes.

A target is a screen (one assay of one drug) or, where screens are averaged as in the paper, a drug.
What is left out is counted on stderr; a line that was measured twice in a screen stops the step,
unless the config says what becomes of the second curve.
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bulkformer.errors import InputError
from bulkformer.evaluate.records import read_columns, read_kept
from bulkformer.expression.components import connected_components
from bulkformer.outcomes.cell_lines import resolver

SECTION = "evaluate.drug_response"


@dataclass(frozen=True)
class Tables:
    """The files that say what is known: response, drugs, cell_lines, samples of the cohort."""

    response: Path
    drugs: Path
    cell_lines: Path
    samples: Path


@dataclass(frozen=True)
class Responses:
    """Measured pairs of n lines and t targets.

    Attributes
    ----------
    line, sample_id : cell_line_id, sorted, and the sample that shows its expression [n]
    patient : lines of one patient, or derived from one another, share it [n]
    lineage : None where unknown [n]
    target, drug : sorted ids of what is predicted, and the drug of each [t]
    smiles, scaffold : of each drug, None where unknown [t]
    values : {measure: float64 [n, t]}, NaN where not measured
    """

    line: list[str]
    sample_id: list[str]
    patient: list[str]
    lineage: list[str | None]
    target: list[str]
    drug: list[str]
    smiles: list[str | None]
    scaffold: list[str | None]
    values: Mapping[str, np.ndarray]


def read_responses(tables: Tables, settings: Mapping[str, Any], by: str) -> Responses:
    """Join the tables; a target is what the column `by` names: "screen_id" or "drug_id".

    `settings` is the section of the config: targets, min_lines, max_fit_rmse, replicate_curves.
    Several curves of a line and a drug are averaged; of a line and a screen only if the config
    says so. Raises InputError if they must not be, if a measure of `targets` is unknown of all, or
    if fewer than two targets have `min_lines` lines.
    """
    curves = _curves(tables.response, settings)
    sample_of = _samples(tables)
    lines = sorted({line for line in curves["cell_line_id"] if line in sample_of})
    drugs = {row["drug_id"]: row for row in pq.read_table(tables.drugs).to_pylist()}
    drug_of = dict(zip(curves[by], curves["drug_id"], strict=True))
    targets = sorted(drug_of)
    place_of_line = {line: place for place, line in enumerate(lines)}
    place_of_target = {target: place for place, target in enumerate(targets)}
    rows = np.array([place_of_line.get(line, -1) for line in curves["cell_line_id"]])
    columns = np.array([place_of_target[target] for target in curves[by]])
    unseen = len(set(curves["cell_line_id"])) - len(lines)
    if unseen:
        print(f"{unseen} lines were screened but are no sample of the cohort", file=sys.stderr)
    known = rows >= 0
    place = rows[known] * len(targets) + columns[known]
    if by == "screen_id" and settings["replicate_curves"] == "fail":
        _check_single(place, lines, targets, tables.response)
    shape = (len(lines), len(targets))
    values = {
        measure: _mean_by_place(place, np.array(curves[measure], dtype=float)[known], shape)
        for measure in settings["targets"]
    }
    pairs = np.isfinite(values[settings["targets"][0]])
    enough = pairs.sum(axis=0) >= settings["min_lines"]
    if not enough.all():
        print(
            f"left out {(~enough).sum()} of {len(enough)} targets with fewer than "
            f"{settings['min_lines']} lines",
            file=sys.stderr,
        )
    if enough.sum() < 2:
        raise InputError(
            f"{tables.response}: {enough.sum()} of {len(enough)} drugs have {SECTION}.min_lines = "
            f"{settings['min_lines']} of the {len(lines)} lines of the cohort; lower it, or name "
            f"another cohort in {SECTION}.cohort"
        )
    for measure, matrix in values.items():
        if not np.isfinite(matrix[:, enough]).any():
            raise InputError(
                f"{tables.response}: no value of {measure}; take it out of {SECTION}.targets"
            )
    used = pairs[:, enough].any(axis=1)
    chosen = [target for target, keep in zip(targets, enough, strict=True) if keep]
    patient, lineage = _identities(tables.cell_lines)
    kept = [line for line, keep in zip(lines, used, strict=True) if keep]
    return Responses(
        line=kept,
        sample_id=[sample_of[line] for line in kept],
        patient=[patient[line] for line in kept],
        lineage=[lineage[line] for line in kept],
        target=chosen,
        drug=[drug_of[target] for target in chosen],
        smiles=[drugs[drug_of[target]]["smiles"] for target in chosen],
        scaffold=[drugs[drug_of[target]]["scaffold"] for target in chosen],
        values={measure: matrix[used][:, enough] for measure, matrix in values.items()},
    )


def _curves(path: Path, settings: Mapping[str, Any]) -> dict[str, list]:
    """Read the curves that fit well enough."""
    names = ["screen_id", "drug_id", "cell_line_id"]
    curves = read_columns(path, [*names, *settings["targets"], "rmse"])
    limit = settings["max_fit_rmse"]
    if limit is None:
        return curves
    kept = [row for row, rmse in enumerate(curves["rmse"]) if rmse is None or rmse <= limit]
    print(f"left out {len(curves['rmse']) - len(kept)} curves that fit badly", file=sys.stderr)
    return {name: [values[row] for row in kept] for name, values in curves.items()}


def _samples(tables: Tables) -> dict[str, str]:
    """Return {cell_line_id: sample_id}; of several samples of a line the first by its id."""
    line_of = resolver(pq.read_table(tables.cell_lines, columns=["cell_line_id", "sanger_id"]))
    samples = read_kept(tables.samples, ["cell_line_id"])
    found: dict[str, str] = {}
    for sample_id, name in zip(samples["sample_id"], samples["cell_line_id"], strict=True):
        if name in line_of:
            found.setdefault(line_of[name], sample_id)
    if not found:
        raise InputError(
            f"{tables.samples}: no sample has a cell_line_id that {tables.cell_lines} knows; name "
            f"a cohort of cell lines in {SECTION}.cohort"
        )
    return found


def _identities(path: Path) -> tuple[dict[str, str], dict[str, str | None]]:
    """Return the group and the lineage of every line.

    Lines that share a patient or descend from each other are one group, also through lines that
    nobody screened.
    """
    lines = read_columns(path, ["cell_line_id", "patient_id", "parent", "lineage"])
    names = lines["cell_line_id"]
    keys = [
        [key for key in row if key]
        for row in zip(names, lines["patient_id"], lines["parent"], strict=True)
    ]
    groups = connected_components(keys)
    return (
        dict(zip(names, groups, strict=True)),
        dict(zip(names, lines["lineage"], strict=True)),
    )


def _check_single(
    place: np.ndarray, lines: Sequence[str], targets: Sequence[str], path: Path
) -> None:
    repeated = [(at, n) for at, n in Counter(place.tolist()).items() if n > 1]
    if repeated:
        at, n = min(repeated)
        line, target = divmod(at, len(targets))
        raise InputError(
            f"{path}: {len(repeated)} pairs of a screen and a line stand more than once, first "
            f"screen '{targets[target]}' and line '{lines[line]}' ({n} curves); remove the "
            f"repeats, or set {SECTION}.replicate_curves to average"
        )


def _mean_by_place(place: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the mean of the values that fall on each cell, float64 `shape`; NaN where none do."""
    known = np.isfinite(values)
    size = shape[0] * shape[1]
    count = np.bincount(place[known], minlength=size)
    total = np.bincount(place[known], weights=values[known], minlength=size)
    with np.errstate(invalid="ignore"):
        return (total / count).reshape(shape)
