"""Freezes the folds of drug response: which pairs, lines, tissues or compounds a model never saw.

Legacy: random folds over pairs of a line and a drug, as the paper seems to have done; every line
and drug of a test pair is in training too. Strict: whole patients with all lines derived from
theirs, whole tissues, and whole families of compounds that share a scaffold.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.response_data import SECTION, Responses, Tables, read_responses
from bulkformer.evaluate.splits import Units, assign_folds, manifest, write_manifest
from bulkformer.expression.components import connected_components

TASK = "drug_response"
PAIR = "|"  # between line and drug in the name of a pair


def drug_response_split(
    response: Annotated[Path, Option(help="response.parquet.")],
    drugs: Annotated[Path, Option(help="drugs.parquet.")],
    cell_lines: Annotated[Path, Option(help="cell_lines.parquet.")],
    samples: Annotated[Path, Option(help="samples.parquet of the cohort of cell lines.")],
    settings: Annotated[str, Option(help="Section drug_response of the config, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
) -> None:
    """Freeze the folds of every regime; a patient, tissue or scaffold in two is an error."""
    chosen = json.loads(settings)
    tables = Tables(response, drugs, cell_lines, samples)
    by_drug = read_responses(tables, chosen, "drug_id")
    by_screen = read_responses(tables, chosen, "screen_id")
    about = {"task": TASK, "dataset": chosen["dataset"], "seed": seed}
    parts = [_random_pairs(by_drug, drugs, chosen, about)]
    units_of = {
        "held_out_lines": _lines(by_screen, chosen["cohort"]),
        "held_out_tissues": _tissues(by_screen, chosen["cohort"]),
        "held_out_scaffolds": _compounds(by_screen, chosen["cohort"], drugs),
    }
    for number, regime in enumerate(chosen["strict"]["regimes"]):
        units = units_of[regime]
        for repeat in range(chosen["strict"]["repeats"]):
            rng = np.random.default_rng([seed, number, repeat])
            fold = _dealt(units, regime, chosen["strict"]["folds"], rng, response)
            more = {"protocol": "strict", "regime": regime, "repeat": repeat}
            parts.append(manifest(units, fold, **about, **more))
    write_manifest(output, parts)
    print(
        f"{len(by_screen.line)} lines of {len(set(by_screen.patient))} patients, "
        f"{len(by_screen.target)} screens of {len(set(by_screen.drug))} drugs",
        file=sys.stderr,
    )


def _random_pairs(
    data: Responses, drugs: Path, chosen: dict[str, Any], about: dict[str, Any]
) -> pa.Table:
    """Deal the pairs of a line and a drug of known structure to folds at random."""
    structured = np.array([smiles is not None for smiles in data.smiles])
    _report_unknown(structured, "structure", "legacy")
    known = np.isfinite(data.values[chosen["targets"][0]]) & structured
    pairs = [
        f"{data.line[line]}{PAIR}{data.target[drug]}" for line, drug in np.argwhere(known).tolist()
    ]
    folds = chosen["legacy"]["folds"]
    if len(pairs) < folds:
        raise InputError(
            f"{drugs}: {len(pairs)} pairs of a line and a drug of known structure cannot fill "
            f"{folds} folds; name a table of SMILES in outcomes.response.structures"
        )
    units = _units(pairs, pairs, "pair", [""] * len(pairs), chosen["cohort"])
    rng = np.random.default_rng([about["seed"], 0])
    fold = rng.permutation(np.arange(len(pairs)) % folds)
    return manifest(units, fold, **about, protocol="legacy", regime="random_pairs", repeat=0)


def _lines(data: Responses, cohort: str) -> Units:
    strata = [lineage or "" for lineage in data.lineage]
    return _units(data.line, data.patient, "patient", strata, cohort)


def _tissues(data: Responses, cohort: str) -> Units:
    """Return the lines of known lineage; a patient with lines of two tissues joins the two."""
    known = np.array([lineage is not None for lineage in data.lineage])
    _report_unknown(known, "lineage", "held_out_tissues")
    rows = np.flatnonzero(known)
    # A component bears the first of its keys: "~" comes after all letters, a lineage before it.
    keys = [[data.lineage[row], f"~{data.patient[row]}"] for row in rows]
    groups = connected_components(keys)
    return _units([data.line[row] for row in rows], groups, "tissue", [""] * len(rows), cohort)


def _compounds(data: Responses, cohort: str, path: Path) -> Units:
    """Return the drugs of known structure, grouped by scaffold."""
    scaffold_of = dict(zip(data.drug, data.scaffold, strict=True))
    names = sorted(scaffold_of)
    known = np.array([scaffold_of[name] is not None for name in names])
    _report_unknown(known, "structure", "held_out_scaffolds")
    names = [name for name, keep in zip(names, known, strict=True) if keep]
    if not names:
        raise InputError(
            f"{path}: no drug has a scaffold; name a table of SMILES in "
            f"outcomes.response.structures, or take held_out_scaffolds out of "
            f"{SECTION}.strict.regimes"
        )
    groups = [scaffold_of[name] for name in names]
    return _units(names, groups, "scaffold", [""] * len(names), cohort)


def _units(
    names: Sequence[str], groups: Sequence[str], kind: str, strata: Sequence[str], cohort: str
) -> Units:
    return Units(names, groups, kind, strata, [cohort] * len(names))


def _dealt(
    units: Units, regime: str, folds: int, rng: np.random.Generator, path: Path
) -> np.ndarray:
    """Deal whole groups to folds, fewer where there are fewer groups."""
    n_groups = len(set(units.group))
    if n_groups < 2:
        raise InputError(
            f"{path}: {regime} has {n_groups} {units.group_kind}, two are needed to hold one out; "
            f"take {regime} out of {SECTION}.strict.regimes"
        )
    if n_groups < folds:
        print(f"{regime}: {n_groups} folds, one a {units.group_kind}", file=sys.stderr)
    return assign_folds(units.stratum, units.group, min(folds, n_groups), rng)


def _report_unknown(known: np.ndarray, what: str, regime: str) -> None:
    if not known.all():
        print(
            f"{regime}: left out {(~known).sum()} of {len(known)} of unknown {what}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    command(drug_response_split)
