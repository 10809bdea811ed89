"""Freezes the folds of prognosis, for both protocols.

A unit is a tumour of a patient whose endpoint is known. Legacy: random folds stratified by whether
the patient died. Strict: one primary tumour a patient, patients whole, folds stratified by cancer
and event, drawn several times.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.records import one_primary_per_patient, read_kept, select
from bulkformer.evaluate.splits import (
    Units,
    assign_folds,
    connected_groups,
    manifest,
    write_manifest,
)
from bulkformer.evaluate.tasks.prognosis_outcomes import FEW_EVENTS, Outcome, read_outcomes

TASK = "prognosis"
REGIMES = {"legacy": "random_folds", "strict": "grouped_folds"}


def prognosis_split(
    samples: Annotated[Path, Option(help="samples.parquet of the cohort.")],
    survival: Annotated[Path, Option(help="survival.parquet.")],
    settings: Annotated[str, Option(help="Section prognosis of the config, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
) -> None:
    """Freeze the folds of the patients whose endpoint is known."""
    chosen = json.loads(settings)
    outcomes = read_outcomes(survival, chosen["endpoint"])
    legacy = _units(
        samples, outcomes, chosen, one_a_patient=chosen["legacy"]["one_sample_per_patient"]
    )
    strict = _units(samples, outcomes, chosen, one_a_patient=True)
    _report(strict, outcomes, chosen)
    tables = [
        *_folds(legacy, survival, "legacy", chosen, 1, seed),
        *_folds(strict, survival, "strict", chosen, chosen["strict"]["repeats"], seed),
    ]
    write_manifest(output, tables)


def _units(
    path: Path, outcomes: dict[str, Outcome], chosen: dict[str, Any], one_a_patient: bool
) -> Units:
    """Return samples of patients whose endpoint is known; the stratum is cancer and event."""
    samples = read_kept(path, ["patient_id"], ["sample_type"])
    known = [row for row, patient in enumerate(samples["patient_id"]) if patient in outcomes]
    if not known:
        example = next(iter(outcomes), "none")
        raise InputError(
            f"{path}: none of {len(samples['sample_id'])} samples has a patient_id with "
            f"{chosen['endpoint']}; patients with an outcome are named like '{example}'. Map "
            "patient_id in sample_columns of the cohorts table, or choose another "
            "evaluate.prognosis.cohort"
        )
    samples = select(samples, known)
    if one_a_patient:
        samples = select(samples, one_primary_per_patient(samples))
    ids, patients = samples["sample_id"], samples["patient_id"]
    strata = [
        f"{outcomes[patient].cancer} {'event' if outcomes[patient].event else 'censored'}"
        for patient in patients
    ]
    return Units(
        ids, connected_groups(patients, ids), "patient", strata, [chosen["cohort"]] * len(ids)
    )


def _folds(
    units: Units,
    survival: Path,
    protocol: str,
    chosen: dict[str, Any],
    repeats: int,
    seed: int,
) -> list[pa.Table]:
    """Return the manifest rows of one protocol, one table a repeat.

    No stratum is dropped: one with fewer patients than folds lies in some of them.
    """
    folds = chosen[protocol]["folds"]
    events = [stratum.endswith(" event") for stratum in units.stratum]
    if sum(events) < 2 * folds or sum(events) == len(events):
        raise InputError(
            f"{survival}: {sum(events)} of {len(events)} patients of {chosen['cohort']} have the "
            f"event {chosen['endpoint']}; {folds} folds need at least {2 * folds} with it, and one "
            f"without; lower evaluate.prognosis.{protocol}.folds or choose another endpoint"
        )
    if protocol == "strict":
        strata, bound = list(units.stratum), units.group
    else:
        strata, bound = [stratum.split()[-1] for stratum in units.stratum], units.unit
    return [
        manifest(
            units,
            assign_folds(strata, bound, folds, np.random.default_rng([seed, repeat])),
            task=TASK,
            dataset=f"{chosen['cohort']}_{chosen['endpoint'].lower()}",
            protocol=protocol,
            regime=REGIMES[protocol],
            repeat=repeat,
            seed=seed,
        )
        for repeat in range(repeats)
    ]


def _report(units: Units, outcomes: dict[str, Outcome], chosen: dict[str, Any]) -> None:
    """Say on stderr how many patients and events there are, and which cancers have few."""
    events: dict[str, int] = {}
    for stratum in units.stratum:
        cancer, _, state = stratum.rpartition(" ")
        events[cancer] = events.get(cancer, 0) + (state == "event")
    few = sorted(cancer for cancer, n in events.items() if n < FEW_EVENTS)
    print(
        f"{len(units.unit)} patients of {chosen['cohort']} have {chosen['endpoint']}, "
        f"{sum(events.values())} with the event; {len(outcomes) - len(units.unit)} with an outcome "
        f"have no primary tumour there. Fewer than {FEW_EVENTS} events: {', '.join(few) or 'none'}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    command(prognosis_split)
