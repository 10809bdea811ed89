"""Fits heads on the training pairs of each fold and saves what they say of the pairs left out.

Lines, screens and compounds are matched by id, never by position. Beside every prediction stand
what the training pairs alone expect of it: the mean of the drug, and that of drug and line. No
number is computed here: the metrics step reads the predictions.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.response_data import Responses, Tables, read_responses
from bulkformer.evaluate.response_heads import head_named
from bulkformer.evaluate.response_inputs import (
    Inputs,
    most_screened,
    panel_columns,
    read_inputs,
)
from bulkformer.evaluate.response_pairs import (
    SEEN_DRUGS,
    UNSEEN_DRUGS,
    HeadSettings,
    TrainingPairs,
    fit_means,
)
from bulkformer.evaluate.seeds import fold_seed
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.tasks.drug_response_scores import PREDICTIONS, heads
from bulkformer.evaluate.tasks.drug_response_split import PAIR, TASK
from bulkformer.files import write_table

TARGET = {"legacy": "drug_id", "strict": "screen_id"}  # the paper averages screens of a drug


def drug_response(
    protocol: Annotated[str, Option(help="legacy or strict.")],
    model: Annotated[str, Option()],
    embedder: Annotated[str, Option(help="What made the vectors, as in the models table.")],
    split: Annotated[Path, Option(help="Manifest of the task.")],
    response: Annotated[Path, Option(help="response.parquet.")],
    drugs: Annotated[Path, Option(help="drugs.parquet.")],
    cell_lines: Annotated[Path, Option(help="cell_lines.parquet.")],
    embeddings: Annotated[Path, Option(help="samples.parquet of the model, of the cohort.")],
    settings: Annotated[str, Option(help="Section drug_response of the config, as JSON.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
    head: Annotated[list[str] | None, Option(help="Heads in place of the protocol's own.")] = None,
    genes: Annotated[Path | None, Option(help="Vocabulary, for a panel.")] = None,
    panel: Annotated[Path | None, Option(help="List of genes that panel_ridge sees.")] = None,
) -> None:
    """Predict the response of every pair by heads that never saw its fold."""
    chosen = json.loads(settings)
    names = list(head or heads(protocol, chosen))
    manifest = read_manifest(split, TASK, protocol)
    regimes = sorted(set(manifest["regime"].to_pylist()))
    if not any(head_named(name).regimes.intersection(regimes) for name in names):
        raise InputError(
            f"model '{model}': none of its heads {', '.join(names)} serves {', '.join(regimes)}, "
            f"the regimes of the {protocol} protocol; name one that does in the column heads of "
            "the models table"
        )
    data = read_responses(Tables(response, drugs, cell_lines, embeddings), chosen, TARGET[protocol])
    inputs = read_inputs(data, embeddings, chosen["fingerprint_bits"])
    if any(head_named(name).on_panel for name in names):
        dimension = inputs.lines.vectors.shape[1]
        inputs = replace(inputs, panel=panel_columns(genes, panel, embedder, dimension))
    if chosen["single_targets"] is not None:
        inputs = replace(inputs, most_screened=most_screened(data, chosen["single_targets"]))
    head_settings = HeadSettings(
        chosen["strict"]["components"],
        chosen["strict"]["trees"],
        **{key: chosen["legacy"][key] for key in ("hidden", "epochs", "learning_rate")},
        batch_size=chosen["legacy"]["batch_size"],
    )
    parts = []
    for regime in regimes:
        rows = manifest.filter(
            pa.array([each == regime for each in manifest["regime"].to_pylist()])
        )
        for repeat in sorted(set(rows["repeat"].to_pylist())):
            of_repeat = rows.filter(pa.array(rows["repeat"].to_numpy() == repeat))
            grid = _grid(of_repeat, regime, data, split)
            for name in names:
                if regime not in head_named(name).regimes:
                    continue
                about = {
                    "task": TASK,
                    "dataset": chosen["dataset"],
                    "protocol": protocol,
                    "regime": regime,
                    "model": model,
                    "head": name,
                    "repeat": repeat,
                    "seed": seed,
                }
                parts += _out_of_fold(data, inputs, grid, head_settings, about)
        print(f"{regime}: {rows.num_rows} rows of the manifest", file=sys.stderr)
    write_table(output, pa.concat_tables(parts).unify_dictionaries())


@dataclass(frozen=True)
class Grid:
    """The fold in which a pair is tested, int [n, t], -1 for a pair outside the manifest.

    `group` are its group [n, t], as indices of `names`.
    """

    fold: np.ndarray
    group: np.ndarray
    names: list[str]


def _grid(rows: pa.Table, regime: str, data: Responses, split: Path) -> Grid:
    """Say of every pair of the data in which fold it is tested."""
    names = sorted(set(rows["group"].to_pylist()))
    code = {name: number for number, name in enumerate(names)}
    units, folds = rows["unit"].to_pylist(), rows["fold"].to_numpy()
    groups = np.array([code[name] for name in rows["group"].to_pylist()])
    place_of = {
        "line": {line: row for row, line in enumerate(data.line)},
        "target": {target: column for column, target in enumerate(data.target)},
    }
    fold = np.full((len(data.line), len(data.target)), -1)
    group = np.zeros(fold.shape, dtype=np.int64)
    columns_of: dict[str, list[int]] = {}
    for column, drug in enumerate(data.drug):
        columns_of.setdefault(drug, []).append(column)
    for unit, number, own in zip(units, folds, groups, strict=True):
        line, _, target = unit.rpartition(PAIR)
        try:
            if regime == "random_pairs":
                where = place_of["line"][line], place_of["target"][target]
            elif regime == "held_out_scaffolds":
                where = slice(None), columns_of[unit]
            else:
                where = place_of["line"][unit], slice(None)
        except KeyError as error:
            raise InputError(
                f"{split}: unit '{unit}' of {regime} is not in the tables ({error} is unknown); "
                "make the split again"
            ) from error
        fold[where], group[where] = number, own
    return Grid(fold, group, names)


def _out_of_fold(
    data: Responses, inputs: Inputs, grid: Grid, settings: HeadSettings, about: dict[str, Any]
) -> Iterator[pa.Table]:
    """Fit the head once a fold and measure; yield the predictions of the pairs left out."""
    head = head_named(about["head"])
    lines, regime = inputs.lines, about["regime"]
    if head.shuffles_lines:
        lines = inputs.with_exchanged_vectors(about["seed"], about["repeat"])
    if head.on_panel:
        lines = replace(lines, vectors=lines.vectors[:, inputs.panel])
    if regime in SEEN_DRUGS:  # inner folds hold out what the outer ones do: patients, or tissues
        lines = replace(lines, group=grid.group[:, 0])
    held_out = "lines" if regime in SEEN_DRUGS else "drugs" if regime in UNSEEN_DRUGS else "pairs"
    for measure, response in data.values.items():
        if head.one_by_one and inputs.most_screened is not None:
            response = np.where(inputs.most_screened, response, np.nan)
        for fold in range(int(grid.fold.max()) + 1):
            tested = (grid.fold == fold) & np.isfinite(response)
            if not tested.any():
                continue
            train = np.where((grid.fold >= 0) & (grid.fold != fold), response, np.nan)
            rows, columns = (np.flatnonzero(np.isfinite(train).any(axis=axis)) for axis in (1, 0))
            pairs = TrainingPairs(
                lines.take(rows),
                inputs.screens.take(columns),
                train[np.ix_(rows, columns)],
                held_out,
            )
            seed = fold_seed(about["seed"], about["repeat"], fold)
            fitted = head.fit(pairs, settings, seed)
            asked_rows, asked_columns = (np.flatnonzero(tested.any(axis=axis)) for axis in (1, 0))
            if regime not in UNSEEN_DRUGS:
                # Of a drug that was screened on one tissue only, holding that out leaves nothing.
                lost = np.setdiff1d(asked_columns, columns)
                if len(lost):
                    print(
                        f"{regime}, fold {fold}: left out {len(lost)} of "
                        f"{len(asked_columns)} screens, which no training line was screened in",
                        file=sys.stderr,
                    )
                asked_columns = np.intersect1d(asked_columns, columns)
            asked = lines.take(asked_rows), inputs.screens.take(asked_columns)
            place = np.ix_(asked_rows, asked_columns)
            column, row = np.nonzero(tested[place].T)
            told = {
                "y_pred": fitted.predict(*asked),
                "train_mean": fit_means(pairs, ["screen"]).predict(*asked),
                "additive": fit_means(pairs, ["screen", "line"]).predict(*asked),
                "y_true": response[place],
            }
            values = {name: matrix[row, column] for name, matrix in told.items()}
            chosen = asked_rows[row], asked_columns[column]
            of_fold = {"measure": measure, "fold": fold, "tuning_trials": head.trials}
            yield _table(data, grid, chosen, values, about | of_fold)


def _table(
    data: Responses,
    grid: Grid,
    chosen: tuple[np.ndarray, np.ndarray],
    values: dict[str, np.ndarray],
    about: dict[str, Any],
) -> pa.Table:
    """Lay predictions out as rows of predictions.parquet, drug by drug."""
    rows, columns = chosen
    coded = {
        "sample_id": (rows, data.sample_id),
        "target_id": (columns, data.target),
        "drug_id": (columns, data.drug),
        "group": (grid.group[chosen], grid.names),
    }
    arrays = []
    for field in PREDICTIONS:
        if field.name in coded:
            codes, names = coded[field.name]
            used, codes = np.unique(codes, return_inverse=True)
            dictionary = pa.array([names[code] for code in used], pa.string())
            arrays.append(pa.DictionaryArray.from_arrays(codes.astype(np.int32), dictionary))
        elif pa.types.is_dictionary(field.type):
            codes = pa.array(np.zeros(len(rows), dtype=np.int32))
            arrays.append(pa.DictionaryArray.from_arrays(codes, [about[field.name]]))
        elif field.name in values:
            arrays.append(pa.array(values[field.name].astype(np.float32)))
        else:
            arrays.append(pa.array(np.full(len(rows), about[field.name]), field.type))
    return pa.table(arrays, schema=PREDICTIONS)


if __name__ == "__main__":
    command(drug_response)
