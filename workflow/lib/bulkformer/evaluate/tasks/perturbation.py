"""Predicts the change of every treated profile by heads that never saw its fold.

Training and test rows use different halves of the control wells (see perturbation_pairs): a
training row is asked with half b and answered against half a, a test row the other way round. No
number is computed here: the metrics step reads the predictions.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.perturbation_heads import (
    GROUND_TRUTH,
    NEEDS_FINGERPRINT,
    NEEDS_VECTOR,
    fit_change,
)
from bulkformer.evaluate.perturbation_questions import ChangeSettings, TrainingChanges
from bulkformer.evaluate.seeds import fold_seed
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.tasks.perturbation_profiles import ALL, Profiles, Seen, read_profiles
from bulkformer.evaluate.tasks.perturbation_scores import PREDICTIONS, heads
from bulkformer.files import atomic

# (half of the controls that a row is asked with, half that its answer is measured against).
STRICT_TRAINING, STRICT_TEST, LEGACY = ("b", "a"), ("a", "b"), (ALL, ALL)


def perturbation(
    protocol: Annotated[str, Option(help="legacy or strict.")],
    model: Annotated[str, Option()],
    split: Annotated[Path, Option(help="Manifest of the task.")],
    treated: Annotated[Path, Option(help="Treated profiles, paired with controls.")],
    controls: Annotated[Path, Option(help="Mean control profiles.")],
    genes: Annotated[Path, Option(help="Vocabulary, genes.parquet.")],
    settings: Annotated[str, Option(help="Section perturbation of the config, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
    vectors: Annotated[
        Path | None, Option(help="What the model makes of the control profiles.")
    ] = None,
    head: Annotated[list[str] | None, Option(help="Heads in place of the protocol's own.")] = None,
) -> None:
    """Predict the change of every tested profile, out of fold."""
    chosen = json.loads(settings)
    names = head or list(heads(protocol, chosen))
    if vectors is None and (lacking := set(names) & set(NEEDS_VECTOR)):
        raise InputError(
            f"model '{model}': the head {min(lacking)} needs --vectors; give its row an embedder "
            "of control profiles, or another head"
        )
    rows = read_manifest(split, "perturbation", protocol)
    profiles = read_profiles(treated, controls, vectors, bool(set(names) & set(NEEDS_FINGERPRINT)))
    on_axis = pq.read_metadata(genes).num_rows
    about = {"genes": json.dumps(profiles.genes), "vocabulary_genes": str(on_axis)}
    about["measured_genes"] = str(profiles.n_measured)
    schema = PREDICTIONS.with_metadata(about)
    fitting = ChangeSettings(
        chosen["components"],
        chosen["neighbours"],
        tuple(chosen["legacy"]["hidden"]),
        chosen["legacy"]["epochs"],
    )
    sides = (LEGACY, LEGACY) if protocol == "legacy" else (STRICT_TRAINING, STRICT_TEST)
    training, tested = (profiles.seen_with(*side) for side in sides)
    constant = {"task": "perturbation", "protocol": protocol, "model": model, "seed": seed}
    with (
        atomic(output) as partial,
        pq.ParquetWriter(partial, schema, compression="zstd") as writer,
    ):
        for fold in _folds(split, rows, profiles):
            for name in names:
                if name == GROUND_TRUTH:
                    predicted = tested.change[fold.test]
                else:
                    learned = TrainingChanges(
                        training.take(fold.train), training.change[fold.train], fold.groups
                    )
                    which = (fold.about[key] for key in ("regime", "repeat", "fold"))
                    own_seed = fold_seed(seed, name, *which)
                    fitted = fit_change(name, learned, fitting, own_seed)
                    predicted = fitted.predict(tested.take(fold.test))
                mean = training.change[fold.train].mean(axis=0, dtype=np.float64)
                about = constant | fold.about | {"head": name}
                table = _table(profiles, tested, fold, predicted, mean, about, schema)
                writer.write_table(table, row_group_size=max(table.num_rows, 1))
    print(f"{len(profiles.table['profile_id'])} profiles", file=sys.stderr)


@dataclass(frozen=True)
class Fold:
    """Rows of one fold, and `groups` int, what binds the training rows in inner folds."""

    train: np.ndarray
    test: np.ndarray
    groups: np.ndarray
    group_of_test: list[str]
    about: dict[str, Any]


def _folds(split: Path, manifest: pa.Table, profiles: Profiles) -> list[Fold]:
    """Return the folds that are tested, by regime, repeat and number.

    Raises InputError for a profile that the task does not have.
    """
    place = {name: row for row, name in enumerate(profiles.table["profile_id"])}
    columns = {name: manifest[name].to_pylist() for name in manifest.column_names}
    absent = sorted(set(columns["unit"]) - place.keys())
    if absent:
        raise InputError(
            f"{split}: {len(absent)} profiles, first '{absent[0]}', are not among those treated; "
            "remove the file, so that the profiles are split again"
        )
    row_of = np.array([place[unit] for unit in columns["unit"]])
    group = np.array(columns["group"])
    # Of several keys any binds; inner folds hold out what the first one names.
    keys = [name.split(",") for name in columns["group"]]
    _, code = np.unique([own[0] for own in keys], return_inverse=True)
    role, number = np.array(columns["role"]), np.array(columns["fold"])
    key = list(zip(columns["dataset"], columns["regime"], columns["repeat"], strict=True))
    folds = []
    for dataset, regime, repeat in sorted(set(key)):
        here = np.array([each == (dataset, regime, repeat) for each in key])
        for fold in np.unique(number[here & (role == "test")]).tolist():
            test = np.flatnonzero(here & (number == fold))
            train = np.flatnonzero(here & (number != fold))
            if any(len(keys[row]) > 1 for row in test):
                held_out = set().union(*(keys[row] for row in test))
                train = np.array([row for row in train if held_out.isdisjoint(keys[row])])
            test, train = (rows[np.argsort(row_of[rows])] for rows in (test, train))
            about = {"dataset": dataset, "regime": regime, "repeat": repeat, "fold": fold}
            folds.append(
                Fold(row_of[train], row_of[test], code[train], group[test].tolist(), about)
            )
    return folds


def _table(
    profiles: Profiles,
    tested: Seen,
    fold: Fold,
    predicted: np.ndarray,
    mean: np.ndarray,
    constant: dict[str, Any],
    schema: pa.Schema,
) -> pa.Table:
    """Lay predictions out as rows of predictions.parquet."""
    rows = fold.test

    def text(values: list[str]) -> pa.Array:
        return pa.array(values, pa.string()).dictionary_encode()

    n = len(rows)
    lists = {
        "y_true": tested.change[rows],
        "y_pred": predicted,
        "train_mean": np.broadcast_to(mean, predicted.shape),
        "control": tested.control[rows],
    }
    named = {
        "sample_id": "profile_id",
        "compound": "compound",
        "cell_id": "cell_id",
        "controls": "controls",
        "control_set": "control_set",
    }
    arrays = []
    for field in schema:
        if field.name in lists:
            values = np.ascontiguousarray(lists[field.name], dtype=np.float32)
            flat = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
            arrays.append(flat.cast(field.type))
        elif field.name == "group":
            arrays.append(text(fold.group_of_test))
        elif field.name in ("time_h", "dose_um"):
            numbers = profiles.table[field.name]
            arrays.append(pa.array([numbers[row] for row in rows], field.type))
        elif field.name in named:
            column = profiles.table[named[field.name]]
            arrays.append(text([column[row] for row in rows]))
        elif field.name == "target_id":
            arrays.append(text(["change"] * n))
        elif pa.types.is_dictionary(field.type):
            arrays.append(text([constant[field.name]] * n))
        else:
            arrays.append(pa.array(np.full(n, constant[field.name]), field.type))
    return pa.table(arrays, schema=schema)


if __name__ == "__main__":
    command(perturbation)
