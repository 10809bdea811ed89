"""Step `sources.download`: one public file, whole and checked, under its own name or not at all.

A file that is already on disk is checked the same way and linked. After this step no stage needs
the network.
"""

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.sources.content import check_content
from bulkformer.sources.transfer import TransferError, discard, fetch

SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
REMOTE = ["http", "https", "ftp"]


def download(
    output: Annotated[Path, typer.Option()],
    url: str = "",
    mirror: str = "",
    size: Annotated[int | None, typer.Option("--bytes")] = None,
    checksum: str = "",
    acquired: str = "automatic",
    instruction: str = "",
    offline: bool = False,
) -> None:
    """Fetch one public file, check it, and only then give it its name.

    `url` and `mirror` are http, https or ftp addresses, file:// addresses, or paths; a local file
    becomes a symbolic link. `checksum` is sha256:… or md5:…. What has arrived of a cut transfer is
    kept beside `output` and resumed; a file that fails a check is removed.
    """
    if not url:
        raise InputError(_by_hand(output, acquired, instruction))
    problems = []
    for at, address in enumerate(filter(None, [url, mirror])):
        local = _local(address)
        if local:
            _link(local, output, size, checksum)
            return
        if offline:
            problems.append(f"{address} ({f'{size} bytes' if size else 'size unknown'}): offline")
            continue
        # Each address has its own file, so that trying the mirror does not cost what has arrived.
        part = output.with_name(f".{output.name}{'.mirror' if at else ''}.part")
        try:
            fetch(address, part)
            digest = check_content(part, output.name, size, checksum)
        except TransferError as error:
            problems.append(f"{address}: {error}")
        except InputError as error:
            discard(part)
            problems.append(f"{address}: {error}")
        else:
            found = part.stat().st_size
            os.replace(part, output)
            discard(part)
            print(f"{output}: {found} bytes from {address}, sha256:{digest}")
            return
    remedy = (
        f"fetch it where there is a network, put it at {output.absolute()} or write its path in "
        "the url column of the sources table, or switch sources.offline off"
        if offline
        else "correct the sources table, try again later, or download the file yourself and write "
        "its path in the url column"
    )
    raise InputError(f"{output}: not fetched; {'; '.join(problems)}; {remedy}")


def _by_hand(output: Path, acquired: str, instruction: str) -> str:
    if acquired == "by_hand":
        return (
            f"{output}: this file is acquired by hand. "
            f"{instruction.rstrip('.') or 'Get it from its provider'}. Then put it at "
            f"{output.absolute()}, or write its path in the url column of the sources table"
        )
    return f"{output}: the sources table gives no url; write an address or a path there"


def _local(address: str) -> Path | None:
    """Return the path that `address` names, None for a remote one; raises InputError for others."""
    scheme = SCHEME.match(address)
    if scheme is None:
        path = os.path.expandvars(os.path.expanduser(address))
        if "$" in path:
            raise InputError(
                f"'{address}': set this environment variable, or write the path itself"
            )
        return Path(path)
    if scheme[1].lower() in REMOTE:
        return None
    parts = urlsplit(address)
    if scheme[1].lower() != "file" or parts.netloc not in ("", "localhost"):
        raise InputError(
            f"'{address}': only http, https, ftp and local file addresses are fetched; correct the "
            "sources table"
        )
    return Path(unquote(parts.path))


def _link(path: Path, output: Path, size: int | None, checksum: str) -> None:
    """Check a file on disk and link it under `output`; the link's target is absolute."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; correct the url of {output.name} in the sources table"
        )
    try:
        digest = check_content(path, output.name, size, checksum)
    except InputError as error:
        raise InputError(
            f"{path}: {error}; give the right file, or correct the sources table"
        ) from error
    target = path.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    if target != output.parent.resolve() / output.name:
        link = output.with_name(f".{output.name}.link")
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        os.replace(link, output)
    print(f"{output}: {path.stat().st_size} bytes from {target}, sha256:{digest}")


if __name__ == "__main__":
    command(download)
