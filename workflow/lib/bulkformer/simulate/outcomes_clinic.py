"""Outcomes of patients: TCGA-CDR as a workbook, and the table of all datasets of DiSignAtlas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bulkformer.files import atomic
from bulkformer.simulate.outcomes_workbook import write_workbook

ENDPOINTS = ["OS", "DSS", "DFI", "PFI"]
LOG_HAZARD = 1.2  # for one standard deviation of the program
LOG_HAZARD_OF_AGE = 0.03  # a year
STAGES = ["Stage I", "Stage IIA", "Stage IIIB", "Stage IV", None]  # says nothing of the hazard
BASELINE_DAYS = 900.0  # median survival of an average patient
FOLLOW_UP_DAYS = (300.0, 3000.0)
SHARE_OF_DISEASE_DEATHS = 0.85
UNAVAILABLE = "#N/A"  # as the workbook spells it
# Patients with a flaw, by place in the table.
REDACTED, NO_EVENT, NO_TIME, NO_FOLLOW_UP = 3, 7, 11, 13


def write_tcga_cdr(path: Path, samples: pd.DataFrame, rng: np.random.Generator) -> int:
    """Write the workbook of all TCGA patients; return the program that their hazard depends on.

    A few patients are redacted or lack an event, a time, or any follow-up; two were never
    profiled. The first column has no name, as in the publication, and a second sheet follows.
    """
    tumours = samples[(samples["cohort"] == "tcga") & (samples["disease"] != "control")]
    tumours = tumours.drop_duplicates("patient_id").reset_index(drop=True)
    activity = np.stack(tumours["activity"].tolist())
    # The program that varies most within cancer types, so that it is more than a label.
    within = activity - pd.DataFrame(activity).groupby(tumours["study_id"]).transform("mean")
    program = int(within.to_numpy().std(axis=0).argmax())
    standard = (activity[:, program] - activity[:, program].mean()) / activity[:, program].std()
    age = rng.integers(30, 86, len(tumours))
    log_hazard = LOG_HAZARD * standard + LOG_HAZARD_OF_AGE * (age - age.mean())
    rate = np.log(2) / BASELINE_DAYS * np.exp(log_hazard)
    died = rng.exponential(1 / rate)
    progressed = died * rng.uniform(0.3, 0.95, len(died))
    left = rng.uniform(*FOLLOW_UP_DAYS, len(died))
    of_disease = rng.random(len(died)) < SHARE_OF_DISEASE_DEATHS

    times = [f"{name}.time" for name in ENDPOINTS]
    header = [None, "bcr_patient_barcode", "type", "age_at_initial_pathologic_diagnosis", "gender"]
    header += ["ajcc_pathologic_tumor_stage", "clinical_stage"]
    header += [name for pair in zip(ENDPOINTS, times, strict=True) for name in pair]
    rows: list[list[object]] = [[*header, "Redaction"]]
    for n, patient in enumerate(tumours["patient_id"]):
        death, relapse = died[n] <= left[n], progressed[n] <= left[n]
        last, first = round(min(died[n], left[n])) + 1, round(min(progressed[n], left[n])) + 1
        values: list[object] = [int(death), last, int(death and of_disease[n]), last]
        values += [UNAVAILABLE, UNAVAILABLE] if n % 3 == 0 else [int(relapse), first]  # DFI
        values += [int(relapse), first]
        if n == NO_EVENT:
            values[0:2] = [UNAVAILABLE, 400]
        if n == NO_TIME:
            values[1] = UNAVAILABLE
        if n == NO_FOLLOW_UP:
            values[1::2] = [0 if value != UNAVAILABLE else value for value in values[1::2]]
        gender = "FEMALE" if rng.random() < 0.5 else "MALE"
        stage = STAGES[int(rng.integers(len(STAGES)))]
        staged = [UNAVAILABLE, stage] if n % 4 == 0 else [stage or UNAVAILABLE, UNAVAILABLE]
        code = tumours["study_id"][n].removeprefix("TCGA-")
        redaction = "Redacted" if n == REDACTED else None
        about = [n + 1, patient, code, int(age[n]), gender, *staged]
        rows.append([*about, *values, redaction])
    for n in range(2):
        about = ["BRCA", 61, "FEMALE", "Stage X", None]
        unseen = [0, 500 + n, 0, 500 + n, UNAVAILABLE, UNAVAILABLE, 0, 500 + n, None]
        rows.append([len(rows), f"TCGA-ZZ-9{n:03d}", *about, *unseen])
    notes = [["Endpoint", "Recommendation"], ["OS", "simulated"]]
    write_workbook(path, {"TCGA-CDR": rows, "TCGA-CDR-Notes": notes})
    return program


def write_disignatlas(path: Path, samples: pd.DataFrame) -> None:
    """Write one row a series of the universe, and as many microarray datasets of the same."""
    series = samples[samples["cohort"] == "disignatlas"]
    header = "dsaid,accession,platform,disease,diseaseid,tissue,data_source,library_strategy"
    lines = [f"{header},organism,control_case_sample_count,definition,deg_count\n"]
    for number, (study, rows) in enumerate(series.groupby("study_id", sort=True)):
        cases = rows[rows["disease"] != "control"]
        counts = f"{len(rows) - len(cases)}|{len(cases)}"
        disease, tissue = cases["disease"].iloc[0], rows["tissue"].iloc[0]
        definition = f'"A simulated disease, of the {tissue}"'
        shared = f"{disease},C09{number:05d},{tissue},GEO"
        tail = f"Homo sapiens,{counts},{definition}"
        lines.append(
            f"DSA9{2 * number:04d},{study},GPL900,{shared},RNA-Seq,{tail},{100 + number}\n"
        )
        lines.append(
            f"DSA9{2 * number + 1:04d},GSE98{number:04d},GPL901,{shared},Microarray,{tail},"
            f"{80 + number}\n"
        )
    with atomic(path) as partial:
        partial.write_text("".join(lines))
