"""Plays the provider of one row of the sources table on a local server, well or badly.

Addresses of the row keep their path; only their host is this machine. A row that is acquired by
hand is fetched the one way there is: from a mirror of everything (sources.mirror).
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from download_server import Page, Server, json_page
from tiny_files import tiny

from bulkformer.sources.catalogue import Source
from bulkformer.sources.download import download

UUID = "0f0f0f0f-1111-2222-3333-444444444444"
SERIES = "GSE00001"
Misbehave = Callable[[bytes], Page]


def well(body: bytes) -> Page:
    """Deliver the file."""
    return Page(body)


@dataclass
class Provider:
    """One row, its file, and the server that plays its provider.

    content : the right bytes of the file; of the one member for a file that is packed from many
    pages : what the server asks of `content` (names of pages), in the order of the addresses
    """

    row: Source
    server: Server
    folder: Path
    pages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.output = self.folder / "resources" / self.row.source / self.row.file
        self.lock = self.folder / "sources.lock.yaml"
        self.kind, _, self.interface = self.row.listing.partition(" ")
        self.collected = self.kind in ("gdc", "ncbi")
        self.content = self._sheet() if self._is_sheet else self._body()

    @property
    def _is_sheet(self) -> bool:
        return self.kind == "gdc" and not self.row.file.endswith(".tar")

    def _body(self) -> bytes:
        name = (
            f"{SERIES}_raw_counts_GRCh38.p13_NCBI.tsv.gz" if self.kind == "ncbi" else "counts.tsv"
        )
        return tiny("ncbi", name) if self.collected else tiny(self.row.source, self.row.file)

    def start(self, behave: Misbehave, only_first: bool = False) -> None:
        """Put every page of this provider on the server; `behave` makes those that hold data."""
        if self.kind == "gdc":
            self._start_gdc(behave)
        elif self.kind == "ncbi":
            self._page(self.interface, behave(self.content))
        else:
            places = self._listed(behave) if self.kind else []
            places += [address for address in (self.row.url, self.row.mirror) if address]
            for number, address in enumerate(dict.fromkeys(places)):
                self._page(address, (well if only_first and number else behave)(self.content))
            if not places:
                self.pages.append(f"everything/{self.row.name}")
                self.server.pages[self.pages[-1]] = behave(self.content)

    def fetch(self) -> None:
        """Run the download step on this row as the rule does, with our host in its addresses."""
        row, checksum = self.row, ""
        if row.checksum:
            algorithm = row.checksum.partition(":")[0]
            checksum = f"{algorithm}:{hashlib.new(algorithm, self.content).hexdigest()}"
        samples = self.folder / "samples.tsv"
        samples.write_text(f"sample_id\tstudy_id\nGSM1\t{SERIES}\n")
        known = not self.collected and not (self.kind and not row.checksum)
        download(
            self.output,
            self._here(row.url),
            self._here(row.mirror),
            listing=f"{self.kind} {self._here(self.interface)}" if self.kind else "",
            size=len(self.content) if row.bytes and known else None,
            checksum=checksum,
            version=row.version,
            acquired=row.acquired,
            instruction=row.instruction,
            accept="yes" if row.accept else "",
            licence=row.licence,
            licence_url=row.licence_url,
            citation=row.citation,
            samples=samples if self.kind == "ncbi" else None,
            lock=self.lock,
            mirror_base="" if row.acquired == "automatic" else self.server.url("everything"),
            accept_licence=[row.source],
        )

    def remember(self) -> None:
        """Write a lock file that says what came before, where nobody states a checksum."""
        digest = hashlib.sha256(self.content).hexdigest()
        entry = {"sha256": digest, "bytes": len(self.content), "version": self.row.version}
        self.lock.write_text(yaml.safe_dump({self.row.name: entry | {"retrieved": "2020-02-03"}}))

    def has_the_file(self) -> bool:
        """Whether the right bytes stand under the final name."""
        if not self.output.exists():
            return False
        found = self.output.read_bytes()
        return self.content in found if self.collected else found == self.content

    def _here(self, address: str) -> str:
        if not address:
            return ""
        query = urlsplit(address).query
        return self.server.url(self._name(address)) + (f"?{query}" if query else "")

    def _name(self, address: str) -> str:
        parts = urlsplit(address)
        return f"{parts.netloc}{parts.path}"

    def _page(self, address: str, page: Page) -> None:
        self.pages.append(self._name(address))
        self.server.pages[self.pages[-1]] = page

    def _listed(self, behave: Misbehave) -> list[str]:
        """Answer as Zenodo or figshare do; return where the file is."""
        address = self.row.url or f"https://files.example.org/{self.row.file}"
        link, size = self._here(address), len(self.content)
        md5 = hashlib.md5(self.content).hexdigest()
        if self.kind == "zenodo":
            entry = {"key": self.row.file, "size": size, "checksum": f"md5:{md5}"}
            entry["links"] = {"self": link}
        else:
            entry = {"name": self.row.file, "size": size, "download_url": link}
            entry |= {"computed_md5": md5, "supplied_md5": md5}
        self.server.pages[self._name(self.interface)] = json_page({"files": [entry]})
        return [address]

    def _start_gdc(self, behave: Misbehave) -> None:
        name = self._name(self.interface)
        self.server.pages[f"{name}/status"] = json_page({"data_release": "Data Release 42.0"})
        answer = json.dumps(self._hits()).encode()
        listing = behave(answer) if self._is_sheet else Page(answer)
        self.server.pages[f"{name}/files"] = listing
        self.server.pages[f"{name}/data/{UUID}"] = behave(self._body())
        self.pages.append(f"{name}/files" if self._is_sheet else f"{name}/data/{UUID}")

    def _hits(self) -> dict:
        body = self._body()
        sample = {"submitter_id": "TCGA-AA-0001-01A", "sample_type": "Primary Tumor"}
        case = {"submitter_id": "TCGA-AA-0001", "project": {"project_id": "TCGA-LAML"}}
        hit = {"file_id": UUID, "file_name": "a.rna_seq.augmented_star_gene_counts.tsv"}
        hit |= {"md5sum": hashlib.md5(body).hexdigest(), "file_size": len(body)}
        hit |= {"data_category": "Transcriptome Profiling", "data_type": "Gene Expression"}
        hit["cases"] = [case | {"samples": [sample]}]
        return {"data": {"hits": [hit], "pagination": {"total": 1}}}

    def _sheet(self) -> bytes:
        """What the sample sheet made of `_hits` must hold."""
        return b"TCGA-LAML\tTCGA-AA-0001\tTCGA-AA-0001-01A\tPrimary Tumor\t\n"
