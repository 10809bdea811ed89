"""Fits heads on the training rows of each fold and saves what they say of the rows left out.

Folds and labels come from the frozen manifest, vectors from the embed stage; rows are matched by
sample id, never by position. No number is computed here: the metrics step reads the predictions.
"""

import hashlib
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
from bulkformer.evaluate.heads import HeadSettings, TrainingRows, fit_head
from bulkformer.evaluate.records import pair, read_columns
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.tasks.disease_annotation_scores import PREDICTIONS, heads
from bulkformer.files import write_table


def disease_annotation(
    protocol: Annotated[str, Option(help="legacy or strict.")],
    model: Annotated[str, Option()],
    split: Annotated[Path, Option(help="Manifest of the task.")],
    cohort: Annotated[list[str], Option()],
    embeddings: Annotated[list[Path], Option(help="samples.parquet of the model, per cohort.")],
    settings: Annotated[str, Option(help="Section disease_annotation of the config, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
    head: Annotated[list[str] | None, Option(help="Heads in place of the protocol's own.")] = None,
) -> None:
    """Predict the label of every sample by heads that never saw its fold."""
    chosen = json.loads(settings)
    head_settings = HeadSettings(chosen["legacy"]["components"], chosen[protocol]["trees"])
    rows = read_manifest(split, "disease_annotation", protocol)
    paths = pair(cohort, embeddings, "--embeddings")
    targets = {dataset["name"]: dataset["label"] for dataset in chosen["datasets"]}
    parts = []
    for dataset in sorted(set(rows["dataset"].to_pylist())):
        manifest = rows.filter(pa.array(_is(rows["dataset"], dataset)))
        samples = _samples(manifest, paths, strict=protocol == "strict")
        for name in head or heads(protocol, chosen):
            constant = {
                "task": "disease_annotation",
                "dataset": dataset,
                "protocol": protocol,
                "regime": manifest["regime"][0].as_py(),
                "model": model,
                "head": name,
                "seed": seed,
                "target_id": targets[dataset],
                "classes": json.dumps(samples.classes),
            }
            parts += _out_of_fold(samples, manifest, name, head_settings, seed, constant)
        print(f"{dataset}: {len(samples.sample_id)} samples", file=sys.stderr)
    write_table(output, pa.concat_tables(parts).unify_dictionaries())


@dataclass(frozen=True)
class Samples:
    """The samples of a dataset, sorted by id: arrays [n], and `vectors` [n, d].

    `bound` are codes of what neither outer nor inner folds may split: the group under the strict
    protocol, the sample itself under the legacy one.
    """

    sample_id: np.ndarray
    group: np.ndarray
    study: np.ndarray
    labels: np.ndarray
    bound: np.ndarray
    vectors: np.ndarray
    classes: list[str]


def _samples(manifest: pa.Table, paths: dict[str, Path], strict: bool) -> Samples:
    """Join the units of the manifest with their vectors.

    Raises InputError if a sample has no vector, or one that is not finite.
    """
    units = manifest.filter(pa.array(manifest["repeat"].to_numpy() == 0)).sort_by("unit")
    ids = np.array(units["unit"].to_pylist())
    cohort = units["cohort"][0].as_py()
    path = paths.get(cohort)
    if path is None:
        raise InputError(f"no --embeddings for cohort '{cohort}', which the manifest names")
    columns = read_columns(path, ["sample_id"], ["study_id"])
    position = {sample_id: row for row, sample_id in enumerate(columns["sample_id"])}
    absent = [sample_id for sample_id in ids if sample_id not in position]
    if absent:
        raise InputError(
            f"{path}: {len(absent)} samples of the manifest have no vector, first '{absent[0]}'; "
            "run the embed stage again"
        )
    order = np.array([position[sample_id] for sample_id in ids])
    column = pq.read_table(path, columns=["embedding"])["embedding"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(len(column), -1)[order]
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise InputError(
            f"{path}: the vector of sample '{ids[bad[0]]}' is not finite; run the embed stage again"
        )
    group = np.array(units["group"].to_pylist())
    classes, labels = np.unique(units["stratum"].to_pylist(), return_inverse=True)
    return Samples(
        sample_id=ids,
        group=group,
        study=np.array([columns["study_id"][row] for row in order], dtype=object),
        labels=labels,
        bound=np.unique(group if strict else ids, return_inverse=True)[1],
        vectors=vectors,
        classes=classes.tolist(),
    )


def _out_of_fold(
    samples: Samples,
    manifest: pa.Table,
    head: str,
    settings: HeadSettings,
    seed: int,
    constant: dict[str, Any],
) -> list[pa.Table]:
    """Fit `head` once a fold and repeat; return the predictions of the rows left out."""
    parts = []
    for repeat in sorted(set(manifest["repeat"].to_pylist())):
        rows = manifest.filter(pa.array(manifest["repeat"].to_numpy() == repeat)).sort_by("unit")
        if rows["unit"].to_pylist() != samples.sample_id.tolist():
            raise InputError(f"the manifest's repeat {repeat} holds other samples; make it again")
        fold_of = rows["fold"].to_numpy()
        for fold in np.unique(fold_of):
            train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            training = TrainingRows(
                samples.vectors[train],
                samples.labels[train],
                samples.bound[train],
                samples.study[train],
                len(samples.classes),
            )
            fitted = fit_head(head, training, settings, _seed(seed, head, repeat, fold))
            probabilities = fitted.predict(samples.vectors[test], samples.study[test])
            about = constant | {"repeat": repeat, "fold": int(fold)}
            parts.append(_table(samples, test, probabilities, about))
    return parts


def _seed(*words: object) -> int:
    """Return a seed below 2³² that is the same for every model and differs between folds."""
    digest = hashlib.blake2b("|".join(map(str, words)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def _table(
    samples: Samples, test: np.ndarray, probabilities: np.ndarray, constant: dict[str, Any]
) -> pa.Table:
    """Lay predictions out as rows of predictions.parquet."""
    classes = np.array(samples.classes, dtype=object)
    columns = {name: [value] * len(test) for name, value in constant.items()} | {
        "sample_id": samples.sample_id[test].tolist(),
        "group": samples.group[test].tolist(),
        "study_id": samples.study[test].tolist(),
        "y_true": classes[samples.labels[test]].tolist(),
        "y_pred": classes[probabilities.argmax(axis=1)].tolist(),
        "probabilities": pa.FixedSizeListArray.from_arrays(
            pa.array(probabilities.astype(np.float32).ravel()), len(samples.classes)
        ).cast(PREDICTIONS.field("probabilities").type),
    }
    arrays = []
    for field in PREDICTIONS:
        values = columns[field.name]
        if pa.types.is_dictionary(field.type):
            arrays.append(pa.array(values, pa.string()).dictionary_encode())
        else:
            arrays.append(values if isinstance(values, pa.Array) else pa.array(values, field.type))
    return pa.table(arrays, schema=PREDICTIONS)


def _is(column: pa.ChunkedArray, value: str) -> np.ndarray:
    return np.array([each == value for each in column.to_pylist()])


if __name__ == "__main__":
    command(disease_annotation)
