"""Fits heads on the training rows of each fold and saves what they say of the rows left out.

Folds and labels come from the frozen manifest, vectors from the embed stage; rows are matched by
sample id, never by position. No number is computed here: the metrics step reads the predictions.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.heads import HeadSettings
from bulkformer.evaluate.records import pair
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.tasks.disease_annotation_fits import (
    PERMUTED,
    Fit,
    list_fits,
    run_fits,
)
from bulkformer.evaluate.tasks.disease_annotation_further import (
    FEW_SHOT,
    PROBE,
    STUDIES,
    probe_name,
)
from bulkformer.evaluate.tasks.disease_annotation_samples import read_samples
from bulkformer.evaluate.tasks.disease_annotation_scores import PREDICTIONS, heads
from bulkformer.files import write_table

TASK = "disease_annotation"
# A model with heads of its own has the same vectors as one without: few-shot curves, held-out
# studies and probes, which ask about vectors, would say nothing new of it. These heads are asked
# nevertheless, as they say what knowing nothing scores; permuted labels are none to probe for.
CONTROLS = ("majority", PERMUTED)


def disease_annotation(
    protocol: Annotated[list[str], Option(help="legacy, strict or both.")],
    model: Annotated[str, Option()],
    split: Annotated[Path, Option(help="Manifest of the task.")],
    cohort: Annotated[list[str], Option()],
    embeddings: Annotated[list[Path], Option(help="samples.parquet of the model, per cohort.")],
    settings: Annotated[str, Option(help="Section disease_annotation of the config, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[list[Path], Option(help="predictions.parquet, one a protocol.")],
    head: Annotated[list[str] | None, Option(help="Heads in place of the protocol's own.")] = None,
    threads: Annotated[int, Option(help="Processes that share the fits, if they are many.")] = 1,
    memory_mb: Annotated[
        int | None, Option(help="What they may take together; fewer run if one takes much.")
    ] = None,
) -> None:
    """Predict the label of every sample by heads that never saw its fold."""
    chosen, paths = json.loads(settings), pair(cohort, embeddings, "--embeddings")
    if len(protocol) != len(output):
        raise InputError(f"{len(protocol)} --protocol and {len(output)} --output; give as many")
    # One process for both: loading scikit-learn takes as long as the fits of a small cohort.
    for one, path in zip(protocol, output, strict=True):
        fits, about = _fits(one, split, paths, chosen, seed, head)
        answers = run_fits(fits, _head_settings(one, chosen), threads, memory_mb)
        constant = {"task": TASK, "protocol": one, "model": model, "seed": seed}
        parts = []
        for (fit, probabilities, trials), place in zip(answers, about, strict=True):
            parts += _tables(fit, probabilities, constant | place | {"tuning_trials": trials})
        write_table(path, pa.concat_tables(parts).unify_dictionaries())


def _head_settings(protocol: str, chosen: Mapping[str, Any]) -> HeadSettings:
    return HeadSettings(
        chosen["legacy"]["components"], chosen[protocol]["trees"], chosen["variable_genes"]
    )


def _fits(
    protocol: str,
    split: Path,
    paths: Mapping[str, Path],
    chosen: Mapping[str, Any],
    seed: int,
    head: Sequence[str] | None,
) -> tuple[list[Fit], list[dict[str, str]]]:
    """Return the fits of one protocol, and of each the dataset and what it predicts."""
    rows = read_manifest(split, TASK, protocol)
    fits, about = [], []
    known = rows.group_by(["dataset", "regime"]).aggregate([]).to_pylist()
    places = sorted((place["dataset"], place["regime"]) for place in known)
    for dataset, regime in places:
        wanted, few_shot = _heads(protocol, regime, chosen, head)
        if not wanted or regime == FEW_SHOT:  # fitted together with the grouped folds
            continue
        manifest = rows.filter(
            pc.and_(pc.equal(rows["dataset"], dataset), pc.equal(rows["regime"], regime))
        )
        if (dataset, FEW_SHOT) not in places:
            few_shot = {}
        samples = read_samples(manifest, paths, strict=protocol == "strict")
        own = list(list_fits(samples, manifest, regime, wanted, few_shot, seed, split))
        fits += own
        about += [{"dataset": dataset, "target_id": _target(chosen, dataset, regime)}] * len(own)
        print(f"{dataset}, {regime}: {len(samples.row)} samples, {len(own)} fits", file=sys.stderr)
    return fits, about


def _heads(
    protocol: str, regime: str, chosen: Mapping[str, Any], own: Sequence[str] | None
) -> tuple[Sequence[str], dict[str, Sequence[float]]]:
    """Return the heads of a regime, and which of them meets which shares of training groups."""
    further = [head for head in own if head in CONTROLS] if own else [chosen["further"]["head"]]
    if regime.startswith(PROBE):
        return [head for head in further if head != PERMUTED], {}
    if regime == STUDIES:
        return further, {}
    shares = chosen["further"]["few_shot"] if protocol == "strict" else []
    few_shot = dict.fromkeys(further, shares) if shares else {}
    return own or heads(protocol, chosen), few_shot


def _target(chosen: Mapping[str, Any], dataset: str, regime: str) -> str:
    """Return the sample column that is predicted: what is probed for, or the label."""
    probed = {probe_name(column): column for column in chosen["further"]["probes"]}
    labels = {each["name"]: each["label"] for each in chosen["datasets"]}
    if dataset not in labels:
        raise InputError(
            f"the manifest has a dataset '{dataset}', evaluate.disease_annotation.datasets only "
            f"{', '.join(labels)}; make the split again"
        )
    return probed.get(regime, labels[dataset])


def _tables(fit: Fit, probabilities: np.ndarray, constant: dict[str, Any]) -> list[pa.Table]:
    """Lay predictions out as rows of predictions.parquet, once a condition that they answer."""
    samples, test = fit.samples, fit.test
    classes = np.array(samples.classes, dtype=object)
    constant |= {
        "head": fit.head,
        "repeat": fit.repeat,
        "fold": fit.fold,
        "classes": json.dumps(samples.classes),
    }
    columns = {name: [value] * len(test) for name, value in constant.items()} | {
        "sample_id": samples.sample_id[test].tolist(),
        "group": samples.group[test].tolist(),
        "study_id": samples.study[test].tolist(),
        "tissue": samples.tissue[test].tolist(),
        "y_true": classes[samples.labels[test]].tolist(),
        "y_pred": classes[probabilities.argmax(axis=1)].tolist(),
        "probabilities": pa.FixedSizeListArray.from_arrays(
            pa.array(probabilities.ravel()), len(samples.classes)
        ).cast(PREDICTIONS.field("probabilities").type),
    }
    tables = []
    for regime, condition in fit.places:
        columns |= {"regime": [regime] * len(test), "condition": [condition] * len(test)}
        arrays = []
        for field in PREDICTIONS:
            values = columns[field.name]
            if pa.types.is_dictionary(field.type):
                arrays.append(pa.array(values, pa.string()).dictionary_encode())
            else:
                is_array = isinstance(values, pa.Array)
                arrays.append(values if is_array else pa.array(values, field.type))
        tables.append(pa.table(arrays, schema=PREDICTIONS))
    return tables


if __name__ == "__main__":
    command(disease_annotation)
