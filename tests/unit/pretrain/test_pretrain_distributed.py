"""One, two or four processes: the same step, the same curve, and no work lost between them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pretrain_world
import pytest
import torch
from pretrain_processes import agreements, gradients, in_processes, train_in_processes

from bulkformer.errors import InputError
from bulkformer.pretrain.distributed import World, start_world

# 46 training samples: steps of 7 and, at the end of an epoch, of 4, neither of which 2 or 4
# processes divide into equal passes; without dropout, whose draws belong to the process.
STEPS = {
    "epochs": 4,
    "effective_batch_size": 7,
    "batch_size": 2,
    "dropout": 0.0,
    "learning_rate": 0.001,
}
N_STEPS = 28


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return pretrain_world.write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def alone(corpus, tmp_path_factory):
    return train_in_processes(1, corpus, tmp_path_factory.mktemp("alone"), **STEPS)


def assert_same_curve(run: Path, reference: Path) -> None:
    """All that is recorded is the same, and losses are to a ten thousandth."""
    history, expected = (pd.read_parquet(f / "history.parquet") for f in (run, reference))
    assert (history["split"] == "train").sum() == N_STEPS
    rest = history.drop(columns="loss"), expected.drop(columns="loss")
    pd.testing.assert_frame_equal(*rest)
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-4)


@pytest.mark.parametrize(("n", "size"), [(0, 3), (2, 4), (7, 4), (8, 4), (128, 7)])
def test_shares_are_runs_of_neighbours_that_cover_a_step_once(n, size):
    shares = [World(rank, size, torch.device("cpu")).share(n) for rank in range(size)]
    assert np.concatenate(shares).tolist() == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_process_alone_needs_no_process_group():
    world, model = start_world(), torch.nn.Linear(2, 1)
    assert (world.rank, world.size, world.is_first) == (0, 1, True)
    assert world.wrap(model) is model
    with world.accumulating(model, last=False):
        model(torch.ones(1, 2)).sum().backward()
    assert model.weight.grad is not None
    assert world.sum(torch.ones(2)).tolist() == [1.0, 1.0]
    assert not world.any(False)
    world.barrier()
    world.close()


def test_processes_that_nobody_started_are_an_error():
    with pytest.raises(InputError, match="2 processes"):
        start_world(2)


def test_more_processes_than_gpus_are_an_error_that_names_both(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"RANK": 0, "WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 4}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(InputError, match=r"4 processes .* 2 GPUs"):
        start_world(4)


def test_processes_sum_in_double_precision_and_agree(tmp_path):
    for found in in_processes(3, tmp_path, agreements):
        assert found["sum"].tolist() == [3.0 + 6 * 2.0**-30] * 2
        assert found["from_float32"] == 3 * 2.0**24 + 2  # one process's float32 rounds to even
        assert bool(found["one"])
        assert not bool(found["none"])


@pytest.mark.parametrize("variant", ["paper", "latest"])
@pytest.mark.parametrize("size", [2, 4])
def test_gradients_are_those_of_one_process_and_travel_once_a_step(tmp_path, variant, size):
    """In steps that divide evenly, that do not, and where a process has no sample at all."""
    steps = [8, 7, 3, 1]
    (whole,) = in_processes(1, tmp_path / "whole", gradients, variant, steps, False)
    shared = in_processes(size, tmp_path / "shared", gradients, variant, steps, size == 4)
    for found in shared:
        for step in range(len(steps)):
            name = f"step_{step}"
            assert np.abs(whole[name]).max() > 1e-3
            np.testing.assert_allclose(found[name], whole[name], rtol=1e-9, atol=1e-12)
        # Also for two passes a step, and though the layers are registered twice.
        assert found["travelled"].tolist() == [len(whole["step_0"])] * len(steps)
    assert [found["shares"][0] for found in shared].count(0) == size - 1


@pytest.mark.parametrize("size", [2, 4])
def test_the_curve_does_not_depend_on_the_number_of_processes(corpus, alone, tmp_path, size):
    assert_same_curve(train_in_processes(size, corpus, tmp_path, **STEPS), alone)


@pytest.fixture(scope="module")
def stopped(corpus, tmp_path_factory):
    """The state of a run of two processes that a signal to the step stopped on its way."""
    out = tmp_path_factory.mktemp("stopped")
    process = start_step(corpus, out, 2)
    os.kill(process.pid, signal.SIGUSR1)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 75, said
    assert "stopped on request after step" in said
    assert not (out / "run").exists()
    return out


def start_step(corpus: Path, out: Path, processes: int) -> subprocess.Popen:
    """Start the training step as a user would; return once it has saved its first steps."""
    changes = STEPS | {"processes": processes, "checkpoint_minutes": 1e-9}
    process = subprocess.Popen(
        pretrain_world.command(corpus, out, **changes), stderr=subprocess.PIPE, text=True
    )
    while not list(out.glob("state/*/last.pt")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    return process


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_run_of_two_processes_goes_on_in_another_number(corpus, alone, stopped, tmp_path, size):
    subprocess.run(["cp", "-r", stopped / "state", tmp_path], check=True)
    run = train_in_processes(size, corpus, tmp_path, **STEPS)
    assert "resumed at step" in (tmp_path / "said_0").read_text()
    assert_same_curve(run, alone)


def test_four_processes_that_go_on_end_with_the_same_bits(corpus, tmp_path):
    """They do not if gradients are summed in another order in the first step after a start."""
    whole = train_in_processes(4, corpus, tmp_path / "whole", **STEPS)
    broken = tmp_path / "broken"
    train_in_processes(4, corpus, broken, killed_at=11, checkpoint_minutes=1e-9, **STEPS)
    resumed = train_in_processes(4, corpus, broken, **STEPS)
    assert "resumed at step 10" in (broken / "said_0").read_text()
    for name in pretrain_world.COMPARED:
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_killed_worker_ends_the_whole_run_with_a_message(corpus, tmp_path):
    process = start_step(corpus, tmp_path, 2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert "process 1 of 2 was killed by SIGKILL" in said
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_torchrun_starts_the_same_run(corpus, alone, tmp_path):
    step = pretrain_world.command(corpus, tmp_path, **STEPS)[1:]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = subprocess.run(
        [sys.executable, *launcher, *step], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert_same_curve(tmp_path / "run", alone)
