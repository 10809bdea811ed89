"""What this report rests on: the resolved configuration, the versions and the source code.

Two reports can be compared only if this file says what differed between them, so it records
everything that shapes a run and nothing that merely passes, such as the time of day.
"""

import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from typer import Option

import bulkformer
from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.files import library_hash, write_json

# Direct dependencies of the library. The report's environment may lack some (null): what the
# training used stands in the provenance of the training.
PACKAGES = (
    "h5py", "jinja2", "matplotlib", "numpy", "pandas", "pyarrow", "safetensors",
    "scikit-learn", "scipy", "snakemake", "torch", "tqdm", "typer",
)  # fmt: skip


def provenance(
    config: Annotated[str, Option(help="Resolved configuration, as JSON.")],
    cohorts: Annotated[str, Option(help="{cohort: row of the cohorts table}, as JSON.")],
    models: Annotated[str, Option(help="{model: row of the models table}, as JSON.")],
    sources: Annotated[str, Option(help="Rows of the sources table, as JSON.")],
    output: Annotated[Path, Option(help="JSON file to write.")],
) -> None:
    """Write down the configuration, the versions and the code that the report rests on."""
    library = Path(bulkformer.__file__).parent
    write_json(
        output,
        {
            "config": from_json(config, "--config"),
            "cohorts": from_json(cohorts, "--cohorts"),
            "models": from_json(models, "--models"),
            "sources": from_json(sources, "--sources"),
            "bulkformer": bulkformer.__version__,
            "library_sha256": library_hash(library),
            "git": git_state(library),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": package_versions(),
        },
    )


def from_json(text: str, option: str) -> Any:
    """Return the value that `text` spells; raises InputError naming the option if it is no JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{option}: not JSON ({error}); pass one quoted JSON value") from error


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return the revision and whether tracked files were changed since.

    None where git is absent, or where `folder` is not under version control: a library that was
    installed into somebody else's repository must not borrow its revision.
    """
    tracked = git(folder, "ls-files", "--error-unmatch", "__init__.py")
    revision = git(folder, "rev-parse", "HEAD")
    if tracked is None or revision is None:
        return None
    changes = git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"revision": revision, "dirty": bool(changes)}


def git(folder: Path, *arguments: str) -> str | None:
    """Return what git answers in `folder`, or None if it is absent or refuses."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def package_versions() -> dict[str, str | None]:
    """Return the installed version of every direct dependency, None where it is not installed."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return versions


if __name__ == "__main__":
    command(provenance)
