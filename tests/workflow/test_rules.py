"""Rules say what, the library says how: checked on the rule files themselves."""

import re

import pytest

pytestmark = pytest.mark.workflow


def rules(root):
    """Yield (file name, rule name, body) of every rule that computes."""
    for path in sorted((root / "workflow/rules").glob("*.smk")):
        if path.stem in ("common", "targets"):
            continue
        parts = re.split(r"^rule (\w+):\n", path.read_text(), flags=re.MULTILINE)
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            yield path.name, name, body


def test_every_rule_has_a_reason_a_log_a_benchmark_and_an_environment(root):
    for file, name, body in rules(root):
        for part in ('"""', "log:", "benchmark:", "conda:", "threads:", "resources:", "shell:"):
            assert part in body, f"{file}: rule {name} lacks {part}"
        assert "run:" not in body
        assert "script:" not in body


def test_every_rule_is_one_plain_command_of_the_library(root):
    for file, name, body in rules(root):
        command = body.split("shell:")[1]
        assert re.search(r'"python -m bulkformer\.\w+\.\w+', command), f"{file}: rule {name}"


def test_every_command_of_a_rule_exists_in_the_library(root):
    for _file, name, body in rules(root):
        module = re.search(r"python -m ([\w.]+)", body).group(1)
        path = root / "workflow/lib" / (module.replace(".", "/") + ".py")
        assert path.exists(), f"rule {name}: {module}"


def test_the_library_knows_nothing_of_snakemake(root):
    for path in (root / "workflow/lib").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.MULTILINE), path


def test_no_file_of_code_is_longer_than_a_person_reads(root):
    for pattern in ("workflow/**/*.py", "workflow/**/*.smk", "tests/**/*.py"):
        for path in root.glob(pattern):
            assert len(path.read_text().splitlines()) <= 320, path


@pytest.mark.parametrize("unsafe", ["weights_only=False", "pickle.load(", "allow_pickle=True"])
def test_nothing_is_unpickled(root, unsafe):
    for path in (root / "workflow/lib").rglob("*.py"):
        assert unsafe not in path.read_text(), path
