"""What measures large networks on a GPU, tried on small ones without a GPU."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "performance"))
import pretrain_gpu
from pretrain_gpu import LARGE, Measured, bars_of, contenders, largest_batch, measure, row_of


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 7, 40, 100, 1023, 5000])
def test_the_largest_batch_is_found_without_exceeding_the_memory(limit):
    tried = []

    def step(batch):
        tried.append(batch)
        if batch > limit:
            raise torch.OutOfMemoryError

    found = largest_batch(step, most=1024)
    assert found <= min(limit, 1024)
    assert found >= min(limit, 1024) * 16 // 17
    assert len(tried) < 20


def test_an_error_that_is_not_about_memory_is_not_taken_for_one():
    def step(batch):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        largest_batch(step)


def test_a_batch_that_fits_only_once_is_made_smaller(monkeypatch, model):
    calls = []

    def flaky(network, optimiser, n_genes, device, batch):
        calls.append(batch)
        if batch > 8 or (batch == 8 and len(calls) > 12):
            raise torch.OutOfMemoryError

    monkeypatch.setattr(pretrain_gpu, "training_step", flaky)
    found = measure("ours", model, 30, torch.device("cpu"))
    assert found.batch == 7
    assert found.samples_per_second > 0


@pytest.mark.parametrize("name", ["147M", "latest"])
def test_both_networks_take_a_step_in_half_precision(name, monkeypatch):
    monkeypatch.setattr(pretrain_gpu, "MOST_SAMPLES", 2)
    monkeypatch.setattr(pretrain_gpu, "CONTENDERS", (("fused", False), ("triton", False)))
    monkeypatch.setattr(pretrain_gpu, "STEPS", 1)
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.setattr(largest_batch, "__defaults__", (2,))
    small = {"n_genes": 60, "dim": 16, "layers": 1, "heads": 2}
    found = contenders(replace(LARGE[name], **small), 60, 3, torch.device("cpu"))
    assert [one.name for one in found] == ["reference", "ours, fused"]  # no triton here: skipped
    assert all(one.batch == 2 and one.samples_per_second > 0 for one in found)


def test_bars_compare_the_best_of_ours_with_the_reference():
    ours, theirs = Measured("ours", 64, 40.0, 70.0), Measured("reference", 16, 10.0, 75.0)
    speed, batch, utilised = bars_of("147M", ours, theirs, flops=1e13, rate=8e14)
    assert (speed.figure, batch.figure, utilised.figure) == (4.0, 4.0, 0.5)
    assert all(bar.kept for bar in (speed, batch, utilised))
    row = row_of("147M", 132_142_727, ours, 1e13, 8e14)
    assert "MFU 50%" in row.note
    assert "109 GPU-hours" in row.note  # 522,769 x 30 samples at 40 a second
    nothing = Measured("reference", 0, 0.0, 0.0)
    assert row_of("147M", 1, nothing, 1e13, 8e14).note == "not one sample fits"
    assert bars_of("147M", ours, nothing, 1e13, 8e14)[0].kept
