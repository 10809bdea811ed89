"""What a universe promises as a whole: reproducible bytes, independent parts, a coherent truth."""

import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bulkformer.errors import InputError
from bulkformer.files import sha256
from bulkformer.simulate.annotation import draw_annotation, union_length


def test_the_same_seed_gives_the_same_bytes_at_another_time(simulated, simulate_again, tmp_path):
    time.sleep(1.1)  # file formats store times in seconds
    again = simulate_again(tmp_path)
    assert {name: sha256(path) for name, path in again.items()} == {
        name: sha256(path) for name, path in simulated.items()
    }


def test_another_seed_gives_another_universe(simulated, simulate_again, tmp_path):
    other = simulate_again(tmp_path, seed=8)
    same = {name for name in simulated if sha256(other[name]) == sha256(simulated[name])}
    assert same == {"ncbi_samples"}  # the design of the series leaves nothing to chance


def test_the_size_of_one_cohort_changes_no_other_file(simulated, simulate_again, tmp_path):
    other = simulate_again(tmp_path, tcga_patients=16)
    changed = {name for name in simulated if sha256(other[name]) != sha256(simulated[name])}
    assert changed == {"gdc_counts", "gdc_sheet", "truth_samples"}


def test_only_whole_files_are_left_behind(simulated):
    folder = simulated["gtf"].parent
    assert {path.name for path in folder.iterdir()} == {path.name for path in simulated.values()}


def test_every_program_is_one_connected_module(simulated):
    genes = pq.read_table(simulated["truth_genes"]).to_pandas()
    edges = pq.read_table(simulated["truth_edges"]).to_pandas()
    row = {gene_id: number for number, gene_id in enumerate(genes["gene_id"])}
    ends = edges["source"].map(row).to_numpy(), edges["target"].map(row).to_numpy()
    n_genes = len(genes)
    graph = coo_array((np.ones(len(edges)), ends), shape=(n_genes, n_genes))
    _, component = connected_components(graph, directed=False)
    members = genes["program"].notna().to_numpy()
    program = genes["program"].to_numpy()
    assert len(np.unique(program[members])) == 5
    assert len(np.unique(component[members])) == 5
    assert (program[ends[0]] == program[ends[1]]).all()
    assert genes["in_vocabulary"].to_numpy()[members].all()
    assert not edges[["source", "target"]].duplicated().any()
    assert (ends[0] < ends[1]).all()
    assert edges["weight"].between(0, 1).all()


def test_the_vocabulary_is_the_protein_coding_genes_outside_patches(simulated):
    genes = pq.read_table(simulated["truth_genes"]).to_pandas()
    assert genes["in_vocabulary"].sum() == 200
    assert (genes["biotype"] != "protein_coding").sum() == 10
    assert len(genes) == 213


def test_the_truth_names_cohort_study_and_activity_of_every_profile(simulated):
    samples = pq.read_table(simulated["truth_samples"])
    table = samples.to_pandas()
    assert samples.schema.field("activity").type.list_size == 5
    assert (table["flaw"] != "").sum() == 8
    good = table[table["flaw"] == ""].groupby("cohort").size()
    assert good.to_dict() == {"archs4": 48, "tcga": 54, "gtex": 15, "disignatlas": 24}


def test_base_pairs_that_two_exons_share_count_once():
    assert union_length([[(1, 10), (21, 30)], [(5, 15), (21, 30)]]) == 25
    annotation = draw_annotation(100, np.random.default_rng(0))
    for transcripts, length in zip(annotation.transcripts, annotation.length_bp, strict=True):
        covered = {base for exons in transcripts for s, e in exons for base in range(s, e + 1)}
        total = sum(end - start + 1 for exons in transcripts for start, end in exons)
        assert length == len(covered) < total


@pytest.mark.parametrize(
    "sizes", [{"genes": 99}, {"programs": 30}, {"corpus_samples": 23}, {"series_samples": 11}]
)
def test_a_universe_too_small_for_its_design_is_refused_by_key(simulate_again, tmp_path, sizes):
    with pytest.raises(InputError, match=r"simulate\.\w+: too small"):
        simulate_again(tmp_path, **sizes)


def test_the_step_runs_from_the_command_line(tmp_path):
    module = [sys.executable, "-m", "bulkformer.simulate.universe"]
    shown = subprocess.run([*module, "--help"], capture_output=True, text=True, check=True)
    assert "--corpus-samples" in shown.stdout
    assert "--truth-edges" in shown.stdout
