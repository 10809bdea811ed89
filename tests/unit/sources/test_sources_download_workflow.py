"""Downloads as rules: what runs, in which order, and what must never be fetched again."""

import re

import pytest
import yaml
from download_server import CONTENT, Page

from checkout import copy_project, snakemake

pytestmark = pytest.mark.workflow

STRING, HGNC = "string/9606.protein.links.v12.0.txt.gz", "hgnc/hgnc_complete_set.txt"
COMPOUNDS = "gdsc/screened_compounds_rel_8.5.csv"
TABLE = b"hgnc_id\tsymbol\nHGNC:5\tA1BG\n"


class Project:
    """A copy of the project whose sources table points at the server."""

    def __init__(self, root, folder, server):
        self.folder = copy_project(root, folder)
        self.table = folder / "config/sources.tsv"
        server.pages |= {"links": Page(), "hgnc": Page(TABLE), "drugs": Page(b"DRUG_ID\n1\n")}
        self.edit(STRING, url=server.url("links"), mirror="")
        self.edit(HGNC, url=server.url("hgnc"), mirror="")
        self.edit(COMPOUNDS, url=server.url("drugs"), bytes="", checksum="")

    def edit(self, name, **cells):
        lines = [line.split("\t") for line in self.table.read_text().splitlines()]
        for line in lines:
            if line[0] + "/" + line[1] == name:
                for column, value in cells.items():
                    line[lines[0].index(column)] = value
        self.table.write_text("".join("\t".join(line) + "\n" for line in lines))

    def run(self, *names, **sources):
        (self.folder / "mine.yaml").write_text(yaml.safe_dump({"sources": sources}))
        return snakemake(
            self.folder,
            *["--profile", "profiles/local", "--cores", "4"],
            *[name if name.startswith("-") else f"resources/{name}" for name in names],
            *["--configfile", "config/config.yaml", "mine.yaml"],
        )


@pytest.fixture
def project(root, tmp_path, server):
    return Project(root, tmp_path / "project", server)


def test_a_run_prints_the_plan_fetches_locks_and_never_fetches_again(project, server):
    run = project.run(STRING, HGNC)
    assert run.returncode == 0, run.stdout
    assert (project.folder / "resources" / STRING).read_bytes() == CONTENT
    assert re.search(rf"{re.escape(STRING)} +size unknown +to fetch", run.stdout)
    lock = yaml.safe_load((project.folder / "config/sources.lock.yaml").read_text())
    assert lock[HGNC]["bytes"] == len(TABLE)
    assert lock[HGNC]["url"] == server.url("hgnc")
    fetched = len(server.requests)
    project.edit(HGNC, url=server.url("elsewhere"), licence="other words", citation="others")
    run = project.run(STRING, HGNC, offline=True, mirror="/nowhere", accept_licence=["gdsc"])
    assert run.returncode == 0, run.stdout
    assert "Nothing to be done" in run.stdout
    assert len(server.requests) == fetched
    project.edit(HGNC, version="2026-11-01")
    run = project.run("--dry-run", STRING, HGNC)
    assert re.search(r"^download +1$", run.stdout, re.MULTILINE), run.stdout


def test_what_only_a_person_can_bring_fails_before_any_transfer(project, server):
    run = project.run(STRING, HGNC, COMPOUNDS)
    assert run.returncode != 0
    assert "accept_licence: [gdsc]" in run.stdout
    assert server.requests == []
