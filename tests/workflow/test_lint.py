"""The house style is checked by tools, not by reviewers."""

import subprocess
import sys
from pathlib import Path

import pytest

from checkout import snakemake

pytestmark = pytest.mark.workflow

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        [
            "codespell",
            "README.md",
            "CHANGELOG.md",
            "config",
            "docs",
            "profiles",
            "workflow",
            "tests",
        ],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_sources_are_clean(root, command):
    run = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_rules_are_formatted(root, monkeypatch):
    monkeypatch.setenv("PATH", str(BIN), prepend=":")  # snakefmt looks for shfmt there
    run = subprocess.run(
        [BIN / "snakefmt", "--check", "workflow"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_snakemake_finds_nothing_to_complain_about(root):
    run = snakemake(root, "--lint", "--profile", "profiles/demo")
    assert run.returncode == 0, run.stdout
