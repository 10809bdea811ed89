"""What an address of the sources table or the config means: a file on disk, or a remote one."""

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from bulkformer.errors import InputError

SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
REMOTE = ["http", "https", "ftp"]


def local_path(address: str) -> Path | None:
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


def below(base: str, name: str) -> str:
    """Return the address of the file `name`, "source/file", on a mirror of everything."""
    scheme = SCHEME.match(base)
    return f"{base.rstrip('/')}/{quote(name) if scheme else name}"
