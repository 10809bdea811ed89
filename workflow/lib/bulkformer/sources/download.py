"""Step `sources.download`: one public file, whole and checked, under its own name or not at all.

A file that is already on disk is checked the same way and linked. After this step no stage needs
the network. Every option is a column of the sources table or a key of the config.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.sources import listing as listings
from bulkformer.sources.addresses import below, local_path
from bulkformer.sources.content import OtherBytes, check_content
from bulkformer.sources.licence import check_accepted
from bulkformer.sources.lock import changed, locked_entry, write_entry
from bulkformer.sources.transfer import OtherSize, TransferError, discard, fetch

COLLECTIONS = ["gdc", "ncbi"]
# What arrives from each address has its own file, so that trying one costs no other its bytes.
BASE, FIRST, SECOND = ".base", "", ".mirror"


def download(
    output: Annotated[Path, typer.Option()],
    url: str = "",
    mirror: str = "",
    listing: str = "",
    size: Annotated[int | None, typer.Option("--bytes")] = None,
    checksum: str = "",
    version: str = "",
    acquired: str = "automatic",
    instruction: str = "",
    accept: str = "",
    licence: str = "",
    licence_url: str = "",
    citation: str = "",
    samples: Annotated[Path | None, typer.Option()] = None,
    sample_columns: str = "",
    lock: Annotated[Path | None, typer.Option()] = None,
    mirror_base: str = "",
    offline: bool = False,
    accept_licence: Annotated[list[str] | None, typer.Option()] = None,
) -> None:
    """Fetch one public file, check it, and only then give it its name.

    `url` and `mirror` are http, https or ftp addresses, file:// addresses, or paths; a local file
    becomes a symbolic link. `mirror_base` holds <source>/<file> and is tried before them. `listing`
    is "<kind> <address>" of an interface that states link and checksum (zenodo, figshare) or hands
    out the small files of which this one is packed (gdc; ncbi, for the series of `samples`).
    `checksum` is sha256:… or md5:…; without one, the entry in `lock` counts. What has arrived of a
    cut transfer is kept beside `output` and resumed; a file that fails a check is removed.
    """
    name = f"{output.parent.name}/{output.name}"
    if accept == "yes":
        check_accepted(name, accept_licence or [], licence, licence_url, citation)
    problems: list[str] = []
    kind, _, interface = listing.partition(" ")
    wanted = _expected(output, version, size, checksum, lock)
    first = url
    if listing and kind not in COLLECTIONS and not offline and not (url and wanted.checksum):
        listed = _listed(listing, output, problems)
        if listed:
            first = url or listed.url
            wanted.learn(listed)
    addresses = {BASE: below(mirror_base, name) if mirror_base else "", FIRST: first}
    for role, address in (addresses | {SECOND: mirror}).items():
        if address and _obtain(wanted, role, address, offline, problems):
            return
    if kind in COLLECTIONS and not offline:
        _collect(wanted, kind, interface, samples, sample_columns)
        return
    if url or listing:
        raise InputError(_not_fetched(output, problems, listing, offline))
    _take_by_hand(wanted, acquired, instruction, problems)


@dataclass
class Wanted:
    """The file that is to be had, and what is known of it before."""

    output: Path
    version: str
    size: int | None
    checksum: str
    lock: Path | None
    locked: dict | None  # what was found before; it counts where the table states no checksum

    @property
    def name(self) -> str:
        return f"{self.output.parent.name}/{self.output.name}"

    def part(self, role: str = FIRST) -> Path:
        return self.output.with_name(f".{self.output.name}{role}.part")

    def learn(self, listed: listings.Listed) -> None:
        """Take size and checksum from the provider where neither table nor lock file has them."""
        if not self.checksum:
            self.checksum = listed.checksum
            self.size = listed.bytes if self.size is None else self.size

    def settle(self, path: Path, origin: str, **found: object) -> None:
        """Check the file at `path`, lock it, and only then give it its name.

        Raises InputError if it is not the file; nothing stands under its name then.
        """
        digest = check_content(path, self.output.name, self.size, self.checksum)
        size = path.stat().st_size
        if self.lock:
            entry = {"sha256": digest, "bytes": size, "version": self.version}
            stated = {key: value for key, value in found.items() if value}
            write_entry(self.lock, self.name, entry | stated)
        if path in (self.part(role) for role in (BASE, FIRST, SECOND)):
            os.replace(path, self.output)
        else:
            _link(path, self.output)
        for role in (BASE, FIRST, SECOND):
            discard(self.part(role))
        print(f"{self.output}: {size} bytes from {origin}, sha256:{digest}")

    def explain(self, error: Exception) -> str:
        """Return what is wrong, and what to do where the lock file holds something else."""
        if self.locked and isinstance(error, OtherBytes | OtherSize):
            return changed(self.lock, self.name, self.locked, str(error))
        return str(error)


def _expected(
    output: Path, version: str, size: int | None, checksum: str, lock: Path | None
) -> Wanted:
    """Return what table and lock file say; a checksum in the table overrules the lock file."""
    locked = locked_entry(lock, f"{output.parent.name}/{output.name}", version)
    if checksum or not locked:
        return Wanted(output, version, size, checksum, lock, None)
    return Wanted(output, version, size, f"sha256:{locked['sha256']}", lock, locked)


def _listed(listing: str, output: Path, problems: list[str]) -> listings.Listed | None:
    """Ask the provider; its silence is a problem only if nothing else helps."""
    evidence = output.with_name(f".{output.name}.listing.json")
    try:
        return listings.look_up(listing, output.name, evidence)
    except TransferError as error:
        problems.append(f"{listing}: {error}")
        print(problems[-1], flush=True)
        return None


def _obtain(wanted: Wanted, role: str, address: str, offline: bool, problems: list[str]) -> bool:
    """Try one address; return whether the file has its name now, else add to `problems`."""
    path, part = local_path(address), wanted.part(role)
    if path and (path.is_file() or role != BASE):
        _settle_local(wanted, path)
        return True
    try:
        if path:
            raise TransferError("no such file")
        if offline:
            size = f"{wanted.size} bytes" if wanted.size else "size unknown"
            problems.append(f"{address} ({size}): offline")
            return False
        locked_size = wanted.locked["bytes"] if wanted.locked else None
        offered = fetch(address, part, wanted.size or locked_size)
    except TransferError as error:
        problems.append(f"{address}: {wanted.explain(error)}")
    else:
        try:
            wanted.settle(
                part, address, url=address, etag=offered["etag"], modified=offered["date"]
            )
        except InputError as error:
            discard(part)
            problems.append(f"{address}: {wanted.explain(error)}")
        else:
            return True
    print(problems[-1], flush=True)
    return False


def _collect(
    wanted: Wanted, kind: str, interface: str, samples: Path | None, sample_columns: str
) -> None:
    """Fetch the small files of which this one is made, and pack them."""
    from bulkformer.sources import gdc_files, ncbi_files  # only here is the sample reader needed

    part, found = wanted.part(), {}
    try:
        if kind == "ncbi":
            ncbi_files.fetch_series(interface, samples, sample_columns, part)
        elif wanted.output.suffix == ".tar":
            found["version"] = gdc_files.fetch_counts(interface, part)
        else:
            found["version"] = gdc_files.write_sheet(interface, part)
    except TransferError as error:
        raise InputError(
            f"{wanted.output}: not complete yet; {error}; what has arrived is kept, start again "
            "later to go on"
        ) from error
    try:
        wanted.settle(part, interface, url=interface, **found)
    except InputError as error:
        raise InputError(f"{part}: {wanted.explain(error)}") from error


def _take_by_hand(wanted: Wanted, acquired: str, instruction: str, problems: list[str]) -> None:
    """Settle the file where a person has put it, or say what to do."""
    output = wanted.output
    place = output.absolute().parents[1] / "by_hand" / wanted.name
    for path in [place, output]:
        if path.is_file():
            _settle_local(wanted, path)
            return
    if acquired != "by_hand":
        raise InputError(
            f"{output}: the sources table gives no url; write an address or a path there"
        )
    tried = f" ({'; '.join(problems)})" if problems else ""
    raise InputError(
        f"{output}: this file is acquired by hand{tried}. "
        f"{instruction.rstrip('.') or 'Get it from its provider'}. Then put it at {place}, or "
        "write its path in the url column of the sources table"
    )


def _settle_local(wanted: Wanted, path: Path) -> None:
    """Check a file on disk and link it."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; correct the url of {wanted.output.name} in the sources table"
        )
    try:
        wanted.settle(path, str(path.resolve()))
    except InputError as error:
        raise InputError(
            f"{path}: {wanted.explain(error)}; give the right file, or correct the sources table"
        ) from error


def _link(path: Path, output: Path) -> None:
    """Link the file under `output`, with an absolute target, unless it stands there itself."""
    target = path.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    if target != output.parent.resolve() / output.name:
        link = output.with_name(f".{output.name}.link")
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        os.replace(link, output)


def _not_fetched(output: Path, problems: list[str], listing: str, offline: bool) -> str:
    remedy = (
        f"fetch it where there is a network, put it at {output.absolute()} or write its path in "
        "the url column of the sources table, or switch sources.offline off"
        if offline
        else "if this machine has no network, set sources.offline and put the file at "
        f"{output.absolute()}, or name a server or folder that has it in sources.mirror; else "
        "correct the sources table, or try again later"
    )
    if offline and listing and not problems:
        problems = [f"{listing} (size unknown): offline"]
    return f"{output}: not fetched; {'; '.join(problems)}; {remedy}"


if __name__ == "__main__":
    command(download)
