"""Fits survival heads on the training patients of each fold and saves what they say of the others.

Folds come from the frozen manifest, vectors from the embed stage, outcomes and covariates from the
outcomes stage; rows are matched by sample and patient id. Predicted survival is saved at horizons
that training patients alone chose, so that every measure can be computed again from the file.
"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.records import read_columns
from bulkformer.evaluate.seeds import fold_seed
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.survival_heads import (
    Prognosis,
    SurvivalSettings,
    fit_survival_head,
)
from bulkformer.evaluate.survival_labels import fit_label_head
from bulkformer.evaluate.survival_measures import YEAR
from bulkformer.evaluate.survival_patients import Patients, TrainingPatients, exchanged
from bulkformer.evaluate.tasks.prognosis_outcomes import Clinical, read_clinical, read_outcomes
from bulkformer.evaluate.tasks.prognosis_scorer import YEARS
from bulkformer.evaluate.tasks.prognosis_scores import PREDICTIONS, heads
from bulkformer.evaluate.vectors import read_vectors
from bulkformer.files import write_table

# Shares of training events before a horizon: the span of the integrated Brier score. Beyond the
# last tenth of events few patients are left, and weights for censoring explode.
QUANTILES = np.linspace(0.05, 0.9, 18)


def prognosis(
    protocol: Annotated[str, Option(help="legacy or strict.")],
    model: Annotated[str, Option()],
    split: Annotated[Path, Option(help="Manifest of the task.")],
    embeddings: Annotated[Path, Option(help="samples.parquet of the model for the cohort.")],
    survival: Annotated[Path, Option(help="survival.parquet.")],
    settings: Annotated[str, Option(help="Section prognosis of the config, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
    clinical: Annotated[Path | None, Option(help="clinical.parquet, if there is one.")] = None,
    head: Annotated[list[str] | None, Option(help="Heads in place of the protocol's own.")] = None,
    threads: Annotated[int, Option(help="Threads that grow forests; the result is one.")] = 1,
) -> None:
    """Predict the course of every patient by heads that never saw its fold."""
    chosen = json.loads(settings)
    own = chosen[protocol]
    sizes = SurvivalSettings(own["components"], own["trees"], threads)
    if protocol == "strict":
        sizes = replace(sizes, dimensions=own["elastic_net_dimensions"])
    rows = read_manifest(split, "prognosis", protocol)
    _check_repeats(rows, split)
    cohort = _join(rows, embeddings, survival, clinical, chosen["endpoint"])
    parts = []
    for name in head or heads(protocol, chosen):
        constant = {
            "task": "prognosis",
            "dataset": rows["dataset"][0].as_py(),
            "protocol": protocol,
            "regime": rows["regime"][0].as_py(),
            "model": model,
            "head": name,
            "seed": seed,
            "target_id": chosen["endpoint"],
        }
        parts += _out_of_fold(cohort, rows, name, sizes, seed, constant)
    print(f"{len(cohort.sample_id)} patients, {cohort.event.sum()} events", file=sys.stderr)
    write_table(output, pa.concat_tables(parts).unify_dictionaries())


def _check_repeats(manifest: pa.Table, path: Path) -> None:
    """Raise InputError unless every repeat holds the same samples, each of them once."""
    units: dict[int, list[str]] = {}
    for repeat, unit in zip(
        manifest["repeat"].to_pylist(), manifest["unit"].to_pylist(), strict=True
    ):
        units.setdefault(repeat, []).append(unit)
    first = sorted(units[min(units)])
    for repeat, own in sorted(units.items()):
        if sorted(own) != first:
            odd = min(set(own) ^ set(first), default=first[0])
            raise InputError(
                f"{path}: repeat {repeat} holds other samples than the first one, such as "
                f"'{odd}'; make the split again"
            )


@dataclass(frozen=True)
class Cohort:
    """The patients of the manifest, sorted by sample id: arrays [n].

    `bound` are codes of what neither outer nor inner folds may split: the patient under the strict
    protocol, the sample itself under the legacy one.
    """

    sample_id: np.ndarray
    group: np.ndarray
    bound: np.ndarray
    patients: Patients
    time: np.ndarray
    event: np.ndarray

    def with_exchanged_outcomes(self, seed: int) -> "Cohort":
        """Return the same patients, each with the outcome of another one of the same cancer."""
        rows = exchanged(self.patients.cancer, seed)
        return replace(self, time=self.time[rows], event=self.event[rows])

    def training(self, rows: np.ndarray) -> TrainingPatients:
        """Return what a head may be fitted to."""
        return TrainingPatients(
            self.patients.take(rows), self.time[rows], self.event[rows], self.bound[rows]
        )


def _join(
    manifest: pa.Table, embeddings: Path, survival: Path, clinical: Path | None, endpoint: str
) -> Cohort:
    """Join the units of the manifest with vectors, outcomes and covariates.

    Raises InputError if a sample has no vector, or one that is not finite, or no outcome any more.
    """
    first = manifest.filter(pa.array(manifest["repeat"].to_numpy() == 0)).sort_by("unit")
    ids = np.array(first["unit"].to_pylist())
    columns = read_columns(embeddings, ["sample_id", "patient_id"])
    vectors = read_vectors(embeddings, ids)
    of_sample = dict(zip(columns["sample_id"], columns["patient_id"], strict=True))
    patient_of = [of_sample[sample_id] for sample_id in ids]
    outcomes, known = read_outcomes(survival, endpoint), read_clinical(clinical)
    lost = [patient for patient in patient_of if patient not in outcomes]
    if lost:
        raise InputError(
            f"{survival}: no {endpoint} of patient '{lost[0]}', whom the manifest names; make the "
            "split again"
        )
    own = [outcomes[patient] for patient in patient_of]
    covariates = [known.get(patient, Clinical()) for patient in patient_of]
    group = np.array(first["group"].to_pylist())
    strict = first["protocol"][0].as_py() == "strict"
    return Cohort(
        sample_id=ids,
        group=group,
        bound=np.unique(group if strict else ids, return_inverse=True)[1],
        patients=Patients(
            vectors=vectors,
            cancer=np.array([each.cancer for each in own], dtype=object),
            age=np.array([each.age for each in covariates], dtype=np.float64),
            sex=np.array([each.sex for each in covariates], dtype=object),
            stage=np.array([each.stage for each in covariates], dtype=object),
        ),
        time=np.array([each.time for each in own]),
        event=np.array([each.event for each in own]),
    )


def _out_of_fold(
    cohort: Cohort,
    manifest: pa.Table,
    head: str,
    settings: SurvivalSettings,
    seed: int,
    constant: dict[str, Any],
) -> list[pa.Table]:
    """Fit `head` once a fold and repeat; return the predictions of the rows left out."""
    legacy = constant["protocol"] == "legacy"
    parts = []
    for repeat in sorted(set(manifest["repeat"].to_pylist())):
        rows = manifest.filter(pa.array(manifest["repeat"].to_numpy() == repeat)).sort_by("unit")
        fold_of = rows["fold"].to_numpy()
        followed = cohort
        if head == "permuted_events":
            followed = cohort.with_exchanged_outcomes(fold_seed(seed, head, repeat))
        for fold in np.unique(fold_of):
            train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            training, shown = followed.training(train), cohort.patients.take(test)
            draw = fold_seed(seed, head, repeat, fold)
            if legacy:
                told = Told(fit_label_head(head, training, settings, draw).predict(shown))
            else:
                prognosis = fit_survival_head(head, training, settings, draw).predict(shown)
                told = Told.of(prognosis, horizons(training), followed.time[test])
            which = constant | {"fold": int(fold), "repeat": repeat}
            parts.append(_table(followed, test, told, which))
    return parts


def horizons(training: TrainingPatients) -> np.ndarray:
    """Return the days at which survival is saved: quantiles of training events, and whole years."""
    events = np.quantile(training.time[training.event], QUANTILES)
    return np.unique(np.concatenate([events, YEAR * np.array(YEARS)]))


@dataclass(frozen=True)
class Told:
    """What is saved of a head's predictions; survival where the head predicts any."""

    risk: np.ndarray
    reference: np.ndarray | None = None
    horizons: np.ndarray | None = None
    survival: np.ndarray | None = None
    own: np.ndarray | None = None

    @classmethod
    def of(cls, told: Prognosis, horizons: np.ndarray, time: np.ndarray) -> "Told":
        """Read curves at horizons and at the end of each patient's own follow-up."""
        return cls(
            told.risk, told.reference, horizons, told.curves.at(horizons), told.curves.own(time)
        )


