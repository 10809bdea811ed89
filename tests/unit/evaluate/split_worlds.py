"""The inputs of every splitter, made of any keys, and the split that it makes of them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from essentiality_world import SETTINGS as ESSENTIALITY
from evaluate_world import World, annotation_settings
from prognosis_world import TEXT as PROGNOSIS
from response_world import RINGS
from response_world import settings as response_settings

from bulkformer.evaluate.tasks.disease_annotation_split import disease_annotation_split
from bulkformer.evaluate.tasks.drug_response_split import drug_response_split
from bulkformer.evaluate.tasks.gene_essentiality_split import gene_essentiality_split
from bulkformer.evaluate.tasks.perturbation_split import COLUMNS, PLACE, perturbation_split
from bulkformer.evaluate.tasks.prognosis_split import prognosis_split
from bulkformer.outcomes.tables import CELL_LINES, DEPENDENCY, DRUGS, RESPONSE

N = 40
Keys = list[list[str]]  # the keys of each unit; none for a unit that shares nothing
Split = Callable[[Path, Keys, Sequence[int]], Path]


def annotation(folder: Path, given: Keys, order: Sequence[int]) -> Path:
    """Samples of several studies each, of two diseases."""
    world = World(folder / "results")
    labels = {
        "sample_id": [f"s{i:02d}" for i in order],
        "study_id": [",".join(given[i]) or None for i in order],
        "disease": ["cancer" if i % 3 else "control" for i in order],
    }
    world.cohort("series", labels)
    path = folder / "split.parquet"
    text = annotation_settings()
    disease_annotation_split(["series"], [world.samples("series")], text, 42, path)
    return path


def prognosis(folder: Path, given: Keys, order: Sequence[int]) -> Path:
    """Aliquots of patients; a patient is the first key of a sample."""
    world = World(folder / "results")
    patient = [given[i][0] if given[i] else f"P{i:02d}" for i in range(N)]
    labels = {
        "sample_id": [f"s{i:02d}" for i in order],
        "patient_id": [patient[i] for i in order],
        "sample_type": ["Primary Tumor"] * N,
    }
    world.cohort("patients", labels)
    known = sorted(set(patient))
    survival = pd.DataFrame({"patient_id": known, "cancer": "BRCA", "endpoint": "OS"})
    survival["event"] = np.arange(len(known), dtype="int8") % 2
    survival["time_days"] = 100.0
    survival.to_parquet(folder / "survival.parquet")
    path = folder / "split.parquet"
    prognosis_split(world.samples("patients"), folder / "survival.parquet", PROGNOSIS, 42, path)
    return path


def write_lines(folder: Path, given: Keys, order: Sequence[int]) -> None:
    """Cell lines: the first key is the patient, the second the line that it was derived from."""
    rows = [
        dict.fromkeys(CELL_LINES.names)
        | {
            "cell_line_id": f"ACH-{i:06d}",
            "patient_id": given[i][0] if given[i] else None,
            "parent": f"ACH-{int(given[i][1][1:]) % N:06d}"
            if len(given[i]) > 1 and given[i][1][0] == "k"
            else None,
            # A patient has one, unless a line was derived from that of another.
            "lineage": f"lineage {len(given[i][0]) + ord(given[i][0][-1]) if given[i] else i}",
        }
        for i in order
    ]
    rows = [{name: row[name] for name in CELL_LINES.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(rows, schema=CELL_LINES), folder / "cell_lines.parquet")
    ids = [row["cell_line_id"] for row in rows]
    samples = {"sample_id": [f"S-{line}" for line in ids], "cell_line_id": ids, "kept": True}
    pd.DataFrame(samples).to_parquet(folder / "samples.parquet")


def essentiality(folder: Path, given: Keys, order: Sequence[int]) -> Path:
    """Lines of patients, some derived from others, all with one gene measured."""
    write_lines(folder, given, order)
    rows = [
        {"gene_id": f"ENSG{gene}", "cell_line_id": f"ACH-{i:06d}", "effect": 0.1 * i - gene}
        | {"probability": 0.5, "release": "r"}
        for i in order
        for gene in (1, 2)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=DEPENDENCY), folder / "dependency.parquet")
    path = folder / "split.parquet"
    gene_essentiality_split(
        *(folder / f"{name}.parquet" for name in ("samples", "cell_lines", "dependency")),
        json.dumps(ESSENTIALITY), 42, path, folder / "tokens.json",
    )  # fmt: skip
    return path


def response(folder: Path, given: Keys, order: Sequence[int]) -> Path:
    """Lines of patients, under drugs of six scaffolds."""
    write_lines(folder, given, order)
    drugs = [
        dict.fromkeys(DRUGS.names)
        | {"drug_id": f"d{d}", "name": f"d{d}", "smiles": ring, "scaffold": ring}
        for d, ring in enumerate(RINGS)
    ]
    pq.write_table(pa.Table.from_pylist(drugs, schema=DRUGS), folder / "drugs.parquet")
    rows = [
        dict.fromkeys(RESPONSE.names)
        | {
            "dataset": "GDSC",
            "screen_id": f"d{d}",
            "drug_id": f"d{d}",
            "cell_line_id": f"ACH-{i:06d}",
            "ln_ic50": float(i + d),
        }
        for i in order
        for d in range(len(RINGS))
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=RESPONSE), folder / "response.parquet")
    path = folder / "split.parquet"
    drug_response_split(
        *(folder / f"{name}.parquet" for name in ("response", "drugs", "cell_lines", "samples")),
        response_settings(), 42, path,
    )  # fmt: skip
    return path


def perturbation(folder: Path, given: Keys, order: Sequence[int]) -> Path:
    """Profiles of compounds that share names and identifiers, on plates that share controls."""
    columns: dict[str, list[str | None]] = {name: [] for name in [*COLUMNS, *PLACE]}
    for i in order:
        own = given[i]
        columns["profile_id"].append(f"s{i:02d}")
        columns["compound"].append(own[0] if own else f"compound {i}")
        columns["scaffold"].append(own[-1] if own else None)
        columns["perturbagen"].append(None)
        columns["perturbagen_id"].append(f"BRD-{i}")
        columns["cell_id"].append(f"cell {i % 3}")
        columns["plate"].append(f"plate {i % 5}")
        columns["control_plates"].append(f"plate {i % 5}")
        columns["control_set"].append(f"{i % 5}")
    pq.write_table(pa.table(columns | {"published_split": [None] * N}), folder / "treated.parquet")
    text = {
        "dataset": "l1000",
        "legacy": {"folds": 3, "split_column": None},
        "strict": {
            "folds": 3,
            "repeats": 2,
            "regimes": [
                *("held_out_compounds", "held_out_cells", "held_out_plates"),
                "held_out_compounds_and_cells",
            ],
        },
    }
    path = folder / "split.parquet"
    perturbation_split(folder / "treated.parquet", json.dumps(text), 42, path)
    return path


SPLITS: dict[str, Split] = {
    "disease_annotation": annotation,
    "prognosis": prognosis,
    "gene_essentiality": essentiality,
    "drug_response": response,
    "perturbation": perturbation,
}
