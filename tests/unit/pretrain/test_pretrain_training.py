"""Training learns, resumes bit for bit, and stops with a reason."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from safetensors.numpy import load_file

from bulkformer.expression.store import create_store
from bulkformer.files import write_table
from bulkformer.pretrain.batches import CorpusSamples, epoch_order, gene_mean

GENES, SAMPLES = 60, 64
LEARNING = {
    "epochs": 40,
    "dropout": 0.0,
    "dim": 16,
    "accumulate": 1,
    "gene_start": "principal_components",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two programs, one of which every sample mixes differently; two cohorts; one absent gene."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(3)
    level = rng.uniform(1, 6, GENES)
    loading = rng.normal(0, 1, (2, GENES))
    values = np.clip(level + rng.normal(0, 1, (SAMPLES, 2)) @ loading, 0, None).astype(np.float32)
    rows = []
    for cohort, part in (("one", range(40)), ("two", range(40, SAMPLES))):
        measured = np.ones(GENES, bool)
        measured[7] = cohort == "one"
        ids = [f"s{number}" for number in part]
        block = values[list(part)].copy()
        block[:, ~measured] = np.nan
        with create_store(folder / cohort / "log_tpm.arrow", measured, "log_tpm") as writer:
            writer.write(ids, block)
        splits = ["validation" if number % 4 == 0 else "train" for number in part]
        rows += [
            {"cohort": cohort, "sample_id": i, "group": i, "study_id": None, "split": s}
            for i, s in zip(ids, splits, strict=True)
        ]
    write_table(folder / "corpus.parquet", pa.Table.from_pylist(rows))
    write_table(
        folder / "genes.parquet",
        pa.table({"gene_id": [f"ENSG{number:011d}" for number in range(GENES)]}),
    )
    pairs = [(g, (g + 1) % GENES) for g in range(GENES)]
    pairs += [(b, a) for a, b in pairs]
    graph = pd.DataFrame(sorted(pairs), columns=["source", "target"]).assign(weight=1.0)
    schema = pa.schema([("source", pa.int32()), ("target", pa.int32()), ("weight", pa.float32())])
    write_table(folder / "graph.parquet", pa.Table.from_pandas(graph, schema, preserve_index=False))
    return folder


def command(corpus: Path, out: Path, **changes) -> list[str]:
    settings = {
        "dim": 8, "layers": 1, "heads": 2, "dropout": 0.1, "epochs": 4, "batch_size": 4,
        "gene_start": "random",
        "accumulate": 2, "learning_rate": 0.01, "weight_decay": 0.01, "warmup_fraction": 0.05,
        "schedule": "cosine", "mask_fraction": 0.15, "clip_gradient": 1.0,
        "checkpoint_minutes": 60, "seed": 1, "revision": 1,
    } | changes  # fmt: skip
    options = {
        "genes": corpus / "genes.parquet",
        "corpus": corpus / "corpus.parquet",
        "graph": corpus / "graph.parquet",
        "folder": out / "run",
        "state": out / "state",
    } | settings
    words = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    words += [f"--store={corpus / cohort / 'log_tpm.arrow'}" for cohort in ("one", "two")]
    return [sys.executable, "-m", "bulkformer.pretrain.train", *words]


def train(corpus: Path, out: Path, **changes) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(corpus, out, **changes), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def uninterrupted(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    run = train(corpus, out)
    assert run.returncode == 0, run.stderr
    return out


def kill_after_first_checkpoint(corpus: Path, out: Path, number: int) -> int:
    """Start a run that saves after every step, and send it a signal once it has saved."""
    process = subprocess.Popen(
        command(corpus, out, checkpoint_minutes=1e-9),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(out.glob("state/*/last.pt")):
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, number)
    return process.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_a_killed_run_resumes_and_ends_bit_identical(corpus, uninterrupted, tmp_path, number):
    status = kill_after_first_checkpoint(corpus, tmp_path, number)
    assert status == (-signal.SIGKILL if number == signal.SIGKILL else 75)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    resumed = train(corpus, tmp_path)
    assert "resumed at step" in resumed.stderr
    for name in ("model.safetensors", "history.parquet", "provenance.json", "config.json"):
        assert (tmp_path / "run" / name).read_bytes() == (
            uninterrupted / "run" / name
        ).read_bytes(), name


def test_a_changed_setting_never_continues_a_stale_state(corpus, tmp_path):
    kill_after_first_checkpoint(corpus, tmp_path, signal.SIGTERM)
    other = train(corpus, tmp_path, learning_rate=0.02, epochs=1)
    assert other.returncode == 0
    assert "resumed" not in other.stderr


def test_changed_values_never_continue_a_stale_state(corpus, tmp_path):
    kill_after_first_checkpoint(corpus, tmp_path, signal.SIGTERM)
    table = pd.read_parquet(corpus / "corpus.parquet").assign(log_tpm_sha256="another store")
    table.to_parquet(tmp_path / "corpus.parquet")
    other = subprocess.run(
        [*command(corpus, tmp_path, epochs=1), f"--corpus={tmp_path / 'corpus.parquet'}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert other.returncode == 0, other.stderr
    assert "resumed" not in other.stderr


def test_a_signal_to_the_whole_job_still_saves_through_the_pipe_of_the_rule(corpus, root, tmp_path):
    rule = (root / "workflow/rules/pretrain.smk").read_text()
    pipe = re.search(r"\" (\| .*tee) \{log\}", rule).group(1)
    words = command(corpus, tmp_path, checkpoint_minutes=1e-9, epochs=500)
    line = f"set -euo pipefail; {shlex.join(words)} 2>&1 {pipe} {tmp_path / 'log'})"
    process = subprocess.Popen(
        ["bash", "-c", line], stdout=subprocess.DEVNULL, start_new_session=True
    )
    while not list(tmp_path.glob("state/*/last.pt")):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()
    deadline = time.monotonic() + 30
    while "stopped on request" not in (tmp_path / "log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_model_learns_more_than_the_gene_mean(corpus, tmp_path):
    run = train(corpus, tmp_path, **LEARNING)
    assert run.returncode == 0, run.stderr
    provenance = pd.read_json(tmp_path / "run" / "provenance.json", typ="series")
    assert provenance["best_validation_loss"] < 0.9 * provenance["gene_mean_validation_loss"]


def test_history_has_every_step_and_one_validation_an_epoch(uninterrupted):
    history = pd.read_parquet(uninterrupted / "run" / "history.parquet")
    assert (history["split"] == "train").sum() == 4 * 6  # 48 training samples, 8 a step
    assert (history["split"] == "validation").sum() == 4
    assert history.loc[history["split"] == "train", "step"].tolist() == list(range(1, 25))


def test_the_run_folder_holds_all_that_inference_needs(uninterrupted):
    names = {path.name for path in (uninterrupted / "run").iterdir()}
    assert names >= {"model.safetensors", "config.json", "genes.parquet", "graph.parquet"}
    assert all(
        np.isfinite(t).all() for t in load_file(uninterrupted / "run/model.safetensors").values()
    )


def test_a_loss_that_is_not_finite_names_the_samples(corpus, tmp_path):
    run = train(corpus, tmp_path, learning_rate=1e30, clip_gradient=1e30)
    assert run.returncode == 1
    assert "the loss is not finite at step" in run.stderr
    assert "learning_rate" in run.stderr
    assert "samples s" in run.stderr


def test_a_corpus_without_validation_samples_stops_before_training(corpus, tmp_path):
    table = pd.read_parquet(corpus / "corpus.parquet").assign(split="train")
    table.to_parquet(tmp_path / "corpus.parquet")
    run = subprocess.run(
        [*command(corpus, tmp_path), f"--corpus={tmp_path / 'corpus.parquet'}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "no sample has split 'validation'" in run.stderr


def test_batches_hold_the_samples_that_were_asked_for(corpus):
    stores = [corpus / cohort / "log_tpm.arrow" for cohort in ("one", "two")]
    samples = CorpusSamples(pd.read_parquet(corpus / "corpus.parquet"), stores, "validation")
    assert samples.sample_ids == [f"s{number}" for number in range(0, SAMPLES, 4)]
    values = samples.read([0, 15, 3])
    assert values[1].isnan().nonzero().flatten().tolist() == [7]  # the gene that "two" lacks
    assert not values[[0, 2]].isnan().any()


def test_the_gene_mean_is_taken_over_samples_that_measured_the_gene(corpus):
    stores = [corpus / cohort / "log_tpm.arrow" for cohort in ("one", "two")]
    samples = CorpusSamples(pd.read_parquet(corpus / "corpus.parquet"), stores, "train")
    values = samples.read(np.arange(len(samples))).numpy()
    assert np.allclose(gene_mean(samples, 5), np.nanmean(values, axis=0), atol=1e-6)


def test_epochs_are_shuffled_differently_and_completely():
    first, second = epoch_order(50, 1, 0), epoch_order(50, 1, 1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert list(first) != list(second)
