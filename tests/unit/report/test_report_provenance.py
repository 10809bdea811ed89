"""What a report says it rests on: everything that shapes a run and nothing that passes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bulkformer.errors import InputError
from bulkformer.report import provenance as module
from bulkformer.report.provenance import git_state, library_hash, provenance

ARGUMENTS = {
    "config": '{"seed": 42}', "cohorts": '{"tcga": {}}', "models": "{}", "sources": "[]",
}  # fmt: skip


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "__init__.py").write_text("a = 1\n")
    (folder / "page.html.j2").write_text("<p>")
    return folder


def run_git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_the_configuration_comes_back_as_it_was_given(tmp_path):
    provenance(**ARGUMENTS, output=tmp_path / "p.json")
    content = json.loads((tmp_path / "p.json").read_text())
    assert content["config"] == {"seed": 42}
    assert content["packages"]["numpy"].count(".") == 2
    assert len(content["library_sha256"]) == 64


def test_the_same_run_writes_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        provenance(**ARGUMENTS, output=tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_package_that_is_not_installed_is_null(monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", ("numpy", "no-such-package"))
    assert module.package_versions()["no-such-package"] is None


def test_text_that_is_no_json_names_its_option(tmp_path):
    with pytest.raises(InputError, match="--models: not JSON"):
        provenance(**(ARGUMENTS | {"models": "{"}), output=tmp_path / "p.json")


def test_a_change_of_source_or_template_changes_the_hash(library):
    before = library_hash(library)
    (library / "notes.txt").write_text("no source")
    (library / "__pycache__").mkdir()
    assert library_hash(library) == before
    (library / "page.html.j2").write_text("<b>")
    assert library_hash(library) != before


def test_a_checkout_gives_its_revision_and_whether_it_was_changed(library):
    run_git(library, "init")
    run_git(library, "add", ".")
    run_git(library, "commit", "-m", "first")
    state = git_state(library)
    assert len(state["revision"]) == 40
    assert state["dirty"] is False
    (library / "__init__.py").write_text("a = 2\n")
    assert git_state(library)["dirty"] is True


def test_a_library_inside_somebody_elses_repository_borrows_no_revision(library):
    (library.parent / "other.py").write_text("")
    run_git(library.parent, "init")
    run_git(library.parent, "add", "other.py")
    run_git(library.parent, "commit", "-m", "first")
    assert git_state(library) is None


def test_without_git_the_revision_is_null(library, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_state(library) is None


def test_the_step_runs_from_the_command_line_and_says_what_is_wrong(tmp_path):
    output = tmp_path / "p.json"
    words = [word for name, value in ARGUMENTS.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "bulkformer.report.provenance", "--output", str(output)]
    assert subprocess.run([*command, *words], check=False).returncode == 0
    assert output.exists()
    broken = subprocess.run(
        [*command, *words, "--config", "{"], check=False, capture_output=True, text=True
    )
    assert broken.returncode == 1
    assert broken.stderr.startswith("error: --config: not JSON")
