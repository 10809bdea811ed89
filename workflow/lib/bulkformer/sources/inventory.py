"""Step `sources.inventory`: which bytes a run rests on, from where, and what vouches for them.

A file that was put in its place by hand, or that changed after its download, is found here: every
file is compared with the checksum of the sources table or, where that has none, with the lock file.
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.files import sha256, write_json, write_table
from bulkformer.sources.catalogue import Source, read_catalogue
from bulkformer.sources.lock import changed, locked_entry

INVENTORY = pa.schema(
    [
        ("source", pa.string()),  # "local" for a file that the sources table does not know
        ("file", pa.string()),
        ("version", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("checked", pa.string()),  # one of the five below
        ("url", pa.string()),  # null where nothing says where it came from
        ("retrieved", pa.string()),  # day, ISO 8601; null where nothing says when
        ("licence", pa.string()),
        ("licence_url", pa.string()),
        ("citation", pa.string()),
    ]
)
BY_TABLE = "checksum of the table"
BY_LOCK = "lock"
RECORDED = "recorded first time"
LOCAL = "local file"
SIMULATED = "simulated"


def inventory(
    catalogue: Annotated[Path, Option(help="The sources table.")],
    files: Annotated[str, Option(help="{source/file or path of the config: path}, as JSON.")],
    lock: Annotated[Path, Option(help="The lock file; it may be absent.")],
    output: Annotated[Path, Option(help="inventory.parquet to write.")],
    simulated: Annotated[
        bool, Option("--simulated", help="The simulator wrote the files.")
    ] = False,
) -> None:
    """Write one row a file, sorted by source and file.

    Hashes of large files take minutes: they are kept beside the output, and a file whose size and
    time have not changed is not read again.

    Raises InputError for a file that is absent, or whose size or checksum is not what the sources
    table or the lock file says.
    """
    sources = {source.name: source for source in read_catalogue(catalogue)}
    paths = _paths(files)
    hashes = Hashes(output.with_name(f".{output.stem}.hashes.json"))
    rows = []
    for name, path in sorted(paths.items()):
        source = sources.get(name)
        row = described(name, source) | {"bytes": path.stat().st_size}
        if source is None:
            found = hashes.of(path, "sha256")
            row |= {"sha256": found, "checked": LOCAL, "url": str(path.resolve())}
        elif simulated:
            row |= {"sha256": sha256(path), "checked": SIMULATED}
        else:
            row |= checked(source, path, lock, hashes)
        rows.append(row)
    if not simulated:
        hashes.write()
    rows.sort(key=lambda row: (row["source"], row["file"]))
    write_table(output, pa.Table.from_pylist(rows, schema=INVENTORY))
    print(f"{output}: {len(rows)} files, {sum(row['bytes'] for row in rows)} bytes")


def _paths(files: str) -> dict[str, Path]:
    """Return {name: path}; raises InputError for what is no JSON object or names an absent file."""
    try:
        content = json.loads(files)
    except json.JSONDecodeError as error:
        raise InputError(f"--files: not JSON ({error}); pass one quoted JSON object") from error
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise InputError("--files: no JSON object of paths; pass {source/file: path}")
    paths = {name: Path(path) for name, path in content.items()}
    for name, path in paths.items():
        if not path.is_file():
            raise InputError(f"{path}: no such file; fetch {name}, or correct its path")
    return paths


def described(name: str, source: Source | None) -> dict[str, Any]:
    """Return what the sources table says of a file; a file of the user only has its path."""
    if source is None:
        return {"source": "local", "file": name, "licence": "not stated: a file of the user"}
    return {
        "source": source.source,
        "file": source.file,
        "version": source.version or None,
        "licence": source.licence,
        "licence_url": source.licence_url or None,
        "citation": source.citation,
    }


def checked(source: Source, path: Path, lock: Path, hashes: "Hashes") -> dict[str, Any]:
    """Return the hash of a fetched file, what it was checked against, and where it came from."""
    size = path.stat().st_size
    if source.bytes is not None and size != source.bytes:
        raise InputError(
            f"{path}: {size} bytes instead of the {source.bytes} of the sources table; remove it "
            "to fetch it again, or correct the table"
        )
    entry = locked_entry(lock, source.name, source.version)
    digest = hashes.of(path, "sha256")
    origin = {
        # Some providers have no release that could be named before the download.
        "version": source.version or (entry or {}).get("version"),
        "sha256": digest,
        "url": (entry or {}).get("url") or _address(source, path),
        "retrieved": (entry or {}).get("retrieved"),
    }
    if source.checksum:
        algorithm, _, expected = source.checksum.partition(":")
        if (actual := hashes.of(path, algorithm)) != expected:
            raise InputError(
                f"{path}: its {algorithm} is {actual} instead of the {expected} of the sources "
                "table; remove it to fetch it again, or correct the table"
            )
        return origin | {"checked": BY_TABLE}
    if entry is None:
        return origin | {"checked": LOCAL}
    if digest != entry["sha256"]:
        found = f"sha256 {digest} ({size} bytes)"
        raise InputError(f"{path}: {changed(lock, source.name, entry, found)}")
    return origin | {"checked": RECORDED if _came_first(path, entry) else BY_LOCK}


def _address(source: Source, path: Path) -> str | None:
    """Return where a file came from that the lock file does not know: its link, or its address."""
    if path.is_symlink():
        return str(path.resolve())
    return source.url or None


def _came_first(path: Path, entry: dict) -> bool:
    """Whether the file is as old as its entry, so that the entry says nothing but what it is."""
    day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    return entry.get("retrieved") == day


class Hashes:
    """Hashes of files, kept with the size and time at which each file was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.known: dict[str, dict[str, Any]] = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            self.known = {}  # nothing is known yet, or the file is damaged: read all files again

    def of(self, path: Path, algorithm: str) -> str:
        """Return the hash of a file by "sha256" or "md5" as a hexadecimal string."""
        stat, place = path.stat(), str(path.resolve())
        state = {"bytes": stat.st_size, "changed": stat.st_mtime_ns}
        known = self.known.get(place, {})
        if any(known.get(key) != value for key, value in state.items()):
            known = self.known[place] = state
        if algorithm not in known:
            with path.open("rb") as handle:
                known[algorithm] = hashlib.file_digest(handle, algorithm).hexdigest()
        return known[algorithm]

    def write(self) -> None:
        """Keep the hashes for the next run."""
        write_json(self.path, self.known)


if __name__ == "__main__":
    command(inventory)
