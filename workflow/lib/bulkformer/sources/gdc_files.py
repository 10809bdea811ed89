"""STAR counts of the GDC: asks which files there are, fetches them, packs them for the reader.

The list of files is asked once and kept, because the counts and their sample sheet must speak of
the same files although they are two downloads, and because the GDC publishes a new data release
every few months. Removing the kept list lets the next run ask again.
"""

import hashlib
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bulkformer.errors import InputError
from bulkformer.files import atomic, write_json
from bulkformer.sources import transfer
from bulkformer.sources.listing import MD5, parse, take
from bulkformer.sources.lock import exclusive
from bulkformer.sources.packing import Pack, member_md5s
from bulkformer.sources.transfer import TransferError

PAGE = 2000  # files in one answer
BATCH = 100  # files in one call of curl, about 400 MB
AT_ONCE = 4  # connections
FIELDS = [
    *("file_id", "file_name", "md5sum", "file_size", "data_category", "data_type"),
    *("cases.submitter_id", "cases.project.project_id"),
    *("cases.samples.submitter_id", "cases.samples.sample_type"),
    "associated_entities.entity_submitter_id",  # the aliquot
]
# As the sample sheet of the portal calls them; it does not name the aliquot.
SHEET = ["File ID", "File Name", "Data Category", "Data Type"]
SHEET += ["Project ID", "Case ID", "Sample ID", "Sample Type", "Aliquot ID"]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def fetch_counts(address: str, part: Path) -> str:
    """Bring all STAR counts into the tar `part`; return the GDC's data release.

    `address` is that of the interface; a query narrows it, `?program=TCGA` (the default) or
    `?project=TCGA-BRCA`. Raises TransferError if files are missing in the end; `part` and a folder
    beside it then keep what has arrived.
    """
    kept = listed_files(address, part.parent)
    files = sorted(kept["files"], key=lambda file: file["file_name"])
    members = {f"{file['file_id']}/{file['file_name']}": file for file in files}
    _discard_unless_begun_with(part, members)
    with Pack(part) as pack:
        todo = list(members.items())[len(pack.names) :]
        sizes = [file["file_size"] for file in files]
        transfer.check_room(part.parent, sum(sizes[len(pack.names) :]))
        for at in range(0, len(todo), BATCH):
            done = len(pack.names)
            print(
                f"{address}: {done} of {len(files)} files, {sum(sizes[:done]) / 1e9:.1f} of "
                f"{sum(sizes) / 1e9:.1f} GB",
                flush=True,
            )
            batch = dict(todo[at : at + BATCH])
            folder = _fetch_batch(base(address), list(batch.values()), part)
            for name, file in batch.items():
                pack.add(name, folder / file["file_id"])
            shutil.rmtree(folder.parent, ignore_errors=True)
    return kept["data_release"]


def write_sheet(address: str, part: Path) -> str:
    """Write the sample sheet of the same files; return the data release.

    It is that of the portal with a last column, Aliquot ID.
    """
    kept = listed_files(address, part.parent)
    rows = []
    for file in sorted(kept["files"], key=lambda file: file["file_name"]):
        cases = file["cases"]
        samples = [sample for case in cases for sample in case["samples"]]
        cells = [
            *(file["file_id"], file["file_name"], file["data_category"], file["data_type"]),
            ", ".join(case["project"]["project_id"] for case in cases),
            ", ".join(case["submitter_id"] for case in cases),
            ", ".join(sample["submitter_id"] for sample in samples),
            ", ".join(sample["sample_type"] for sample in samples),
            ", ".join(each["entity_submitter_id"] for each in file.get("associated_entities", [])),
        ]
        rows.append("\t".join(cells) + "\n")
    with atomic(part) as partial:
        partial.write_text("\t".join(SHEET) + "\n" + "".join(rows))
    return kept["data_release"]


def base(address: str) -> str:
    return address.partition("?")[0].rstrip("/")


def listed_files(address: str, folder: Path) -> dict:
    """Return {"data_release", "question", "files"}, asked now or kept in `folder` from before."""
    question = _question(address)
    path = folder / ".gdc_files.json"
    with exclusive(folder / ".gdc_files.guard"):
        if path.exists():
            kept = json.loads(path.read_text())
            if kept["question"] == question and kept["address"] == base(address):
                return kept
        status_url = f"{base(address)}/status"
        release = take(parse(transfer.ask(status_url), status_url), "data_release", str, status_url)
        files = _ask_all(f"{base(address)}/files", question)
        kept = {"address": base(address), "data_release": release, "question": question}
        kept["files"] = files
        write_json(path, kept)
    print(f"{address}: {len(files)} files, {release}", flush=True)
    return kept


