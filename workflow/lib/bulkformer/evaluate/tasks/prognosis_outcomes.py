"""Prognosis: what became of each patient, and what the clinic knew, by patient id."""

from dataclasses import dataclass
from pathlib import Path

from bulkformer.errors import InputError
from bulkformer.evaluate.records import read_columns

FEW_EVENTS = 20  # of a cancer with fewer, a concordance says next to nothing


@dataclass(frozen=True)
class Outcome:
    """The course of one patient: cancer type, days followed, and whether the event was observed."""

    cancer: str
    time: float
    event: bool


@dataclass(frozen=True)
class Clinical:
    """What was known of one patient at diagnosis; None where it was not."""

    age: float | None = None
    sex: str | None = None
    stage: str | None = None


def read_outcomes(path: Path, endpoint: str) -> dict[str, Outcome]:
    """Return the patients of survival.parquet with `endpoint`.

    Raises InputError if the table has no such endpoint, or a patient twice or without follow-up: a
    table of one's own passes the same checks as that of the outcomes stage.
    """
    columns = read_columns(path, ["patient_id", "cancer", "endpoint", "event", "time_days"])
    known = sorted(set(columns["endpoint"]))
    if endpoint not in known:
        raise InputError(
            f"{path}: no endpoint '{endpoint}'; it has {', '.join(known)}. Correct "
            "evaluate.prognosis.endpoint, or add it to outcomes.survival.endpoints"
        )
    outcomes: dict[str, Outcome] = {}
    for row, name in enumerate(columns["endpoint"]):
        if name != endpoint:
            continue
        patient, event, time = (columns[key][row] for key in ("patient_id", "event", "time_days"))
        if patient in outcomes:
            raise InputError(f"{path}: patient '{patient}' stands twice for {endpoint}; keep one")
        if event not in (0, 1) or time is None or not time > 0:
            raise InputError(
                f"{path}: {endpoint} of patient '{patient}' is {event} after {time} days; an event "
                "is 0 or 1, and follow-up is longer than 0 days"
            )
        outcomes[patient] = Outcome(columns["cancer"][row] or "unknown", float(time), bool(event))
    return outcomes


def read_clinical(path: Path | None) -> dict[str, Clinical]:
    """Return what clinical.parquet knows of patients; nothing of anybody without a path."""
    if path is None:
        return {}
    columns = read_columns(path, ["patient_id", "age_years", "sex", "stage"])
    return {
        patient: Clinical(age, sex, stage)
        for patient, age, sex, stage in zip(*columns.values(), strict=True)
    }
