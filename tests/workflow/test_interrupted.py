"""A download and a conversion killed in the middle, and what a person must type to go on.

The whole process group dies by SIGKILL, as on a power cut or a batch system's last word. Nothing
may lie under a final name then. Snakemake does not release its lock in such a death: `--unlock`
does, and the same command as before goes on from what has arrived.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from checkout import copy_project, snakemake

pytestmark = pytest.mark.workflow

DOWNLOAD = "resources/string/9606.protein.links.v12.0.txt.gz"
STORE = "results/expression/big/log_tpm.arrow"
OUTPUTS = ["counts.arrow", "log_tpm.arrow", "samples.parquet", "coverage.json"]
GENES, SAMPLES = 600, 12_000
SETTINGS = """
expression:
  vocabulary: {annotation: genes.tsv, format: table, identifiers: null}
  quality: {min_detected_genes: 100, min_library_size: 1000}
"""


def command(*targets):
    """The command of a user who runs on one machine."""
    settings = ["--configfile", "config/config.yaml", "mine.yaml"]
    return ["--profile", "profiles/local", "--cores", "2", *targets, *settings]


def kill_when(folder, under_way, *targets):
    """Start snakemake and kill it, with all that it started, once `under_way` returns True."""
    with (folder / "killed.log").open("wb") as log:
        run = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *command(*targets)],
            cwd=folder,
            env=os.environ | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            until = time.monotonic() + 60
            while not under_way():
                said = (folder / "killed.log").read_text()
                assert run.poll() is None, f"ended before it could be killed:\n{said[-3000:]}"
                assert time.monotonic() < until, f"not under way after a minute:\n{said[-3000:]}"
                time.sleep(0.01)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()


def go_on(folder, *targets):
    """Do what the error message says, and type the same command again."""
    refused = snakemake(folder, *command(*targets))
    assert refused.returncode != 0
    assert "--unlock" in refused.stdout
    unlocked = snakemake(folder, *command("--unlock"))
    assert unlocked.returncode == 0, unlocked.stdout
    again = snakemake(folder, *command(*targets))
    assert again.returncode == 0, again.stdout[-3000:]


@pytest.fixture
def project(root, tmp_path):
    folder = copy_project(root, tmp_path / "project")
    (folder / "mine.yaml").write_text(SETTINGS)
    return folder


@pytest.fixture
def provider(root, monkeypatch):
    """The server that the tests of the download step use; it stands beside them."""
    monkeypatch.syspath_prepend(root / "tests/unit/sources")
    for name in ["no_proxy", "NO_PROXY"]:
        monkeypatch.setenv(name, "127.0.0.1")
    from download_server import running

    with running() as server:
        yield server


def test_a_killed_download_has_no_name_and_goes_on(project, provider):
    from download_server import CONTENT, Page

    provider.pages["links"] = Page(pause=0.3)  # fifteen times: time enough to be killed
    table = project / "config/sources.tsv"
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    for line in lines:
        if DOWNLOAD.endswith("/".join(line[:2])):
            row = dict(zip(lines[0], line, strict=True))
            line[:] = (row | {"url": provider.url("links"), "mirror": ""}).values()
    table.write_text("".join("\t".join(line) + "\n" for line in lines))
    target = project / DOWNLOAD

    def arriving():
        return any(path.stat().st_size > 8_000 for path in target.parent.glob(".*part*"))

    kill_when(project, arriving, DOWNLOAD)
    assert not target.exists()
    assert arriving()
    provider.pages["links"] = Page()
    go_on(project, DOWNLOAD)
    assert target.read_bytes() == CONTENT
    assert provider.ranges_asked[-1] is not None  # from where it was cut, not from the start


def write_cohort(folder):
    """Write a corpus that takes seconds to convert, a gene table and a row of the cohorts table."""
    rng = np.random.default_rng(0)
    genes = [f"ENSG{number:011d}" for number in range(GENES)]
    with (folder / "genes.tsv").open("w") as file:
        file.write("id\teff_length\tentrez\tsymbol\tchr\tbiotype\n")
        file.writelines(f"{g}\t1000\t\tS{n}\t1\tprotein_coding\n" for n, g in enumerate(genes))
    with h5py.File(folder / "big.h5", "w") as file:
        chunks = (GENES, 20)
        stripe = rng.poisson(50, (GENES, 600)).astype(np.uint32)
        expression = file.create_dataset(
            "data/expression",
            (GENES, SAMPLES),
            np.uint32,
            chunks=chunks,
            compression="gzip",
            compression_opts=1,
        )
        for start in range(0, SAMPLES, 600):
            expression[:, start : start + 600] = stripe + start % 7
        file["meta/genes/ensembl_gene"] = genes
        file["meta/genes/symbol"] = [f"S{number}" for number in range(GENES)]
        file["meta/samples/geo_accession"] = [f"GSM{number}" for number in range(SAMPLES)]
        file["meta/samples/series_id"] = [f"GSE{number // 10}" for number in range(SAMPLES)]
        file["meta/samples/singlecellprobability"] = np.zeros(SAMPLES)
        file["meta/samples/library_source"] = ["transcriptomic"] * SAMPLES
    table = folder / "config/cohorts.tsv"
    header = table.read_text().splitlines()[0].split("\t")
    row = {"cohort": "big", "format": "archs4", "expression": "big.h5", "gene_ids": "ensembl"}
    row |= {"unit": "counts", "orientation": "genes_in_rows", "description": "made for this test"}
    with table.open("a") as file:
        file.write("\t".join(row.get(column, "") for column in header) + "\n")


def test_a_killed_conversion_has_no_names_and_goes_on_to_the_same_bytes(project):
    write_cohort(project)
    # Checkpoints are far apart in real life; here one has to be there before the kill.
    resume = project / "workflow/lib/bulkformer/expression/resume.py"
    interval = "CHECKPOINT_SECONDS = 20.0"
    assert interval in resume.read_text()
    resume.write_text(resume.read_text().replace(interval, "CHECKPOINT_SECONDS = 0.0"))
    cohort = project / STORE
    cohort = cohort.parent

    def converting():
        return any(cohort.glob(".*.conversion/journal.json"))

    kill_when(project, converting, STORE)
    assert converting()
    assert not [name for name in OUTPUTS if (cohort / name).exists()]
    unfinished = next(cohort.glob(".*.conversion"))
    os.link(unfinished / "counts", project / "unfinished")
    go_on(project, STORE)
    assert not converting()
    # It is the same file, longer: the samples that were done were not done again.
    assert (project / "unfinished").samefile(cohort / "counts.arrow")
    continued = {name: (cohort / name).read_bytes() for name in OUTPUTS}

    shutil.rmtree(cohort)
    whole = snakemake(project, *command(STORE))
    assert whole.returncode == 0, whole.stdout[-3000:]
    for name in OUTPUTS:
        assert (cohort / name).read_bytes() == continued[name], name