def _question(address: str) -> dict:
    query = {key: values[-1] for key, values in parse_qs(urlsplit(address).query).items()}
    if not query.keys() <= {"program", "project"}:
        raise InputError(f"listing '{address}': only ?program=… and ?project=… narrow it down")
    wanted = {
        "files.analysis.workflow_type": "STAR - Counts",
        "files.data_type": "Gene Expression Quantification",
        "files.access": "open",
    }
    if "project" in query:
        wanted["cases.project.project_id"] = query["project"]
    else:
        wanted["cases.project.program.name"] = query.get("program", "TCGA")
    content = [
        {"op": "in", "content": {"field": field, "value": [value]}}
        for field, value in wanted.items()
    ]
    return {"op": "and", "content": content}


def _ask_all(address: str, question: dict) -> list[dict]:
    """Ask page after page, sorted, until as many files came as the answer says there are."""
    files: list[dict] = []
    while True:
        body = {
            "filters": question,
            "fields": ",".join(FIELDS),
            "format": "JSON",
            "sort": "file_id:asc",
            "size": PAGE,
            "from": len(files),
        }
        answer = parse(transfer.ask(address, json.dumps(body)), address)
        hits = take(answer, "data.hits", list, address)
        total = take(answer, "data.pagination.total", int, address)
        files += [_checked(hit, address) for hit in hits]
        if len(files) >= total:
            break
        if not hits:
            raise InputError(f"{address}: {len(files)} of {total} files listed; try again later")
    if len({file["file_id"] for file in files}) != len(files) or not files:
        raise InputError(
            f"{address}: {len(files)} files listed, none or some twice; correct program or project "
            "in the listing, or try again later"
        )
    return files


def _checked(hit: Any, address: str) -> dict:
    """Return a file of an answer if every value is what it should be."""
    for key in ["file_id", "file_name", "md5sum", "data_category", "data_type"]:
        take(hit, key, str, address)
    take(hit, "file_size", int, address)
    for case in take(hit, "cases", list, address):
        take(case, "submitter_id", str, address)
        take(case, "project.project_id", str, address)
        for sample in take(case, "samples", list, address):
            take(sample, "submitter_id", str, address)
            take(sample, "sample_type", str, address)
    for entity in hit.get("associated_entities", []):
        take(entity, "entity_submitter_id", str, address)
    for key, form in [("file_id", UUID), ("file_name", FILE_NAME), ("md5sum", MD5)]:
        if not form.fullmatch(hit[key]):
            raise InputError(f"{address}: the {key} '{hit[key]}' cannot be; try again later")
    return hit


def _discard_unless_begun_with(part: Path, members: dict[str, dict]) -> None:
    """Keep a begun tar only if its members are the first of those wanted, with the right MD5s."""
    begun = member_md5s(part)
    wanted = [(name, file["md5sum"]) for name, file in members.items()]
    if list(begun.items()) != wanted[: len(begun)]:
        part.unlink(missing_ok=True)


def _fetch_batch(address: str, files: list[dict], part: Path) -> Path:
    """Return a folder with all `files` under their ids, each with the right MD5."""
    state = part.with_name(f"{part.name}.files")
    # A folder of its own for each call: a curl that outlived a killed run may still write there.
    folder = state / f"{time.time_ns()}"
    folder.mkdir(parents=True)
    for other in state.iterdir():
        if other != folder:
            for file in files:
                if _is_whole(other / file["file_id"], file):
                    (other / file["file_id"]).rename(folder / file["file_id"])
            shutil.rmtree(other, ignore_errors=True)
    delays, best = list(transfer.DELAYS), 0
    while missing := [file for file in files if not _is_whole(folder / file["file_id"], file)]:
        addresses = {file["file_id"]: f"{address}/data/{file['file_id']}" for file in missing}
        transfer.fetch_many(addresses, folder, AT_ONCE)
        whole = sum(_is_whole(folder / file["file_id"], file) for file in files)
        if whole == len(files):
            break
        if whole > best:
            best, delays = whole, list(transfer.DELAYS)
        if not delays:
            raise TransferError(
                f"{len(files) - whole} of {len(files)} files did not arrive whole, first "
                f"{addresses[missing[0]['file_id']]}"
            )
        time.sleep(delays.pop(0))
    return folder


def _is_whole(path: Path, file: dict) -> bool:
    if not path.exists() or path.stat().st_size != file["file_size"]:
        return False
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "md5").hexdigest() == file["md5sum"]
