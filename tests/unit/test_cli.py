"""A step ends with one line where the input is wrong, whatever a library says of the file."""

import sys

import pytest

from bulkformer.cli import command
from bulkformer.errors import InputError


def test_bad_input_is_one_line_on_stderr_and_status_1(monkeypatch, capsys):
    def step() -> None:
        raise InputError('counts.tsv: Row #4: expected 3 columns, got 2: "A\t1\nB\t3; fetch it')

    monkeypatch.setattr(sys, "argv", ["step"])
    with pytest.raises(SystemExit) as ended:
        command(step)
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: counts.tsv: Row #4")
    assert error.endswith("B\t3; fetch it\n")
    assert error.count("\n") == 1
