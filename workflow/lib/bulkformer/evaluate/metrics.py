"""The metrics step: every number comes from saved predictions, by one rule for all tasks.

The long table it writes is the spine of the product: a row says what was measured, on whom, with
which interval over what, from which split, and whether the model had seen the data before.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from typer import Option

import bulkformer
from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.evaluate.exposure import Ledger
from bulkformer.evaluate.splits import read_manifest
from bulkformer.evaluate.statistics import Bootstrap
from bulkformer.evaluate.task import Scoring, load_task, open_predictions
from bulkformer.evaluate.units import write_units
from bulkformer.files import library_hash, sha256, write_table

METRICS = pa.schema(
    [
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("protocol", pa.string()),
        ("regime", pa.string()),
        ("condition", pa.string()),
        ("model", pa.string()),
        ("weights", pa.string()),
        ("variant", pa.string()),
        ("pooling", pa.string()),
        ("layer", pa.string()),
        ("head", pa.string()),
        ("fold", pa.int32()),
        ("repeat", pa.int32()),
        ("group_kind", pa.string()),
        ("group", pa.string()),
        ("metric", pa.string()),
        ("aggregation", pa.string()),
        ("value", pa.float64()),
        ("n", pa.int64()),
        ("n_groups", pa.int64()),
        ("n_seeds", pa.int32()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("ci_unit", pa.string()),
        ("n_boot", pa.int32()),
        ("seed", pa.int64()),
        ("exposure", pa.string()),
        ("gene_coverage", pa.float64()),
        ("split_sha256", pa.string()),
        ("config_sha256", pa.string()),
        ("code_version", pa.string()),
    ]
)


def metrics(
    task: Annotated[str, Option()],
    protocol: Annotated[str, Option(help="legacy or strict.")],
    model: Annotated[str, Option()],
    predictions: Annotated[Path, Option(help="predictions.parquet of the model.")],
    split: Annotated[Path, Option(help="Manifest of the task.")],
    exposure: Annotated[Path, Option(help="exposure.parquet.")],
    configuration: Annotated[
        str,
        Option(help="JSON {task: its section, model: its row, pretrain: section or null}."),
    ],
    bootstrap: Annotated[int, Option(help="Resamples behind every interval.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option()],
    units: Annotated[
        Path | None, Option(help="Where scores of single units go, for paired comparisons.")
    ] = None,
) -> None:
    """Compute every metric of one model from its saved predictions, with intervals."""
    benchmark = load_task(task)
    ledger = Ledger.read(exposure)
    manifest = read_manifest(split, task, protocol)
    kinds, cohorts = {}, {}
    facts = manifest.group_by(["dataset", "regime", "group_kind", "cohort"]).aggregate([])
    for row in facts.to_pylist():
        key = row["dataset"], row["regime"]
        kinds[key] = row["group_kind"]
        cohorts.setdefault(key, set()).add(row["cohort"])

    content = _read_configuration(configuration)
    settings = content["task"]
    library = Path(bulkformer.__file__).parent
    constant = {
        "task": task,
        "protocol": protocol,
        "model": model,
        "weights": ledger.weights(model),
        **_origin(content, on_vectors=bool(benchmark.heads(protocol, settings))),
        "seed": seed,
        "split_sha256": sha256(split),
        "config_sha256": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        "code_version": f"{bulkformer.__version__}+{library_hash(library)[:12]}",
    }
    scoring = Scoring(protocol, settings, kinds, Bootstrap(bootstrap, seed))
    rows = []
    saved = open_predictions(predictions, benchmark)
    for score in _of_file(predictions, benchmark.score(saved, scoring)):
        has_interval = score.estimate.low is not None
        rows.append(
            constant
            | {name: value for name, value in vars(score).items() if name in METRICS.names}
            | {
                "value": score.estimate.value,
                "ci_low": score.estimate.low,
                "ci_high": score.estimate.high,
                "ci_unit": score.ci_unit if has_interval else None,
                "n_boot": bootstrap if has_interval else None,
                "exposure": ledger.state(model, cohorts[score.dataset, score.regime], score.regime),
            }
        )
    if units is not None:
        of_units = benchmark.units or (lambda predictions, scoring: ())
        of = {"task": task, "protocol": protocol, "model": model}
        write_units(units, of, _of_file(predictions, of_units(saved, scoring)))
    write_table(output, pa.Table.from_pylist(rows, schema=METRICS))


def _of_file(path: Path, found: Iterable[Any]) -> Iterator[Any]:
    """Yield what a task finds in open predictions; name the file, which the task does not know."""
    try:
        yield from found
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read_configuration(text: str) -> dict[str, Any]:
    """Return everything in the config that shapes the numbers of a model in a task."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--configuration: not JSON ({error}); pass one quoted value") from error
    absent = [name for name in ("task", "model", "pretrain") if name not in content]
    if absent:
        raise InputError(f"--configuration: no key '{absent[0]}'; add it (pretrain may be null)")
    return content


def _origin(content: dict[str, Any], on_vectors: bool) -> dict[str, str | None]:
    """Return variant, pooling and layer of the model that a configuration describes.

    Pooling and layer say how a sample vector was made; a task in which the model itself predicts
    (`on_vectors` false) has none. BulkFormer is built as `pretrain.model.variant` says and pooled
    from its last layer; other models have neither variants nor layers to choose from.
    """
    model = content["model"]
    is_bulkformer = model["embedder"] == "bulkformer"
    return {
        "variant": (content["pretrain"] or {}).get("model", {}).get("variant", "paper")
        if is_bulkformer
        else None,
        "pooling": json.loads(model["settings"]).get("pooling") if on_vectors else None,
        "layer": "last" if is_bulkformer and on_vectors else None,
    }


if __name__ == "__main__":
    command(metrics)
