"""Protein embeddings that are interrupted: nothing saved is lost, and nothing foreign is taken."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bulkformer.errors import InputError
from bulkformer.pretrain import protein_embeddings as step
from bulkformer.simulate.proteins import write_random_esm2


class Killed(BaseException):
    """What no handler of the library catches."""


def stop_after(monkeypatch, batches):
    """Let the model read that many batches and then stop; return the windows read."""
    from bulkformer.pretrain import esm2

    honest, read = esm2.mean_residue_vectors, []

    def counted(model, windows, vocabulary):
        if len(read) == batches:
            raise Killed
        read.append(list(windows))
        return honest(model, windows, vocabulary)

    monkeypatch.setattr(esm2, "mean_residue_vectors", counted)
    return read


def test_a_run_stopped_at_any_batch_goes_on_there_and_ends_with_the_same_bytes(
    embed, tmp_path, monkeypatch
):
    whole = embed(batch_residues=1, output=tmp_path / "whole.parquet")
    assert not (tmp_path / "state").exists()
    monkeypatch.setattr(step, "SAVE_SECONDS", 0.0)
    n_windows = 7  # six distinct proteins, one of them in two windows
    for batches in range(1, n_windows):
        with monkeypatch.context() as patch:
            stop_after(patch, batches)
            with pytest.raises(Killed):
                embed(batch_residues=1)
            assert not (tmp_path / "table.parquet").exists()
        with monkeypatch.context() as patch:
            read = stop_after(patch, None)
            resumed = embed(batch_residues=1)
            assert len(read) == n_windows - batches
        assert resumed.read_bytes() == whole.read_bytes()
        assert resumed.with_suffix(".json").read_bytes() == whole.with_suffix(".json").read_bytes()
        resumed.unlink()


def test_a_killed_process_loses_nothing_that_it_had_saved(embed, inputs, tmp_path, monkeypatch):
    whole = embed(batch_residues=1, output=tmp_path / "whole.parquet")
    options = {name: str(path) for name, path in inputs.items()}
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from bulkformer.pretrain import esm2, protein_embeddings as step\n"
        "step.SAVE_SECONDS = 0.0\n"
        "honest, calls = esm2.mean_residue_vectors, []\n"
        "def deadly(*arguments):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 4:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return honest(*arguments)\n"
        "esm2.mean_residue_vectors = deadly\n"
        f"files = {{name: Path(path) for name, path in {options!r}.items()}}\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "step.protein_embeddings(**files, windows='all', batch_residues=1,\n"
        "    state=folder / 'state', output=folder / 'table.parquet')\n"
    )
    run = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert not (tmp_path / "table.parquet").exists()
    read = stop_after(monkeypatch, None)
    assert embed(batch_residues=1).read_bytes() == whole.read_bytes()
    assert len(read) == 4


def environment():
    library = Path(step.__file__).parents[2]
    return {**os.environ, "PYTHONPATH": str(library), "OMP_NUM_THREADS": "1"}


def test_other_weights_never_go_on_from_what_was_saved(embed, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(step, "SAVE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Killed):
            embed(batch_residues=1)
    write_random_esm2(tmp_path / "esm2/model.safetensors", seed=9)
    read = stop_after(monkeypatch, None)
    embed(batch_residues=1, esm2=tmp_path / "esm2/model.safetensors")
    assert len(read) == 7


def test_damaged_state_is_named_and_not_taken_for_results(embed, tmp_path, monkeypatch):
    monkeypatch.setattr(step, "SAVE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(Killed):
            embed(batch_residues=1)
    part = sorted((tmp_path / "state").rglob("*.safetensors"))[0]
    part.write_bytes(part.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"00000000\.safetensors: damaged"):
        embed(batch_residues=1)
