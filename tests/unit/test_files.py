"""Files are whole or absent; the same content has the same bytes."""

import subprocess
import sys

import pyarrow as pa
import pytest

from bulkformer.files import atomic, sha256, write_json, write_table


def test_a_file_that_fails_half_way_is_never_left_under_its_name(tmp_path):
    path = tmp_path / "out.txt"
    with pytest.raises(RuntimeError), atomic(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_as_it_was(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"


KILLED = """
import os, signal, sys
from pathlib import Path
from bulkformer.files import atomic

with atomic(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_temporary_files_of_killed_processes_do_not_pile_up(tmp_path):
    path, other = tmp_path / "out[1].txt", tmp_path / ".out[1].txt.old.4711.partial"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1  # the second one removed that of the first
    other.write_text("of another file, which may be at work")
    with atomic(path) as partial:
        partial.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([path, other])


def test_the_same_table_has_the_same_bytes(tmp_path):
    table = pa.table({"gene_id": ["ENSG00000000003"], "length_bp": [4536]})
    write_table(tmp_path / "a.parquet", table)
    write_table(tmp_path / "b.parquet", table)
    assert sha256(tmp_path / "a.parquet") == sha256(tmp_path / "b.parquet")


def test_json_has_sorted_keys_and_refuses_numbers_that_are_none(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": 2})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": 2,\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"loss": float("nan")})


STEP = """
from pathlib import Path
from bulkformer.cli import command
from bulkformer.errors import InputError

def step(top_genes: int, cohort: list[str]) -> None:
    '''Show the arguments.'''
    if top_genes < 0:
        raise InputError("top_genes: -1 is negative; give 0 or more")
    print(top_genes, cohort)

command(step)
"""


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", STEP, *arguments], capture_output=True, text=True, check=False
    )


def test_the_help_of_a_step_is_its_docstring():
    assert "Show the arguments." in run("--help").stdout


def test_a_users_mistake_is_one_line_and_a_status():
    failed = run("--", "-1", "tcga")
    assert failed.returncode == 1
    assert failed.stderr == "error: top_genes: -1 is negative; give 0 or more\n"
