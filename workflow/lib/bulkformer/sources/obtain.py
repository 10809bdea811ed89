"""Step `sources.obtain`: one file of the sources table, by name, as `sources.download` fetches it.

What does not change the file (addresses, licences, offline mode, mirrors) comes from the table and
the plan and stands in no command: editing it must not make a run fetch 45 GB again.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.sources.catalogue import read_catalogue
from bulkformer.sources.download import download


def obtain(
    output: Annotated[Path, typer.Option()],
    table: Annotated[Path, typer.Option()],
    plan: Annotated[Path, typer.Option()],
    name: Annotated[str, typer.Option()],
    version: str = "",
    size: Annotated[int | None, typer.Option("--bytes")] = None,
    checksum: str = "",
    samples: Annotated[Path | None, typer.Option()] = None,
    sample_columns: str = "",
) -> None:
    """Fetch the file `name`, "source/file" of the sources table, to `output`.

    `plan` is what the step sources.plan wrote. `version`, `bytes` and `checksum` stand in the
    command because another value of theirs means another file.
    """
    row = next((row for row in read_catalogue(table) if row.name == name), None)
    if row is None:
        raise InputError(f"{table}: no row for '{name}'; add one")
    settings = json.loads(plan.read_text())["settings"]
    download(
        output,
        url=row.url,
        mirror=row.mirror,
        listing=row.listing,
        size=size,
        checksum=checksum,
        version=version,
        acquired=row.acquired,
        instruction=row.instruction,
        accept="yes" if row.accept else "",
        licence=row.licence,
        licence_url=row.licence_url,
        citation=row.citation,
        samples=samples,
        sample_columns=sample_columns,
        lock=Path(settings["lock"]),
        mirror_base=settings["mirror"],
        offline=settings["offline"],
        accept_licence=settings["accept_licence"],
    )


if __name__ == "__main__":
    command(obtain)
