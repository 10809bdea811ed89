"""Outcome files of the simulated universe: the same truth gives the same bytes, flaws included."""

import gzip
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from bulkformer.simulate.cell_lines import LINES_PER_TISSUE, cell_line_table, cell_lines
from bulkformer.simulate.cohorts import TISSUES
from bulkformer.simulate.outcomes import outcomes

FILES = [
    "tcga_cdr", "disignatlas", "models", "passports", "effect", "probability", "gdsc1", "gdsc2",
    "compounds", "gctx", "profiles", "landmarks", "perturbagens", "prnet", "truth",
]  # fmt: skip


def write(folder, simulated, seed=7):
    folder.mkdir()
    lines = folder / "cell_lines.parquet"
    cell_lines(truth_samples=simulated["truth_samples"], seed=seed, output=lines)
    files = {name: folder / name for name in FILES}
    outcomes(
        truth_genes=simulated["truth_genes"], truth_samples=simulated["truth_samples"],
        cell_lines=lines, hgnc=simulated["hgnc"], seed=seed, **files,
    )  # fmt: skip
    return files | {"cell_lines": lines}


@pytest.fixture(scope="module")
def written(tmp_path_factory, simulated):
    return write(tmp_path_factory.mktemp("outcomes") / "one", simulated)


def test_the_same_truth_and_seed_give_the_same_bytes(tmp_path, simulated, written):
    again = write(tmp_path / "again", simulated)
    for name, path in written.items():
        assert path.read_bytes() == again[name].read_bytes(), name


def test_another_seed_gives_other_outcomes(tmp_path, simulated, written):
    other = write(tmp_path / "other", simulated, seed=8)
    for name in ["tcga_cdr", "effect", "gdsc2", "gctx"]:
        assert written[name].read_bytes() != other[name].read_bytes(), name


def test_lines_resemble_the_tissue_they_come_from(simulated):
    samples = pq.read_table(simulated["truth_samples"])
    lines = cell_line_table(samples, 7).to_pandas()
    assert len(lines) == LINES_PER_TISSUE * len(TISSUES)
    assert lines["cell_line_id"].is_unique
    assert lines["sanger_id"].is_unique
    table = samples.to_pandas()
    mean = table.groupby("tissue")["activity"].apply(lambda rows: np.mean(np.stack(rows), axis=0))
    activity = np.stack(lines["activity"])
    own = np.stack([mean[tissue] for tissue in lines["tissue"]])
    other = np.roll(own, LINES_PER_TISSUE, axis=0)
    assert np.mean((activity - own) ** 2) < np.mean((activity - other) ** 2)


def test_derived_lines_are_near_their_parents_and_of_their_patients(simulated):
    lines = cell_line_table(pq.read_table(simulated["truth_samples"]), 7).to_pandas()
    by_id = lines.set_index("cell_line_id")
    derived = lines[lines["parent"].notna()]
    assert len(derived) == 2
    for line in derived.to_dict("records"):
        parent = by_id.loc[line["parent"]]
        assert line["patient_id"] == parent["patient_id"]
        assert np.std(line["activity"] - parent["activity"]) < 0.7


def test_the_providers_quirks_are_in_the_files(written):
    effect = written["effect"].read_text().splitlines()
    assert effect[0].startswith(",")
    assert "GONE1 (999999999)" in effect[0]
    assert any(line.startswith("ACH-999999,") for line in effect)
    assert effect[0] != written["probability"].read_text().splitlines()[0]
    assert '"one, two"' in written["compounds"].read_text()
    assert "Venotoclax" in written["compounds"].read_text()
    assert ";ACH-" in written["passports"].read_text()
    assert "Microarray" in written["disignatlas"].read_text()
    info = gzip.decompress(written["profiles"].read_bytes()).decode()
    assert "\t-666\t-666\t" in info
    assert gzip.decompress(written["gctx"].read_bytes())[:4] == b"\x89HDF"


def test_the_truth_names_what_was_planted(written, simulated):
    truth = json.loads(written["truth"].read_text())
    genes = set(pq.read_table(simulated["truth_genes"])["gene_id"].to_pylist())
    assert 0 <= truth["hazard_program"] < 5
    assert set(truth["dependency"]["essential"]) <= genes
    assert not set(truth["dependency"]["essential"]) & set(truth["dependency"]["selective"])
    assert len(truth["drug_program"]) == 10
