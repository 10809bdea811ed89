"""A clean copy of the project in a temporary folder, and snakemake in it.

Tests that run the workflow use a copy, so that they see neither the results nor the state of the
folder in which somebody works.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

DEMO = ["--profile", "profiles/ci"]
PARTS = ["workflow", "config", "profiles", "envs", "pyproject.toml"]


def copy_project(root: Path, target: Path) -> Path:
    """Copy what a run needs from `root` to `target`."""
    target.mkdir(parents=True)
    for part in PARTS:
        source = root / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / part)
    return target


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run snakemake in `folder`; stdout and stderr come back as one text."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder,
        env=os.environ | {"PATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
