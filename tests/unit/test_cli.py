"""A step ends with one line where the input is wrong, whatever a library says of the file."""

import os
import subprocess
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


@pytest.mark.parametrize(
    ("given", "spinning"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, None)],
)
def test_waiting_threads_spin_shortly_unless_the_user_says_otherwise(given, spinning):
    program = (
        "import os, sys, torch\n"
        "from bulkformer.cli import command\n"
        "def step() -> None:\n"
        "    assert 'torch.nn' not in sys.modules\n"
        "    print(os.environ.get('GOMP_SPINCOUNT'), torch.ones(1).item())\n"
        "command(step)\n"
    )
    program = "import bulkformer\n" + program
    own = {name: value for name, value in os.environ.items() if "SPIN" not in name}
    run = subprocess.run(
        [sys.executable, "-c", program], env=own | given, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [str(spinning), "1.0"]
