"""What a run says of itself: speed, memory, time left."""

import math
import platform
import time

import pytest
import torch

from bulkformer.pretrain import progress as module
from bulkformer.pretrain.memory import keep_freed_memory
from bulkformer.pretrain.progress import Machine, Progress, Reporter, clock

CPU = torch.device("cpu")


def test_time_spans_are_written_as_a_clock():
    assert clock(59.6) == "0:01:00"
    assert clock(3 * 3600 + 125) == "3:02:05"
    assert clock(14 * 86400 + 61) == "14 d 0:01:01"


def test_mfu_is_the_share_of_what_all_devices_can_do():
    machine = Machine(CPU, 4, 2, flops_per_sample=1e9, matrix_rate=1e11)
    assert machine.mfu(100.0) == pytest.approx(0.25)
    assert math.isnan(Machine(CPU, 1, 2).mfu(100.0))


def test_memory_is_the_peak_of_the_process():
    machine = Machine(CPU, 1, 1)
    peak = machine.memory_gb()
    block = torch.ones(int((peak + 0.1) * 2.5e8))  # 4 bytes each, more than the peak so far
    del block
    assert peak + 0.1 <= machine.memory_gb() < 2 * peak + 1


def reporter(progress, machine=None, speaks=True):
    return Reporter(progress, 100, machine or Machine(CPU, 1, 2, 1e9, 1e11), speaks)


def take(report, steps, samples=8, seconds=0.5):
    for _ in range(steps):
        report.progress.step += 1
        report.step(0.25, 1e-4, samples, seconds)


def test_a_log_file_gets_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(module, "LOG_SECONDS", 0.5)
    report = reporter(Progress(step=10))
    take(report, 4)
    assert capsys.readouterr().err == ""
    time.sleep(0.51)
    take(report, 1)
    said = capsys.readouterr().err
    assert said.startswith("step 15 of 100: loss 0.2500, lr 1.0e-04, 16.0 samples/s, MFU 16%, ")
    assert said.endswith(" GB, 0:00:42 left\n")  # 85 steps of half a second


def test_only_the_first_process_speaks(capsys, monkeypatch):
    monkeypatch.setattr(module, "LOG_SECONDS", -1.0)
    report = reporter(Progress(), speaks=False)
    take(report, 3)
    report.say("nothing")
    assert capsys.readouterr().err == ""


def test_the_cost_has_one_row_a_save_and_goes_on_from_earlier_processes():
    progress = Progress(seconds=1000.0)
    report = reporter(progress, Machine(CPU, 2, 4))
    take(report, 5)
    report.note_cost()
    time.sleep(0.01)
    report.note_cost()  # no step since: the same row, brought up to date
    (row,) = progress.cost
    assert row["step"] == 5
    assert row["samples_per_second"] == pytest.approx(16.0)
    assert 1000.01 < row["seconds"] == progress.seconds < 1060
    assert row["mfu"] is None
    take(report, 1)
    report.note_cost()
    assert [row["step"] for row in progress.cost] == [5, 6]


def test_freed_memory_is_kept_where_glibc_allocates_it():
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
