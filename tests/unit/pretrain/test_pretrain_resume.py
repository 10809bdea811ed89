"""Nothing is lost: a run that is killed at any moment ends as if it had never been."""

import random
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from pretrain_world import COMPARED, finish, start, write_corpus

from bulkformer.errors import InputError
from bulkformer.pretrain.progress import Progress
from bulkformer.pretrain.resume import best_path, load_checkpoint, restore, save_state

OFTEN = 1e-9  # minutes: state is saved after every step
RANDOM = random.Random(20261123)
# Steps of the 18 of the run, and whether state is saved after each or at validations only.
STEPS = [(RANDOM.randint(1, 18), number % 2 == 0) for number in range(6)]
DELAYS = [RANDOM.uniform(0, 0.6) for _ in range(6)]  # seconds from the first sign of life
FILES = ["model.safetensors", "config.json", "history.parquet", "cost.parquet",
         "provenance.json", "genes.parquet", "graph.parquet"]  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def uninterrupted(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    finish(corpus, out)
    return out


def assert_equal_runs(out: Path, other: Path) -> None:
    for name in COMPARED:
        assert (out / "run" / name).read_bytes() == (other / "run" / name).read_bytes(), name


def kill_at(corpus: Path, out: Path, point: str, **changes) -> None:
    process = start(corpus, out, point, **changes)
    process.join()
    assert process.exitcode == -signal.SIGKILL, (out / "said").read_text()


@pytest.mark.parametrize(("step", "often"), STEPS)
def test_a_run_killed_at_a_random_step_ends_bit_identical(
    corpus, uninterrupted, tmp_path, step, often
):
    kill_at(corpus, tmp_path, f"kill_in_step:{step}", checkpoint_minutes=OFTEN if often else 60)
    said = finish(corpus, tmp_path)
    if often and step > 1:
        assert f"resumed at step {step - 1}" in said
    assert_equal_runs(tmp_path, uninterrupted)


@pytest.mark.parametrize("delay", DELAYS)
def test_a_run_killed_after_a_random_time_ends_bit_identical(
    corpus, uninterrupted, tmp_path, delay
):
    process = start(corpus, tmp_path, checkpoint_minutes=OFTEN)
    while not (tmp_path / "state").exists():
        assert process.is_alive()
        time.sleep(0.001)
    process.join(delay)
    process.kill()
    process.join()
    finish(corpus, tmp_path)
    assert_equal_runs(tmp_path, uninterrupted)


def test_a_run_killed_again_and_again_ends_bit_identical(corpus, uninterrupted, tmp_path):
    for steps in (3, 5, 7, 2):
        kill_at(corpus, tmp_path, f"kill_in_step:{steps}", checkpoint_minutes=OFTEN)
    assert "resumed at step 13" in finish(corpus, tmp_path)  # 2 + 4 + 6 + 1
    assert_equal_runs(tmp_path, uninterrupted)


@pytest.mark.parametrize(
    "point",
    [
        "kill_around:before/best_*.pt/2",
        "kill_around:after/best_*.pt/1",
        "kill_around:after/best_*.pt/3",
        "kill_around:before/last.pt/4",
        "kill_around:after/last.pt/3",
        "kill_in_validation:3",
    ],
)
def test_a_run_killed_around_its_checkpoints_ends_bit_identical(
    corpus, uninterrupted, tmp_path, point
):
    kill_at(corpus, tmp_path, point)
    finish(corpus, tmp_path)
    assert_equal_runs(tmp_path, uninterrupted)


def test_a_run_killed_while_its_folder_is_written_ends_bit_identical(
    corpus, uninterrupted, tmp_path
):
    for file in FILES:
        for when in ("before", "after"):
            kill_at(corpus, tmp_path, f"kill_around:{when}/{file}")
    finish(corpus, tmp_path)
    assert_equal_runs(tmp_path, uninterrupted)


def test_a_kill_leaves_best_weights_that_belong_to_the_state(corpus, tmp_path):
    """Better weights of a validation that the state does not know of are not taken for its own."""
    kill_at(corpus, tmp_path, "kill_around:after/best_*.pt/2")
    (state,) = (tmp_path / "state").iterdir()
    assert len(list(state.glob("best_*.pt"))) == 2
    saved = load_checkpoint(state / "last.pt")
    assert best_path(state, saved["progress"]["best_step"]).exists()
    finish(corpus, tmp_path)
    assert len(list(state.glob("best_*.pt"))) == 1


def test_a_signal_in_the_middle_of_a_validation_ends_the_run_at_once(
    corpus, uninterrupted, tmp_path
):
    process = start(corpus, tmp_path, "signal_in_validation:3")
    process.join()
    assert process.exitcode == 75
    assert "stopped on request after step 12; state is saved" in (tmp_path / "said").read_text()
    history = load_checkpoint(next(tmp_path.glob("state/*/last.pt")))["progress"]["history"]
    assert set(history["step"][history["mask_fraction"].isfinite()].tolist()) == {6}
    finish(corpus, tmp_path)
    assert_equal_runs(tmp_path, uninterrupted)


def test_a_restart_with_another_execution_goes_on_with_the_same_state(
    corpus, uninterrupted, tmp_path
):
    kill_at(corpus, tmp_path, "kill_in_step:15", batch_size=2, dropout=0.0)
    said = finish(corpus, tmp_path, batch_size=8, dropout=0.0)
    assert "resumed at step 12 (batch_size 8, before 2: bits may differ from here on)" in said
    finish(corpus, tmp_path / "whole", batch_size=4, dropout=0.0)
    columns = ["step", "split", "mask_fraction"]
    tables = [
        pd.read_parquet(out / "run" / "history.parquet") for out in (tmp_path, tmp_path / "whole")
    ]
    pd.testing.assert_frame_equal(tables[0][columns], tables[1][columns])
    torch.testing.assert_close(
        torch.tensor(tables[0]["loss"]), torch.tensor(tables[1]["loss"]), rtol=1e-3, atol=1e-3
    )


def test_the_end_of_an_epoch_is_saved_also_where_nothing_is_validated(corpus, tmp_path):
    kill_at(corpus, tmp_path, "kill_in_step:9", every_steps=100)
    assert "resumed at step 6" in finish(corpus, tmp_path, every_steps=100)


def test_the_cost_is_summed_over_restarts(corpus, tmp_path):
    kill_at(corpus, tmp_path, "kill_in_step:14", checkpoint_minutes=OFTEN, batch_size=2)
    before = load_checkpoint(next(tmp_path.glob("state/*/last.pt")))["progress"]["cost"]
    finish(corpus, tmp_path)
    cost = pd.read_parquet(tmp_path / "run" / "cost.parquet")
    assert cost["step"].is_unique
    assert cost["start"].unique().tolist() == [1, 2]
    assert cost["seconds"].is_monotonic_increasing
    assert cost["seconds"].iloc[-1] > before[-1]["seconds"] > 0
    assert cost["batch_size"].unique().tolist() == [2, 4]
    assert (cost["samples_per_second"] > 0).all()
    assert (cost["memory_gb"] > 0.01).all()


def test_a_run_that_stopped_at_a_spike_goes_on_under_another_limit(corpus, uninterrupted, tmp_path):
    """Days of training must not be lost to a limit that was too low."""
    process = start(corpus, tmp_path, "spike_in_step:16", checkpoint_minutes=OFTEN)
    process.join()
    said = (tmp_path / "said").read_text()
    assert process.exitcode == 1
    assert "raise pretrain.training.largest_increase" in said
    # Only settings differ from those of the run that had no such limit, and they are written down.
    assert "resumed at step 15" in finish(corpus, tmp_path, largest_increase=None)
    for name in ("model.safetensors", "history.parquet"):
        assert (tmp_path / "run" / name).read_bytes() == (
            uninterrupted / "run" / name
        ).read_bytes(), name


def test_two_threads_give_the_same_bits_twice_also_after_a_kill(corpus, tmp_path):
    finish(corpus, tmp_path / "whole", "threads:2")
    finish(corpus, tmp_path / "again", "threads:2")
    assert_equal_runs(tmp_path / "again", tmp_path / "whole")
    kill_at(corpus, tmp_path, "threads:2 kill_in_step:11", checkpoint_minutes=OFTEN)
    assert "bits may differ" not in finish(corpus, tmp_path, "threads:2")
    assert_equal_runs(tmp_path, tmp_path / "whole")


def test_a_second_run_on_the_same_state_stops_and_the_first_goes_on(
    corpus, uninterrupted, tmp_path
):
    first = start(corpus, tmp_path, "wait_in_step:8", checkpoint_minutes=OFTEN)
    wait = tmp_path / "waiting"
    while not wait.exists():
        assert first.is_alive()
        time.sleep(0.002)
    said = tmp_path / "second"
    second = start(corpus, tmp_path, "impatient:", said=said)
    second.join()
    assert second.exitcode == 1
    assert "another run is at work on this state" in said.read_text()
    wait.unlink()
    first.join()
    assert first.exitcode == 0
    assert_equal_runs(tmp_path, uninterrupted)


def test_a_disk_that_is_full_ends_the_run_with_the_checkpoint_before(
    corpus, uninterrupted, tmp_path
):
    process = start(corpus, tmp_path, "full_disk_after_step:8", checkpoint_minutes=OFTEN)
    process.join()
    assert process.exitcode == 1
    assert "last.pt: could not be written" in (tmp_path / "said").read_text()
    assert not list(tmp_path.glob("state/*/.*"))
    assert "resumed at step 7" in finish(corpus, tmp_path)
    assert_equal_runs(tmp_path, uninterrupted)


def test_a_validation_loss_that_is_not_finite_stops_at_once(corpus, tmp_path):
    process = start(corpus, tmp_path, "nan_in_validation:3")
    process.join()
    assert process.exitcode == 1
    said = (tmp_path / "said").read_text()
    assert "the validation loss on 'validation' is not finite after step 12" in said


def small_run():
    model = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(torch.ones(3)).sum().backward()
    optimiser.step()
    return model, optimiser


def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path):
    model, optimiser = small_run()
    save_state(tmp_path, model, optimiser, Progress(step=1))
    whole = (tmp_path / "last.pt").read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (b"", b"no checkpoint", whole[:middle], flipped):
        (tmp_path / "last.pt").write_bytes(damaged)
        with pytest.raises(InputError, match=r"last\.pt: not a readable checkpoint .* start anew"):
            restore(tmp_path, model, optimiser)
    (tmp_path / "last.pt").unlink()
    save_state(tmp_path, torch.nn.Linear(4, 2), optimiser, Progress(step=1))
    with pytest.raises(InputError, match=r"last\.pt: not a readable checkpoint"):
        restore(tmp_path, model, optimiser)


def test_best_weights_that_the_state_names_must_be_there(tmp_path):
    model, optimiser = small_run()
    save_state(tmp_path, model, optimiser, Progress(step=7, best_step=6, best_loss=1.0))
    with pytest.raises(InputError, match=r"best_000000006\.pt: missing, but last\.pt names it"):
        restore(tmp_path, model, optimiser)


def test_model_optimiser_and_progress_come_back_as_they_were(tmp_path):
    model, optimiser = small_run()
    progress = Progress(step=1, seconds=2.5)
    progress.record(0, "train", 0.5, 0.1)
    save_state(tmp_path, model, optimiser, progress)
    state = torch.get_rng_state()
    again, other = small_run()
    torch.manual_seed(99)
    assert restore(tmp_path, again, other) == progress
    assert torch.equal(again.weight, model.weight)
    assert torch.equal(
        other.state_dict()["state"][0]["exp_avg"], optimiser.state_dict()["state"][0]["exp_avg"]
    )
    assert torch.equal(torch.get_rng_state(), state)
