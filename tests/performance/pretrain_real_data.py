"""Pretraining on real cohorts, all protein-coding genes: does it learn, and survive being stopped?

From raw counts to the model through the rules, on the development data; then the same training once
more, stopped with a signal in the middle and then killed, which has to end in the same bytes.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from harness import ROOT, Bar, Row, arguments, finish

sys.path.insert(0, str(ROOT / "tests"))
from checkout import copy_project, snakemake

CONFIG = "tests/end_to_end/real_data"
STOPPED = 75  # the trainer's status after a stop on request
MOMENTS = {0.35: signal.SIGTERM, 0.3: signal.SIGKILL}  # share of the training's time, after a start


def run_rules(folder: Path, data: Path) -> tuple[float, str]:
    """Run all rules up to the pretrained model; return seconds and the command of the trainer."""
    start = time.perf_counter()
    run = snakemake(
        folder, "train", "--cores", "2", "--resources", "gpu=8", "--printshellcmds",
        "--configfile", "config/config.yaml", f"{CONFIG}/config.yaml", BULKFORMER_DATA=str(data),
    )  # fmt: skip
    if run.returncode:
        sys.exit(run.stdout[-4000:])
    line = re.search(r"python -m bulkformer\.pretrain\.train .*?(?= 2>&1)", run.stdout)
    return time.perf_counter() - start, line.group()


def trainer(command: str, folder: Path, name: str) -> subprocess.Popen:
    """Start the trainer on the same files, with a run folder and a state folder of its own."""
    words = shlex.split(command)
    for option in ("--folder", "--state"):
        place = words.index(option) + 1
        words[place] = f"{name}.{option.strip('-')}"
    with (folder / f"{name}.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, *words[1:]],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder / "workflow/lib"), "OMP_NUM_THREADS": "2"},
            stderr=log,
        )


def interrupted(command: str, folder: Path, seconds: float) -> Path:
    """Train as `command` does, through a stop and a kill; return the run folder."""
    for share, number in MOMENTS.items():
        process = trainer(command, folder, "interrupted")
        try:
            sys.exit(f"ended before the signal, with {process.wait(seconds * share)}")
        except subprocess.TimeoutExpired:
            os.kill(process.pid, number)
        wanted = -number if number == signal.SIGKILL else STOPPED
        if (status := process.wait()) != wanted:
            sys.exit(f"{signal.Signals(number).name} ended the trainer with {status}")
    if status := trainer(command, folder, "interrupted").wait():
        sys.exit(f"the resumed trainer ended with {status}")
    return folder / "interrupted.folder"


def same_bytes(first: Path, second: Path) -> int:
    """Return how many of the files that tell a run differ between two run folders."""
    names = ("model.safetensors", "config.json", "history.parquet", "provenance.json")
    return sum((first / name).read_bytes() != (second / name).read_bytes() for name in names)


def main() -> None:
    asked = arguments(__doc__)
    data = Path(os.environ.get("BULKFORMER_DATA", ROOT.parent / "shared" / "data")).resolve()
    if not data.is_dir():
        sys.exit(f"{data} is absent: set BULKFORMER_DATA to the folder of the development data")
    with tempfile.TemporaryDirectory() as scratch:
        folder = copy_project(ROOT, Path(scratch) / "project")
        subprocess.run(["cp", "-r", ROOT / "tests", folder / "tests"], check=True)
        seconds, command = run_rules(folder, data)
        [run] = folder.glob("results/real_data/pretrain/*/model.safetensors")
        run = run.parent
        training = float(pd.read_parquet(run / "cost.parquet")["seconds"].iloc[-1])
        history = pd.read_parquet(run / "history.parquet")
        provenance = pd.read_json(run / "provenance.json", typ="series")
        differing = same_bytes(run, interrupted(command, folder, training))
        genes = len(pd.read_parquet(run / "genes.parquet", columns=["gene_id"]))

    at_training_rate = history.query("split == 'validation' and mask_fraction == 0.15")
    curve = at_training_rate.sort_values("step")["loss"].tolist()
    floor = provenance["gene_mean_validation_loss"]
    rows = [
        Row("raw counts to the pretrained model", seconds, note=f"{genes:,} genes"),
        Row("training alone", training, note=f"{provenance['training_samples']} samples"),
        Row("loss on held-out patients, epoch by epoch", note=" ".join(f"{x:.3f}" for x in curve)),
        Row("the gene mean's loss there", note=f"{floor:.3f}"),
    ]
    bars = [
        Bar("minutes from raw counts to the model", seconds / 60, at_most=12, unit="min"),
        Bar("last against first validation loss", curve[-1] / curve[0], at_most=0.95),
        Bar("best validation loss against the gene mean", min(curve) / floor, at_most=0.95),
        Bar("files unlike after a stop and a kill", differing, at_most=0, unit="files"),
    ]
    finish(rows, bars, asked.check, "Pretraining on real cohorts, two processors")


if __name__ == "__main__":
    main()