def _table(cohort: Cohort, test: np.ndarray, told: Told, constant: dict[str, Any]) -> pa.Table:
    """Lay predictions out as rows of predictions.parquet."""
    n = len(test)
    columns = {name: [value] * n for name, value in constant.items()} | {
        "sample_id": cohort.sample_id[test].tolist(),
        "group": cohort.group[test].tolist(),
        "stratum": cohort.patients.cancer[test].tolist(),
        "y_true": cohort.event[test].astype(np.float32),
        "y_pred": told.risk.astype(np.float32),
        "y_reference": [None] * n if told.reference is None else told.reference.astype(np.float32),
        "time": cohort.time[test],
        "event": cohort.event[test].astype(np.int8),
        "horizons": [None if told.horizons is None else json.dumps(told.horizons.tolist())] * n,
        "survival": [None] * n if told.survival is None else list(told.survival.astype(np.float32)),
        "survival_at_end": [None] * n if told.own is None else told.own.astype(np.float32),
    }
    arrays = []
    for field in PREDICTIONS:
        values = columns[field.name]
        if pa.types.is_dictionary(field.type):
            arrays.append(pa.array(values, pa.string()).dictionary_encode())
        else:
            arrays.append(pa.array(values, field.type))
    return pa.table(arrays, schema=PREDICTIONS)


if __name__ == "__main__":
    command(prognosis)
