"""The learning curve survives a checkpoint bit for bit, and stays small over weeks."""

import math
import time

import torch

from bulkformer.pretrain.history import History
from bulkformer.pretrain.progress import Progress
from bulkformer.pretrain.resume import load_checkpoint, save_checkpoint


def test_the_last_losses_of_training_come_without_those_of_validation():
    progress = Progress()
    for step in range(5):
        progress.record(0, "train", float(step), 1e-4)
        progress.record(0, "validation", 99.0, 1e-4, 0.15)
    assert progress.history.recent_losses(3) == [4.0, 3.0, 2.0]
    assert len(progress.history.recent_losses(100)) == 5
    assert History().recent_losses(3) == []


def test_a_history_comes_back_as_it_was(tmp_path):
    progress = Progress(step=3, starts=2)
    progress.record(0, "train", 0.1 + 0.2, 1 / 3)
    progress.record(0, "validation", math.pi, 1 / 3, 0.15)
    progress.record(0, "validation_samples", 1e-300, 1 / 3, 0.9)
    save_checkpoint(tmp_path / "last.pt", progress.packed())
    again = Progress.unpacked(load_checkpoint(tmp_path / "last.pt"))
    assert again == progress
    assert again.history.columns["mask_fraction"] == [None, 0.15, 0.9]
    assert again.history.columns["split"] == ["train", "validation", "validation_samples"]


def test_half_a_million_steps_are_no_burden_for_a_checkpoint(tmp_path):
    n, path = 500_000, tmp_path / "last.pt"
    steps = list(range(1, n + 1))
    columns = {
        "step": steps, "epoch": [0] * n, "mask_fraction": [None] * n, "split": ["train"] * n,
        "loss": [1 / step for step in steps], "learning_rate": [1e-4] * n,
    }  # fmt: skip
    started = time.process_time()
    save_checkpoint(path, Progress(history=History(columns)).packed())
    loaded = load_checkpoint(path)
    assert Progress.unpacked(loaded).history.columns["loss"][-1] == 1 / n
    assert time.process_time() - started < 4  # one dictionary a step took ten times as long
    assert path.stat().st_size < 50 * n
    assert all(isinstance(loaded["history"][name], torch.Tensor) for name in ("loss", "split"))
