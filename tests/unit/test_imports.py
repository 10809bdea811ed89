"""A step that only parses its options loads none of the packages that are slow to import."""

import subprocess
import sys

# Modules that only the execution of their slow package loads.
SLOW = {
    *("anndata._core", "matplotlib.axes", "pandas.core.frame", "scipy.sparse", "sklearn.base"),
    "torch.nn",
}


def steps(root):
    """Yield the module of every step of the library."""
    library = root / "workflow/lib"
    for path in sorted(library.rglob("*.py")):
        if "\n    command(" in path.read_text():
            yield ".".join(path.relative_to(library).with_suffix("").parts)


def test_the_help_of_every_step_loads_nothing_that_is_slow(root):
    for step in steps(root):
        run = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", step, "--help"],
            env={"PYTHONPATH": str(root / "workflow/lib")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Usage:" in run.stdout, step
        loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
        assert not loaded & SLOW, step


def test_a_postponed_package_works_once_it_is_used(root):
    program = (
        "import sys, bulkformer\n"
        "import pandas as pd\n"
        "assert 'pandas.core.frame' not in sys.modules\n"
        "assert len(pd.DataFrame({'a': [1]})) == 1\n"
        "import torch.nn\n"
        "assert torch.nn.Linear(1, 1).weight.shape == (1, 1)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(root / "workflow/lib")}, check=True
    )


def test_an_absent_package_is_still_an_import_error(root):
    program = (
        "from bulkformer import imports\n"
        "imports.postpone('no_such_package')\n"
        "import no_such_package\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(root / "workflow/lib")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ModuleNotFoundError: No module named 'no_such_package'" in run.stderr
