"""A conversion that is killed leaves nothing under a final name, and goes on where it was."""

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import bulkformer.expression.resume as resume
from bulkformer.errors import InputError
from bulkformer.expression.cohort import cohort
from bulkformer.expression.genes import vocabulary_table
from bulkformer.expression.store import ExpressionStore
from bulkformer.sources import archs4

N_GENES, N_SAMPLES, BLOCK = 60, 1500, 256
GENE_IDS = [f"ENSG{number:011d}" for number in range(1, N_GENES + 1)]
OUTPUTS = ["counts.arrow", "log_tpm.arrow", "samples.parquet", "coverage.json"]


@pytest.fixture
def world(tmp_path):
    annotation = pd.DataFrame(
        {
            "gene_id": GENE_IDS,
            "symbol": GENE_IDS,
            "entrez": [str(number) for number in range(N_GENES)],
            "length_bp": 500 + 100 * np.arange(N_GENES),
            "biotype": "protein_coding",
            "chromosome": "1",
        }
    )
    table = vocabulary_table(annotation, None, ["protein_coding"], "annotation")
    pq.write_table(table.slice(0, N_GENES - 5), tmp_path / "genes.parquet")
    counts = np.random.default_rng(5).integers(0, 400, (N_GENES, N_SAMPLES)).astype(np.uint32)
    counts[:, ::7] = 0  # dropped, so that batches are of unequal size
    with h5py.File(tmp_path / "archs4.h5", "w") as file:
        file.create_dataset("data/expression", data=counts, chunks=(20, 50), compression="gzip")
        file["meta/genes/ensembl_gene"] = GENE_IDS
        file["meta/samples/geo_accession"] = [f"GSM{at}" for at in range(N_SAMPLES)]
        file["meta/samples/series_id"] = [f"GSE{at // 9}" for at in range(N_SAMPLES)]
    return tmp_path


def settings(world, name="out"):
    folder = world / name
    return {
        "cohort": "c",
        "expression": world / "archs4.h5",
        "format": "archs4",
        "gene_ids": "ensembl",
        "unit": "counts",
        "min_shared_vocabulary": 0.5,
        "min_detected_genes": 1,
        "min_library_size": 1.0,
        "max_single_cell_probability": 0.5,
        "genes": world / "genes.parquet",
        "counts": folder / "counts.arrow",
        "log_tpm": folder / "log_tpm.arrow",
        "samples_output": folder / "samples.parquet",
        "coverage": folder / "coverage.json",
    }


def content(folder):
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


# Saves after every block and stands still after three, as a process does that waits for a disk.
STEP = """
import sys, time
from bulkformer.expression import resume
from bulkformer.expression.cohort import cohort
from bulkformer.cli import command

resume.CHECKPOINT_SECONDS = float(sys.argv.pop(1))
add = resume.Conversion.add

def add_and_wait(self, records, largest):
    add(self, records, largest)
    if self.samples >= 3 * 256:
        print("waiting", flush=True)
        time.sleep(600)

resume.Conversion.add = add_and_wait
command(cohort)
"""


def kill_in_the_middle(world, checkpoint_seconds=0.0):
    words = [
        word
        for name, value in settings(world).items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    step = subprocess.Popen(
        [sys.executable, "-c", STEP, str(checkpoint_seconds), *words],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert step.stdout.readline() == b"waiting\n"
    step.send_signal(signal.SIGKILL)
    step.wait()
    step.stdout.close()


@pytest.fixture
def read_from(monkeypatch):
    """The first sample of every reading of the file."""
    starts, stripes = [], archs4._stripes

    def noted(path, positions, part):
        starts.append(part.start)
        return stripes(path, positions, part)

    monkeypatch.setattr(archs4, "_stripes", noted)
    return starts


def test_a_killed_conversion_leaves_no_result_and_the_next_run_reads_only_the_rest(
    world, read_from
):
    cohort(**settings(world, "whole"))
    kill_in_the_middle(world)
    assert not [path for path in (world / "out").iterdir() if not path.name.startswith(".")]
    cohort(**settings(world))
    # Stripes of 550 samples end a block early: 256, 256, 38, 256.
    assert read_from == [0, 806]
    assert content(world / "out") == content(world / "whole")
    assert sorted(path.name for path in (world / "out").iterdir()) == sorted(OUTPUTS)


def test_what_was_written_after_the_last_save_is_written_again(world, read_from):
    cohort(**settings(world, "whole"))
    kill_in_the_middle(world)
    (state,) = (world / "out").glob(".*.conversion")
    for name in ["counts", "log_tpm", "records"]:
        with (state / name).open("ab") as file:
            file.write(b"half a batch" * 5)
    cohort(**settings(world))
    assert read_from[1] > 0
    assert content(world / "out") == content(world / "whole")


def test_without_a_save_the_next_run_starts_anew(world, read_from):
    cohort(**settings(world, "whole"))
    kill_in_the_middle(world, checkpoint_seconds=600)
    cohort(**settings(world))
    assert read_from == [0, 0]
    assert content(world / "out") == content(world / "whole")


def test_a_state_that_lost_bytes_is_not_continued(world, read_from):
    kill_in_the_middle(world)
    (state,) = (world / "out").glob(".*.conversion")
    os.truncate(state / "log_tpm", 100)
    cohort(**settings(world))
    assert read_from == [0]


def test_a_result_of_other_inputs_is_never_continued_and_its_state_is_removed(world, read_from):
    for change in [
        lambda: {"min_library_size": 2.0},
        lambda: os.utime(world / "archs4.h5") or {},
        lambda: (
            pq.write_table(pq.read_table(world / "genes.parquet").slice(1), world / "genes.parquet")
            or {}
        ),
    ]:
        kill_in_the_middle(world)
        time.sleep(0.01)
        cohort(**settings(world) | change())
        assert read_from[-1] == 0
        assert sorted(path.name for path in (world / "out").iterdir()) == sorted(OUTPUTS)
        for name in OUTPUTS:
            (world / "out" / name).unlink()


def test_an_interrupted_run_keeps_its_state_and_a_refused_input_does_not(world, monkeypatch):
    monkeypatch.setattr(resume, "CHECKPOINT_SECONDS", 0.0)
    add = resume.Conversion.add

    def fail_with(error):
        def failing(self, records, largest):
            add(self, records, largest)
            if self.samples > 600:
                raise error

        monkeypatch.setattr(resume.Conversion, "add", failing)
        with pytest.raises(type(error)):
            cohort(**settings(world))

    fail_with(KeyboardInterrupt())
    (state,) = (world / "out").iterdir()
    assert json.loads((state / "journal.json").read_text())["samples"] > 600
    fail_with(InputError("the file is wrong"))
    assert list((world / "out").iterdir()) == []


def test_a_format_that_cannot_skip_starts_anew(world):
    matrix = pd.DataFrame(
        np.random.default_rng(1).integers(1, 9, (N_GENES, 3)), GENE_IDS, ["a", "b", "c"]
    )
    matrix.to_csv(world / "matrix.tsv", sep="\t", index_label="gene")
    changed = {"format": "matrix", "expression": world / "matrix.tsv"}
    stale = world / "out" / ".counts.arrow.0123456789abcdef.conversion"
    stale.mkdir(parents=True)
    cohort(**settings(world) | changed)
    assert sorted(path.name for path in (world / "out").iterdir()) == sorted(OUTPUTS)
    assert len(ExpressionStore(world / "out/counts.arrow")) == 3
