"""Workers start, stop and fail together, and the command ends with the status of them all."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bulkformer.errors import InputError
from bulkformer.pretrain import launch as launching
from bulkformer.pretrain.launch import launch

BEGIN = """
import json, os, signal, sys, time
from pathlib import Path
from bulkformer.pretrain import launch
launch.SETTLE_SECONDS, launch.ENDING_SECONDS = 0.2, 1.0
launch.launch(int(sys.argv[1]))
rank = int(os.environ["RANK"])
out = Path(sys.argv[2])
"""
# The last thing that a worker does when it starts; the tests wait for it.
READY = "(out / f'ready_{rank}').touch()\n"
SLEEP = READY + "time.sleep(60)\n"
SAVE = (
    "signal.signal(signal.{name}, lambda *_: ((out / f'saved_{{rank}}').touch(), sys.exit(75)))\n"
)


@pytest.fixture
def start(root, tmp_path):
    """Start `program` in a number of processes: start(program, number) -> process."""
    started = []

    def start(program: str, number: int = 3, **environment: str) -> subprocess.Popen:
        script = tmp_path / "step.py"
        script.write_text(BEGIN + program)
        process = subprocess.Popen(
            [sys.executable, str(script), str(number), str(tmp_path)],
            env=os.environ | {"PYTHONPATH": str(root / "workflow/lib")} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(folder: Path, pattern: str, number: int) -> None:
    deadline = time.monotonic() + 30
    while len(list(folder.glob(pattern))) < number:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(pid: int) -> bool:
    """Whether a process is gone, or waits only to be noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_workers_find_what_torchrun_would_have_told_them(start, tmp_path):
    program = "(out / f'{rank}.json').write_text(json.dumps(dict(os.environ)))\n"
    program += "print('I am', rank)\n"
    process = start(program, 4, OMP_NUM_THREADS="9")
    assert process.communicate(timeout=60) == ("I am 0\n", "")
    assert process.returncode == 0
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(4)]
    for rank, environment in enumerate(found):
        assert environment["RANK"] == environment["LOCAL_RANK"] == str(rank)
        assert environment["WORLD_SIZE"] == environment["LOCAL_WORLD_SIZE"] == "4"
        assert environment["MASTER_PORT"] == found[0]["MASTER_PORT"]
        assert environment["OMP_NUM_THREADS"] == "2"


def test_one_process_and_a_worker_go_on_by_themselves(monkeypatch):
    launch(1)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    launch(2)


def test_no_process_is_no_choice():
    with pytest.raises(InputError, match=r"pretrain\.execution\.processes is 0"):
        launch(0)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_stop_signal_reaches_every_worker_and_says_that_they_saved(start, tmp_path, name):
    process = start(SAVE.format(name=name) + SLEEP)
    wait_for(tmp_path, "ready_*", 3)
    process.send_signal(signal.Signals[name])
    assert process.wait(30) == launching.STOPPED == 75
    assert len(list(tmp_path.glob("saved_*"))) == 3


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_stop_signal_before_there_is_anything_to_save_is_no_failure(start, tmp_path, name):
    process = start(SLEEP)
    wait_for(tmp_path, "ready_*", 3)
    process.send_signal(signal.Signals[name])
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 75


def test_a_worker_that_fails_ends_the_others_and_its_words_are_shown(start):
    program = "print(f'words of {rank}', file=sys.stderr, flush=True)\n" + READY
    program += "while len(list(out.glob('ready_*'))) < 3: time.sleep(0.01)\n"
    program += "sys.exit(3) if rank == 2 else time.sleep(60)\n"
    process = start(program)
    said = process.communicate(timeout=30)[1].splitlines()
    assert process.returncode == 3
    assert said[:2] == ["words of 0", "[process 2] words of 2"]
    assert said[2].startswith("error: process 2 of 3 ended with status 3, and the others were")


def test_a_killed_worker_is_a_failure_that_names_the_signal(start, tmp_path):
    process = start("(out / f'{rank}.pid').write_text(str(os.getpid()))\n" + SLEEP)
    wait_for(tmp_path, "ready_*", 3)
    pids = [int((tmp_path / f"{rank}.pid").read_text()) for rank in range(3)]
    os.kill(pids[0], signal.SIGKILL)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert "error: process 0 of 3 was killed by SIGKILL" in said
    assert all(map(ended, pids))


def test_a_worker_that_hangs_when_the_others_are_done_does_not_hold_up_the_end(start):
    process = start("time.sleep(60 * (rank == 1))\n")
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert "process 1 of 3 was killed" in said


def test_workers_end_with_the_process_that_started_them(start, tmp_path):
    program = "from bulkformer.pretrain.distributed import _end_with_parent\n_end_with_parent()\n"
    program += "(out / f'{rank}.pid').write_text(str(os.getpid()))\n" + SLEEP
    process = start(program, 2)
    wait_for(tmp_path, "ready_*", 2)
    process.kill()
    deadline = time.monotonic() + 30
    for path in tmp_path.glob("*.pid"):
        while not ended(int(path.read_text())):
            assert time.monotonic() < deadline
            time.sleep(0.01)
