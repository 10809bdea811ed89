"""A corpus of two cohorts that a tiny network learns in seconds, and runs on it that are killed.

Two programs of genes, of which every sample has another mixture; one gene that the second cohort
did not measure; studies of four samples.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from multiprocessing import forkserver, get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pretrain_faults
import pyarrow as pa

from bulkformer.expression.store import create_store
from bulkformer.files import write_table

GENES, SAMPLES = 60, 72
ABSENT = 7  # the gene that the cohort "two" did not measure
COHORTS = {"one": range(44), "two": range(44, SAMPLES)}
MODEL = {"dim": 8, "layers": 1, "heads": 2, "dropout": 0.1}
TRAINING = {
    "gene_start": "random", "epochs": 3, "effective_batch_size": 8, "learning_rate": 0.01,
    "weight_decay": 0.01, "warmup_fraction": 0.05, "schedule": "cosine", "mask_fraction": 0.15,
    "clip_gradient": 1.0,
}  # fmt: skip
VALIDATION = {"mask_fractions": [0.15, 0.5], "every_steps": None, "max_samples": 100}
EXECUTION = {"batch_size": 4, "checkpoint_minutes": 60}
SECTIONS = {"model": MODEL, "training": TRAINING, "validation": VALIDATION, "execution": EXECUTION}
# All that the bytes of a run folder rest on are settings and inputs, but for the cost.
COMPARED = (
    "model.safetensors", "config.json", "history.parquet", "provenance.json", "genes.parquet",
    "graph.parquet",
)  # fmt: skip


def split_of(number: int) -> str:
    """Every fourth study validates; of the others, every ninth sample does too."""
    if number // 4 % 4 == 0:
        return "validation"
    return "validation_samples" if number % 9 == 0 else "train"


def gene_id(number: int) -> str:
    return f"ENSG{number:011d}"


def write_corpus(folder: Path) -> Path:
    """Write stores, corpus, genes and graph."""
    rng = np.random.default_rng(3)
    level = rng.uniform(1, 6, GENES)
    loading = rng.normal(0, 1, (2, GENES))
    values = np.clip(level + rng.normal(0, 1, (SAMPLES, 2)) @ loading, 0, None).astype(np.float32)
    rows = []
    for cohort, part in COHORTS.items():
        measured = np.ones(GENES, bool)
        measured[ABSENT] = cohort == "one"
        ids = [f"s{number}" for number in part]
        block = values[list(part)].copy()
        block[:, ~measured] = np.nan
        with create_store(folder / cohort / "log_tpm.arrow", measured, "log_tpm") as writer:
            writer.write(ids, block)
        rows += [
            {"cohort": cohort, "sample_id": f"s{n}", "group": f"study_id:GSE{n // 4}",
             "study_id": f"GSE{n // 4}", "split": split_of(n)}
            for n in part
        ]  # fmt: skip
    write_table(folder / "corpus.parquet", pa.Table.from_pylist(rows))
    write_table(folder / "genes.parquet", pa.table({"gene_id": [gene_id(n) for n in range(GENES)]}))
    pairs = [(g, (g + 1) % GENES) for g in range(GENES)]
    pairs += [(b, a) for a, b in pairs]
    graph = pd.DataFrame(sorted(pairs), columns=["source", "target"]).assign(weight=1.0)
    schema = pa.schema([("source", pa.int32()), ("target", pa.int32()), ("weight", pa.float32())])
    write_table(folder / "graph.parquet", pa.Table.from_pandas(graph, schema, preserve_index=False))
    return folder


def arguments(corpus: Path, out: Path, **changes) -> dict:
    """Return the arguments of the step; `changes` are keys of any section, or arguments.

    `corpus` is the folder; `corpus_path` another corpus.parquet.
    """
    settings = {name: dict(section) for name, section in SECTIONS.items()}
    others = {}
    for key, value in changes.items():
        section = next((s for s in settings.values() if key in s), None)
        if section is None and key in ("precision", "largest_increase"):
            section = settings["training"]
        if section is None and key in ("processes", "attention", "activation_checkpointing"):
            section = settings["execution"]
        (others if section is None else section)[key] = value
    return {
        "genes": corpus / "genes.parquet",
        "corpus": corpus / "corpus.parquet",
        "graph": corpus / "graph.parquet",
        "store": [corpus / cohort / "log_tpm.arrow" for cohort in COHORTS],
        "folder": out / "run",
        "state": out / "state",
        "seed": 1,
        "revision": 1,
        **{name: json.dumps(section) for name, section in settings.items()},
        **{"corpus" if key == "corpus_path" else key: value for key, value in others.items()},
    }


# Runs are compared bit by bit, and sums depend on the number of threads, which `start` sets to one.
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def command(corpus: Path, out: Path, **changes) -> list[str]:
    """Return the command line of the step."""
    words = []
    for key, value in arguments(corpus, out, **changes).items():
        for item in value if isinstance(value, list) else [value]:
            words += [f"--{key.replace('_', '-')}={item}"] if item is not None else []
    return [sys.executable, "-m", "bulkformer.pretrain.train", *words]


def train(corpus: Path, out: Path, **changes) -> subprocess.CompletedProcess:
    """Run the step in a process of its own, to its end."""
    return subprocess.run(
        command(corpus, out, **changes), capture_output=True, text=True, check=False, env=ONE_THREAD
    )


# Starting Python with torch takes seconds; a server that has loaded them forks in a moment. It has
# computed nothing, so that no thread is lost in the fork.
SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(["pretrain_preload"])


def start_server() -> None:
    """Start the server where it finds what to load: it knows the environment, not sys.path."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    forkserver.ensure_running()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def start(corpus: Path, out: Path, points: str = "", said: Path | None = None, **changes):
    """Start the step in a fresh process, which writes what it says to `said` (out / "said").

    `points` name functions of `pretrain_faults` to be called first, as "function:argument".
    """
    start_server()
    out.mkdir(parents=True, exist_ok=True)
    keywords = arguments(corpus, out, **changes)
    process = SERVER.Process(target=_run, args=(keywords, points, out, said or out / "said"))
    process.start()
    return process


def finish(corpus: Path, out: Path, points: str = "", **changes) -> str:
    """Run the step to its end in a fresh process and return what it said."""
    process = start(corpus, out, points, **changes)
    process.join()
    said = (out / "said").read_text()
    assert process.exitcode == 0, said
    return said


def _run(keywords: dict, points: str, out: Path, said: Path) -> None:
    import torch

    from bulkformer.model import cost
    from bulkformer.pretrain.train import train as step

    cost.matrix_rate = lambda device, dtype: 1e11  # measuring it takes longer than such a run

    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.chdir(out)
    torch.set_num_threads(1)
    for point in points.split():
        name, _, argument = point.partition(":")
        getattr(pretrain_faults, name)(argument)
    from bulkformer.errors import InputError

    try:
        step(**keywords)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
