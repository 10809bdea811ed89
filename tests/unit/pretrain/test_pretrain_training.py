"""Training learns, stops with a reason, and leaves a folder that inference needs nothing beside."""

import json
import os
import re
import shlex
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
from pretrain_world import (
    ABSENT,
    COHORTS,
    COMPARED,
    GENES,
    ONE_THREAD,
    SAMPLES,
    command,
    finish,
    gene_id,
    split_of,
    start,
    train,
    write_corpus,
)
from safetensors.numpy import load_file

from bulkformer.pretrain.batches import CorpusSamples

LEARNING = {
    "epochs": 40,
    "effective_batch_size": 4,
    "dropout": 0.0,
    "dim": 16,
    "gene_start": "principal_components",
}
OFTEN = 1e-9  # minutes: state is saved after every step


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def uninterrupted(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    run = train(corpus, out)
    assert run.returncode == 0, run.stderr
    return out


def stopped_with(corpus, out, **changes) -> str:
    """Run the step to its end, which is an InputError, and return its message."""
    process = start(corpus, out, **changes)
    process.join()
    said = (out / "said").read_text()
    assert process.exitcode == 1, said
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_that_is_asked_to_stop_saves_and_ends_bit_identical(
    corpus, uninterrupted, tmp_path, number
):
    process = subprocess.Popen(
        command(corpus, tmp_path, checkpoint_minutes=OFTEN),
        env=ONE_THREAD,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(tmp_path.glob("state/*/last.pt")):
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, number)
    assert process.wait() == 75
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert "resumed at step" in finish(corpus, tmp_path)
    for name in COMPARED:
        assert (tmp_path / "run" / name).read_bytes() == (
            uninterrupted / "run" / name
        ).read_bytes(), name


def test_a_changed_setting_never_continues_a_stale_state(corpus, tmp_path):
    start(corpus, tmp_path, "kill_in_step:9").join()
    assert list(tmp_path.glob("state/*/last.pt"))
    assert "resumed" not in finish(corpus, tmp_path, learning_rate=0.02, epochs=1)
    assert "resumed" not in finish(corpus, tmp_path, max_samples=3)
    assert "resumed" not in finish(corpus, tmp_path, revision=2, epochs=1)


def test_changed_values_never_continue_a_stale_state(corpus, tmp_path):
    start(corpus, tmp_path, "kill_in_step:9").join()
    table = pd.read_parquet(corpus / "corpus.parquet").assign(log_tpm_sha256="another store")
    table.to_parquet(tmp_path / "corpus.parquet")
    assert "resumed" not in finish(corpus, tmp_path, corpus_path=tmp_path / "corpus.parquet")


def test_a_signal_to_the_whole_job_still_saves_through_the_pipe_of_the_rule(corpus, root, tmp_path):
    rule = (root / "workflow/rules/pretrain.smk").read_text()
    pipe = re.search(r"\" (\| .*tee -a) \{log\}", rule).group(1)
    words = command(corpus, tmp_path, checkpoint_minutes=OFTEN, epochs=500)
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
    finish(corpus, tmp_path, **LEARNING)
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert provenance["best_validation_loss"] < 0.9 * provenance["gene_mean_validation_loss"]


def test_history_has_every_step_and_each_validation_at_each_share(uninterrupted):
    history = pd.read_parquet(uninterrupted / "run" / "history.parquet")
    steps = history[history["split"] == "train"]
    assert steps["step"].tolist() == list(range(1, 19))  # 46 training samples, 8 a step, 3 epochs
    assert steps["mask_fraction"].isna().all()
    assert steps["epoch"].tolist() == [epoch for epoch in range(3) for _ in range(6)]
    looks = history[history["split"] != "train"]
    assert set(zip(looks["split"], looks["mask_fraction"], looks["step"], strict=True)) == {
        (split, share, step)
        for split in ("validation", "validation_samples")
        for share in (0.15, 0.5)
        for step in (6, 12, 18)
    }


def test_the_provenance_says_which_loss_selected_and_what_the_gene_mean_reaches(uninterrupted):
    provenance = json.loads((uninterrupted / "run" / "provenance.json").read_text())
    history = pd.read_parquet(uninterrupted / "run" / "history.parquet")
    selecting = history[
        (history["split"] == "validation")
        & (history["mask_fraction"] == provenance["selecting_mask_fraction"])
    ]
    assert provenance["best_validation_loss"] == selecting["loss"].min()
    assert provenance["best_step"] == selecting.set_index("step")["loss"].idxmin()
    floors = pd.DataFrame(provenance["gene_mean_losses"]).set_index(["split", "mask_fraction"])
    assert len(floors) == 4
    assert floors["loss"]["validation", 0.15] == provenance["gene_mean_validation_loss"]
    assert provenance["training_samples"] == 46
    assert provenance["mode"] == "train"


@pytest.mark.parametrize(
    "execution",
    [{"activation_checkpointing": True}, {"attention": "performer_pytorch"}, {"batch_size": 8}],
)
def test_the_way_of_computing_changes_nothing_beyond_rounding(corpus, tmp_path, execution):
    found = []
    for name, changes in (("usual", {}), ("other", execution)):
        finish(corpus, tmp_path / name, epochs=1, dropout=0.0, **changes)
        history = pd.read_parquet(tmp_path / name / "run" / "history.parquet")
        found.append(history["loss"].to_numpy())
    np.testing.assert_allclose(*found, rtol=1e-3)


def test_the_latest_network_trains_in_bfloat16_with_a_share_hidden_for_each_sample(
    corpus, tmp_path
):
    shape = {"variant": "latest", "dim": 8, "layers": 2, "heads": 2, "features": 8, "graph_dim": 4}
    finish(
        corpus, tmp_path, model=json.dumps(shape), precision="bfloat16",
        mask_fraction=[0.05, 0.15], every_steps=4,
    )  # fmt: skip
    weights = load_file(tmp_path / "run/model.safetensors")
    assert {tensor.dtype.name for tensor in weights.values()} <= {"float32", "int64"}
    history = pd.read_parquet(tmp_path / "run" / "history.parquet").query("split == 'validation'")
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]


