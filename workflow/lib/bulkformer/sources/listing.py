"""What Zenodo and figshare say of a file: its address, size and MD5, asked of their interfaces.

Such an answer comes from outside: every value is checked before it is used, and the whole answer is
kept beside the file as evidence of what the provider stated.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bulkformer.errors import InputError
from bulkformer.files import write_json
from bulkformer.sources.transfer import ask

MD5 = re.compile(r"[0-9a-f]{32}")
ADDRESS = re.compile(r"https?://[^\s\"'\\]+")
PAGE = 100  # figshare shows the files of an article in pages; this many on each


@dataclass(frozen=True)
class Listed:
    """One file of a listing. checksum : "md5:…", "" if the provider states none"""

    name: str
    url: str
    bytes: int
    checksum: str


def look_up(listing: str, file: str, evidence: Path) -> Listed:
    """Return what the provider states of `file`; its answer is written to `evidence`.

    `listing` is "<kind> <address>" with a kind zenodo or figshare. Raises InputError if the answer
    is not what the kind should answer or does not name the file, TransferError if none comes.
    """
    kind, _, address = listing.partition(" ")
    readers = {"zenodo": _zenodo, "figshare": _figshare}
    if kind not in readers:
        raise InputError(
            f"listing '{listing}': '{kind}' is no known kind; write zenodo, figshare, gdc or ncbi"
        )
    answers, known = [], {}
    for answer, entries in readers[kind](address):
        answers.append(answer)
        for listed in entries:
            known[listed.name] = listed
        if file in known:
            write_json(evidence, answers)
            return known[file]
    raise InputError(
        f"{address} lists no '{file}'; it lists {', '.join(sorted(known)) or 'no file'}. Correct "
        "file or listing in the sources table"
    )


def parse(answer: bytes, address: str) -> Any:
    """Return the JSON of an answer; raises InputError if it is something else."""
    try:
        return json.loads(answer)
    except ValueError as error:
        start = answer[:60].decode("utf-8", "replace")
        raise InputError(f"{address}: the answer is not JSON but {start!r}; try later") from error


def take(entry: Any, path: str, kind: type, address: str) -> Any:
    """Return the value at a dotted `path` of an answer if it is of `kind`, else InputError."""
    value = entry
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(
            f"{address}: '{path}' of its answer is {value!r} and no {kind.__name__}; the "
            "interface of the provider may have changed, give url and checksum in the sources table"
        )
    return value


def _zenodo(address: str) -> Iterator[tuple[Any, list[Listed]]]:
    answer = parse(ask(address), address)
    entries = []
    for entry in take(answer, "files", list, address):
        algorithm, _, digest = take(entry, "checksum", str, address).partition(":")
        entries.append(
            _listed(
                take(entry, "key", str, address),
                take(entry, "links.self", str, address),
                take(entry, "size", int, address),
                digest if algorithm == "md5" else "",
                address,
            )
        )
    yield answer, entries


def _figshare(address: str) -> Iterator[tuple[Any, list[Listed]]]:
    """Read the article and, as it may show its first files only, the pages of its file list."""
    article = parse(ask(address), address)
    yield (
        article,
        [_figshare_file(entry, address) for entry in take(article, "files", list, address)],
    )
    number = 0
    while True:
        number += 1
        page = f"{address.rstrip('/')}/files?page={number}&page_size={PAGE}"
        entries = parse(ask(page), page)
        if not isinstance(entries, list):
            raise InputError(f"{page}: the answer is no list of files; give the url instead")
        yield entries, [_figshare_file(entry, page) for entry in entries]
        if len(entries) < PAGE:
            return


def _figshare_file(entry: Any, address: str) -> Listed:
    digest = take(entry, "computed_md5", str, address) or take(entry, "supplied_md5", str, address)
    return _listed(
        take(entry, "name", str, address),
        take(entry, "download_url", str, address),
        take(entry, "size", int, address),
        digest,
        address,
    )


def _listed(name: str, url: str, size: int, digest: str, address: str) -> Listed:
    if not ADDRESS.fullmatch(url) or size < 0 or not (MD5.fullmatch(digest) or not digest):
        raise InputError(
            f"{address}: '{name}' is listed with the link '{url}', {size} bytes and the MD5 "
            f"'{digest}', which cannot be; give url and checksum in the sources table"
        )
    return Listed(name, url, size, f"md5:{digest}" if digest else "")
