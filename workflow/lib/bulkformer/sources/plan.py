"""Step `sources.plan`: what is to be fetched, how much of it, and what will not come by itself.

It runs before the first transfer and prints one table, so that a person sees a missing licence, a
file to be got by hand or a disk too small before hours of downloading and not after.
"""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.files import write_json
from bulkformer.sources.catalogue import Source, read_catalogue
from bulkformer.sources.lock import read_lock
from bulkformer.sources.transfer import in_words

HERE, FETCH, PACK = "on disk", "to fetch", "to fetch, many files"
BY_HAND, NOT_ACCEPTED, OFFLINE = "by hand, absent", "licence not accepted", "offline, absent"


def plan(
    output: Annotated[Path, typer.Option()],
    table: Annotated[Path, typer.Option()],
    settings: Annotated[str, typer.Option()],
    resources: Annotated[Path, typer.Option()],
    needed: Annotated[list[str] | None, typer.Option()] = None,
) -> None:
    """Print the state of the files that the config uses, and hand `settings` to the downloads.

    `settings` is the section `sources` of the config as JSON; `needed` names files as source/file.
    Nothing fails here: a run may ask for a part of the files only, and those say themselves what
    they lack.
    """
    chosen = json.loads(settings)
    rows = {row.name: row for row in read_catalogue(table)}
    unknown = sorted(set(needed or []) - rows.keys())
    if unknown:
        raise InputError(f"{table}: no row for {', '.join(unknown)}; add it or correct the config")
    lock = read_lock(Path(chosen["lock"]))
    states = {name: _state(rows[name], resources, chosen) for name in sorted(needed or [])}
    sizes = {name: rows[name].bytes or lock.get(name, {}).get("bytes") for name in states}
    _print_table(states, sizes, rows)
    _print_sums(states, sizes, resources, table, chosen["accept_licence"])
    write_json(output, {"settings": chosen, "files": states})


def _state(row: Source, resources: Path, settings: dict) -> str:
    if (resources / row.name).is_file():
        return HERE
    if row.accept and row.source not in settings["accept_licence"]:
        return NOT_ACCEPTED
    if not row.url and not row.listing:
        return HERE if (resources / "by_hand" / row.name).is_file() else BY_HAND
    if settings["offline"]:
        return OFFLINE
    return PACK if row.listing.startswith(("gdc ", "ncbi ")) else FETCH


def _print_table(states: dict[str, str], sizes: dict[str, int | None], rows: dict) -> None:
    width = max(map(len, states), default=0)
    print(f"{'file':<{width}}  {'size':>13}  state")
    for name, state in states.items():
        print(f"{name:<{width}}  {in_words(sizes[name]):>13}  {state}")
        if state == NOT_ACCEPTED:
            print(f"{'':<{width}}  {'':>13}  {rows[name].licence}, {rows[name].licence_url}")
        elif state == BY_HAND:
            print(f"{'':<{width}}  {'':>13}  {rows[name].instruction}")


def _print_sums(
    states: dict[str, str],
    sizes: dict[str, int | None],
    resources: Path,
    table: Path,
    accepted: list[str],
) -> None:
    coming = [name for name, state in states.items() if state in (FETCH, PACK)]
    known = [sizes[name] for name in coming if sizes[name] is not None]
    folder = next(path for path in [resources, *resources.absolute().parents] if path.exists())
    free = shutil.disk_usage(folder).free
    print(
        f"{len(coming)} files are to be fetched: {in_words(sum(known))} for {len(known)} of them, "
        f"the size of {len(coming) - len(known)} is not stated; {in_words(free)} are free"
    )
    refused = sorted({name.partition("/")[0] for name in states if states[name] == NOT_ACCEPTED})
    remedies = {
        NOT_ACCEPTED: "those who accept all of them write in the config: "
        f"sources: {{accept_licence: [{', '.join(sorted({*accepted, *refused}))}]}}",
        BY_HAND: f"put them at {resources}/by_hand/<source>/<file>, or a path into {table}",
        OFFLINE: f"put them at {resources}/<source>/<file>, or switch sources.offline off",
    }
    for state, remedy in remedies.items():
        count = list(states.values()).count(state)
        if count:
            print(f"{count} {'file' if count == 1 else 'files'}: {state}; {remedy}")


if __name__ == "__main__":
    command(plan)