def test_validation_every_few_steps_ends_with_the_last_step(corpus, tmp_path):
    finish(corpus, tmp_path, every_steps=7)
    history = pd.read_parquet(tmp_path / "run" / "history.parquet")
    assert history.loc[history["split"] == "validation", "step"].unique().tolist() == [7, 14, 18]


def test_a_corpus_without_samples_beside_training_trains_without_that_curve(corpus, tmp_path):
    table = pd.read_parquet(corpus / "corpus.parquet")
    table["split"] = table["split"].replace("validation_samples", "train")
    table.to_parquet(tmp_path / "corpus.parquet")
    finish(corpus, tmp_path, corpus_path=tmp_path / "corpus.parquet", epochs=1)
    history = pd.read_parquet(tmp_path / "run" / "history.parquet")
    assert set(history["split"]) == {"train", "validation"}


def test_the_run_folder_holds_all_that_inference_needs(uninterrupted):
    names = {path.name for path in (uninterrupted / "run").iterdir()}
    assert names == {*COMPARED, "cost.parquet"}
    weights = load_file(uninterrupted / "run/model.safetensors")
    assert all(np.isfinite(tensor).all() for tensor in weights.values())
    config = json.loads((uninterrupted / "run/config.json").read_text())
    assert {"settings", "mode", "prediction_start", "licence"} == set(config["training"])


def test_training_goes_on_from_another_run_on_its_genes_and_graph(corpus, uninterrupted, tmp_path):
    """The stores have the genes of the run in another order, less one and with one more."""
    finish(corpus, tmp_path / "same", start=uninterrupted / "run", graph=None, epochs=1)
    before, after = (
        pd.read_parquet(folder / "run" / "history.parquet").query("split == 'validation'")["loss"]
        for folder in (uninterrupted, tmp_path / "same")
    )
    assert after.iloc[0] < before.iloc[0]
    config = json.loads((tmp_path / "same/run/config.json").read_text())
    assert config["training"]["mode"] == "fine-tune"

    names = [gene_id(number) for number in range(1, GENES)] + ["ENSG00000999999"]
    pd.DataFrame({"gene_id": names}).to_parquet(tmp_path / "genes.parquet")
    finish(
        corpus, tmp_path / "other", start=uninterrupted / "run", graph=None, epochs=1,
        genes=tmp_path / "genes.parquet",
    )  # fmt: skip
    kept = pd.read_parquet(tmp_path / "other/run/genes.parquet")["gene_id"].tolist()
    assert kept == [gene_id(number) for number in range(GENES)]


def test_a_run_needs_a_graph_or_a_run_to_go_on_from(corpus, uninterrupted, tmp_path):
    assert "give --graph" in stopped_with(corpus, tmp_path, graph=None)
    assert "give --graph" in stopped_with(corpus, tmp_path, start=uninterrupted / "run")


def test_a_loss_that_is_not_finite_names_the_samples_and_keeps_the_state(corpus, tmp_path):
    finish(corpus, tmp_path, epochs=1)
    said = stopped_with(corpus, tmp_path, learning_rate=1e30, clip_gradient=1e30, epochs=2)
    assert re.search(r"the (loss|gradient) is not finite at step \d", said)
    assert "learning_rate" in said
    assert re.search(r"samples s\d+, s\d+", said)
    assert "largest losses: s" in said


def test_an_unknown_setting_stops_before_training(corpus, tmp_path):
    run = train(corpus, tmp_path, training='{"epoch": 3}')
    assert run.returncode == 1
    assert "error: pretrain.training.epoch: unknown; did you mean 'epochs'?" in run.stderr


def test_a_corpus_without_validation_samples_stops_before_training(corpus, tmp_path):
    table = pd.read_parquet(corpus / "corpus.parquet").assign(split="train")
    table.to_parquet(tmp_path / "corpus.parquet")
    said = stopped_with(corpus, tmp_path, corpus_path=tmp_path / "corpus.parquet")
    assert "no sample has split 'validation'" in said


def test_two_processes_stop_together_on_request_and_go_on_as_one(corpus, tmp_path):
    # A graph convolution, a network and a corpus this small take one core each.
    words = command(corpus, tmp_path, processes=2, checkpoint_minutes=OFTEN, dropout=0.0, epochs=9)
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("state/*/last.pt")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 75, said
    assert said.count("stopped on request") == 1
    assert "resumed at step" in finish(corpus, tmp_path, dropout=0.0, epochs=9)


def corpus_samples(corpus, split):
    stores = [corpus / cohort / "log_tpm.arrow" for cohort in COHORTS]
    return CorpusSamples(pd.read_parquet(corpus / "corpus.parquet"), stores, split)


def test_batches_hold_the_samples_that_were_asked_for(corpus):
    samples = corpus_samples(corpus, "validation")
    assert samples.sample_ids == [f"s{n}" for n in range(SAMPLES) if split_of(n) == "validation"]
    values = samples.read([0, len(samples) - 1, 3])
    assert values[1].isnan().nonzero().flatten().tolist() == [ABSENT]
    assert not values[[0, 2]].isnan().any()
